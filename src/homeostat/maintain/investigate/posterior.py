"""Scores of hypotheses -> probabilities, on the scale that drills have shown to hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from math import exp, log

from homeostat.maintain.investigate.hypothesis import Judged

_LEAST = 1e-3  # The share of what the ranking by signals does not name.
_TRUST = 0.8  # How much the ranking by signals weighs against the tests.
_OTHER = 0.02  # The share of kinds of cause that nobody thought of.
_EXPLAINED = 4.0  # The price for a hypothesis that another one, which was shown, explains what speaks for it.
_UNDECIDED = 1.5  # The price where no test shows the cause itself.


@dataclass(frozen=True, slots=True)
class Table:
    """Calibration: of findings at a raw probability of `raw[i]`, the share `right[i]` was right. Linear in between."""

    raw: tuple[float, ...]
    right: tuple[float, ...]

    def of(self, p: float) -> float:
        """The calibrated probability.

        >>> Table((0.0, 1.0), (0.0, 0.5)).of(0.5)
        0.25
        """
        if p <= self.raw[0]:
            return self.right[0]
        for at in range(1, len(self.raw)):
            if p <= self.raw[at]:
                low, high = self.raw[at - 1], self.raw[at]
                part = (p - low) / (high - low) if high > low else 1.0
                return self.right[at - 1] + part * (self.right[at] - self.right[at - 1])
        return self.right[-1]


@lru_cache(maxsize=1)
def table() -> Table:
    """The table that `python -m benchmarks.causes --calibrate` made on drills of seeds below 100."""
    text = resources.files("homeostat.maintain.investigate").joinpath("calibration.json").read_text()
    found = json.loads(text)
    return Table(tuple(found["raw"]), tuple(found["right"]))


def scores(judged: Sequence[Judged]) -> list[float]:
    """Each one's log-odds up to a constant: of the ranking, of its tests, less what others explain."""
    found = []
    ranked = any(one.prior > 0 for one in judged)
    for one in judged:
        prior = max(one.prior, _LEAST) if ranked else 1 / len(judged)  # Signals that rank nothing rank all alike.
        score = _TRUST * log(prior) + one.weight - (0.0 if one.decided else _UNDECIDED)
        rivals = [o for o in judged if o is not one and o.decided and one.kind in o.hypothesis.beats]
        if any(rival.weight >= one.weight - 1.0 for rival in rivals):
            score -= _EXPLAINED
        found.append(score)
    return found


def raw_probabilities(judged: Sequence[Judged]) -> list[float]:
    """(k,) shares among the hypotheses and one more, for all that nobody thought of."""
    found = scores(judged)
    other = _TRUST * log(_OTHER) + 1.0
    top = max([other, *found])
    whole = exp(other - top) + sum(exp(one - top) for one in found)
    return [exp(one - top) / whole for one in found]


def alone(judged: Judged) -> float:
    """The probability of a hypothesis against nothing but what nobody thought of: for a second cause at once."""
    score = _TRUST * log(max(judged.prior, 0.01)) + judged.weight
    return 1 / (1 + exp(-(score - _TRUST * log(_OTHER) - 1.0)))
