"""Scores -> probabilities: logistic regression, Platt's scaling and isotonic regression, in NumPy alone."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled

_STEPS_MAX = 100
_SLOPE_TOLERANCE = 1e-10


def logistic_fit(
    x: Float, y: Float, ridge: float = 1e-6, weight: Float | None = None, towards: Float | None = None
) -> tuple[Float, float]:
    """Weights (k,) and intercept of a logistic regression of `y` (n,) in [0, 1] on `x` (n, k).

    ridge : penalty on the squared weights, in units of rows and of the columns' standard deviations, > 0
    weight : (n,) of the rows, all 1 when absent
    towards : (k,) weights that the penalty pulls to, 0 when absent
    Newton's method with halved steps, so that the loss never rises; separable data stop at the ridge.
    Source: Komarek and Moore (2005), Making Logistic Regression a Core Data Mining Tool, ICDM.

    >>> w, b = logistic_fit(np.array([[0.0], [1.0]] * 4), np.array([0, 0, 0, 1, 0, 1, 1, 1.0]))
    >>> bool(w[0] > 0 > b)
    True
    """
    rows = np.ones(len(y)) if weight is None else weight
    total = rows.sum()
    mean = rows @ x / total
    spread = np.sqrt(rows @ (x - mean) ** 2 / total)
    scale = np.where(spread > 1e-12, spread, 1.0)
    z = np.column_stack([(x - mean) / scale, np.ones(len(y))])
    rate = min(max(float(rows @ y / total), 1e-9), 1 - 1e-9)
    home = np.zeros(x.shape[1] + 1) if towards is None else np.append(towards * scale, 0.0)
    beta = np.append(np.zeros(x.shape[1]), np.log(rate / (1.0 - rate)))
    penalty = np.append(np.full(x.shape[1], ridge * total), 0.0)
    loss = _loss(z, y, rows, penalty, home, beta)
    for _ in range(_STEPS_MAX):
        p = _sigmoid(z @ beta)
        gradient = z.T @ (rows * (p - y)) + penalty * (beta - home)
        curvature = rows * np.maximum(p * (1.0 - p), 1e-12)
        step = np.linalg.solve((z * curvature[:, None]).T @ z + np.diag(penalty + 1e-12), gradient)
        for _ in range(40):
            lower = _loss(z, y, rows, penalty, home, beta - step)
            if lower <= loss:
                break
            step = step / 2.0
        else:
            break
        beta, gain, loss = beta - step, loss - lower, lower
        if gain <= _SLOPE_TOLERANCE * max(loss, 1.0):
            break
    weights = beta[:-1] / scale
    return weights, float(beta[-1] - weights @ mean)


def non_negative_logistic_fit(
    x: Float, y: Float, ridge: float = 1e-6, weight: Float | None = None, towards: Float | None = None
) -> tuple[Float, float]:
    """The same with weights >= 0: while one is negative, the most negative one is left out (set to 0)."""
    kept = list(range(x.shape[1]))
    while True:
        weights, intercept = logistic_fit(x[:, kept], y, ridge, weight, None if towards is None else towards[kept])
        if not kept or weights.min() >= 0.0:
            out = np.zeros(x.shape[1])
            out[kept] = weights
            return out, intercept
        del kept[int(np.argmin(weights))]


def platt(score: Float, y: Float) -> tuple[float, float]:
    """Slope and intercept so that sigmoid(slope * score + intercept) is a calibrated probability.

    Targets are pulled in by one row of each kind, so that separable scores don't get an infinite slope.
    Source: Platt (1999), Probabilistic Outputs for Support Vector Machines; Lin, Lin, Weng (2007), Machine Learning 68.

    >>> slope, intercept = platt(np.array([-1.0, 1.0]), np.array([0.0, 1.0]))
    >>> slope > 0
    True
    """
    positive = float(y.sum())
    negative = len(y) - positive
    target = np.where(y > 0, (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0))
    weights, intercept = logistic_fit(score[:, None], target)
    return float(weights[0]), intercept


def isotonic(score: Float, y: Float) -> tuple[Float, Float]:
    """The best non-decreasing step function of the score: knots (k,) and the values (k,) at them.

    Between knots interpolate linearly; outside, the end values hold.
    Source: Ayer et al. (1955), pool adjacent violators.

    >>> isotonic(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0]))[1].tolist()
    [0.0, 0.5, 0.5]
    """
    knots, at = np.unique(score, return_inverse=True)
    rows: Float = np.bincount(at).astype(np.float64)
    sums: Float = np.bincount(at, weights=y).astype(np.float64)
    return knots, _pooled(sums, rows)


@compiled
def _pooled(sums: Float, rows: Float) -> Float:
    """Means of the pools that adjacent violators fall into."""
    n = len(sums)
    pool_sum, pool_rows, width = np.empty(n), np.empty(n), np.empty(n, np.int64)
    pools = 0
    for i in range(n):
        pool_sum[pools], pool_rows[pools], width[pools] = sums[i], rows[i], 1
        pools += 1
        while pools > 1 and pool_sum[pools - 2] * pool_rows[pools - 1] >= pool_sum[pools - 1] * pool_rows[pools - 2]:
            pool_sum[pools - 2] += pool_sum[pools - 1]
            pool_rows[pools - 2] += pool_rows[pools - 1]
            width[pools - 2] += width[pools - 1]
            pools -= 1
    out = np.empty(n)
    i = 0
    for pool in range(pools):
        for _ in range(width[pool]):
            out[i] = pool_sum[pool] / pool_rows[pool]
            i += 1
    return out


def _sigmoid(x: Float) -> Float:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


def _loss(z: Float, y: Float, rows: Float, penalty: Float, home: Float, beta: Float) -> float:
    margin = z @ beta
    return float(rows @ (np.logaddexp(0.0, margin) - y * margin) + 0.5 * penalty @ (beta - home) ** 2)
