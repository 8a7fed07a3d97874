"""Measured values -> how seldom values so large are: from quantiles where many values lie, and from a generalised
Pareto tail beyond them, by which thresholds follow from a budget of false alarms.

The upper share of the values is taken for exceedances of a generalised Pareto distribution, mixed with a small share of
anomalies of any size: so neither many of them nor their sizes move the tail.
Source: Pickands (1975), Annals of Statistics 3, 119-131; Coles (2001), An Introduction to Statistical Modeling of
Extreme Values, chapters 4 and 5.
"""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import exp, log

KNOTS = 7
"""Quantiles that describe the bulk of the values."""
LAST = KNOTS - 1
WIDTH = KNOTS + 3
"""Numbers of one tail: the quantiles, the surprise at the last of them, scale and shape beyond."""

_FROM, _SCALE, _SHAPE = KNOTS, KNOTS + 1, KNOTS + 2
_UPPER = 0.05  # The share that is taken for a tail, where few values may be anomalies.
_SHAPES = np.arange(-5, 13) * 0.05  # An infinite mean is never assumed.
_SHAPE_PRIOR = 0.3  # Standard deviation of the shape about 0, where few values are known.
_SCALES = np.geomspace(0.2, 5.0, 33)  # Times the scale that the median exceedance has in an exponential tail.
_MIXED = np.array([0.0, 0.25, 0.5, 1.0])  # Of the share of exceedances that may be anomalies.
_ODDLY = 6.0  # How much likelier, in logarithms, the sample must be with anomalies for any to be believed.
_ANOMALOUS = 30.0  # The scale of anomalies' sizes, in the same unit; their density falls as the square.
_LEFT = 0.2  # Of 1 + shape * ratio: beyond, surprises go on along a line, so that no tail has an end.
_SCALES = np.geomspace(0.05, 20.0, 80)  # Times the mean exceedance.
_EXCEEDANCES_MAX = 300  # More are thinned out evenly by rank.
_NARROWEST = 0.02  # The least scale, as a share of the distance from the median to the tail.
_TINY = 1e-9


def fit_tail(values: Float, outlying: float = 0.01, shaped: bool = True) -> Float:
    """(WIDTH,) the tail of a sample, for `surprise`.

    values : (n,) finite, n >= 1
    outlying : the share of the largest values that may be anomalies, 0 to 0.2
    shaped : whether the tail may be heavier, or lighter, than exponential
    Raises ValueError for an empty sample, or a share beyond that.

    >>> tail = fit_tail(np.arange(1000.0))
    >>> round(float(surprise(500.0, tail)), 1) == round(float(np.log(2)), 1)
    True
    """
    if len(values) == 0 or not 0.0 <= outlying <= 0.2:
        raise ValueError("a tail needs values, and a share of outlying ones from 0 to .2")
    upper = max(_UPPER, 2.0 * outlying)
    knots = np.quantile(values, 1.0 - upper ** (np.arange(KNOTS) / (KNOTS - 1)))  # Even steps of surprise.
    level, median = knots[-1], float(np.median(values))
    narrowest = max(_NARROWEST * (level - median), _TINY * max(1.0, abs(level)))
    over = np.sort(values[values > level] - level)
    scale, shape, odd = narrowest, 0.0, 0.0
    if len(over):
        scale, shape, odd = _mixture_fit(over, min(outlying * len(values) / len(over), 1.0), shaped)
    share = upper * (1.0 - odd) / (1.0 - upper * odd)
    return np.array([*knots, -np.log(share), max(scale, narrowest), shape])


def _mixture_fit(over: Float, outlying: float, shaped: bool) -> tuple[float, float, float]:
    """Scale and shape of the greatest posterior density on a grid, and the share of the exceedances that are anomalies.

    over : (k,) exceedances in ascending order; outlying : the largest share of them that may be anomalies
    """
    if len(over) > _EXCEEDANCES_MAX:
        over = over[np.linspace(0, len(over) - 1, _EXCEEDANCES_MAX).round().astype(np.int64)]
    unit = float(np.median(over)) / np.log(2.0)
    anomalous = (1.0 + over / (_ANOMALOUS * unit)) ** -2.0 / (_ANOMALOUS * unit)
    best, found = -np.inf, (unit, 0.0, 0.0)
    scales = unit * _SCALES
    for shape in _SHAPES if shaped else _SHAPES[_SHAPES == 0.0]:
        usual = np.exp(-(1.0 + shape) * _decay(over[None, :] / scales[:, None], shape)) / scales[:, None]
        if shape < 0.0:  # Nothing usual lies near an end of the tail.
            usual *= 1.0 + shape * over[None, :] / scales[:, None] > _LEFT
        for odd in np.unique(_MIXED * outlying):
            density = (1.0 - odd) * usual + odd * anomalous
            prior = 0.5 * (shape / _SHAPE_PRIOR) ** 2 + _ODDLY * (odd > 0.0)
            posterior = np.log(np.maximum(density, 1e-300)).sum(axis=1) - prior
            at = int(np.argmax(posterior))
            if posterior[at] > best:
                best, found = float(posterior[at]), (float(scales[at]), float(shape), float(odd))
    return found


def _decay(ratio: Float, shape: float) -> Float:
    """The negative logarithm of the share of exceedances beyond so many scales."""
    found: Float = ratio if shape == 0.0 else np.log(np.maximum(1.0 + shape * ratio, 1e-12)) / shape
    return found


@compiled
def surprise(value: float, tail: Float) -> float:
    """The negative logarithm of the share of values at least so large; 0 for a value below all others.

    tail : (WIDTH,) of `fit_tail`
    """
    if value != value or value <= tail[0]:
        return 0.0
    step = tail[_FROM] / LAST
    if value < tail[LAST]:
        rank = 0
        while value >= tail[rank + 1]:
            rank += 1
        return float(step * (rank + (value - tail[rank]) / (tail[rank + 1] - tail[rank])))
    ratio, shape = (value - tail[LAST]) / tail[_SCALE], tail[_SHAPE]
    if shape == 0.0:
        return float(tail[_FROM] + ratio)
    left = 1.0 + shape * ratio
    if left >= _LEFT:
        return float(tail[_FROM] + log(left) / shape)
    return float(tail[_FROM] + log(_LEFT) / shape + (ratio - (_LEFT - 1.0) / shape) / _LEFT)


@compiled
def value_at(wanted: float, tail: Float) -> float:
    """The value whose surprise this is: the inverse of `surprise`, for expected bands.

    wanted : at least 0; tail : (WIDTH,) of `fit_tail`
    """
    if wanted >= tail[_FROM]:
        beyond, shape = wanted - tail[_FROM], tail[_SHAPE]
        if shape == 0.0:
            ratio = beyond
        elif exp(shape * beyond) >= _LEFT:
            ratio = (exp(shape * beyond) - 1.0) / shape
        else:
            ratio = (_LEFT - 1.0) / shape + (beyond - log(_LEFT) / shape) * _LEFT
        return float(tail[LAST] + tail[_SCALE] * ratio)
    place = wanted / tail[_FROM] * LAST
    rank = min(int(place), LAST - 1)
    return float(tail[rank] + (tail[rank + 1] - tail[rank]) * (place - rank))


def episode_length(values: Float, series: Int, order: Int, share: float = 0.01) -> float:
    """The mean number of rows of an excursion above the values' upper share: the inverse of the extremal index.

    values : (n,); series : (n,) whose each row is; order : (n,) a time by which rows of a series are sorted
    share : the upper share whose rows count as excursions
    Two excursions of a series are apart where at least three rows lie between them.
    Source: the runs estimator, Smith and Weissman (1994), Journal of the Royal Statistical Society B 56, 515-528.

    >>> episode_length(np.array([0.0, 9.0, 9.0, 0.0] * 5), np.zeros(20, np.int64), np.arange(20), 0.5)
    10.0
    """
    place = np.lexsort((order, series))
    sorted_series = series[place]
    begins = np.append(True, sorted_series[1:] != sorted_series[:-1])
    row_of = np.arange(len(values)) - np.maximum.accumulate(np.where(begins, np.arange(len(values)), 0))
    ordered = values[place]
    high = np.flatnonzero(ordered >= np.quantile(values, 1.0 - share))
    if len(high) == 0:
        return 1.0
    apart = (np.diff(high) > 3) | (sorted_series[high[1:]] != sorted_series[high[:-1]]) | (row_of[high[1:]] == 0)
    return float(len(high) / (1 + np.count_nonzero(apart)))
