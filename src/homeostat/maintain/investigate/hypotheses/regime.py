"""A law of outcomes that was there before is back, or comes and goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.hypotheses.concept import ConceptHypothesis
from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes, enough, outcomes_of
from homeostat.maintain.investigate.inquiry import DAY_NS, Answer, Inquiry
from homeostat.records.causes import Cause

NODE = "outcome"


class RegimeHypothesis:
    """See the module."""

    kind: str = Cause.REGIME
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Wherever the law may have changed."""
        return ConceptHypothesis().places(inquiry)

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Those of a changed law; and whether the old law was back for days in between."""
        answers = list(ConceptHypothesis().tests(inquiry, node))
        for one in answers:
            yield Answer(one.what, one.value, one.unit, one.weight, False, one.command)
        found = outcomes_of(inquiry)
        if not answers or not enough(found):
            return
        turns = turns_of(inquiry, found)
        yield Answer(
            "turns between two laws since the onset", float(turns), "turns", 3.0 if turns >= 2 else -1.5,
            turns >= 2 and sum(one.weight for one in answers) > 0, inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """Other versions that served lately, which may know the other law."""
        recent = inquiry.recent
        others = [one for one in recent.versions if one and one != recent.versions[-1]]
        return {"versions": others}


def turns_of(inquiry: Inquiry, found: Outcomes) -> int:
    """How often days of events go from one law to the other, since three days before the onset.

    A day's law is that of its positives: those below the middle of the past's risks, or above. A turn needs two days of
    at least four positives each on both sides.
    """
    recent = inquiry.recent
    rows = found.positive & (recent.time_ns > inquiry.low_ns - 3 * DAY_NS) & ~np.isnan(recent.label)
    day = recent.time_ns[rows] // DAY_NS
    low = found.place[rows] < 0.9
    laws = [bool(low[day == one].mean() > 0.4) for one in np.unique(day) if int((day == one).sum()) >= 4]
    runs: list[list[bool]] = []
    for law in laws:
        if runs and runs[-1][0] == law:
            runs[-1].append(law)
        else:
            runs.append([law])
    return max(0, len([run for run in runs if len(run) >= 2]) - 1)
