"""Policies that other packages bring along, by entry point.

    [project.entry-points."homeostat.policies"]
    steps = "their_package:make_policy"

The factory takes (the app's actions, options of the app file) and returns a `decide.contracts.Policy`.
`homeostat.checks.stages.POLICY_CHECKS` are the checks that it has to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from homeostat.decide.contracts import Policy
from homeostat.decide.scorers.plugins import PluginError, only

GROUP = "homeostat.policies"
Factory = Callable[[Sequence[str], Mapping[str, Any]], Policy]


def plugin_policy(
    name: str, actions: Sequence[str], options: Mapping[str, Any], found: Sequence[EntryPoint] | None = None
) -> Policy:
    """The policy of an entry point.

    actions : mildest first
    found : the entry points that there are, as installed when None
    Raises PluginError where it is not offered, is offered twice, or can't be made.
    """
    offered = list(entry_points(group=GROUP)) if found is None else list(found)
    point = only(offered, name, f"policy {name!r}: no plug-in offers it", f"policy {name!r}")
    try:
        factory: Factory = point.load()
        made = factory(tuple(actions), dict(options))
    except Exception as error:
        raise PluginError(f"policy {name!r}: {point.value} failed with {type(error).__name__}: {error}") from error
    lacking = [part for part in ("propose", "learn", "state", "restore") if not callable(getattr(made, part, None))]
    if lacking:
        raise PluginError(f"policy {name!r}: {point.value} lacks {', '.join(lacking)}")
    return made
