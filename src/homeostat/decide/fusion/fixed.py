"""Fusions that do not learn while they serve: declared weights, and the model that was stacked at training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.decide.fusion.evidence import SCORERS_MAX, Table
from homeostat.records.arrays import Float, Int, State
from homeostat.records.decisions import Experience, Fused, Scores
from homeostat.records.parts import PartError

_WEIGHT_MAX = 1e300
_DECLARED_LIMIT = 6.0  # Untrained scores of 0 or 1 must not outvote all others: held within odds of 400 to 1.


class FixedFusion:
    """A linear model of the scorers' log-odds for each subset that answers. The risk is the base rate if none does."""

    def __init__(self, table: Table, names: tuple[str, ...]) -> None:
        """`names` are the scorers of the app, in the order of `Scores`."""
        self._table = table
        self._names = names
        self._columns: Int = table.columns(names)
        self._ones: Float = np.ones(len(table.names))

    def fuse(self, scores: Scores) -> Fused:
        """(n,) risks; (n, scorers) contributions, which sum to the risk's log-odds less the base rate's."""
        if scores.names != self._names:
            raise ValueError(f"this fusion was made for the scorers {self._names}, not {scores.names}")
        return self._table.fuse(scores, self._columns, self._ones, 0.0)

    def learn(self, experience: Experience) -> None:
        """Nothing: what was trained stays."""

    def weights(self) -> dict[str, float]:
        """Each scorer's weight where all of them answer."""
        return dict(zip(self._table.names, self._table.weights[-1].tolist(), strict=True))

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """There is nothing to restore."""


def declared_table(names: tuple[str, ...], weights: Mapping[str, float], base_rate: float = 0.5) -> Table:
    """The weighted mean of the log-odds of those scorers that answer, where nothing was trained.

    weights : by scorer; a scorer without one has 1
    Raises PartError for a weight of an unknown scorer, or too many scorers.
    """
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise PartError(f"fusion gives a weight to {unknown[0]!r}, which is no scorer; scorers are {', '.join(names)}")
    s = len(names)
    if not 0 < s <= SCORERS_MAX:
        raise PartError(f"a fusion takes 1 to {SCORERS_MAX} scorers, not {s}")
    start = np.array([weights.get(name, 1.0) for name in names])
    if start.max() > _WEIGHT_MAX:
        start /= start.max()  # Only the weights' proportions count, and their sum must not leave float64.
    answered = (np.arange(1 << s)[:, None] >> np.arange(s)) & 1
    kept = answered * start
    total = kept.sum(axis=1, keepdims=True)
    table = np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)
    base = float(np.log(base_rate / (1.0 - base_rate)))
    # The weights of a subset sum to 1, so that at `base` in every score the risk is the base rate.
    return Table(names, table, np.full((1 << s, s), base), base, _DECLARED_LIMIT)
