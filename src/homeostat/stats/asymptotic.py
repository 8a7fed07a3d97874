"""Confidence sequences for values without a known bound: of the difference of two means, and of one mean.

They are asymptotic, and hold at every look.

The difference D of two sample means has the variance v = s1^2 / n1 + s2^2 / n2. In whatever order the arms' values
arrive, D / v behaves as a Brownian motion at the time 1 / v, in the limit of many values. The bounds are those of
Robbins' normal mixture for it. They hold at all rows at once, from a number of values on that is stated.

A sum of few large values is far from normal, whatever the number of values. So a row counts only if no value
contributes more than a tenth to v, and if D is not too skewed.

Sources: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory and asymptotic
confidence sequences, Annals of Statistics 52, 2613-2640. Howard, Ramdas, McAuliffe, Sekhon (2021), Time-uniform,
nonparametric, nonasymptotic confidence sequences, Annals of Statistics 49, 1055-1080.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled

VALUES_MIN = 100  # In each arm, before the first bound.
SHARE_MAX = 0.1  # Of one value, in the variance of the difference. Of 100 normal values the largest has some 4 %.
SKEW_MAX = 0.5  # Of the difference of means. Between arms of one size and shape it is 0.


class Arm(NamedTuple):
    """Running figures of one arm after each row, (n,) each; NaN while it has fewer than two values.

    third : the third central moment; farthest : the largest distance of a value from the mean; values : how
    many; constant : no two values differ so far
    """

    values: Float
    mean: Float
    variance: Float
    third: Float
    farthest: Float
    constant: Mask


@dataclass(frozen=True, slots=True)
class Bounds:
    """The difference of means (treatment less control), or one mean, after each row, (n,) each.

    difference : 0 where the row does not count
    low, high : infinite where the row does not count
    counts : rows with enough values of both arms, none of which outweighs the others
    crowded : rows with enough values, of which a few large ones outweigh the others
    """

    difference: Float
    low: Float
    high: Float
    counts: Mask
    crowded: Mask


def _running(chosen: Mask, values: Float) -> Arm:
    return Arm(*_running_figures(chosen, values, values[chosen][0] if chosen.any() else 0.0))


@compiled
def _running_figures(chosen: Mask, values: Float, start: float) -> tuple[Float, Float, Float, Float, Float, Mask]:
    """The figures of the rows that are chosen; sums are of distances from `start`, so that they cancel less."""
    n = len(values)
    count, mean, variance = np.zeros(n), np.full(n, np.nan), np.full(n, np.nan)
    third, farthest, constant = np.full(n, np.nan), np.full(n, np.nan), np.ones(n, np.bool_)
    m, one, two, three, least, most = 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf
    for i in range(n):
        if chosen[i]:
            z = values[i] - start
            m += 1.0
            one += z
            two += z * z
            three += z * z * z
            least, most = min(least, z), max(most, z)
        count[i] = m
        constant[i] = most <= least
        if m > 1.0:
            mu = one / m
            mean[i] = mu + start
            variance[i] = max(two - one * mu, 0.0) / (m - 1.0)
            third[i] = three / m - 3.0 * mu * two / m + 2.0 * mu * mu * mu
            farthest[i] = max(most - mu, mu - least)
    return count, mean, variance, third, farthest, constant


def _with_spread(arm: Arm, other: Arm) -> Float:
    """The arm's variance; if all its values are the same, the other arm's or that of all values, the larger one.

    A constant arm tells nothing of its spread. To take 0 for it would make any difference a proof.
    """
    n = arm.values + other.values
    squares = [np.nan_to_num(one.variance) * (one.values - 1.0) for one in (arm, other)]
    between = arm.values * other.values / (n * n) * (arm.mean - other.mean) ** 2
    borrowed = np.fmax(other.variance, (squares[0] + squares[1]) / n + between)
    return np.where(arm.constant, borrowed, arm.variance)


def bounds(treated: Mask, values: Float, alpha: float) -> Bounds:
    """Bounds of the difference of means that hold at all rows at once, with probability 1 - alpha in the limit.

    treated : (n,) the arm of each row, in order of arrival; must not depend on the values
    values : (n,) finite

    >>> arm = np.arange(400) % 2 == 1
    >>> found = bounds(arm, np.where(arm, 5.0, 3.0) + np.sin(np.arange(400)), 0.05)
    >>> bool(found.low[-1] < 2.0 < found.high[-1]), bool(np.isinf(found.low[100]))
    (True, True)
    """
    unit = float(np.abs(values).max(initial=0.0)) or 1.0  # Squares and cubes of scaled values stay finite.
    with np.errstate(all="ignore"):
        treatment, control = _running(treated, values / unit), _running(~treated, values / unit)
        parts = [_with_spread(treatment, control) / treatment.values, _with_spread(control, treatment) / control.values]
        variance = parts[0] + parts[1]
        difference = treatment.mean - control.mean
        enough = np.minimum(treatment.values, control.values) >= VALUES_MIN
        crowded = enough & (variance > 0.0) & ~_normal_enough(treatment, control, variance)
        half = _half_width(variance, enough & ~crowded, alpha)
    known = np.where(np.isfinite(half), difference, 0.0)
    return Bounds(known * unit, (known - half) * unit, (known + half) * unit, enough & ~crowded, crowded)


def mean_bounds(values: Float, alpha: float) -> Bounds:
    """Bounds of one mean that hold at all rows at once, with probability 1 - alpha in the limit.

    values : (n,) finite, in order of arrival; `difference` is their running mean

    >>> found = mean_bounds(3.0 + np.sin(np.arange(400)), 0.05)
    >>> bool(found.low[-1] < 3.0 < found.high[-1]), bool(np.isinf(found.low[50]))
    (True, True)
    """
    unit = float(np.abs(values).max(initial=0.0)) or 1.0
    with np.errstate(all="ignore"):
        arm = _running(np.ones(len(values), np.bool_), values / unit)
        variance = arm.variance / arm.values
        enough = arm.values >= VALUES_MIN
        largest = (arm.farthest / arm.values) ** 2 / variance
        skew = arm.third / arm.values**2 / variance**1.5
        crowded = enough & ~arm.constant & ~((largest <= SHARE_MAX) & (np.abs(skew) <= SKEW_MAX))
        # The spread of equal values is not known: a bound of no width would make any of them a proof.
        counts = enough & ~arm.constant & ~crowded
        half = _half_width(variance, counts, alpha)
    known = np.where(np.isfinite(half), arm.mean, 0.0)
    return Bounds(known * unit, (known - half) * unit, (known + half) * unit, counts, crowded)


def _normal_enough(treatment: Arm, control: Arm, variance: Float) -> Mask:
    """Whether no value, and no tail, outweighs the others."""
    largest = np.maximum(*((arm.farthest / arm.values) ** 2 for arm in (treatment, control))) / variance
    skew = (treatment.third / treatment.values**2 - control.third / control.values**2) / variance**1.5
    return (largest <= SHARE_MAX) & (np.abs(skew) <= SKEW_MAX)


def _half_width(variance: Float, counts: Mask, alpha: float) -> Float:
    """Robbins' boundary, whose mixture is set by the variance at the first row that counts.

    Where it begins the bounds are widest against a test of fixed size; they come within 20 % of the best at 10 to 100
    times as many values.
    """
    half = np.full(len(variance), np.inf)
    rows: Int = np.flatnonzero(counts)
    if len(rows):
        v = variance[rows]
        time = np.where(v > 0.0, v[0] / v, 1.0)  # In units of the first.
        half[rows] = np.sqrt(v * (1.0 + 1.0 / time) * (2.0 * np.log(1.0 / alpha) + np.log1p(time)))
    return half
