"""Remedies that other packages bring along, by entry point.

    [project.entry-points."homeostat.remedies"]
    tills = "their_package:Tills"

The entry point makes a `maintain.plan.further.Remedies`. `homeostat.checks.remedies` holds the checks that it has to
pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from homeostat.decide.scorers.plugins import PluginError
from homeostat.maintain.plan.further import Remedies, known

GROUP = "homeostat.remedies"


def plugin_remedies(found: Sequence[EntryPoint] | None = None) -> tuple[Remedies, ...]:
    """The remedies of all entry points, by name.

    found : the entry points that there are, as installed when None
    Raises PluginError where one can't be made, or keeps no remedies.
    """
    offered = entry_points(group=GROUP) if found is None else found
    made: list[Remedies] = []
    for point in sorted(offered, key=lambda one: one.name):
        try:
            made += known([point.load()()])
        except Exception as error:
            raise PluginError(
                f"remedies {point.name!r}: {point.value} failed with {type(error).__name__}: {error}"
            ) from error
    return tuple(made)
