"""Parts of a bundle -> the scorers that serve them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from homeostat.decide.contracts import ContributingScorer
from homeostat.decide.scorers.encoded import EncodedScorer
from homeostat.decide.scorers.forest import LINKS, ForestScorer
from homeostat.decide.scorers.network import NetworkScorer
from homeostat.decide.scorers.series import KINDS as SERIES
from homeostat.decide.scorers.series import SeriesScorer
from homeostat.records.identity import category_code
from homeostat.records.parts import Part, PartError
from homeostat.stats.categories import SETTING, read


def serve_part(
    name: str, part: Part, features: Sequence[str], code: Callable[[str], float] = category_code
) -> ContributingScorer:
    """The scorer of a part, for an app's features; raises PartError or MissingFeature when they don't fit.

    code : a category's text -> its code
    """
    if SETTING in part.settings:
        return EncodedScorer(name, part, features, serve_part, code)
    if part.kind in LINKS:
        return ForestScorer(name, part, features)
    if part.kind == "network":
        return NetworkScorer(name, part, features)
    if part.kind in SERIES:
        return SeriesScorer(name, part, features)
    raise PartError(f"scorer {name!r}: no scorer serves a part of kind {part.kind!r}")


def check_categories(name: str, part: Part, categories: frozenset[str]) -> None:
    """Raise PartError where a part knows a category as a number, or a number as a category.

    categories : the app's features whose values are categories
    """
    known = set(read(part.settings[SETTING], part.features)) if SETTING in part.settings else set()
    named = part.settings.get("series")  # A profile only asks whose row it is.
    raw = [feature for feature in part.features if feature in categories and feature not in known and feature != named]
    if raw:
        raise PartError(
            f"scorer {name!r} was trained on {', '.join(raw)} as numbers that mean nothing, before categories were "
            "learned as such: train the bundle again"
        )
    other = sorted(known - categories)
    if other:
        raise PartError(f"scorer {name!r} was trained on categories of {', '.join(other)}: train the bundle again")
