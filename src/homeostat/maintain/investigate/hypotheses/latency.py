"""Decisions take longer than before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.inquiry import Answer, Inquiry, finite
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "serving"
_TIMES = 1.8


class LatencyHypothesis:
    """See the module."""

    kind: str = Cause.LATENCY
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The serving process, where a signal says that it is slow."""
        if inquiry.signals(Kind.LATENCY):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The time of a decision that one in a hundred, and one in ten, exceeds, against before."""
        inquiry.steps += 1
        recent = inquiry.recent
        now, then = finite(recent.took_us[inquiry.after]), finite(recent.took_us[inquiry.before])
        if not len(now) or not len(then):
            return
        for high, weight in ((0.99, 3.0), (0.9, 2.0)):
            times = float(np.quantile(now, high) / max(np.quantile(then, high), 1e-9))
            slow = times > _TIMES
            yield Answer(
                f"the time that one decision in {round(1 / (1 - high))} exceeds, against before", times, "times",
                weight if slow else -weight, slow and high == 0.99, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The scorers that can be left out: all that are trained, but the first."""
        return {"scorers": list(inquiry.recent.scorers[1:2])}
