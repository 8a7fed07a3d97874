"""Intervals for means, and for the difference of paired results."""

from __future__ import annotations

from collections.abc import Sequence
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
    half = NormalDist().inv_cdf(0.5 + level / 2) * float(array.std(ddof=1)) / float(np.sqrt(len(array)))
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
