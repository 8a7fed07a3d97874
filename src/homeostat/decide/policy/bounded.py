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

_UPPER = 1048576.0  # Of the 53 bits of a draw, the upper 20 are left to exploration.


class BoundedPolicy:
    """Another policy's proposals, moved to where the thresholds allow them.

    From an action's threshold on, that action or a harsher one is proposed; below it, the next milder one that is
    allowed. Actions without a threshold are the other policy's affair. Propensities move with their actions; then the
    hold-out is drawn, so that thresholds don't end it: `inner` must have none of its own. The state is the other's.
    """

    def __init__(
        self, inner: Policy, thresholds: Sequence[float | tuple[float, float] | None], censoring: Sequence[bool],
        holdout: float = 0.0,
    ) -> None:  # fmt: skip
        """thresholds, censoring : by action, from the mildest to the harshest; holdout : a share in [0, 1]

        A threshold that is a pair is drawn for each event, uniformly between them.
        """
        self.inner = inner
        pairs = [one if isinstance(one, tuple) else (one, one) for one in thresholds]
        self._low: Float = np.array([np.nan if low is None else low for low, _ in pairs])
        self._high: Float = np.array([np.nan if high is None else high for _, high in pairs])
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
            np.ascontiguousarray(fused.risk), self._low, self._high, np.ascontiguousarray(made.propensity, np.float64),
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
    risk: Float, low: Float, high: Float, before: Float, chance: Float, censoring: Bytes, share: float, instead: int,
    action: Small, explored: Bytes, propensity: Float,
) -> None:  # fmt: skip
    # All thresholds of an event are drawn together, so that they keep their order. The lower bits of a number that is
    # uniform in [0, 1) are uniform and independent of its upper ones, which draw exploration.
    ends, bounds = np.empty(len(low) + 1), np.empty(len(low))
    for row in range(len(risk)):
        count = 0
        for k in range(len(low)):
            if high[k] > low[k]:
                end = (risk[row] - low[k]) / (high[k] - low[k])
                if 0.0 < end < 1.0:
                    ends[count] = end
                    count += 1
        ends[count] = 1.0
        ends[:count].sort()
        begin = 0.0
        for part in range(count + 1):  # Within a part, each draw has the same thresholds on the risk's other side.
            middle = (begin + ends[part]) / 2.0
            for k in range(len(low)):
                bounds[k] = low[k] + middle * (high[k] - low[k])
            for k in range(before.shape[1]):
                if before[row, k] > 0.0:
                    propensity[row, _allowed(k, risk[row], bounds)] += before[row, k] * (ends[part] - begin)
            begin = ends[part]
        drawn = chance[row, 0] * _UPPER
        drawn -= np.floor(drawn)
        for k in range(len(low)):
            bounds[k] = low[k] + drawn * (high[k] - low[k])
        action[row] = _allowed(action[row], risk[row], bounds)
        if instead < 0 or share <= 0.0:
            continue
        if censoring[action[row]] == 1 and chance[row, 1] < share:
            action[row], explored[row] = instead, explored[row] | 1
        for k in range(before.shape[1]):
            if censoring[k] == 1 and propensity[row, k] > 0.0:
                propensity[row, instead] += share * propensity[row, k]
                propensity[row, k] -= share * propensity[row, k]
