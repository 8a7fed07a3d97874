"""Figures of outcomes that became known since the onset, beside those of before: shared by several hypotheses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.maintain.investigate.contrasts import distance, share_z
from homeostat.maintain.investigate.inquiry import DAY_NS, Inquiry
from homeostat.records.arrays import Float, Mask

BEFORE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes by when they became known.

    now, then : (n,) whether each row's outcome became known since the onset, or in the two weeks before
    positive : (n,) whether it is positive
    place : (n,) the place of each row's risk among those of before, in [0, 1]
    age : (n,) how long after its event an outcome became known, in nanoseconds
    """

    now: Mask
    then: Mask
    positive: Mask
    place: Float
    age: Float
    days: tuple[float, float]

    @property
    def rates(self) -> tuple[float, float]:
        """Positives a day, since the onset and before."""
        return (
            float((self.now & self.positive).sum()) / self.days[0],
            float((self.then & self.positive).sum()) / self.days[1],
        )

    @property
    def times(self) -> float:
        """How many times as many positives there are as before."""
        now, then = self.rates
        return now / then if then > 0 else float("nan")

    @property
    def rise_z(self) -> float:
        """How many standard errors the positives a day lie above those of before, as Poisson counts."""
        now, then = (float((one & self.positive).sum()) for one in (self.now, self.then))
        expected = then * self.days[0] / self.days[1]
        spread = expected * (1 + self.days[0] / self.days[1])
        return float((now - expected) / np.sqrt(max(spread, 1.0)))

    @property
    def fallen(self) -> tuple[float, float]:
        """How far positives lie lower by risk than before, from 0 to 1, and in standard errors."""
        now, then = self.place[self.now & self.positive], self.place[self.then & self.positive]
        if len(now) < 5 or len(then) < 5:
            return 0.0, 0.0
        by = float(then.mean() - now.mean())
        error = np.sqrt(now.var() / len(now) + then.var() / len(then)) + 1e-3
        return by, by / error

    def share(self, rows: Mask) -> tuple[float, float, float]:
        """The share of positives among rows, since the onset and before, and by how many standard errors it rose."""
        now, then = self.now & rows, self.then & rows
        a, n = int((now & self.positive).sum()), int(now.sum())
        b, m = int((then & self.positive).sum()), int(then.sum())
        return a / max(1, n), b / max(1, m), share_z(a, n, b, m)


def outcomes_of(inquiry: Inquiry) -> Outcomes:
    """See `Outcomes`."""
    recent, low = inquiry.recent, inquiry.low_ns
    known = ~np.isnan(recent.label)
    first = max(low - BEFORE_DAYS * DAY_NS, int(recent.known_ns[known].min()) if known.any() else low)
    now = known & (recent.known_ns > inquiry.since_ns)
    then = known & (recent.known_ns > first) & (recent.known_ns <= low)
    past = np.sort(recent.risk[inquiry.before])
    place = np.searchsorted(past, recent.risk, "right") / max(1, len(past))
    age = np.where(known, recent.known_ns - recent.time_ns, 0).astype(np.float64)
    days = max(1 / 24, (recent.now_ns - inquiry.since_ns) / DAY_NS), max(1 / 24, (low - first) / DAY_NS)
    return Outcomes(now, then, recent.label == 1.0, place, age, days)


def enough(found: Outcomes, least: int = 8) -> bool:
    """Whether so many positives are known that they can be compared."""
    return int((found.now & found.positive).sum()) >= least and int((found.then & found.positive).sum()) >= least


def moved_values(inquiry: Inquiry, found: Outcomes) -> float:
    """The largest distance between the field values of positives since the onset and those of before."""
    numbers = inquiry.recent.numbers
    now, then = found.now & found.positive, found.then & found.positive
    return max((distance(numbers[then, at], numbers[now, at]) for at in range(numbers.shape[1])), default=0.0)
