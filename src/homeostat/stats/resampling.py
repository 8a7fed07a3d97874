"""Intervals of figures by drawing people with replacement: all rows of a person come and go together.

Rows of one person are not independent, so intervals from rows alone are too narrow. Every figure of the same `People`
uses the same draws. So the difference of two figures, of two models or with and without a fault, has a paired interval.

Sources: Efron, Tibshirani (1993), An Introduction to the Bootstrap, chapters 8 and 13. Davison, Hinkley (1997),
Bootstrap Methods and their Application, section 5.2, for the basic interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.stats.intervals import share_interval

PERSONS_MIN = 50  # Below, figures point at people, and intervals are not worth their name.
KIND_MIN = 10  # People with a positive row, and people with a negative one, that an interval of a ranking needs.
RESAMPLES = 400
BINS = 15
_KEPT_BYTES_MAX = 1 << 27  # Draws are kept up to this size, and made again for each figure beyond.


@dataclass(frozen=True, slots=True)
class Sampled:
    """A figure with its value in each draw.

    value : of all rows, NaN where it is not defined
    draws : (resamples,) NaN where it is not defined
    rows, persons : that it rests on
    share : whether it is a share of rows, which has an interval where all draws agree too
    basic : whether the interval mirrors the draws, because chance alone raises the figure
    why : why there is no interval; empty where there is one
    """

    value: float
    draws: Float
    rows: int
    persons: int
    share: bool = False
    basic: bool = False
    why: str = ""

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """The lower and upper bound; None where there is not enough data.

        >>> one = People(np.arange(100)).mean(np.arange(100) % 2 * 1.0)
        >>> low, high = one.interval()
        >>> low < one.value < high
        True
        """
        known = self.draws[np.isfinite(self.draws)]
        if self.why or not np.isfinite(self.value) or len(known) < len(self.draws) / 2:
            return None
        if self.share:
            return self._of_share(known, level)
        low, high = (float(bound) for bound in np.quantile(known, [0.5 - level / 2, 0.5 + level / 2]))
        if self.basic:
            low, high = max(0.0, 2 * self.value - high), max(self.value, 2 * self.value - low)
        return min(low, self.value), max(high, self.value)

    def _of_share(self, known: Float, level: float) -> tuple[float, float]:
        """Wilson's interval of as many independent rows as have the spread of the draws."""
        variance, share = float(known.var()), self.value
        spread = 0.0 < share < 1.0 and variance > 0.0
        rows = min(self.rows, share * (1.0 - share) / variance) if spread else self.persons
        found = share_interval(share, rows, level)
        return found.low, found.high

    def less(self, other: Sampled) -> Sampled:
        """The difference `self - other`, draw by draw; both of the same people."""
        return Sampled(
            self.value - other.value, self.draws - other.draws, min(self.rows, other.rows),
            min(self.persons, other.persons), why=self.why or other.why,
        )  # fmt: skip


class People:
    """The people of `n` rows, and how often each counts in each draw.

    person : (n,) codes
    seed : of the draws
    """

    def __init__(self, person: Int, *, seed: int = 0, resamples: int = RESAMPLES) -> None:
        codes, at = np.unique(person, return_inverse=True)
        self.at: Int = at.astype(np.int64)
        self.persons, self.resamples, self._seed = len(codes), resamples, seed
        small = len(codes) * resamples <= _KEPT_BYTES_MAX
        self._kept = [self._drawn(draw) for draw in range(resamples)] if small else None

    def __len__(self) -> int:
        return len(self.at)

    def _drawn(self, draw: int) -> np.ndarray:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed & (1 << 63) - 1, draw])))
        if self.persons == 0:
            return np.zeros(0, np.uint8)
        drawn = rng.integers(0, self.persons, self.persons)
        return np.minimum(np.bincount(drawn, minlength=self.persons), 255).astype(np.uint8)

    def counts(self) -> Iterator[Float]:
        """(persons,) how often each person counts, draw after draw."""
        for draw in range(self.resamples):
            yield (self._drawn(draw) if self._kept is None else self._kept[draw]).astype(np.float64)

    def _why(self, persons: int) -> str:
        return "" if persons >= PERSONS_MIN else f"{persons} of {PERSONS_MIN} people"

    def _count(self, rows: Mask) -> tuple[int, int]:
        return int(np.count_nonzero(rows)), len(np.unique(self.at[rows]))

    def ratio(self, top: Float, bottom: Float, *, share: bool = False) -> Sampled:
        """sum(top) / sum(bottom).

        top, bottom : (n,) rows with a bottom of 0 are not counted among the rows
        """
        sums = [np.bincount(self.at, column, self.persons) for column in (top, bottom)]
        rows, persons = self._count(bottom != 0.0)
        draws = np.array([_over(float(count @ sums[0]), float(count @ sums[1])) for count in self.counts()])
        value = _over(float(np.sum(top)), float(np.sum(bottom)))
        return Sampled(value, draws, rows, persons, share, why=self._why(persons))

    def mean(self, values: Float, rows: Mask | None = None) -> Sampled:
        """The mean of values over rows (n,), or over all."""
        among = np.ones(len(values), bool) if rows is None else rows
        return self.ratio(np.where(among, values, 0.0), among.astype(np.float64))

    def share(self, inside: Mask, among: Mask) -> Sampled:
        """The share of the rows `among` that are `inside` too."""
        return self.ratio((inside & among).astype(np.float64), among.astype(np.float64), share=True)

    def ranking(self, label: Float, score: Float) -> tuple[Sampled, Sampled]:
        """AUC and average precision, as `metrics.ranking`; ties count half, and in one step.

        label : (n,) 0 or 1; score : (n,) without NaN
        """
        n, persons = self._count(np.ones(len(label), bool))
        order = np.argsort(-score, kind="stable")
        ranked, at, positive = score[order], self.at[order], np.ascontiguousarray(label[order])
        last = np.append(np.diff(ranked) != 0.0, True) if n else np.zeros(0, bool)
        once = np.ones(self.persons)
        value = _ranked(at, positive, last, once)
        drawn = [_ranked(at, positive, last, count) for count in self.counts()]
        why = self._why(persons)
        for kind, name in ((1.0, "positive"), (0.0, "negative")):
            few = len(np.unique(self.at[label == kind]))
            if not why and few < KIND_MIN:
                why = f"{few} of {KIND_MIN} people with a {name} outcome"
        both = []
        for which in range(2):
            draws = np.array([one[which] for one in drawn])
            both.append(Sampled(value[which], draws, n, persons, why=why))
        return both[0], both[1]

    def calibration_error(self, label: Float, probability: Float, bins: int = BINS) -> Sampled:
        """`metrics.expected_calibration_error`, whose bins stay as they are in each draw.

        The interval is the basic one: a mean of absolute values is the larger, the more chance there is in it.
        """
        n, persons = self._count(np.ones(len(label), bool))
        order = np.argsort(probability, kind="stable")
        bin_of = np.empty(n, np.int64)
        for index, rows in enumerate(np.array_split(order, bins)):
            bin_of[rows] = index
        away = probability - label
        value = float(np.abs(np.bincount(bin_of, away, bins)).sum() / n) if n else np.nan
        draws = np.empty(self.resamples)
        for draw, count in enumerate(self.counts()):
            weight = count[self.at]
            draws[draw] = _over(float(np.abs(np.bincount(bin_of, weight * away, bins)).sum()), float(weight.sum()))
        return Sampled(value, draws, n, persons, basic=True, why=self._why(persons))


def _over(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom else float("nan")


@compiled
def _ranked(at: Int, label: Float, last: Mask, weight: Float) -> tuple[float, float]:
    """AUC and average precision of weighted rows, from the highest score down.

    at : (n,) person of each row; last : (n,) whether the next row has another score; weight : (persons,)
    """
    positive, negative, area, precision = 0.0, 0.0, 0.0, 0.0
    new_positive, new_negative = 0.0, 0.0
    for i in range(len(at)):
        w = weight[at[i]]
        if label[i] == 1.0:
            new_positive += w
        else:
            new_negative += w
        if last[i]:
            area += new_negative * (positive + 0.5 * new_positive)
            positive += new_positive
            negative += new_negative
            if new_positive > 0.0:
                precision += new_positive * positive / (positive + negative)
            new_positive, new_negative = 0.0, 0.0
    auc = area / (positive * negative) if positive > 0.0 and negative > 0.0 else np.nan
    return auc, (precision / positive if positive > 0.0 else np.nan)


def quantile_interval(values: Float, share: float, level: float = 0.95) -> tuple[float, float, float]:
    """A quantile of independent values with bounds that are values themselves.

    values : (n,), n >= 1; share : of the values that lie below, in (0, 1)
    Raises ValueError if `values` is empty.
    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2: binomial, with its normal approximation.

    >>> quantile_interval(np.arange(1.0, 101.0), 0.5)
    (50.5, 41.0, 61.0)
    """
    if len(values) == 0:
        raise ValueError("a quantile needs at least one value")
    ranked, n = np.sort(values), len(values)
    half = NormalDist().inv_cdf(0.5 + level / 2) * float(np.sqrt(n * share * (1 - share)))
    low = max(0, int(np.ceil(n * share - half)) - 1)
    high = min(n - 1, int(np.ceil(n * share + half)))
    return float(np.quantile(ranked, share)), float(ranked[low]), float(ranked[high])
