"""The simulated owner: answers what is handed over after some hours, and approves the right step if it is offered."""

from __future__ import annotations

import numpy as np

from homeostat.records.plans import Plan
from homeostat.records.responses import Answer, Approval
from homeostat.sim.faults.fault import Scenario
from homeostat.sim.faults.traffic import HOUR_NS
from homeostat.stats.chance import uniform

NAME = "owner"


class Owner:
    """One owner in one run.

    approvals : all that were given, which an independent count of actions goes by
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self._seed = scenario, seed
        self._asked: dict[str, int] = {}
        self.approvals: list[Approval] = []

    def answer(self, plan: Plan, asked_ns: int, now_ns: int) -> Approval | None:
        """The answer to a plan, once the hours that it takes are over; None to one that offers nothing to approve."""
        acts = [step.remedy for step in plan.steps if step.alterations or step.job]
        if not acts:
            return None
        drawn = float(uniform(self._seed, np.array([int(plan.hash[:12], 16)]), 307)[0])
        due = self._asked.setdefault(plan.hash, asked_ns + int((1 + 11 * drawn) * HOUR_NS))
        if now_ns < due:
            return None
        right = all(remedy in self.scenario.accepted for remedy in acts)
        approval = Approval(
            plan.hash, Answer.APPROVE if right else Answer.REJECT, NAME,
            "the right step" if right else "not what is wrong here", now_ns,
        )  # fmt: skip
        self.approvals.append(approval)
        return approval
