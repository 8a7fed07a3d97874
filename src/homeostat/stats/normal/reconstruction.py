"""Each metric against its value rebuilt of the other metrics, by principal components.

Residuals are in two halves: a metric's distance from its value rebuilt of the others, in units of that distance's
spread; and its distance from its median, in units of its spread, which shows when all metrics move together.

The metrics are taken for a few components and noise, so that the expected value of one given the others follows from
the inverse of their covariance. Source: Tipping and Bishop (1999), Journal of the Royal Statistical Society B 61,
611-622. Values are held within a few robust spreads, so that outliers neither turn the components nor spoil the
others' expected values much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

HELD = 5.0
"""A value counts at most so many spreads in the expected values of the others, in training and serving."""


class Others(NamedTuple):
    """The numbers by which a metric is rebuilt of the others.

    center, scale : (metrics,) median and robust spread
    weights : (metrics, metrics) row m rebuilds metric m of the others, in scales; its diagonal is 0
    spread : (metrics,) robust spread of what that leaves
    """

    center: Float
    scale: Float
    weights: Float
    spread: Float


@compiled
def residuals(
    values: Float, columns: Int, center: Float, scale: Float, weights: Float, spread: Float, out: Float
) -> None:
    """Write (n, 2 * metrics) residuals, NaN for a missing metric.

    values : (n, features); columns : (metrics,) where each metric stands
    """
    metrics = len(columns)
    z, held = np.empty(metrics), np.empty(metrics)
    for row in range(len(out)):
        missing = False
        for m in range(metrics):
            z[m] = (values[row, columns[m]] - center[m]) / scale[m]
            missing |= z[m] != z[m]
            held[m] = 0.0 if z[m] != z[m] else min(max(z[m], -HELD), HELD)
        for _ in range(2 if missing else 0):  # A missing metric counts as what the others make it.
            for m in range(metrics):
                if z[m] != z[m]:
                    held[m] = _rebuilt(weights[m], held)
        for m in range(metrics):
            out[row, m] = (z[m] - _rebuilt(weights[m], held)) / spread[m]
            out[row, metrics + m] = z[m]


@compiled
def _rebuilt(weights: Float, held: Float) -> float:
    total = 0.0
    for k in range(len(held)):
        total += weights[k] * held[k]
    return total


def weights_of(held: Float, kept: float) -> Float:
    """(metrics, metrics) the weights of `Others`.

    held : (n, metrics) values in scales, without gaps; kept : the share of the variance that the components carry
    """
    metrics = held.shape[1]
    values, vectors = np.linalg.eigh(held.T @ held / len(held))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    total = float(values.sum())
    if metrics == 1 or total <= 0.0:
        return np.zeros((metrics, metrics))
    count = min(int(np.searchsorted(np.cumsum(values), kept * total)) + 1, metrics - 1)
    noise = max(float(values[count:].mean()), 1e-6 * total / metrics)
    inverse = (vectors / np.where(np.arange(metrics) < count, np.maximum(values, noise), noise)) @ vectors.T
    found = -inverse / np.diag(inverse)[:, None]
    np.fill_diagonal(found, 0.0)
    return np.ascontiguousarray(found)
