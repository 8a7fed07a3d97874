"""A linear stand-in for the models: the risk as far as features explain it. It shows when the models answer otherwise.

Recursive least squares in the form of sums that fade, solved once a day; features are held against their own past, and
cut where they are extreme. Source: Haykin, Adaptive filter theory, chapter on the method of least squares.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.products import add_product, add_times, dot, mirror
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

_FADES = 0.93  # A day's weight: half of it is left after ten days.
_WAITS = 2  # Days after which rows are learned from, so that a change does not hide itself at once.
_STEADY, _MOST = 12, 1.3
_RIDGE = 3.0
_ROWS_LEAST = 300.0
_DAYS_LEAST, _SOON = 4, 6  # It answers after so many days; until then, and some time on, all days teach at once.
_CUT = 3.0
_STILL = 1e-10  # A variance of less than this share of the squared mean.


class Surrogate:
    """See the module. Of `width` features, for several answers at once.

    memory : `gram` (p, p) and `moment` (p, answers) faded sums; `waiting_...` of the last days; `mean`, `scale`
        (width,); `sums` (3, width) of the first day: count, sum, squares; `weight` (p, answers); `days` (1,)
    """

    def __init__(self, width: int, answers: int) -> None:
        self._width, self._answers = width, answers
        p = width + 1
        self.memory: Memory = {
            "gram": np.zeros((p, p)), "moment": np.zeros((p, answers)), "waiting_gram": np.zeros((_WAITS, p, p)),
            "waiting_moment": np.zeros((_WAITS, p, answers)), "mean": np.zeros(width), "scale": np.ones(width),
            "sums": np.zeros((3, width)), "weight": np.zeros((p, answers)), "days": np.zeros(1, np.int64),
        }  # fmt: skip

    def residuals(self, features: Float, answers: Float, rows: Int | None = None) -> Float:
        """(n, answers) answers less predictions, NaN while nothing is known; rows are learned from a few days later.

        Rows are taken one after the other, so any pieces of a day give the same.

        features : (n, width), or more of both; answers : (n, answers), NaN where one is missing
        rows : (n,) the rows of `features` that count, None for all
        """
        memory = self.memory
        rows = np.arange(len(features)) if rows is None else rows
        found = np.full(answers.shape, np.nan)
        if memory["days"][0] == 0:
            _sum_up(features, rows, _OF_WHOLE, memory["sums"])
            return found
        known = bool(memory["weight"].any())
        of = Sums(memory["waiting_gram"][0], memory["waiting_moment"][0])
        _regress(
            features, rows, answers, Scaling(memory["mean"], memory["scale"], _OF_WHOLE), memory["weight"], known, of,
            found,
        )  # fmt: skip
        return found

    def end_day(self) -> None:
        """A day is over: learn from the rows of some days ago."""
        memory = self.memory
        if memory["days"][0] == 0:  # Features are held against their first day, for ever.
            count, total, squares = memory["sums"]
            mean = total / np.maximum(count, 1.0)
            memory["mean"][...] = mean
            square = mean * mean
            variance = squares / np.maximum(count, 1.0) - square
            moved = variance > np.maximum(_STILL * square, 1e-18)  # Less is what rounding leaves of a constant.
            memory["scale"][...] = np.where(moved, np.sqrt(np.maximum(variance, 0.0)), 1.0)
        mirror(memory["waiting_gram"][0])
        first = memory["days"][0] <= _SOON
        source = 0 if first else _WAITS - 1
        rows, usual = float(memory["waiting_gram"][source][0, 0]), float(memory["gram"][0, 0]) * (1.0 - _FADES)
        # A day of five times the events is a campaign, and must not outweigh two weeks.
        weight = 1.0 if memory["days"][0] <= _STEADY or rows <= _MOST * usual else _MOST * usual / rows
        memory["gram"] *= _FADES
        memory["moment"] *= _FADES
        memory["gram"] += weight * memory["waiting_gram"][source]
        memory["moment"] += weight * memory["waiting_moment"][source]
        for name in ("waiting_gram", "waiting_moment"):
            memory[name][1:] = memory[name][:-1].copy()
            memory[name][0] = 0.0
            if first:
                memory[name][...] = 0.0
        memory["days"][0] += 1
        if memory["gram"][0, 0] >= _ROWS_LEAST and memory["days"][0] > _DAYS_LEAST:
            ridge = _RIDGE * np.eye(self._width + 1)
            memory["weight"][...] = np.linalg.solve(memory["gram"] + ridge, memory["moment"])


class Scaling(NamedTuple):
    """How features are scaled. mean, scale : (width,); of_whole : see `_OF_WHOLE`."""

    mean: Float
    scale: Float
    of_whole: Float


class Sums(NamedTuple):
    """The sums of a day: products of features, of which the upper half counts, and products with answers."""

    gram: Float
    moment: Float


_OF_WHOLE = np.arcsinh(np.arange(1024.0))
"""Of whole numbers, which many features are."""


@compiled
def _squashed(value: float, of_whole: Float) -> float:
    """A value with its tails drawn in, so that sums of squares mean something: asinh, in half the time of C's."""
    size = abs(value)
    if size < 1023.5 and int(size) == size:
        found = of_whole[int(size)]
    elif size < 0.5:
        found = math.log1p(size + size * size / (1.0 + math.sqrt(1.0 + size * size)))
    elif size < 1e8:
        found = math.log(size + math.sqrt(1.0 + size * size))
    elif size < math.inf:
        found = math.log(size) + _LOG_2  # One more beside its square rounds to nothing.
    else:
        found = math.nan
    return float(found if value >= 0.0 else -found)


_LOG_2 = math.log(2.0)


@compiled
def _sum_up(features: Float, rows: Int, of_whole: Float, sums: Float) -> None:
    """Add the count, the values and the squares of the features of some rows."""
    for row in rows:
        for column in range(sums.shape[1]):
            value = _squashed(features[row, column], of_whole)
            if value == value:
                sums[0, column] += 1.0
                sums[1, column] += value
                sums[2, column] += value * value


@compiled
def _regress(
    features: Float, rows: Int, answers: Float, scaling: Scaling, weight: Float, known: bool, into: Sums,
    residuals: Float,
) -> None:  # fmt: skip
    """Predict the answers to some rows where weights are known, and add up what is learned from them."""
    width, many = len(scaling.mean), answers.shape[1]
    x, weights, moments = np.ones(width + 1), weight.T.copy(), into.moment.T.copy()
    held = x[1:]
    for i in range(len(rows)):
        of = features[rows[i]]
        for column in range(width):
            held[column] = _squashed(of[column], scaling.of_whole)
        for column in range(width):
            value = (held[column] - scaling.mean[column]) / scaling.scale[column]
            held[column] = min(max(value, -_CUT), _CUT) if value == value else 0.0
        whole = True
        for k in range(many):
            whole = whole and abs(answers[i, k]) < math.inf
            if known:
                residuals[i, k] = answers[i, k] - dot(x, weights[k])
        if whole:
            add_product(x, into.gram)
            for k in range(many):
                add_times(answers[i, k], x, moments[k])
    into.moment[:] = moments.T


def log_odds(risk: Float) -> Float:
    """Log-odds, cut at plus and minus 7.

    >>> log_odds(np.array([0.5, 1.0])).tolist()
    [0.0, 7.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float = np.minimum(np.maximum(np.log(risk) - np.log1p(-risk), -7.0), 7.0)
    return found
