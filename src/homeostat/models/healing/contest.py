"""Whether a model still keeps its promise, and which of two models wins on rows that neither has seen."""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, log
from typing import Any, NamedTuple

import numpy as np

from homeostat.records.arrays import AnyArray, Float, Int, Mask

FOLDS = 4
ROWS_MIN = 40  # Clean labelled rows before a challenger is tried.
WIN = 0.05  # Chance of a challenger's wins if it were no better than the champion.
ALARM = 6.0  # Log-likelihood ratio of a change in the error share. An alarm only opens a contest.
_ONE_FOLD_ROWS = 4_000  # From here on one fold judges as sharply as four folds of fewer rows, at a third of the cost.
_SHORTEST = 10  # Rows of a change: two errors in a row are no change yet.
_SEARCHED = 20_000  # Latest rows that are searched for a change.


class Model(NamedTuple):
    """A model that serves or served.

    estimator : fitted
    promise : the upper bound of its share of wrong rows, from rows that it had not seen
    rows : it was fitted on so many
    origin : the first row of its concept; start : the first row after it was fitted
    reference : whether it was fitted on the reference too
    """

    estimator: Any
    promise: float
    rows: int
    origin: int
    start: int
    reference: bool


class Scale:
    """How far off a prediction is, and from where on it is wrong.

    A classifier's prediction is wrong if it is another class. A regressor's is wrong if it is further off than nine in
    ten rows of the reference that the model had not seen.
    """

    def __init__(self, classes: bool) -> None:
        self.classes = classes
        self.limit = 0.5

    def loss(self, predicted: AnyArray, y: AnyArray) -> Float:
        """(n,) 0 or 1 for classes, else the absolute error."""
        if self.classes:
            return np.asarray(predicted != y, dtype=np.float64)
        return np.asarray(np.abs(np.asarray(predicted, dtype=np.float64).reshape(len(y)) - y), dtype=np.float64)

    def wrong(self, loss: Float) -> Mask:
        """(n,) whether a prediction with this loss is wrong."""
        return np.asarray(loss > self.limit, dtype=np.bool_)


def tail(wins: int, losses: int) -> float:
    """The chance of so many wins or more among wins and losses if both were equally likely.

    Source: the sign test; Fisher (1925), Statistical Methods for Research Workers.

    >>> round(tail(9, 1), 4), tail(0, 0)
    (0.0107, 1.0)
    """
    n = wins + losses
    if not n:
        return 1.0
    k = np.arange(wins, n + 1)
    logs = np.array([lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) for i in k.tolist()]) - n * log(2)
    return float(min(1.0, np.exp(logs).sum()))


def score(mine: Float, others: Float) -> tuple[int, int]:
    """On how many rows the first has the smaller loss, and on how many the second."""
    return int(np.sum(mine < others)), int(np.sum(mine > others))


def bound(wrong: int, rows: int) -> float:
    """One standard error above the share of wrong rows, with half a row of prior knowledge for each side.

    >>> round(bound(5, 100), 3)
    0.077
    """
    share = (wrong + 0.5) / (rows + 1)
    return min(share + float(np.sqrt(share * (1 - share) / (rows + 1))), 0.99)


def changed(wrong: Mask, promise: float) -> tuple[float, int]:
    """The largest log-likelihood ratio of a higher error share from some row on, and that row.

    wrong : (n,) rows in their order
    Source: the generalised likelihood ratio for a change; Siegmund and Venkatraman (1995), Annals of Statistics 23,
    255-271.
    """
    skipped = max(0, len(wrong) - _SEARCHED)
    errors = np.cumsum(wrong[skipped:][::-1])[::-1].astype(np.float64)
    rows = np.arange(len(errors), 0, -1, dtype=np.float64)
    if not len(rows):
        return 0.0, 0
    share = np.clip(errors / rows, 1e-9, 1 - 1e-9)
    ratio = errors * np.log(share / promise) + (rows - errors) * np.log((1 - share) / (1 - promise))
    ratio[(share <= promise) | (rows < _SHORTEST)] = 0.0
    at = int(ratio.argmax())
    return float(ratio[at]), skipped + at


def held_out(
    fit: Callable[[Mask], Any | None], loss: Callable[[Any, Mask], Float], folds: Int, old: int = 0
) -> Float | None:
    """(n,) the loss of each row under a model that was fitted without its fold, NaN where no model was tried.

    fit : makes a model of the rows of a mask, or None if these rows are not enough
    loss : of a model's predictions for the rows of a mask
    folds : (n,) the fold of each row; equal rows have one fold
    old : so many first rows are not judged, only learned from
    Returns None if a model could not be made.
    """
    found = np.full(len(folds), np.nan)
    judged = np.arange(len(folds)) >= old
    for fold in range(1 if judged.sum() > _ONE_FOLD_ROWS else FOLDS):
        out = (folds == fold) & judged
        if not out.any():
            continue
        model = fit(folds != fold)
        if model is None:
            return None
        found[out] = loss(model, out)
    return found
