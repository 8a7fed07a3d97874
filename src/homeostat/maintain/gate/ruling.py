"""The gate: it asks each rule of the table, and does what the most careful of them asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.rules import RULES, Asked
from homeostat.records.findings import Findings
from homeostat.records.plans import Done, Plan, Remedy, Ruling, Spoke, Tier

CARE = (Tier.EXECUTE, Tier.WATCH, Tier.ESCALATE)
"""From the least careful: to wait loses time, and not to ask loses more."""


@dataclass(frozen=True, slots=True)
class LimitsGate:
    """See `contracts.Gate`: the same plan, findings, history and time have the same ruling."""

    limits: Limits

    def rule(self, plan: Plan, findings: Findings, history: Sequence[Done], now_ns: int) -> Ruling:
        """Every rule speaks, also after one has forbidden. A plan that alters nothing needs no permission.

        >>> from homeostat.records.findings import Conclusion
        >>> found = Findings("i1", 0, Conclusion.NONE, (), (), 3)
        >>> str(LimitsGate(Limits()).rule(Plan("i1", 0, 0.9, 0, ()), found, (), 0).tier)
        'watch'
        """
        acting = [step for step in plan.steps if step.alterations or step.job]
        if not acting:
            return Ruling(plan.hash, now_ns, *_alters_nothing(plan))
        asked = Asked(plan, acting, findings, history, now_ns, self.limits)
        spoke: list[Spoke] = []
        for rule in RULES:
            found = rule(asked)
            spoke += [found] if isinstance(found, Spoke) else found
        return Ruling(plan.hash, now_ns, max((one.tier for one in spoke), key=CARE.index), tuple(spoke))


def _alters_nothing(plan: Plan) -> tuple[Tier, tuple[Spoke, ...]]:
    asks = any(step.remedy == Remedy.ESCALATE for step in plan.steps)
    tier, why = (Tier.ESCALATE, "the plan asks for a person") if asks else (Tier.WATCH, "the plan alters nothing")
    return tier, (Spoke("nothing_altered", tier, float(asks), 0.0, why),)
