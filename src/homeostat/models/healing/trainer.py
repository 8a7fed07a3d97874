"""Fits fresh copies of an estimator, and measures how far off their predictions are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from homeostat.errors import needs
from homeostat.models.healing.contest import Scale, bound, held_out
from homeostat.models.healing.labels import Labels
from homeostat.models.healing.table import HealingError, Table
from homeostat.records.arrays import AnyArray, Float, Int


class Trainer:
    """The estimator as a recipe, with the table and the labels that its models see.

    Raises HealingError if it is no estimator, MissingExtra without the `train` extra.
    """

    def __init__(self, estimator: Any, table: Table, labels: Labels, seed: int) -> None:
        with needs("train", "healing"):
            from sklearn.base import clone
            from sklearn.exceptions import ConvergenceWarning
        self._clone, self._noise = clone, ConvergenceWarning
        self._estimator, self._table, self._labels, self._seed = estimator, table, labels, seed
        self.scale = Scale(labels.classes)

    def made(self, x: Float, y: AnyArray) -> Any:
        """A fitted copy; raises what the estimator raises."""
        return self._fresh().fit(self._table.write(x), self._labels.write(y))

    def fit(self, x: Float, y: AnyArray) -> Any | None:
        """A fitted challenger; None if the rows are not enough for this estimator."""
        if len(y) < 2 or (self.scale.classes and len(np.unique(y)) < 2):
            return None
        with warnings.catch_warnings():
            # A challenger that has not converged is judged as it is.
            warnings.simplefilter("ignore", self._noise)
            try:
                return self.made(x, y)
            except ValueError:
                return None

    def loss(self, model: Any, x: Float, y: AnyArray) -> Float:
        """(n,) the loss of a model's predictions."""
        if not len(y):
            return np.zeros(0)
        return self.scale.loss(self._labels.code(model.predict(self._table.write(x))), y)

    def tried(self, x: Float, y: AnyArray, fold: Int, old: int) -> Float | None:
        """(n,) the loss of each row under a model fitted without its fold; NaN for the first `old` rows."""
        return held_out(
            lambda rows: self.fit(x[rows], y[rows]), lambda model, rows: self.loss(model, x[rows], y[rows]), fold, old
        )

    def promise(self, fitted: Any, x: Float, y: AnyArray, fold: Int) -> float:
        """The bound of the share of wrong rows on a fold of the reference; where none can be made, on all of it."""
        out = fold == 0
        model = self.fit(x[~out], y[~out]) if 5 <= out.sum() < len(out) else None
        if model is None:
            model, out = fitted, np.ones(len(y), dtype=np.bool_)
        loss = self.loss(model, x[out], y[out])
        if not self.scale.classes:
            self.scale.limit = float(np.quantile(loss, 0.9))
        return bound(int(self.scale.wrong(loss).sum()), int(out.sum()))

    def _fresh(self) -> Any:
        """The estimator without what it learned, with the seed where it wants chance."""
        fresh = self._clone(self._estimator)
        names = [
            name
            for name, value in fresh.get_params(deep=True).items()
            if name.split("__")[-1] == "random_state" and value is None
        ]
        return fresh.set_params(**dict.fromkeys(names, self._seed)) if names else fresh


def kind_of(estimator: Any) -> tuple[bool, bool]:
    """Whether an estimator is a classifier, and whether it is fitted.

    Raises HealingError if it is no estimator, MissingExtra without the `train` extra.
    """
    with needs("train", "healing"):
        from sklearn.base import is_classifier
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    if not all(hasattr(estimator, name) for name in ("fit", "predict", "get_params")) or isinstance(estimator, type):
        raise HealingError(f"{estimator!r} is no estimator of scikit-learn: it needs fit, predict and get_params")
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return bool(is_classifier(estimator)), False
    return bool(is_classifier(estimator)), True
