"""The code that all fusions share: a linear model of the scores' log-odds for each set of scorers that answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Fused, Scores
from homeostat.records.parts import Part, PartError
from homeostat.stats.elementary import logit, sigmoid

SCORERS_MAX = 10
LIMIT_MAX = 27.0  # Log-odds of a score within 1e-12 of 0 or 1.


@dataclass(frozen=True, slots=True)
class Table:
    """One linear model a subset of the scorers; subset m has scorer j when bit j of m is set.

    names : the scorers
    weights : (2^s, s) of the log-odds of each score, 0 where a scorer is missing
    reference : (2^s, s) log-odds at which the risk is the base rate: contributions are counted from there, so that
        the log-odds of the risk are `base` and the contributions
    base : log-odds of the base rate, the risk when no scorer answers
    limit, bend : a score's log-odds l are held within +-limit, then become l / (1 + |l| / bend)
    """

    names: tuple[str, ...]
    weights: Float
    reference: Float
    base: float
    limit: float
    bend: float = np.inf

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
        base, limit, bend = (part.settings.get(name) for name in ("base", "limit", "bend"))
        if not (isinstance(base, float) and isinstance(limit, float) and isinstance(bend, float)):
            raise PartError("a fusion's settings must hold numbers base, limit and bend")
        if not (np.isfinite(base) and 0 < limit <= LIMIT_MAX and 0 < bend < np.inf):
            raise PartError(f"a fusion's base must be finite, its limit within {LIMIT_MAX}, its bend positive")
        return cls(part.features, arrays[0], arrays[1], base, limit, bend)

    def columns(self, names: tuple[str, ...]) -> Int:
        """(s,) where each scorer of the table is among `names`, -1 where it is not: then it is missing in each row."""
        at = {name: index for index, name in enumerate(names)}
        return np.array([at.get(name, -1) for name in self.names], np.int64)

    def fuse(self, scores: Scores, columns: Int, multiplier: Float, shift: float) -> Fused:
        """Risks and contributions, each scorer's weights times `multiplier` (s,), the log-odds moved by `shift`."""
        risk, parts = np.empty(len(scores.values)), np.zeros(scores.values.shape)
        _fuse(
            scores.values, columns, self.weights, self.reference, self.base, self.limit, self.bend, multiplier,
            shift, risk, parts,
        )  # fmt: skip
        return Fused(risk, parts)


@compiled
def log_odds(score: float, limit: float, bend: float) -> float:
    """A score's log-odds, held within +-limit and bent: the further out, the less another step says."""
    held = min(max(logit(score), -limit), limit)
    return held / (1.0 + abs(held) / bend)


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
    bend: float,
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
                evidence = log_odds(values[row, columns[j]], limit, bend) - reference[m, j]
                part = weights[m, j] * multiplier[j] * evidence
                parts[row, columns[j]] = part
                total += part
        risk[row] = sigmoid(total)
