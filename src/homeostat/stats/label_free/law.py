"""P(label | score, features), learned from the reference alone: what the estimates of quality rest on.

A calibration of the score comes first, then boosted trees on all features correct it, in folds. The folds' out-of-fold
losses choose how many trees are used, down to none: the law is then the calibrated score. The mean of the folds' models
is the law, and their spread says how well it is known.

Source: Guillory et al. (2021), Predicting with Confidence on Unseen Distributions, ICCV, for estimates from calibrated
confidence; Bialek et al. (2024), Estimating Model Performance Under Covariate Shift Without Labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Mask
from homeostat.stats.calibration import logistic_fit
from homeostat.stats.label_free.boosting import BINS, Rows, Settings, Trees, fit, predict, staged_loss

FOLDS = 5
_STRIPES = 5  # Of rows in a row for each fold: neighbours in time are mostly in one fold, and each fold sees all times.
KNOTS = 7  # Of the calibration at most.
_RIDGE = 1e-4
_SMOOTH = 20.0  # Rows of the mean label that each category's own is mixed with.


@dataclass(frozen=True, slots=True)
class Calibration:
    """A spline of the score's log-odds. knots, weights : (k,), (k + 1,)."""

    knots: Float
    weights: Float
    intercept: float

    def margin(self, score: Float) -> Float:
        """The log-odds of the label, (n,), by the score alone."""
        return _spline(score, self.knots) @ self.weights + self.intercept


@dataclass(frozen=True, slots=True)
class FoldModel:
    """One fold's calibration and trees.

    order : (columns, BINS) the bin that the trees see for each code. Categories are put in order of their mean label
    """

    calibration: Calibration
    order: Bytes
    trees: Trees

    def margin(self, score: Float, codes: Bytes) -> Float:
        """The log-odds of the label, (n,)."""
        return self.calibration.margin(score) + predict(self.trees, ordered(codes, self.order))


@dataclass(frozen=True, slots=True)
class Law:
    """The folds' models. `out_of_fold` : (n,) probabilities of the reference rows by models that never saw them."""

    models: tuple[FoldModel, ...]
    out_of_fold: Float

    @property
    def trees(self) -> int:
        """The number of trees that the out-of-fold loss chose."""
        return len(self.models[0].trees.step)

    def probabilities(self, score: Float, codes: Bytes) -> Float:
        """(folds + 1, n): P(label = 1) by the law first, then by each fold's model.

        score : (n,) in [0, 1]; codes : (columns, n)
        """
        margins = np.stack([model.margin(score, codes) for model in self.models])
        return sigmoid(np.vstack([margins.mean(axis=0, keepdims=True), margins]))


def learn(score: Float, codes: Bytes, label: Float, categorical: Mask, settings: Settings | None = None) -> Law | None:
    """The law of a reference. None where a fold has one class alone: nothing can be learned then.

    score : (n,) in [0, 1], NaN in none
    codes : (columns, n) bins of the features, in which order means something unless the column is categorical
    label : (n,) 0 or 1
    """
    settings = settings or Settings()
    fold = folds_of(len(label))
    for k in range(FOLDS):
        if not 0.0 < float(label[fold != k].mean() if np.any(fold != k) else 0.0) < 1.0:
            return None
    models, losses = [], []
    for k in range(FOLDS):
        seen, held = fold != k, fold == k
        calibration = calibrate(score[seen], label[seen])
        order = orders(codes[:, seen], label[seen], categorical)
        trees = fit(Rows(ordered(codes[:, seen], order), label[seen], calibration.margin(score[seen])), settings)
        left = Rows(ordered(codes[:, held], order), label[held], calibration.margin(score[held]))
        losses.append(staged_loss(trees, left) * held.sum())
        models.append(FoldModel(calibration, order, trees))
    best = int(np.argmin(np.sum(losses, axis=0)))
    used = tuple(FoldModel(one.calibration, one.order, cut(one.trees, best)) for one in models)
    return Law(used, _out_of_fold(used, fold, score, codes))


def _out_of_fold(models: tuple[FoldModel, ...], fold: Int, score: Float, codes: Bytes) -> Float:
    out = np.empty(len(score))
    for k, model in enumerate(models):
        held = fold == k
        out[held] = sigmoid(model.margin(score[held], codes[:, held]))
    return out


def folds_of(rows: int) -> Int:
    """The fold of each row (n,): stripes of neighbouring rows, dealt out in turn.

    >>> folds_of(25).tolist()[:7]
    [0, 1, 2, 3, 4, 0, 1]
    """
    return np.arange(rows) * (FOLDS * _STRIPES) // max(rows, 1) % FOLDS


def cut(trees: Trees, rounds: int) -> Trees:
    """The first trees alone."""
    return Trees(trees.column[:rounds], trees.cut[:rounds], trees.step[:rounds])


def calibrate(score: Float, label: Float) -> Calibration:
    """A smooth calibration of the score: linear pieces in its log-odds between its own quantiles."""
    knots = np.unique(np.quantile(_log_odds(score), np.linspace(0.05, 0.95, KNOTS)))
    weights, intercept = logistic_fit(_spline(score, knots), label, _RIDGE)
    return Calibration(knots, weights, intercept)


def orders(codes: Bytes, label: Float, categorical: Mask) -> Bytes:
    """The bin of each code, (columns, BINS): codes as they are, categories by their smoothed mean label."""
    out = np.tile(np.arange(BINS, dtype=np.uint8), (len(codes), 1))
    mean = float(label.mean()) if len(label) else 0.5
    for c in np.flatnonzero(categorical):
        rows = np.bincount(codes[c], minlength=BINS)
        ones = np.bincount(codes[c], weights=label, minlength=BINS)
        rate = (ones + _SMOOTH * mean) / (rows + _SMOOTH)
        out[c, np.argsort(rate, kind="stable")] = np.arange(BINS, dtype=np.uint8)
    return out


def ordered(codes: Bytes, order: Bytes) -> Bytes:
    """The bins that the trees see, (columns, n)."""
    out = np.empty(codes.shape, np.uint8)
    for c in range(len(codes)):
        out[c] = order[c][codes[c]]
    return out


def gain(codes: Bytes, label: Float, q: Float) -> float:
    """How much a column explains of the labels beyond their probabilities.

    codes : (n,) its bins; q : (n,) probabilities
    In about the units of a chi-square less its degrees of freedom.
    """
    g = np.bincount(codes, weights=label - q, minlength=BINS)
    h = np.bincount(codes, weights=q * (1.0 - q), minlength=BINS)
    held = h > 0
    return float(np.sum(g[held] ** 2 / h[held]) - held.sum())


def sigmoid(margin: Float) -> Float:
    """Log-odds -> probability."""
    return 1.0 / (1.0 + np.exp(-np.clip(margin, -40.0, 40.0)))


def _log_odds(score: Float) -> Float:
    held = np.clip(score, 1e-6, 1.0 - 1e-6)
    return np.log(held / (1.0 - held))


def _spline(score: Float, knots: Float) -> Float:
    x = _log_odds(score)
    return np.column_stack([x, *(np.maximum(x - knot, 0.0) for knot in knots)])
