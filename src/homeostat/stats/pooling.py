"""Shares of several forecasts whose log-odds are averaged."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float

_STEPS = 300
_STEP_MIN = 1e-9
_GAIN_MIN = 1e-12  # In log loss a row: what is less is rounding.


def pool_shares(margins: Float, y: Float) -> Float:
    """(k,) shares of at least 0 that sum to 1, for which the mean of the forecasts' log-odds has the least log loss.

    margins : (n, k) log-odds of k forecasts; y : (n,) 0 or 1
    Unequal shares pay their divergence from equal ones, once for all rows together, so a few rows move them little.
    Source: Kivinen, Warmuth (1997), Information and Computation 132: exponentiated gradient, here with a step that is
    halved where the loss would rise and doubled where it falls.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=20_000)
    >>> y = (rng.random(20_000) < 1 / (1 + np.exp(-truth))).astype(float)
    >>> pool_shares(np.column_stack([truth, rng.normal(size=20_000)]), y).round(1).tolist()
    [1.0, 0.0]
    """
    k = margins.shape[1]
    shares, step = np.full(k, 1.0 / k), 1.0
    loss = _loss(margins, y, shares)
    for _ in range(_STEPS):
        slope = _slope(margins, y, shares)
        tried = shares * np.exp(-step * (slope - slope.min()))
        tried /= tried.sum()
        after = _loss(margins, y, tried)
        if after > loss:
            step /= 2.0
            if step < _STEP_MIN:
                break
            continue
        gained, shares, loss, step = loss - after, tried, after, step * 2.0
        if gained < _GAIN_MIN:
            break
    return shares


def _loss(margins: Float, y: Float, shares: Float) -> float:
    z = margins @ shares
    held = np.maximum(shares, 1e-300)
    divergence = float(np.sum(held * np.log(held * len(shares)))) / len(y)
    return float(np.mean(np.logaddexp(0.0, z) - y * z)) + divergence


def _slope(margins: Float, y: Float, shares: Float) -> Float:
    z = margins @ shares
    p = np.where(z >= 0, 1.0, np.exp(np.minimum(z, 0.0))) / (1.0 + np.exp(-np.abs(z)))
    spread: Float = (np.log(np.maximum(shares, 1e-300) * len(shares)) + 1.0) / len(y)
    return np.asarray((p - y) @ margins / len(y) + spread)
