"""Served features differ from those that the same windows compute: seen by deciding again with nothing altered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.ports.rehearsal import Again
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

_LEAST = 0.02
_DERIVED = 0.8  # Features that are made of one that differs do so about as often.
_ONLY = 7.0  # The same windows made the feature again, and it is the only one that differs: nothing else does that.


class SkewHypothesis:
    """See the module."""

    kind: str = Cause.SKEW
    beats = frozenset(map(str, (Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.POPULATION, Cause.ENVIRONMENT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Features with a signal of skew; without one, the feature that moved most beyond its inputs."""
        named = list(dict.fromkeys(one.series.node for one in inquiry.signals(Kind.SKEW)))
        moved = [one for one in inquiry.signals(Kind.DISTRIBUTION) if one.series.node.startswith("feature:")]
        yield from named or dict.fromkeys(one.series.node for one in moved[:3])

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The feature as it was served, beside itself as it is computed."""
        again = inquiry.as_it_was()
        share = _differing(again, node)
        if again is None or share is None:
            return
        beside = _beside(again, node)
        decides = share > _LEAST and share >= _DERIVED * beside
        weight = _ONLY if beside < _DERIVED * share else 5.0
        yield Answer(
            f"events to which {node} was served otherwise than it is computed", share, "share",
            weight if decides else -6.0, decides, inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The factor between both, where one fits."""
        again = inquiry.as_it_was()
        if again is None:
            return {}
        column = again.names.index(node.partition(":")[2])
        ours, theirs = again.features[:, column], again.served[:, column]
        usable = (np.abs(ours) > 1e-9) & np.isfinite(theirs)
        return {"served_factor": float(np.median(theirs[usable] / ours[usable]))} if usable.any() else {}


def _differing(again: Again | None, node: str) -> float | None:
    """The share of events to which a feature was served otherwise; None where nobody knows."""
    kind, _, name = node.partition(":")
    if again is None or kind != "feature" or name not in again.names or not again.kept.any():
        return None
    column, kept = again.names.index(name), again.kept
    ours, theirs = again.features[kept, column], again.served[kept, column]
    there = ~np.isnan(theirs)  # A store that was away served nothing, which is no skew.
    near = np.isclose(ours, theirs, rtol=1e-4, atol=1e-4)
    return float((~near & there).mean())


def _beside(again: Again, node: str) -> float:
    """The share of events to which the feature that differs most, besides this one, was served otherwise."""
    others = (f"feature:{name}" for name in again.names)
    return max((_differing(again, one) or 0.0 for one in others if one != node), default=0.0)
