"""A proposal of an outside assistant is tested, rehearsed and ruled on as if it were our own, and then is a person's.

The tests are those of an investigation, in steps of their own. The remedy has to be one that the app would offer for
that cause. A proposal is never executed: its ruling asks for a person, even where the gate would allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from homeostat.app.responding import means_of
from homeostat.config.tree import App
from homeostat.errors import HomeostatError
from homeostat.maintain.advise.adviser import Tests, lead_of
from homeostat.maintain.contracts import Case, Gate
from homeostat.maintain.gate.limits import WATCHING
from homeostat.maintain.plan.planner import RemedyPlanner
from homeostat.maintain.plan.remedies import offers
from homeostat.ports.rehearsal import Again, CanNotRehearse, Rehearsal
from homeostat.records.advice import Proposal
from homeostat.records.causes import CausalGraph
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.plans import Alteration, Remedy, Ruling, Spoke, Tier
from homeostat.records.response_text import shown_plan, shown_ruling

RULE = "proposal"
_STEPS_MAX = 20


class NoRehearsal:
    """A `Rehearsal` where nothing can be decided again."""

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """Raises CanNotRehearse."""
        raise CanNotRehearse("nothing can be decided again here")


def refused(graph: CausalGraph, kinds: Sequence[str], kind: str, node: str, remedy: str) -> str:
    """A sentence about what is wrong with a proposal before anything is tested; empty where nothing is.

    A segment may be any; other nodes have to be in the app's causal graph.
    """
    if kind not in kinds:
        return f"there is no kind of cause {kind[:40]!r}; known: {', '.join(kinds)}"
    if node not in graph.nodes and not node.startswith("segment:"):
        return f"the app has no node {node[:60]!r}"
    acting = sorted(str(one) for one in Remedy if one not in WATCHING)
    if remedy and remedy not in acting:
        return f"there is no kind of action {remedy[:40]!r}; known: {', '.join(acting)}"
    return ""


def after_tests(
    app: App, proposal: Proposal, case: Case, tests: Tests, gate: Gate, rehearsal: Rehearsal | None = None,
    settings: int = 0, fits: Callable[[Sequence[Alteration]], bool] = lambda alterations: True,
) -> Proposal:  # fmt: skip
    """A proposal after its tests, with the plan of its remedy and the gate's ruling on it where it has one.

    settings : the number of the last change; fits : whether the app could apply alterations
    Raises Unavailable where recent traffic can't be read.
    """
    trial = tests.trial(case, [(proposal.kind, proposal.node)], (), _STEPS_MAX)
    lead = lead_of(trial, proposal.kind, proposal.node, proposal.why)
    finding = next((one.finding for one in trial.tried if one.finding is not None), None)
    if finding is None:
        return replace(proposal, state="not_shown", lead=lead, result="no test shows this cause")
    shown = replace(proposal, state="shown", lead=lead, result="a test shows this cause; a person decides on it")
    if not proposal.remedy:
        return shown
    return _planned(app, shown, case, finding, gate, rehearsal or NoRehearsal(), settings, fits)


def _planned(
    app: App, proposal: Proposal, case: Case, finding: Finding, gate: Gate, rehearsal: Rehearsal, settings: int,
    fits: Callable[[Sequence[Alteration]], bool],
) -> Proposal:  # fmt: skip
    means = means_of(app)
    offered = offers(finding, means)
    wanted = [one for one in offered if str(one.remedy) == proposal.remedy]
    if not wanted:
        names = ", ".join(dict.fromkeys(str(one.remedy) for one in offered))
        return replace(proposal, result=f"a test shows this cause, for which the app has: {names}")
    found = Findings(
        case.incident.id, case.now_ns, Conclusion.CAUSE, (finding,),
        ((finding.node, finding.kind, finding.probability),), 0,
    )  # fmt: skip

    def only(alterations: Sequence[Alteration]) -> bool:
        """The proposed remedy, or none at all."""
        return not alterations or (tuple(alterations) == wanted[0].alterations and fits(alterations))

    try:
        plan = RemedyPlanner(rehearsal, means, settings, only).plan(case, found)
    except HomeostatError as error:
        return replace(proposal, result=f"a test shows this cause; its remedy could not be planned: {error}")
    ruling = for_a_person(gate.rule(plan, found, (), case.now_ns))
    return replace(
        proposal, plan=shown_plan(plan), gate=shown_ruling(ruling),
        result="a test shows this cause; the remedy is a person's to take up",
    )  # fmt: skip


def for_a_person(ruling: Ruling) -> Ruling:
    """A ruling with one more rule: an assistant's proposal asks for a person, whatever the others say.

    >>> for_a_person(Ruling("p", 1, Tier.EXECUTE, ())).tier
    <Tier.ESCALATE: 'escalate'>
    >>> for_a_person(Ruling("p", 1, Tier.WATCH, ())).tier
    <Tier.WATCH: 'watch'>
    """
    spoke = Spoke(RULE, Tier.ESCALATE, 1.0, 0.0, "an outside assistant proposed it, so a person decides")
    tier = Tier.ESCALATE if ruling.tier == Tier.EXECUTE else ruling.tier
    return replace(ruling, tier=tier, rules=(*ruling.rules, spoke))
