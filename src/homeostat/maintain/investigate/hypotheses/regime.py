"""A law of outcomes that was there before is back, or comes and goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.concept import ConceptHypothesis
from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes, enough, outcomes_of
from homeostat.maintain.investigate.inquiry import DAY_NS, Answer, Inquiry
from homeostat.records.causes import Cause

NODE = "outcome"
_LOW = 0.9
_EARLIER_NS = 3 * DAY_NS
_LEAST, _OF_A_DAY = 30, 4  # Positives of before, and of a day, below which its law is unknown.
_MORE = 0.35  # Of the way from the past's share to all of them, from which on a day is under another law.
_DAYS = 3
_APART_Z = 3.0


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
    """How often events go from one law to the other, since some days before the onset.

    A day's law shows in its positives: how many of them lie below nine tenths of the past's risks. Where these are
    many more than in the past, the law is another one. Days are read in threes, for each has few positives. A law holds
    for three days at least, and the positives of two that follow each other differ beyond chance.
    """
    recent = inquiry.recent
    positive = found.positive & ~np.isnan(recent.label)
    low = found.place < _LOW
    # Signals of outcomes begin when they become known: their events happened some time before.
    first_ns = inquiry.low_ns - recent.matures_ns // 2 - _EARLIER_NS
    before = positive & (recent.time_ns <= first_ns)
    if int(before.sum()) < _LEAST:
        return 0
    usual = float(low[before].mean())
    rows = positive & (recent.time_ns > first_ns)
    day = recent.time_ns[rows] // DAY_NS
    counts = [(int((day == one).sum()), int(low[rows][day == one].sum())) for one in np.unique(day)]
    counts = [one for one in counts if one[0] >= _OF_A_DAY]
    return max(0, len(laws_in_turn(counts, usual)) - 1)


def laws_in_turn(counts: Sequence[tuple[int, int]], usual: float) -> list[tuple[int, int]]:
    """The laws that held one after the other, each with its positives and those of low risk.

    counts : of each day, its positives, and how many of these have a low risk
    usual : the share of low ones under the law of before

    >>> laws_in_turn([(20, 11)] * 4 + [(20, 19)] * 6 + [(20, 10)] * 4, 0.55)
    [(80, 44), (120, 114), (80, 40)]
    >>> laws_in_turn([(20, 16), (20, 12)] * 6, 0.55)
    [(240, 168)]
    """
    bound = usual + _MORE * (1.0 - usual)
    other = [share > bound for share in (_share(counts[max(0, at - 1) : at + 2]) for at in range(len(counts)))]
    runs: list[tuple[bool, int, int]] = []
    for law, group in groupby(zip(other, counts, strict=True), key=lambda one: one[0]):
        days = [one for _, one in group]
        n, k = sum(one[0] for one in days), sum(one[1] for one in days)
        if runs and (len(days) < _DAYS or runs[-1][0] == law or not _apart(runs[-1][1:], (n, k))):
            runs[-1] = (runs[-1][0], runs[-1][1] + n, runs[-1][2] + k)
        else:
            runs.append((law, n, k))
    return [(n, k) for _, n, k in runs]


def _share(counts: Sequence[tuple[int, int]]) -> float:
    return sum(one[1] for one in counts) / max(1, sum(one[0] for one in counts))


def _apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two shares differ beyond chance."""
    return abs(share_z(one[1], one[0], other[1], other[0])) > _APART_Z
