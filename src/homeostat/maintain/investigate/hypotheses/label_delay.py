"""Outcomes become known later than they did, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.duplicates import repeated
from homeostat.maintain.investigate.hypotheses.outcomes import outcomes_of
from homeostat.maintain.investigate.inquiry import DAY_NS, HOUR_NS, Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "labels"


class LabelDelayHypothesis:
    """See the module."""

    kind: str = Cause.LABEL_DELAY
    beats = frozenset(
        map(str, (Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.LABEL_FLIPS, Cause.SEGMENT, Cause.POPULATION))
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Labels, where a signal says that they take longer."""
        if inquiry.signals(Kind.DELAY):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The age of outcomes when they are known, against before; and outcomes that are due and not there."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        ages = [found.age[rows & ~found.positive] for rows in (found.now, found.then)]
        if len(ages[0]) >= 20 and len(ages[1]) >= 20:
            later = float(np.median(ages[0]) - np.median(ages[1]))
            least = max(HOUR_NS, 0.03 * float(np.median(ages[1])))
            slow = later > least
            yield Answer(
                "how much later outcomes are known",
                later / HOUR_NS,
                "hours",
                4.0 if slow else -2.0,
                slow,
                inquiry.command,
            )
        share, before, z = overdue(inquiry)
        late = z > 5 and share > before + 0.02
        yield Answer(
            f"outcomes that are due and not there, {before:.1%} before", share, "share", 3.0 if late else -1.5, late,
            inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The share of outcomes that are due."""
        return {"overdue": overdue(inquiry)[0]}


def overdue(inquiry: Inquiry) -> tuple[float, float, float]:
    """The share of events, a little older than mature, without an outcome by now; that of before; and the rise."""
    recent, ripe = inquiry.recent, inquiry.recent.matures_ns + 2 * HOUR_NS
    shares: list[int] = []
    own = ~repeated(inquiry)  # A copy of an event has no outcome of its own.
    for moment in (recent.now_ns, inquiry.low_ns):
        rows = own & (recent.time_ns > moment - ripe - DAY_NS) & (recent.time_ns <= moment - ripe)
        unknown = np.isnan(recent.label[rows]) | (recent.known_ns[rows] > moment)
        shares += [int(unknown.sum()), int(rows.sum())]
    hits, n, before, m = shares
    return hits / max(1, n), before / max(1, m), share_z(hits, n, before, m)
