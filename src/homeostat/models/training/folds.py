"""Folds of rows that share no entity, so that a scorer never predicts a customer that it has learned from."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int


def grouped_folds(groups: Int, y: Float, folds: int, seed: int) -> Int:
    """(n,) the fold of each row: whole groups, shuffled by seed, dealt out so that each fold gets its positives.

    >>> fold = grouped_folds(np.array([1, 1, 2, 2]), np.array([0.0, 1.0, 0.0, 1.0]), 2, 0)
    >>> bool(fold[0] == fold[1] != fold[2] == fold[3])
    True
    """
    _, at = np.unique(groups, return_inverse=True)
    positives = np.bincount(at, weights=y)
    order = np.random.default_rng(seed).permutation(len(positives))
    order = order[np.argsort(-positives[order], kind="stable")]  # The most fraudulent first, one to each fold in turn.
    turn = np.arange(len(order)) % (2 * folds)
    fold = np.empty(len(order), np.int64)
    fold[order] = np.where(turn < folds, turn, 2 * folds - 1 - turn)  # There and back, so that fold 0 is not favoured.
    return fold[at]
