"""A policy whose actions have thresholds on the risk, by the settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homeostat.decide.contracts import Explorer, Learner, Policy
from homeostat.decide.policy.exploration import new_account
from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Bytes, Float, Small, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features


class BoundedPolicy:
    """Another policy's proposals, moved to where the thresholds allow them.

    From an action's threshold on, that action or a harsher one is proposed; below it, the next milder one that is
    allowed. Actions without a threshold are the other policy's affair. Propensities move with their actions; then the
    hold-out is drawn, so that thresholds don't end it: `inner` must have none of its own. The state is the other's.
    """

    def __init__(
        self, inner: Policy, thresholds: Sequence[float | None], censoring: Sequence[bool], holdout: float = 0.0
    ) -> None:
        """thresholds, censoring : by action, from the mildest to the harshest; holdout : a share in [0, 1]"""
        self.inner = inner
        self._from: Float = np.array([np.nan if one is None else one for one in thresholds])
        self._censoring: Bytes = np.asarray(censoring, np.uint8)
        visible = np.flatnonzero(self._censoring == 0)
        self._instead = int(visible[0]) if len(visible) else -1
        self._share = float(holdout) if len(visible) else 0.0

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2), of which the second column draws the hold-out."""
        made = self.inner.propose(fused, events, features, chance)
        action, explored = made.action.astype(np.int16), made.explored.astype(np.uint8)
        propensity = np.zeros(made.propensity.shape)
        _bound(
            np.ascontiguousarray(fused.risk), self._from, np.ascontiguousarray(made.propensity, np.float64),
            np.ascontiguousarray(chance), self._censoring, self._share, self._instead, action, explored, propensity,
        )  # fmt: skip
        return Proposal(action, propensity, explored, made.fallback)

    def learn(self, experience: Experience) -> None:
        """The other learns."""
        self.inner.learn(experience)

    @property
    def account(self) -> Float:
        """The other's charges; none where it does not explore."""
        return self.inner.account if isinstance(self.inner, Explorer) else new_account()

    def allow(self, allowance: Allowance) -> None:
        """See `contracts.Explorer`."""
        if isinstance(self.inner, Explorer):
            self.inner.allow(allowance)

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
def _allowed(action: int, risk: float, bounds: Float) -> int:
    """Where a proposal of an action is moved to."""
    for k in range(len(bounds) - 1, action, -1):
        if risk >= bounds[k]:  # Never for an action without a threshold, whose bound is not a number.
            return k
    while action > 0 and risk < bounds[action]:
        action -= 1
    return action


@compiled
def _bound(
    risk: Float, bounds: Float, before: Float, chance: Float, censoring: Bytes, share: float, instead: int,
    action: Small, explored: Bytes, propensity: Float,
) -> None:  # fmt: skip
    for row in range(len(risk)):
        for k in range(before.shape[1]):
            if before[row, k] > 0.0:
                propensity[row, _allowed(k, risk[row], bounds)] += before[row, k]
        action[row] = _allowed(action[row], risk[row], bounds)
        if instead < 0 or share <= 0.0:
            continue
        if censoring[action[row]] == 1 and chance[row, 1] < share:
            action[row], explored[row] = instead, explored[row] | 1
        for k in range(before.shape[1]):
            if censoring[k] == 1 and propensity[row, k] > 0.0:
                propensity[row, instead] += share * propensity[row, k]
                propensity[row, k] -= share * propensity[row, k]
