"""Stored plans, ruled again under other limits: what the gate would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.plans import Done, Ruling, Tier
from homeostat.records.response_text import Ruled
from homeostat.records.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Again:
    """One plan: as it was ruled on, and as it would have been."""

    before: Ruled
    after: Ruling


def ruled_again(
    plans: Sequence[Ruled], limits: Limits, verdicts: Mapping[str, Verdict], history: Sequence[Done] = ()
) -> list[Again]:  # fmt: skip
    """Each plan by its time, with the actions that would have been done before it.

    plans : the oldest first; verdicts : by hash of a plan, the one that it came to in life. A plan that nobody carried
        out has none, so that no failure lowers a level after it
    history : actions from before the first plan
    """
    gate, done, found = LimitsGate(limits), list(history), list[Again]()
    for one in sorted(plans, key=lambda each: each.ruling.at_ns):
        at_ns = one.ruling.at_ns
        after = gate.rule(one.plan, one.findings, done, at_ns)
        found.append(Again(one, after))
        if after.tier == Tier.EXECUTE:
            verdict = verdicts.get(one.plan.hash)
            done += [
                Done(step.remedy, step.scope, at_ns, step.cost, "homeostat", verdict, at_ns, one.plan.hash)
                for step in one.plan.steps
                if step.alterations or step.job
            ]
    return found
