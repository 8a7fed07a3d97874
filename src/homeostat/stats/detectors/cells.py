"""Numbers as cells between learned quantiles, and the odds of a cell after a change.

With edges e_0 < e_1 < ..., cell 2 k lies between e_(k-1) and e_k, and cell 2 k + 1 is e_k itself. So a value that comes
again and again, such as 0, has a cell of its own, and ties cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

EDGES_MAX = 64
_NORMAL = NormalDist()
_BEYOND = 0.5  # Values that are counted beyond each end of those that were seen.
_CORRELATED_MAX = 0.98
_STANDARD_ERRORS = 1.0  # That a bet pays for.
_SPREAD_MAX = 1.0  # The bound of that payment for changes of spread; see `_cost`.


def edges_of(values: Float) -> Float:
    """Up to 64 quantiles of the values, extremes included.

    >>> edges_of(np.array([3.0, 1.0, 1.0, 2.0])).tolist()
    [1.0, 3.0]
    """
    count = min(EDGES_MAX, max(2, len(values) // 4))
    at = np.round(np.linspace(0, len(values) - 1, min(count, len(values)))).astype(np.int64)
    distinct = np.unique(values)
    return distinct if len(distinct) <= count else np.unique(np.sort(values)[at])


def cells_of(values: Float, edges: Float) -> Int:
    """The cell of each value.

    >>> cells_of(np.array([0.5, 1.0, 1.5, 9.0]), np.array([1.0, 2.0])).tolist()
    [0, 1, 2, 4]
    """
    left = np.searchsorted(edges, values, side="left")
    return (left + np.searchsorted(edges, values, side="right")).astype(np.int64)


def odds_of(values: Float, edges: Float, counts: Float, shifts: Sequence[float], stretches: Sequence[float]) -> Float:
    """(lanes, cells) how much likelier each cell is after each change of the normal scores.

    values : (m,) those kept, in order: their autocorrelation tempers the odds
    counts : (cells,) of all n values
    """
    n = float(counts.sum())
    weights = counts.copy()
    weights[[0, -1]] += _BEYOND
    upper = np.minimum(np.cumsum(weights) / weights.sum(), 1.0)
    z = np.array([_score(u, n) for u in upper[:-1]])
    low, high = np.concatenate([[-np.inf], z]), np.concatenate([z, [np.inf]])
    middle = np.array([_score(u, n) for u in np.maximum(upper - weights / (2.0 * weights.sum()), 0.0)])
    power, error = _tempered(middle[cells_of(values, edges)], n)
    lanes = []
    for shift in shifts:
        ratio = _ratio(low, high, middle, shift, 1.0)
        lanes.append(power * (np.log(ratio) - _cost(shift, 1.0) * error))
    for stretch in stretches:
        ratio = _ratio(low, high, middle, 0.0, stretch)
        lanes.append(power * (np.log(ratio) - _cost(0.0, stretch) * error))
    return np.exp(np.array(lanes))


def _score(u: float, n: float) -> float:
    """The normal score of a rank, within those that n values can show."""
    least = _BEYOND / (n + 2.0 * _BEYOND)
    return _NORMAL.inv_cdf(min(max(u, least), 1.0 - least))


def _ratio(low: Float, high: Float, middle: Float, shift: float, stretch: float) -> Float:
    """Probabilities of cells after a change over those before; of an empty cell, the ratio of the densities."""
    before = _between(low, high)
    after = _between((low - shift) / stretch, (high - shift) / stretch)
    density = np.exp(0.5 * middle * middle - 0.5 * ((middle - shift) / stretch) ** 2) / stretch
    thin = before < 1e-12
    return np.where(thin, density, np.maximum(after, 1e-300) / np.where(thin, 1.0, before))


@compiled
def _between(low: Float, high: Float) -> Float:
    """The normal probability between two arrays of bounds, taken in the smaller tail, where differences are exact."""
    out = np.empty(len(low))
    for i in range(len(low)):
        a, b = low[i], high[i]
        if a > 0.0:
            a, b = -b, -a
        out[i] = 0.5 * (math.erfc(-b / math.sqrt(2.0)) - math.erfc(-a / math.sqrt(2.0)))
    return out


def _cost(shift: float, stretch: float) -> float:
    """By how much the odds of a lane grow a value if quantiles are off by one standard error of their location.

    The expectation of the odds under scores that are moved by e is exp(shift e); under scores that are stretched by
    1 + e it is 1 + |stretch^2 - 1| e for small e, and the location's error is the square root of 2 of that of the
    spread. Cells have no far tail, so that a bound holds for large stretches.
    """
    return abs(shift) + min(_SPREAD_MAX, abs(stretch * stretch - 1.0) / math.sqrt(2.0))


def _tempered(scores: Float, n: float) -> tuple[float, float]:
    """The power of the bets, and the standard error of the scores' mean that they pay for."""
    centred = scores - scores.mean()
    squares = float(centred @ centred)
    found = float(centred[1:] @ centred[:-1]) / squares if squares > 0.0 else 0.0
    error = 1.0 / math.sqrt(len(scores))
    correlated = min(_CORRELATED_MAX, found + error) if found > 2.0 * error else 0.0
    inflation = (1.0 + correlated) / (1.0 - correlated)
    return 1.0 / inflation, _STANDARD_ERRORS * math.sqrt(inflation / n)
