"""Scorers that other packages bring along, by entry point.

    [project.entry-points."homeostat.scorers"]
    graph = "their_package:make_scorer"

The factory takes (name, settings, feature names) and returns a `decide.contracts.Scorer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from homeostat.decide.contracts import Scorer

GROUP = "homeostat.scorers"
Factory = Callable[[str, Mapping[str, Any], tuple[str, ...]], Scorer]


class PluginError(ValueError):
    """A plug-in scorer can't be had; the text says why."""


def plugin_scorer(
    kind: str,
    name: str,
    settings: Mapping[str, Any],
    features: Sequence[str],
    found: Sequence[EntryPoint] | None = None,
) -> Scorer:
    """Make the plug-in scorer of a kind; `found` stands in for the installed entry points.

    Raises PluginError when no package, or more than one, offers the kind, or the factory fails.
    """
    offered = list(entry_points(group=GROUP)) if found is None else list(found)
    fitting = [point for point in offered if point.name == kind]
    if not fitting:
        near = get_close_matches(kind, [point.name for point in offered], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "install the package that brings it"
        raise PluginError(f"scorer {name!r}: no plug-in offers the kind {kind!r}; {hint}")
    if len({point.value for point in fitting}) > 1:
        where = " and ".join(sorted(point.value for point in fitting))
        raise PluginError(f"scorer {name!r}: the kind {kind!r} is offered twice, by {where}; remove one")
    try:
        scorer = cast(Factory, fitting[0].load())(name, settings, tuple(features))
    except Exception as error:  # Whatever a stranger's code raises, the app's author needs to know whose it is.
        raise PluginError(f"scorer {name!r}: {fitting[0].value} failed: {type(error).__name__}: {error}") from error
    if not callable(getattr(scorer, "score", None)) or getattr(scorer, "name", None) != name:
        raise PluginError(f"scorer {name!r}: {fitting[0].value} did not return a scorer of that name")
    return scorer
