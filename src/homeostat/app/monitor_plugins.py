"""Monitors that other packages bring along, by entry point.

    [project.entry-points."homeostat.monitors"]
    weather = "their_package:make_monitor"

The factory takes (names of the app's parts, settings of the app file) and returns a `maintain.contracts.Monitor`.
`homeostat.checks.monitors` holds the checks that it has to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from homeostat.decide.scorers.plugins import PluginError, only
from homeostat.maintain.contracts import Monitor
from homeostat.maintain.monitor.guarded import GuardedMonitor
from homeostat.maintain.monitor.names import Names

GROUP = "homeostat.monitors"
Factory = Callable[[Names, Mapping[str, Any]], Monitor]


def plugin_monitors(
    wanted: Mapping[str, Mapping[str, Any]], names: Names, found: Sequence[EntryPoint] | None = None
) -> list[GuardedMonitor]:
    """The monitors of these entry points, each with its settings, in this order.

    found : the entry points that there are, as installed when None
    Raises PluginError where one is not offered, is offered twice, or can't be made.
    """
    if not wanted:
        return []
    offered = list(entry_points(group=GROUP)) if found is None else list(found)
    return [_made(name, settings, names, offered) for name, settings in wanted.items()]


def _made(name: str, settings: Mapping[str, Any], names: Names, offered: Sequence[EntryPoint]) -> GuardedMonitor:
    point = only(offered, name, f"monitor {name!r}: no plug-in offers it", f"monitor {name!r}")
    try:
        factory: Factory = point.load()
        inner = factory(names, settings)
        return GuardedMonitor(name, inner)
    except Exception as error:
        raise PluginError(f"monitor {name!r}: {point.value} failed with {type(error).__name__}: {error}") from error
