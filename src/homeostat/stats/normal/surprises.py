"""Residuals of several metrics -> log-odds of an anomaly, and each metric's part. One definition, for training and
serving.

A metric's surprise is the negative logarithm of how seldom one of its residuals is so large, upwards or downwards. The
surprises of all metrics are put together by their fourth powers, so that one metric alone can raise the score. The sum
has a tail of its own: its surprise less `level` is the log-odds, 0 where the budget of false alarms is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import sigmoid
from homeostat.stats.tails import WIDTH, surprise, value_at

_LN2 = 0.6931471805599453  # Either side has half of the surprises: at the median both are log 2.
_LARGEST = 1e3
_LIMIT = 27.0  # Log-odds of a score within 1e-12 of 1.


class Surprises(NamedTuple):
    """How seldom residuals are so large.

    up, down : (k * metrics, WIDTH) tails of the residuals and of their negatives; column j is of metric j % metrics
    total : (1, WIDTH) tail of the surprises of all metrics together
    level : (1,) the surprise of a row whose log-odds are 0
    """

    up: Float
    down: Float
    total: Float
    level: Float

    @property
    def single(self) -> float:
        """The surprise of one metric at which a row's log-odds are 0, all other metrics being usual."""
        return float(value_at(float(self.level[0]), self.total[0]))


@compiled
def metric_surprises(residuals: Float, up: Float, down: Float, out: Float) -> None:
    """Write the largest surprise of each metric's residuals; a residual of NaN says nothing.

    residuals : (n, k * metrics); out : (n, metrics)
    """
    metrics = out.shape[1]
    for row in range(len(out)):
        for m in range(metrics):
            out[row, m] = 0.0
        for j in range(residuals.shape[1]):
            r = residuals[row, j]
            if r != r:
                continue
            found = max(surprise(r, up[j]), surprise(-r, down[j])) - _LN2
            m = j % metrics
            out[row, m] = min(max(found, out[row, m]), _LARGEST)


@compiled
def together(surprises: Float, out: Float) -> None:
    """Write (n,) the fourth root of the sum of fourth powers of (n, metrics)."""
    for row in range(len(out)):
        total = 0.0
        for m in range(surprises.shape[1]):
            square = surprises[row, m] * surprises[row, m]
            total += square * square
        out[row] = np.sqrt(np.sqrt(total))


@compiled
def log_odds(combined: Float, total: Float, level: Float, out: Float) -> None:
    """Write (n,) log-odds of what `together` gives."""
    for row in range(len(out)):
        out[row] = min(surprise(combined[row], total[0]) - level[0], _LIMIT)


@compiled
def scores_of(raw: Float, out: Float) -> None:
    """Write (n,) scores in (0, 1) of log-odds."""
    for row in range(len(out)):
        out[row] = sigmoid(raw[row])


@compiled
def shares(surprises: Float, raw: Float, level: Float, columns: Int, out: Float) -> None:
    """Write each metric's part of the log-odds above -level, by the fourth power of its surprise.

    surprises : (n, metrics); raw : (n,); columns : (metrics,) where each stands in `out` (n, features)
    """
    for row in range(len(raw)):
        total = 0.0
        for m in range(surprises.shape[1]):
            square = surprises[row, m] * surprises[row, m]
            total += square * square
        if total <= 0.0:
            continue
        for m in range(surprises.shape[1]):
            square = surprises[row, m] * surprises[row, m]
            out[row, columns[m]] = (raw[row] + level[0]) * (square * square / total)


def bounds(tails: Surprises) -> tuple[Float, Float]:
    """The least and the greatest residual, (k * metrics,) each, that are usual by themselves: log-odds of at most 0."""
    wanted = tails.single + _LN2
    low = np.array([-value_at(wanted, tail) for tail in tails.down])
    high = np.array([value_at(wanted, tail) for tail in tails.up])
    return low, high


ARRAYS = {"up": (0, WIDTH), "down": (0, WIDTH), "total": (1, WIDTH), "level": (1,)}
"""The shapes of the arrays of `Surprises`; 0 stands for the number of residuals."""
