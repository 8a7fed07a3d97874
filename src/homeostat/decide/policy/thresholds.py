"""Cost-optimal actions from declared costs and a calibrated risk; or fixed thresholds of the risk.

Source: Elkan (2001), The foundations of cost-sensitive learning, IJCAI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Small, State
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

CostFunction: TypeAlias = Callable[[EventBatch, Features], tuple[Float, Float]]
"""What each action costs when the outcome is positive and when it is negative: two arrays (n, actions)."""


def expected_costs(risk: Float, positive: Float, negative: Float) -> Float:
    """(n, actions) expected cost of each action; a cost or risk that is not a number counts as infinite.

    >>> expected_costs(np.array([0.1]), np.array([[50.0, 0.0]]), np.array([[0.0, 10.0]])).tolist()
    [[5.0, 9.0]]
    """
    cost = risk[:, None] * positive + (1.0 - risk)[:, None] * negative
    return np.where(np.isnan(cost), np.inf, cost)


class Holdout:
    """Lets a share of the events whose outcome would be censored through, so that the outcome can be estimated.

    censoring : for each action, whether its outcome is never seen
    share : of those events, in [0, 1]
    """

    def __init__(self, censoring: Sequence[bool], share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"a hold-out share lies in [0, 1], not {share}")
        self.censoring: Bytes = np.asarray(censoring, dtype=np.uint8)
        visible = np.flatnonzero(self.censoring == 0)
        self.instead = int(visible[0]) if len(visible) else -1
        self.share = share if len(visible) else 0.0

    def apply(self, greedy: Int, chance: Float) -> Proposal:
        """Proposals of the action `greedy` (n,), replaced where it censors and `chance` (n,) is below the share."""
        rows = np.arange(len(greedy))
        eligible = (self.censoring[greedy] == 1) & (self.share > 0)
        replaced = eligible & (chance < self.share)
        propensity = np.zeros((len(greedy), len(self.censoring)))
        propensity[rows, greedy] = np.where(eligible, 1.0 - self.share, 1.0)
        if self.share > 0:
            propensity[rows[eligible], self.instead] = self.share
        action: Small = np.where(replaced, self.instead, greedy).astype(np.int16)
        return Proposal(action, propensity, replaced.astype(np.uint8), np.zeros(len(greedy), dtype=np.uint8))


class _Stateless:
    """What a policy without memory remembers: nothing."""

    def learn(self, experience: Experience) -> None:
        """Nothing to learn."""

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """Nothing to restore."""


class ThresholdPolicy(_Stateless):
    """The action of least expected cost, ties to the first; the default.

    Its thresholds on the risk follow from the costs, and so move with whatever the costs name (the amount, say).
    """

    def __init__(self, costs: CostFunction, censoring: Sequence[bool], holdout: float = 0.0) -> None:
        self._costs = costs
        self._holdout = Holdout(censoring, holdout)

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2), of which the second column draws the hold-out."""
        positive, negative = self._costs(events, features)
        greedy = expected_costs(fused.risk, positive, negative).argmin(axis=1)
        return self._holdout.apply(greedy, chance[:, 1])


class FixedThresholdPolicy(_Stateless):
    """Action k where the risk has reached k of the cut-offs: what most rule systems do.

    cuts : (actions - 1,) ascending; `(0.2, 0.7)` challenges from 0.2 and blocks from 0.7
    """

    def __init__(self, cuts: Sequence[float], censoring: Sequence[bool], holdout: float = 0.0) -> None:
        if list(cuts) != sorted(cuts) or len(cuts) != len(censoring) - 1:
            raise ValueError(f"{len(censoring)} actions need {len(censoring) - 1} ascending cut-offs, not {cuts}")
        self._cuts = np.asarray(cuts, dtype=np.float64)
        self._holdout = Holdout(censoring, holdout)

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2), of which the second column draws the hold-out."""
        greedy = np.searchsorted(self._cuts, fused.risk, side="right").astype(np.int64)
        return self._holdout.apply(greedy, chance[:, 1])
