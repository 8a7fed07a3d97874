"""The time after a promotion in which the model before it is still asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeostat.models.healing.contest import Model, score, tail
from homeostat.records.arrays import Float, Mask
from homeostat.records.verdicts import Verdict

_BETTER, _WORSE = 0.05, 0.01  # Chance of so many wins, or losses, if both models were equally good.
_ROWS_MIN, _ROWS_MAX = 40, 1_000  # Clean labelled rows before it passes, and after which it ends.


@dataclass(slots=True)
class Probation:
    """A promotion that has to keep its promise.

    model : that served before; it serves again after a FAIL
    entry : of the report, to which the verdict is written; None for a model of the same concept with more rows
    """

    model: Model
    entry: dict[str, Any] | None

    @property
    def before(self) -> Any:
        """The estimator that served before."""
        return self.model.estimator

    def verdict(self, mine: Float, others: Float, wrong: Mask, promise: float) -> Verdict | None:
        """PASS if the promoted model is better, FAIL if it is worse, None while that is open.

        mine, others : (n,) losses of both models on clean rows after the promotion
        wrong : (n,) whether the promoted model was wrong
        """
        wins, losses = score(mine, others)
        if tail(losses, wins) < _WORSE:
            return Verdict.FAIL
        if len(mine) >= _ROWS_MIN and tail(wins, losses) < _BETTER:
            return Verdict.PASS
        if len(mine) < _ROWS_MAX:
            return None
        return Verdict.PASS if wrong.mean() <= promise else Verdict.INCONCLUSIVE
