"""Monitors that other packages bring along, by entry point.

    [project.entry-points."homeostat.monitors"]
    weather = "their_package:make_monitor"

The factory takes (names of the app's parts, settings of the app file) and returns a `maintain.contracts.Monitor`.
`homeostat.checks.monitors` holds the checks that it has to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from homeostat.decide.scorers.plugins import PluginError
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
    fitting = [point for point in offered if point.name == name]
    if not fitting:
        near = get_close_matches(name, [point.name for point in offered], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "install the package that brings it"
        raise PluginError(f"monitor {name!r}: no plug-in offers it; {hint}")
    if len({point.value for point in fitting}) > 1:
        where = " and ".join(sorted(point.value for point in fitting))
        raise PluginError(f"monitor {name!r} is offered twice, by {where}; remove one")
    try:
        factory: Factory = fitting[0].load()
        inner = factory(names, settings)
        return GuardedMonitor(name, inner)
    except Exception as error:
        raise PluginError(
            f"monitor {name!r}: {fitting[0].value} failed with {type(error).__name__}: {error}"
        ) from error
