"""Parts of a bundle -> the scorers that serve them."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.decide.contracts import ContributingScorer
from homeostat.decide.scorers.forest import LINKS, ForestScorer
from homeostat.decide.scorers.network import NetworkScorer
from homeostat.records.parts import Part, PartError


def serve_part(name: str, part: Part, features: Sequence[str]) -> ContributingScorer:
    """The scorer of a part, for an app's features; raises PartError or MissingFeature when they don't fit."""
    if part.kind in LINKS:
        return ForestScorer(name, part, features)
    if part.kind == "network":
        return NetworkScorer(name, part, features)
    raise PartError(f"scorer {name!r}: no scorer serves a part of kind {part.kind!r}")
