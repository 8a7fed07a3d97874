"""What all fusions share: a linear model of the scores' log-odds for each set of scorers that answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import Fused, Scores
from homeostat.records.parts import Part, PartError
from homeostat.stats.compiled import compiled
from homeostat.stats.elementary import logit, sigmoid

SCORERS_MAX = 10


@dataclass(frozen=True, slots=True)
class Table:
    """One linear model a subset of the scorers; subset m has scorer j when bit j of m is set.

    names : the scorers
    weights : (2^s, s) of the log-odds of each score, 0 where a scorer is missing
    reference : (2^s, s) log-odds at which the risk is the base rate: contributions are counted from there, so that
        the log-odds of the risk are `base` and the contributions
    base : log-odds of the base rate, the risk when no scorer answers
    limit : log-odds of a score are held within +-limit
    """

    names: tuple[str, ...]
    weights: Float
    reference: Float
    base: float
    limit: float

    @classmethod
    def of(cls, part: Part) -> Table:
        """A trained fusion's table; raises PartError when it is not one."""
        s = len(part.features)
        if not 0 < s <= SCORERS_MAX:
            raise PartError(f"a fusion takes 1 to {SCORERS_MAX} scorers, not {s}")
        arrays = []
        for name, shape in (("weights", (1 << s, s)), ("reference", (1 << s, s))):
            array = part.arrays.get(name)
            if array is None or array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
                raise PartError(f"a fusion of {s} scorers needs finite float64 {name!r} of shape {shape}")
            arrays.append(np.ascontiguousarray(array, np.float64))
        base, limit = part.settings.get("base"), part.settings.get("limit")
        if not (isinstance(base, float) and isinstance(limit, float) and np.isfinite(base) and 0 < limit <= 27):
            raise PartError("a fusion's settings must hold numbers base and limit")
        return cls(part.features, arrays[0], arrays[1], base, limit)

    def columns(self, names: tuple[str, ...]) -> Int:
        """(s,) where each scorer of the table is among `names`, -1 where it is not: then it is missing in each row."""
        at = {name: index for index, name in enumerate(names)}
        return np.array([at.get(name, -1) for name in self.names], np.int64)

    def fuse(self, scores: Scores, columns: Int, multiplier: Float, shift: float) -> Fused:
        """Risks and contributions, each scorer's weights times `multiplier` (s,), the log-odds moved by `shift`."""
        risk, parts = np.empty(len(scores.values)), np.zeros(scores.values.shape)
        _fuse(
            scores.values, columns, self.weights, self.reference, self.base, self.limit, multiplier, shift, risk, parts
        )
        return Fused(risk, parts)


@compiled
def log_odds(score: float, limit: float) -> float:
    """A score's log-odds within +-limit."""
    return min(max(logit(score), -limit), limit)


@compiled
def subset_of(values: Float, row: int, columns: Int) -> int:
    """The subset of scorers that answered in a row."""
    subset = 0
    for j in range(len(columns)):
        if columns[j] >= 0 and values[row, columns[j]] == values[row, columns[j]]:
            subset |= 1 << j
    return subset


@compiled
def _fuse(
    values: Float,
    columns: Int,
    weights: Float,
    reference: Float,
    base: float,
    limit: float,
    multiplier: Float,
    shift: float,
    risk: Float,
    parts: Float,
) -> None:
    """The log-odds are the base rate's plus each scorer's part."""
    for row in range(len(values)):
        m = subset_of(values, row, columns)
        total = base if m == 0 else base + shift
        for j in range(len(columns)):
            if m >> j & 1:
                evidence = log_odds(values[row, columns[j]], limit) - reference[m, j]
                part = weights[m, j] * multiplier[j] * evidence
                parts[row, columns[j]] = part
                total += part
        risk[row] = sigmoid(total)
