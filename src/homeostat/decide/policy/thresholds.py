"""Cost-optimal actions from declared costs and a calibrated risk; or fixed thresholds of the risk.

Source: Elkan (2001), The foundations of cost-sensitive learning, IJCAI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Small, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

CostFunction: TypeAlias = Callable[[EventBatch, Features], tuple[Float, Float]]
"""The cost of each action when the outcome is positive and when it is negative: two arrays (n, actions)."""


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
        self.share = float(share) if len(visible) else 0.0

    def apply(self, greedy: Int, chance: Float) -> Proposal:
        """Proposals of the action `greedy` (n,), replaced where it censors and `chance` (n,) is below the share."""
        proposal = self._blank(len(greedy))
        _hold_out(
            greedy, chance, self.censoring, self.share, self.instead, proposal.action, proposal.propensity,
            proposal.explored,
        )  # fmt: skip
        return proposal

    def least(self, risk: Float, positive: Float, negative: Float, chance: Float) -> Proposal:
        """`apply` to the actions of least `expected_costs`, ties to the first; `chance` is (n, 2)."""
        proposal = self._blank(len(risk))
        _least_cost(
            risk, positive, negative, chance, self.censoring, self.share, self.instead, proposal.action,
            proposal.propensity, proposal.explored,
        )  # fmt: skip
        return proposal

    def _blank(self, n: int) -> Proposal:
        propensity = np.zeros((n, len(self.censoring)))
        return Proposal(np.empty(n, np.int16), propensity, np.empty(n, np.uint8), np.zeros(n, np.uint8))


@compiled
def _propose(
    row: int,
    greedy: int,
    chance: float,
    censoring: Bytes,
    share: float,
    instead: int,
    action: Small,
    propensity: Float,
    explored: Bytes,
) -> None:
    """Write one row's proposal; its row of `propensity` is zero before."""
    action[row], explored[row] = greedy, 0
    propensity[row, greedy] = 1.0
    if censoring[greedy] == 1 and share > 0.0:
        propensity[row, greedy], propensity[row, instead] = 1.0 - share, share
        if chance < share:
            action[row], explored[row] = instead, 1


@compiled
def _hold_out(
    greedy: Int,
    chance: Float,
    censoring: Bytes,
    share: float,
    instead: int,
    action: Small,
    propensity: Float,
    explored: Bytes,
) -> None:
    for row in range(len(greedy)):
        _propose(row, greedy[row], chance[row], censoring, share, instead, action, propensity, explored)


@compiled
def _least_cost(
    risk: Float,
    positive: Float,
    negative: Float,
    chance: Float,
    censoring: Bytes,
    share: float,
    instead: int,
    action: Small,
    propensity: Float,
    explored: Bytes,
) -> None:
    for row in range(len(risk)):
        greedy, least = 0, np.inf
        for k in range(len(censoring)):
            cost = risk[row] * positive[row, k] + (1.0 - risk[row]) * negative[row, k]
            if cost < least:  # Never for what is not a number, which so counts as infinite.
                greedy, least = k, cost
        _propose(row, greedy, chance[row, 1], censoring, share, instead, action, propensity, explored)


class _Stateless:
    """The memory of a policy without memory: nothing."""

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
        return self._holdout.least(fused.risk, positive, negative, chance)


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
