"""A library or an encoding underneath has changed: what was decided before comes out otherwise when decided today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "environment"
_SAME, _LEAST = 1e-6, 0.05


class EnvironmentHypothesis:
    """See the module."""

    kind: str = Cause.ENVIRONMENT
    beats = frozenset(map(str, (Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.POPULATION, Cause.SEGMENT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The environment, where scores are not those that the features explain, or a version seems to differ."""
        unexplained = any(one.series.name.startswith("unexplained") for one in inquiry.case.signals)
        if unexplained or inquiry.signals(Kind.VERSION, node=NODE):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The day before the onset, decided again today: under the same version and settings it must be the same."""
        again = inquiry.as_before()
        if again is None or not again.kept.any():
            return
        kept = again.kept
        moved = float((np.abs(again.risk[kept] - again.served_risk[kept]) > _SAME).mean())
        same = _same_features(again.features[kept], again.served[kept])
        decides = moved > _LEAST and same > 0.9
        yield Answer(
            "risks of the day before that come out otherwise today", moved, "share", 6.0 if decides else -5.0, decides,
            "",
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """Nothing that a setting could use: no setting changes an environment."""
        return {}


def _same_features(again: np.ndarray, served: np.ndarray) -> float:
    """The share of rows whose features are the same."""
    near = np.isclose(again, served, rtol=1e-4, atol=1e-4, equal_nan=True)
    return float(near.mean(axis=1).mean()) if len(near) else 1.0
