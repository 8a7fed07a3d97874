"""The quality of a classifier as expected from the probability of each label: no label is needed.

Each figure is a function of the labels. Its expectation follows from the labels' probabilities, and its sampling noise
from their variances by the delta method. A realised figure is the same function of known labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from homeostat.records.arrays import Float, Int, Mask

FIGURES = ("auc", "accuracy", "f1", "average_precision")
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of a row of each outcome, in one unit: the same for all rows, or (n,) of each."""

    false_positive: float | Float
    false_negative: float | Float
    true_positive: float | Float = 0.0
    true_negative: float | Float = 0.0


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure and its sampling noise.

    value : NaN where it can't be had: one class alone, or no row
    variance : of the realised figure around it, given the rows, in the figure's unit squared
    """

    value: float
    variance: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows put in groups of equal scores, from the highest score down: one sort serves many estimates.

    group : (n,) of each row; size : (groups,) rows; above : (groups,) rows at or above
    decided : (n,) whether the row is predicted positive
    ranks : whether the scores rank rows, so that AUC and average precision mean something
    """

    group: Int
    size: Float
    above: Float
    decided: Mask
    ranks: bool = True
    costs: Costs | None = field(default=None)


def ranked(score: Float, decided: Mask, *, ranks: bool = True, costs: Costs | None = None) -> Ranked:
    """The rows of a chunk by score.

    score : (n,) without NaN; decided : (n,)
    """
    values, group = np.unique(-score, return_inverse=True)
    size = np.bincount(group, minlength=len(values)).astype(np.float64)
    return Ranked(group.astype(np.int64), size, np.cumsum(size), decided, ranks, costs)


def expected(rows: Ranked, q: Float) -> dict[str, Expected]:
    """Each figure of `FIGURES`, and `cost` a row where costs are given.

    q : (n,) probability that a row's label is 1. With labels in place of probabilities, these are the realised figures.
        Their variances are then 0.

    >>> rows = ranked(np.array([0.9, 0.2]), np.array([True, False]))
    >>> round(expected(rows, np.array([0.8, 0.3]))["accuracy"].value, 3)
    0.75
    """
    noise = q * (1.0 - q)
    figures = FIGURES if rows.costs is None else (*FIGURES, "cost")
    found = dict.fromkeys(figures, Expected(_NAN, _NAN))
    for name, (value, slope) in slopes(rows, q).items():
        found[name] = Expected(value, float(noise @ slope**2))
    return found


def slopes(rows: Ranked, q: Float) -> dict[str, tuple[float, Float]]:
    """The figures that can be had, and by how much each grows with each row's label, (n,).

    A figure of labels y is about its value + slopes @ (y - q), whose sum is 0 on average if q is right.
    """
    found: dict[str, tuple[float, Float] | None] = {}
    if len(q):
        found["accuracy"] = _accuracy(rows.decided, q)
        found["f1"] = _f1(rows.decided, q)
        if rows.ranks:
            found["auc"] = _auc(rows, q)
            found["average_precision"] = _average_precision(rows, q)
        if rows.costs is not None:
            found["cost"] = _cost(rows.decided, q, rows.costs)
    return {name: one for name, one in found.items() if one is not None}


def realised(rows: Ranked, label: Float) -> dict[str, float]:
    """Each figure of known labels, (n,) 0 or 1."""
    return {name: one.value for name, one in expected(rows, label).items()}


def values(found: Mapping[str, Expected]) -> dict[str, float]:
    """The figures without their noise."""
    return {name: one.value for name, one in found.items()}


_Sloped = tuple[float, Float] | None


def _accuracy(decided: Mask, q: Float) -> _Sloped:
    right, slope = np.where(decided, q, 1.0 - q), np.where(decided, 1.0, -1.0)
    return float(right.mean()), slope / len(q)


def _f1(decided: Mask, q: Float) -> _Sloped:
    hits, total = float(q[decided].sum()), float(decided.sum() + q.sum())
    if total == 0.0:
        return None
    value = 2.0 * hits / total
    return value, (np.where(decided, 2.0, 0.0) - value) / total


def _auc(rows: Ranked, q: Float) -> _Sloped:
    """Pairs of a row with itself are left out, so that numerator and denominator have no bias."""
    groups, own = len(rows.size), float(np.sum(q * (1.0 - q)))
    positive = _sums(rows.group, q, groups)
    negative = rows.size - positive
    ones, zeros = float(positive.sum()), float(negative.sum())
    pairs = ones * zeros - own
    if pairs <= 1e-9:
        return None
    before = np.cumsum(positive) - positive
    below = zeros - np.cumsum(negative)
    value = (float(negative @ (before + 0.5 * positive)) - 0.5 * own) / pairs
    wins = below + 0.5 * negative - before - 0.5 * positive  # More pairs won by a row if it is positive.
    return value, wins[rows.group] / pairs - value * (zeros - ones) / pairs


def _average_precision(rows: Ranked, q: Float) -> _Sloped:
    groups = len(rows.size)
    positive = _sums(rows.group, q, groups)
    own = _sums(rows.group, q * (1.0 - q), groups)
    ones, at = float(positive.sum()), np.cumsum(positive)
    if ones <= 1e-9:
        return None
    value = float(np.sum((positive * at + own) / rows.above)) / ones
    shares = positive / rows.above
    later = np.cumsum(shares[::-1])[::-1]  # A positive row raises the precision at each one below it.
    return min(value, 1.0), ((at / rows.above + later)[rows.group] - value) / ones


def _sums(group: Int, weights: Float, groups: int) -> Float:
    return np.bincount(group, weights=weights, minlength=groups).astype(np.float64)


def _cost(decided: Mask, q: Float, costs: Costs) -> _Sloped:
    of_one = np.where(decided, costs.true_positive, costs.false_negative)
    of_zero = np.where(decided, costs.false_positive, costs.true_negative)
    return float(np.mean(q * of_one + (1.0 - q) * of_zero)), (of_one - of_zero) / len(q)
