"""The fusion that moves its weights with outcomes, within bounds."""

from __future__ import annotations

import numpy as np

from homeostat.decide.fusion.evidence import Table, log_odds, subset_of
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Scores
from homeostat.stats.elementary import exp, log, sigmoid

_SHIFT_MAX = 2.0  # The base rate's odds move by a factor of e^2 at most: beyond it, someone should retrain.
_STEP_MAX = 1.0  # No single outcome counts for more than this in a gradient.
_DECAY = 0.999  # Of the running mean square of the gradients, a row: the last thousand outcomes count.


class AdaptiveFusion:
    """Starts as a trained or declared table, and learns row by row from outcomes that are known.

    Each scorer's weights are multiplied by a factor within 1/bound and bound; the factors and a shift of the log-odds
    follow the gradient of the log loss, each divided by its own running size. Outcomes that an action censored are
    left out: their labels are assumptions. How outcomes are cut into batches makes no difference.
    Source: Kivinen, Warmuth (1997), exponentiated gradient; Tieleman, Hinton (2012), RMSProp, for the scaling.
    """

    def __init__(self, table: Table, names: tuple[str, ...], rate: float = 0.05, bound: float = 3.0) -> None:
        """`names` are the scorers of the app in the order of `Scores`; 0 < rate <= 1, bound >= 1."""
        self._table = table
        self._names = names
        self._columns: Int = table.columns(names)
        self._rate = rate
        self._bound = bound
        s = len(table.names)
        # Logarithms of the factors, then the shift; and each one's running mean square of the gradient.
        self._place: Float = np.zeros(s + 1)
        self._size: Float = np.zeros(s + 1)
        self._factor: Float = np.ones(s)

    def fuse(self, scores: Scores) -> Fused:
        """(n,) risks; (n, scorers) contributions, which sum to the log-odds less the base rate's and the shift."""
        if scores.names != self._names:
            raise ValueError(f"this fusion was made for the scorers {self._names}, not {scores.names}")
        return self._table.fuse(scores, self._columns, self._factor, float(self._place[-1]))

    def learn(self, experience: Experience) -> None:
        """Move the weights by outcomes, in their order."""
        table = self._table
        _learn(
            experience.scores, experience.label, experience.censored, self._columns, table.weights, table.reference,
            table.base, table.limit, table.bend, self._rate, log(self._bound), self._place, self._size, self._factor,
        )  # fmt: skip

    def multipliers(self) -> dict[str, float]:
        """By how much each scorer's weights have moved."""
        return {name: float(factor) for name, factor in zip(self._table.names, self._factor, strict=True)}

    def weights(self) -> dict[str, float]:
        """Each scorer's weight where all of them answer, as it stands now."""
        return dict(zip(self._table.names, (self._table.weights[-1] * self._factor).tolist(), strict=True))

    def state(self) -> State:
        return {"place": self._place.copy(), "size": self._size.copy()}

    def learned(self) -> State:
        """All of its state is learned."""
        return self.state()

    def take(self, learned: State) -> None:
        """See `contracts.Learner`. Raises ValueError where it is of another form."""
        if learned.keys() != {"place", "size"}:
            raise ValueError("the learned state is not of an adaptive fusion")
        self.restore(learned)

    def restore(self, state: State) -> None:
        """Continue from an earlier `state()`; raises ValueError when it has other scorers."""
        place, size = np.array(state["place"], np.float64), np.array(state["size"], np.float64)
        if place.shape != self._place.shape or size.shape != self._size.shape:
            raise ValueError("the adaptive fusion's state has another number of scorers")
        self._place, self._size = place, size
        self._factor = np.array([exp(float(p)) for p in place[:-1]])


@compiled
def _learn(
    values: Float,
    label: Float,
    censored: Bytes,
    columns: Int,
    weights: Float,
    reference: Float,
    base: float,
    limit: float,
    bend: float,
    rate: float,
    log_bound: float,
    place: Float,
    size: Float,
    factor: Float,
) -> None:
    s = len(columns)
    part = np.zeros(s + 1)
    for row in range(len(label)):
        if censored[row] != 0 or not (label[row] == 0.0 or label[row] == 1.0):
            continue
        m = subset_of(values, row, columns)
        if m == 0:
            continue
        total = base + place[s]
        for j in range(s):
            part[j] = 0.0
            if m >> j & 1:
                evidence = log_odds(values[row, columns[j]], limit, bend) - reference[m, j]
                part[j] = weights[m, j] * factor[j] * evidence  # Also the slope of the log-odds by the log factor.
                total += part[j]
        part[s] = 1.0
        error = sigmoid(total) - label[row]
        for j in range(s + 1):
            if j < s and part[j] == 0.0:
                continue
            gradient = min(max(error * part[j], -_STEP_MAX), _STEP_MAX)
            size[j] = _DECAY * size[j] + (1.0 - _DECAY) * gradient * gradient
            far = log_bound if j < s else _SHIFT_MAX
            # Ordinary outcomes of rare events have tiny gradients: the floor keeps them from being blown up.
            step = rate * 0.01 * gradient / (size[j] + 1e-6) ** 0.5
            place[j] = min(max(place[j] - step, -far), far)
            if j < s:
                factor[j] = exp(place[j])
