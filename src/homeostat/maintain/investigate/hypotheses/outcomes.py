"""Figures of outcomes that became known since the onset, beside those of before: shared by several hypotheses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from homeostat.maintain.investigate.contrasts import distance, share_z
from homeostat.maintain.investigate.inquiry import DAY_NS, Inquiry
from homeostat.records.arrays import Float, Mask

BEFORE_DAYS = 14
_TRAINABLE = 60  # Positives: 30 to learn from, and 30 to try the challenger on.
_DELAYS = 30  # Positives below which nobody can say when they become known.
_ON_TOP = 20.0  # Events on top of those of before, below which they show nothing.
_SHOWN = 0.15  # Events of an age at which fewer of the positives are known say too little for their weight.


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


@dataclass(frozen=True, slots=True)
class Happened:
    """Positives by when they happened, each weighted by the share of its age that is known by now.

    times : how many times as many a day as before; z : in standard errors
    """

    times: float
    z: float


def _weights(inquiry: Inquiry) -> tuple[Float, Mask] | None:
    """(n,) the number of positives that each row stands for, and whether it is old enough to stand for any.

    None where too few positives are known to say when they become known.
    """
    recent = inquiry.recent
    positive = recent.label == 1.0
    old = positive & (recent.time_ns <= inquiry.low_ns - recent.matures_ns)
    if int(old.sum()) < _DELAYS:
        return None
    delays = np.sort((recent.known_ns - recent.time_ns)[old])
    shown = np.searchsorted(delays, recent.now_ns - recent.time_ns, "right") / len(delays)
    usable = shown >= _SHOWN
    return np.where(positive & usable, 1 / np.maximum(shown, _SHOWN), 0.0), usable


def happened(inquiry: Inquiry) -> Happened | None:
    """See `Happened`; None where too few are known to say when positives become known, or too few since the onset.

    Source: Horvitz and Thompson (1952), Journal of the American Statistical Association 47, 663-685.
    """
    recent, low = inquiry.recent, inquiry.low_ns
    weights = _weights(inquiry)
    if weights is None:
        return None
    weight, usable = weights
    now = usable & (recent.time_ns > inquiry.since_ns)
    then = usable & (recent.time_ns <= low) & (recent.time_ns > low - BEFORE_DAYS * DAY_NS)
    if not now.any() or not then.any():
        return None
    days = [max(1 / 24, float(np.ptp(recent.time_ns[rows])) / DAY_NS) for rows in (now, then)]
    part = days[0] / days[1]
    seen, expected = float(weight[now].sum()), float(weight[then].sum()) * part
    if days[0] < 0.5 or expected < 3:
        return None
    spread = max(float((weight[now] ** 2).sum()), expected) + float((weight[then] ** 2).sum()) * part**2
    return Happened(seen / expected, float((seen - expected) / np.sqrt(spread)))


def purity(inquiry: Inquiry, inside: Mask) -> float | None:
    """The share of positives among the events that came on top at a place; None where too few are known.

    An adversary's events are positives. Other people's are so now and then.
    inside : (n,) whether a row is at the place
    """
    recent, low = inquiry.recent, inquiry.low_ns
    weights = _weights(inquiry)
    if weights is None:
        return None
    weight, usable = weights
    now = usable & (recent.time_ns > inquiry.since_ns)
    then = usable & (recent.time_ns <= low) & (recent.time_ns > low - BEFORE_DAYS * DAY_NS)
    if not now.any() or not then.any():
        return None
    part = max(1 / 24, float(np.ptp(recent.time_ns[now]))) / max(1 / 24, float(np.ptp(recent.time_ns[then])))
    more = float((now & inside).sum()) - float((then & inside).sum()) * part
    positive = float(weight[now & inside].sum()) - float(weight[then & inside].sum()) * part
    return positive / more if more >= _ON_TOP else None


@dataclass(frozen=True, slots=True)
class Expected:
    """Positives that the risks expect.

    times : how many times as many as before, if positives of the same kind came on top
    z : of the mean risk of a day's events, in standard errors between days
    """

    times: float
    z: float


def expected_by_risk(inquiry: Inquiry) -> Expected | None:
    """See `Expected`; None where less than a day is there.

    Source: black box shift estimation, Lipton, Wang and Smola (2018), ICML, arXiv:1802.03916.
    """
    recent = inquiry.recent
    means = []
    for first, last in ((inquiry.low_ns - BEFORE_DAYS * DAY_NS, inquiry.low_ns), (inquiry.since_ns, recent.now_ns)):
        count = int((last - first) // DAY_NS)
        edges = [last - at * DAY_NS for at in range(count + 1)]
        parts = [recent.risk[recent.between(a, b)] for b, a in pairwise(edges)]
        means.append([float(np.nanmean(part)) for part in parts if np.isfinite(part).any()])
    then, now = means
    if len(then) < 5 or not now:
        return None
    spread = float(np.std(then, ddof=1)) * np.sqrt(1 / len(then) + 1 / len(now)) + 1e-9
    risk = recent.risk[inquiry.before]
    risk = risk[np.isfinite(risk)]
    of_positive, of_negative = float((risk**2).sum() / risk.sum()), float((risk * (1 - risk)).sum() / (1 - risk).sum())
    rate, mean = float(risk.mean()), float(np.mean(now))
    times = (mean - of_negative) / max((of_positive - of_negative) * rate, 1e-9)
    return Expected(times, (mean - float(np.mean(then))) / spread)


def enough(found: Outcomes, least: int = 8) -> bool:
    """Whether so many positives are known that they can be compared."""
    return int((found.now & found.positive).sum()) >= least and int((found.then & found.positive).sum()) >= least


def data_of(inquiry: Inquiry) -> dict[str, object]:
    """Whether outcomes of events since the onset suffice to train a challenger: with fewer, it learns the law before.

    A challenger decides nothing before it has won, so a few dozen positives cost a trial at most.
    """
    recent = inquiry.recent
    # Signals of outcomes begin when they become known: their events happened some time before.
    first = inquiry.since_ns - recent.matures_ns // 2
    positives = int(((recent.label == 1.0) & (recent.time_ns > first)).sum())
    return {"enough_data": positives >= _TRAINABLE, "positives": positives}


def moved_values(inquiry: Inquiry, found: Outcomes) -> float:
    """The largest distance between the field values of positives since the onset and those of before."""
    numbers = inquiry.recent.numbers
    now, then = found.now & found.positive, found.then & found.positive
    return max((distance(numbers[then, at], numbers[now, at]) for at in range(numbers.shape[1])), default=0.0)
