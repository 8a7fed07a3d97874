"""A fusion whose risk is shifted and scaled in its log-odds, by the settings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.decide.contracts import Fusion, Learner
from homeostat.records.arrays import Float, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Scores
from homeostat.stats.elementary import log, sigmoid


class CalibratedFusion:
    """The risk of another fusion with log-odds of scale * l + shift; a risk of 0, of 1 or none stays what it is.

    Contributions are scaled as well, so that they still sum to the change of the log-odds. The state is the other's.
    """

    def __init__(self, inner: Fusion, shift: float, scale: float) -> None:
        """scale > 0"""
        self.inner, self._shift, self._scale = inner, shift, scale

    def fuse(self, scores: Scores) -> Fused:
        """(n,) risks and (n, scorers) contributions."""
        fused = self.inner.fuse(scores)
        risk = np.empty(len(fused.risk))
        _calibrate(np.ascontiguousarray(fused.risk), self._shift, self._scale, risk)
        return Fused(risk, fused.contributions * self._scale)

    def learn(self, experience: Experience) -> None:
        """The other learns, of the scores."""
        self.inner.learn(experience)

    def weights(self) -> Mapping[str, float]:
        """Each scorer's weight where all of them answer; nothing where the other fusion can't say."""
        weights: Mapping[str, float] = getattr(self.inner, "weights", dict)()
        return {name: weight * self._scale for name, weight in weights.items()}

    def learned(self) -> State:
        """All that the other learned."""
        return self.inner.learned() if isinstance(self.inner, Learner) else {}

    def take(self, learned: State) -> None:
        """See `contracts.Learner`."""
        if isinstance(self.inner, Learner):
            self.inner.take(learned)

    def state(self) -> State:
        return self.inner.state()

    def restore(self, state: State) -> None:
        """Continue with the other's state."""
        self.inner.restore(state)


@compiled
def _calibrate(risk: Float, shift: float, scale: float, out: Float) -> None:
    for row in range(len(risk)):
        p = risk[row]
        out[row] = sigmoid(scale * log(p / (1.0 - p)) + shift) if 0.0 < p < 1.0 else p
