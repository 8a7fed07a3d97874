"""Many metrics against a training part: the memory is frozen there, so that no episode excuses itself.

Three distances of a row, each divided by the largest usual one of the training part: from the nearest training row in
spreads of each metric, the same in ranges of each metric, and how far metrics lie beyond their ranges. Each is smoothed
over the latest rows: an episode of many metrics lasts, noise does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Mask
from homeostat.records.compiled import compiled
from homeostat.stats.series.alarms import judge
from homeostat.stats.series.shapes import PATTERNS, Series, new_series

KEPT = 2_000
"""Training rows that are remembered, evenly spaced."""
ROWS_MIN = 1_000
"""A shorter training part says too little to be all of the memory."""

_IN_SPREADS, _IN_RANGES, _BEYOND = range(3)
_HALF_LIVES = np.array([5.0, 5.0, 20.0])  # Rows. Ranges are left for longer than patterns are.
_USUAL = 0.999  # The quantile of a distance in the training part that counts as 1.
_MOST = 8.0  # A metric counts at most so many spreads, and
_MOST_BEYOND = 3.0  # so many ranges beyond its range.
_RANGE_UNITS = 20.0  # Of a range: the same weight for a metric's spread as where it has a twentieth of its range.
_LEAST = 0.02  # The least spread, and
_LEAST_SPAN = 0.05  # the least range, as shares of all that was seen.
_STILL = 0.2  # Of these bounds, for a metric that never moved in the training part.


class Frozen(NamedTuple):
    """The training part of p metrics.

    center, spread : (p,) median, and standard deviation or a share of all that was seen
    low, high, span : (p,) the range that all but a thousandth of the values on either side keep to, and its length
    most : (p,) how much a metric counts at most, 1 or little for one that never moved: its unit is not known
    rows : (kept, p) remembered rows; a missing value is the median
    usual : (3,) the largest usual distances
    """

    center: Float
    spread: Float
    low: Float
    high: Float
    span: Float
    most: Float
    rows: Float
    usual: Float


def freeze(values: Float) -> Frozen:
    """Learn a training part.

    values : (n, p), NaN where one is missing; n >= ROWS_MIN
    The usual distances are those of the newer half from a memory of the older half.
    """
    half = len(values) // 2
    older = _learned(values[:half])
    parts = np.zeros((len(values) - half, 3, values.shape[1]))
    _distances(np.ascontiguousarray(values[half:]), *older[:-1], parts)
    state = np.zeros((3, values.shape[1]))
    _smooth(parts, state)
    usual = np.maximum(np.quantile(parts.sum(axis=2), _USUAL, axis=0), 1e-3)
    return _learned(values)._replace(usual=usual)


def _learned(values: Float) -> Frozen:
    with np.errstate(all="ignore"):
        known = np.where(np.isnan(values).all(axis=0), 0.0, values)
        center, deviation = np.nanmedian(known, axis=0), np.nanstd(known, axis=0)
        low, high = np.nanquantile(known, [0.001, 0.999], axis=0)
    seen = np.nanmax(known, axis=0) - np.nanmin(known, axis=0)
    unit = np.where(seen > 0.0, seen, np.maximum(np.abs(center), 1.0))
    span = np.maximum(high - low, _LEAST_SPAN * unit)
    most = np.where(seen > 0.0, 1.0, _STILL)
    chosen = np.linspace(0, len(values) - 1, min(KEPT, len(values))).astype(np.int64)
    rows = np.where(np.isnan(values[chosen]), center, values[chosen])
    return Frozen(center, np.maximum(deviation, _LEAST * unit), low, high, span, most, rows, np.ones(3))


@compiled
def _distances(
    values: Float, center: Float, spread: Float, low: Float, high: Float, span: Float, most: Float, rows: Float,
    parts: Float,
) -> None:  # fmt: skip
    """Write (n, 3, p) each metric's part of the three distances. A missing value counts as the median."""
    p = values.shape[1]
    now = np.empty(p)
    for row in range(len(values)):
        for j in range(p):
            x = values[row, j]
            now[j] = center[j] if x != x else x
            beyond = max(now[j] - high[j], low[j] - now[j], 0.0) / span[j]
            parts[row, _BEYOND, j] = min(beyond, _MOST_BEYOND * most[j])
        for kind in range(2):
            best, nearest = np.inf, 0
            for i in range(len(rows)):
                far = 0.0
                for j in range(p):
                    gap = _gap(kind, now[j], rows[i, j], spread[j], span[j], most[j])
                    far += gap * gap
                    if far >= best:
                        break
                if far < best:
                    best, nearest = far, i
            size = np.sqrt(best)
            for j in range(p):
                gap = _gap(kind, now[j], rows[nearest, j], spread[j], span[j], most[j])
                parts[row, kind, j] = gap * gap / size if size > 0.0 else 0.0


@compiled
def _gap(kind: int, one: float, other: float, spread: float, span: float, share: float) -> float:
    gap = (one - other) / spread if kind == _IN_SPREADS else (one - other) / span * _RANGE_UNITS
    most = share * (_MOST if kind == _IN_SPREADS else _RANGE_UNITS * _MOST_BEYOND)
    return float(min(max(gap, -most), most))


@compiled
def _smooth(parts: Float, state: Float) -> None:
    """Replace the parts (n, 3, p) by their exponential means; `state` (3, p) goes on from the rows before."""
    for row in range(len(parts)):
        for kind in range(3):
            keep = 0.5 ** (1.0 / _HALF_LIVES[kind])
            for j in range(parts.shape[2]):
                state[kind, j] = keep * state[kind, j] + (1.0 - keep) * parts[row, kind, j]
                parts[row, kind, j] = state[kind, j]


class FrozenDetector:
    """Scores rows of many metrics by their distances from a training part; see `SeriesDetector` for what it answers.

    frozen : of `freeze`
    budget : the share of ordinary rows that may begin an alarm
    threshold : the score that flags a row; NaN for the level of the budget
    """

    def __init__(self, frozen: Frozen, budget: float, threshold: float) -> None:
        metrics = len(frozen.center)
        self._frozen, self._budget, self._threshold = frozen, budget, threshold
        self._state = np.zeros((3, metrics))
        # Alarms are judged as those of other series: no patterns are needed for that.
        self._judged: Series = new_series(metrics)._replace(pattern=np.zeros((PATTERNS, 0, 0), np.float32))

    def add_all(self, values: Float) -> tuple[Float, Mask, Float]:
        """(n,) scores in [0, 1), (n,) flags and (n, p) parts of the scores, of rows (n, p) in their order."""
        n, p = values.shape
        parts = np.zeros((n, 3, p))
        _distances(np.ascontiguousarray(values), *self._frozen[:-1], parts)
        _smooth(parts, self._state)
        shares = np.zeros((n, p))
        for kind in range(3):  # One kind after another: the same bits however the rows are cut into calls.
            shares += parts[:, kind] / (3.0 * self._frozen.usual[kind])
        raw = np.zeros(n)
        for j in range(p):
            raw += shares[:, j]
        score, flag = np.zeros(n), np.zeros(n, np.bool_)
        judge(self._judged, raw, 0, self._budget, self._threshold, score, flag)
        return score, flag, shares * np.divide(score, raw, out=np.zeros(n), where=raw > 0)[:, None]

    def band(self, rows: int) -> tuple[Float, Float]:
        """(rows, p) twice: the range that the metrics kept to."""
        return np.tile(self._frozen.low, (rows, 1)), np.tile(self._frozen.high, (rows, 1))
