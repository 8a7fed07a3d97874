"""Asks the policy for a proposal, within its budget, and goes on with the thresholds where it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from homeostat.decide.contracts import Explorer, Policy
from homeostat.decide.proposals import checked
from homeostat.decide.stages import Limits, Stages, in_proportion
from homeostat.ports import Clock
from homeostat.records.allowance import EVERYTHING, NOTHING
from homeostat.records.arrays import Float
from homeostat.records.decisions import Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback


class Proposing:
    """See the module.

    tell : is given the name of the part and each exception
    """

    def __init__(self, clock: Clock, limits: Limits, tell: Callable[[str, Exception], None]) -> None:
        self._clock, self._limits, self._tell = clock, limits, tell

    def propose(
        self,
        stages: Stages,
        policy: Policy,
        fused: Fused,
        events: EventBatch,
        features: Features,
        chance: Float,
        was: Proposal | None = None,
    ) -> Proposal:
        """The policy's proposal for n events, or that of the stages' thresholds where it fails or is late.

        chance : (n, 2) uniform in [0, 1)
        was : of a decision that is made again, which goes as it went: a policy is late only where it was
        """
        recorded = 0 if was is None else int(np.bitwise_or.reduce(was.fallback))
        bit = recorded & Fallback.POLICY_FAILED
        if bit == 0:
            begun_ns = self._clock.monotonic_ns()
            try:
                proposal = _proposal(stages, policy, fused, events, features, chance, was)
                checked(proposal, len(events), len(stages.actions))
            except Exception as error:  # A policy may be a plug-in: whatever it raises, the decision goes on.
                bit = Fallback.POLICY_FAILED
                self._tell("policy", error)
            else:
                # A late proposal is not used, but the policy remembers it; so it is asked again in recovery too.
                bit = recorded & Fallback.POLICY_LATE if was is not None else self._lateness(len(events), begun_ns)
                if bit == 0:
                    return proposal
        return self._stand_in(stages, fused, events, features, chance, bit)

    def _lateness(self, n: int, begun_ns: int) -> int:
        """The bit of a policy that has taken longer than its budget; 0 of one that has not."""
        limit_ns = in_proportion(self._limits.policy_ns, n, self._limits.rows)
        late = limit_ns is not None and self._clock.monotonic_ns() - begun_ns > limit_ns
        return Fallback.POLICY_LATE * late

    def _stand_in(
        self, stages: Stages, fused: Fused, events: EventBatch, features: Features, chance: Float, bit: int
    ) -> Proposal:
        """The thresholds' proposal; where there are none or they fail too, the first action, which the guard rules."""
        n = len(events)
        flagged = np.full(n, bit, np.uint8)
        if stages.thresholds is not None:
            try:
                proposal = stages.thresholds.propose(fused, events, features, chance)
                checked(proposal, n, len(stages.actions))
                return replace(proposal, fallback=flagged)
            except Exception as error:
                self._tell("thresholds", error)
        propensity = np.zeros((n, len(stages.actions)))
        propensity[:, 0] = 1.0
        return Proposal(np.zeros(n, np.int16), propensity, np.zeros(n, np.uint8), flagged)


def _proposal(
    stages: Stages, policy: Policy, fused: Fused, events: EventBatch, features: Features, chance: Float,
    was: Proposal | None,
) -> Proposal:  # fmt: skip
    """The policy's proposal. Of a shared budget, a decision that is made again has what it had.

    Other processes had a part in whether an event could be explored, so that is a fact of the record, as a late scorer
    is. Both answers are proposed, and each row has the one that was recorded.
    """
    if was is None or stages.allowance is None or not isinstance(policy, Explorer):
        with stages.spending:
            return policy.propose(fused, events, features, chance)
    found = []
    for allowance in (EVERYTHING, NOTHING):
        policy.allow(allowance)
        found.append(policy.propose(fused, events, features, chance))
    policy.allow(stages.allowance)
    granted, refused = found
    plain = (refused.propensity == was.propensity).all(axis=1)
    return Proposal(
        np.where(plain, refused.action, granted.action).astype(np.int16),
        np.where(plain[:, None], refused.propensity, granted.propensity),
        np.where(plain, refused.explored, granted.explored).astype(np.uint8),
        np.where(plain, refused.fallback, granted.fallback).astype(np.uint8),
    )
