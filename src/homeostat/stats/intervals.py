"""Intervals for means, and for the difference of paired results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from homeostat.records.arrays import Float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its lower and upper bound; `level` is the coverage aimed at."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def _values(values: Sequence[float] | Float) -> Float:
    array = np.asarray(values, dtype=np.float64).ravel()
    if len(array) == 0:
        raise ValueError("an interval needs at least one value")
    return array


def normal_interval(values: Sequence[float] | Float, level: float = 0.95) -> Interval:
    """The mean with a normal interval; for means of a few hundred values or more.

    values : (n,), n >= 1; one value alone gives an infinitely wide interval
    Raises ValueError if `values` is empty.

    >>> print(normal_interval([1.0, 2.0, 3.0, 4.0]))
    2.5 [1.235, 3.765]
    """
    array = _values(values)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, -np.inf, np.inf, level)
    return mean_interval(mean, float(array.std(ddof=1)) / float(np.sqrt(len(array))), level)


def mean_interval(mean: float, standard_error: float, level: float = 0.95) -> Interval:
    """A mean with its normal interval, from its standard error.

    >>> print(mean_interval(2.0, 1.0))
    2 [0.04004, 3.96]
    """
    half = NormalDist().inv_cdf(0.5 + level / 2) * standard_error
    return Interval(mean, mean - half, mean + half, level)


def lower_bound(values: Sequence[float] | Float, confidence: float = 0.95) -> float:
    """A one-sided lower bound of the mean that holds with probability `confidence` (normal approximation)."""
    return normal_interval(values, 2 * confidence - 1).low


def bootstrap_interval(
    values: Sequence[float] | Float, seed: int, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """The mean with a percentile bootstrap interval.

    values : (n,), n >= 1; resampled with replacement `resamples` times
    Raises ValueError if `values` is empty.
    Source: Efron, Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    >>> bootstrap_interval([1.0, 1.0, 1.0], seed=0).high
    1.0
    """
    array = _values(values)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    means = np.empty(resamples)
    step = max(1, 1_000_000 // len(array))  # Bounds the memory of the resampled matrix to some 8 MB.
    for start in range(0, resamples, step):
        rows = rng.integers(0, len(array), (min(step, resamples - start), len(array)))
        means[start : start + len(rows)] = array[rows].mean(axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(array.mean()), float(low), float(high), level)


def paired_difference(
    first: Sequence[float] | Float, second: Sequence[float] | Float, seed: int, level: float = 0.95
) -> Interval:
    """The mean of `first - second` over pairs (the same seed, the same fold), with a bootstrap interval.

    Raises ValueError if the lengths differ.

    >>> print(paired_difference([3.0, 5.0], [1.0, 3.0], seed=0))
    2 [2, 2]
    """
    one, other = _values(first), _values(second)
    if len(one) != len(other):
        raise ValueError(f"pairs need equal lengths, not {len(one)} and {len(other)}")
    return bootstrap_interval(one - other, seed, level)


def share_interval(share: float, rows: float, level: float = 0.95) -> Interval:
    """A share of `rows` independent rows with its score interval, which holds for few rows and near 0 and 1 too.

    share : in [0, 1]; rows : > 0, need not be whole: rows of persons who come again count as fewer
    Raises ValueError if there are no rows.
    Source: Wilson (1927), JASA 22, 209-212.

    >>> print(share_interval(0.5, 100))
    0.5 [0.4038, 0.5962]
    """
    if not rows > 0:
        raise ValueError("the interval of a share needs rows")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * float(np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)) / (1 + z * z / rows)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(share, min(low, share), max(high, share), level)


def difference_of(first: Interval, second: Interval) -> Interval:
    """The difference `first - second` of independent estimates, from the interval of each.

    first, second : of one level
    Source: Newcombe (1998), Statistics in Medicine 17, 873-890, method 10; Zou and Donner (2008), Statistics in
    Medicine 27, 1693-1702, for estimates other than shares.

    >>> print(difference_of(share_interval(0.5, 100), share_interval(0.3, 100)))
    0.2 [0.06422, 0.3258]
    """
    estimate = first.estimate - second.estimate
    down = np.hypot(first.estimate - first.low, second.high - second.estimate)
    up = np.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(estimate, estimate - float(down), estimate + float(up), first.level)


def ratio_of(first: Interval, second: Interval) -> Interval:
    """The ratio `first / second` of independent estimates that are not negative, from the interval of each.

    first, second : of one level, bounds >= 0. If an estimate is 0 there is no logarithm to work with. The bounds are
        then those of the smallest and the largest ratio within both intervals, which is wider. 0 / 0 is NaN.
    Source: Zou and Donner (2008), Statistics in Medicine 27, 1693-1702, on logarithms.

    >>> print(ratio_of(share_interval(0.2, 400), share_interval(0.4, 400)))
    0.5 [0.397, 0.6278]
    """
    if first.estimate > 0 and second.estimate > 0 and first.low > 0 and second.low > 0:
        found = difference_of(_mapped(math.log, first), _mapped(math.log, second))
        return _mapped(math.exp, found)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(np.float64(first.estimate) / np.float64(second.estimate))
        high = float(np.float64(first.high) / np.float64(max(second.low, 0.0)))
    low = max(first.low, 0.0) / second.high if second.high > 0 else 0.0
    return Interval(estimate, low, np.inf if np.isnan(high) else high, first.level)


def _mapped(rising: Callable[[float], float], interval: Interval) -> Interval:
    return Interval(rising(interval.estimate), rising(interval.low), rising(interval.high), interval.level)
