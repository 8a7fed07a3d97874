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


def lacking(fold: Int, y: Float, groups: Int, folds: int, group: str) -> str | None:
    """The fold that leaves nothing of one kind to learn from, in a sentence; None if each leaves both.

    group : what a group is, in words

    >>> lacking(np.array([0, 1, 1]), np.array([1.0, 0.0, 0.0]), np.array([7, 8, 9]), 2, "customer")[:60]
    'without fold 1 of 2 no positive outcome is left to learn fro'
    """
    for k in range(folds):
        for kind, word in ((1.0, "positive"), (0.0, "negative")):
            rows = y == kind
            if not (rows & (fold != k)).any():
                owners = len(np.unique(groups[rows]))
                return (
                    f"without fold {k + 1} of {folds} no {word} outcome is left to learn from: {int(rows.sum()):,} of "
                    f"{len(y):,} events have one, and these name {owners:,} different {group}; each {group} is in one "
                    "fold alone, so at least two are needed: learn from a longer window"
                )
    return None
