"""A linear stand-in for the models: the risk as far as features explain it. It shows when the models answer otherwise.

Recursive least squares in the form of sums that fade, solved once a day; features are held against their own past, and
cut where they are extreme. Source: Haykin, Adaptive filter theory, chapter on the method of least squares.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float

_FADES = 0.93  # A day's weight: half of it is left after ten days.
_WAITS = 2  # Days after which rows are learned from, so that a change does not hide itself at once.
_STEADY, _MOST = 12, 1.3
_RIDGE = 3.0
_ROWS_LEAST = 300.0
_DAYS_LEAST, _SOON = 4, 6  # It answers after so many days; until then, and some time on, all days teach at once.
_CUT = 3.0


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

    def residuals(self, features: Float, answers: Float) -> Float:
        """(n, answers) answers less predictions, NaN while nothing is known; rows are learned from a few days later.

        features : (n, width); answers : (n, answers), NaN where one is missing
        """
        memory = self.memory
        squashed = _squashed(features)
        if memory["days"][0] == 0:
            there = np.isfinite(squashed)
            value = np.where(there, squashed, 0.0)
            memory["sums"] += np.stack([there.sum(axis=0), value.sum(axis=0), (value * value).sum(axis=0)])
            return np.full(answers.shape, np.nan)
        x = np.empty((len(squashed), self._width + 1))
        x[:, 0] = 1.0
        scaled = (squashed - memory["mean"]) / memory["scale"]
        scaled[np.isnan(scaled)] = 0.0
        np.minimum(np.maximum(scaled, -_CUT), _CUT, out=x[:, 1:])
        whole = np.isfinite(answers).all(axis=1)
        of, y = (x, answers) if whole.all() else (x[whole], answers[whole])
        memory["waiting_gram"][0] += of.T @ of
        memory["waiting_moment"][0] += of.T @ y
        if not memory["weight"].any():
            return np.full(answers.shape, np.nan)
        found: Float = answers - x @ memory["weight"]
        return found

    def end_day(self) -> None:
        """A day is over: learn from the rows of some days ago."""
        memory = self.memory
        if memory["days"][0] == 0:  # Features are held against their first day, for ever.
            count, total, squares = memory["sums"]
            mean = total / np.maximum(count, 1.0)
            memory["mean"][...] = mean
            scale = np.sqrt(np.maximum(squares / np.maximum(count, 1.0) - mean * mean, 0.0))
            memory["scale"][...] = np.where(scale > 1e-9, scale, 1.0)
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


def _squashed(features: Float) -> Float:
    """Values with their tails drawn in, so that sums of squares mean something."""
    found: Float = np.arcsinh(features)
    found[np.isinf(found)] = np.nan
    return found


def log_odds(risk: Float) -> Float:
    """Log-odds, cut at plus and minus 7.

    >>> log_odds(np.array([0.5, 1.0])).tolist()
    [0.0, 7.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float = np.minimum(np.maximum(np.log(risk) - np.log1p(-risk), -7.0), 7.0)
    return found
