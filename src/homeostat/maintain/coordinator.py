"""Advances the response to an incident by one phase a call: investigate, plan, rule, act, verify, undo.

Every call takes a response that is stored and returns the next one, to be stored by compare and set. Its acts go
through the executor, under keys that follow from the plan; so a call that is made again after a crash
does nothing twice. It does no other I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from homeostat.errors import Conflict
from homeostat.maintain.beside import BY, actor_of, next_step, passed_of
from homeostat.maintain.contracts import Case, Executor, Gate, Investigator, Planner
from homeostat.records.edits import Edit
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.incidents import Incident, Phase
from homeostat.records.plans import Done, Plan, Receipt, Ruling, Tier, Verified
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.signals import Signal
from homeostat.records.verdicts import Verdict

HOUR_NS = 3_600_000_000_000
_PASSED_MAX = 3  # Of findings that a response had answered before it began again.
Judge = Callable[[Case, Plan, Receipt, bool], Verified | None]
"""Case, plan, receipt, whether its deadline was moved -> the verdict, or None while it is too early."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes, in event time.

    settle_ns : signals of one fault come one after the other, so an incident is looked at so long after it opened
    plain : before that, it is looked at once, as soon as it opens. Causes that are at least so probable are answered at
        once; a result that is less plain is dropped
    again_ns : an incident that nothing could be done about is looked at again so much later, at most
    soon_ns : and so much later, at least. In between it is half of its age: more traffic soon says more of a young one
    rounds_max : so often
    answer_ns : a person has so long to answer; then the plan is void, and is made again
    watch_ns : a response that ended with PASS is begun again where its symptom comes back within this time
    """

    settle_ns: int = 2 * HOUR_NS
    plain: float = 0.95
    again_ns: int = 24 * HOUR_NS
    soon_ns: int = HOUR_NS
    rounds_max: int = 24
    answer_ns: int = 24 * HOUR_NS
    watch_ns: int = 7 * 24 * HOUR_NS

    def wait_ns(self, incident: Incident, now_ns: int) -> int:
        """How long to wait before an incident is looked at again.

        >>> from homeostat.records.incidents import Severity
        >>> one = Incident("i1", "shop", 1, 0, 0, 0, Severity.LOW, ())
        >>> [Pace().wait_ns(one, hours * HOUR_NS) / HOUR_NS for hours in (0, 5, 200)]
        [1.0, 2.5, 24.0]
        """
        return max(self.soon_ns, min(self.again_ns, (now_ns - incident.opened_ns) // 2))

    def watches(self, response: Response, incident: Incident, now_ns: int) -> bool:
        """Whether a symptom that comes back now begins a closed response again: what was done stands, and passed."""
        last = response.verdicts[-1] if response.verdicts else None
        if last is None or last.verdict != Verdict.PASS or response.phase != Phase.CLOSED or not response.standing:
            return False
        return not incident.closed_ns and now_ns <= last.at_ns + self.watch_ns


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages after incidents. Each plan has a planner of its own, for the settings move."""

    investigator: Investigator
    planner: Callable[[], Planner]
    gate: Gate
    executor: Executor
    judge: Judge


class Coordinator:
    """See the module."""

    def __init__(self, stages: Stages, pace: Pace | None = None) -> None:
        self.stages, self.pace = stages, pace or Pace()

    def advance(self, response: Response, case: Case, history: Sequence[Done]) -> Response | None:
        """The next revision of a response; None where nothing is to be done now.

        history : all that was done, and all that is allowed and pending, for the gate's limits; see `history_of`
        Raises Unavailable where a store is away: then the same call is made again later.
        """
        now = case.now_ns
        if response.phase == Phase.CLOSED:
            return self._returned(response, case)
        if now < response.next_ns:
            return None
        case = _since_it_passed(response, case)
        if case.incident.closed_ns and not response.fresh and response.phase != Phase.VERIFYING:
            return response.to(Phase.CLOSED, now, f"the incident is over: {case.incident.reason or 'signals ended'}")
        match response.phase:
            case Phase.OPEN:
                return self._investigate(response, case)
            case Phase.INVESTIGATED:
                return self._plan(response, case)
            case Phase.PLANNED:
                return self._rule(response, case, history)
            case Phase.RULED:
                return self._go_on(response, case)
            case Phase.ACTING:
                return self._act(response, case, history)
            case _:
                return self._verify(response, case)

    def _returned(self, response: Response, case: Case) -> Response | None:
        """It begins again, where a symptom has come after its remedy had passed; None where none has."""
        now = case.now_ns
        if not self.pace.watches(response, case.incident, now) or not _new(case, response):
            return None
        passed = response.passed if response.findings is None else (*response.passed, response.findings)
        text = "after PASS, a symptom came back: it is looked into again"
        return response.to(
            Phase.OPEN, now, text, findings=None, approval=None, extended=False, rounds=0, again_ns=now,
            reopened=response.reopened + 1, passed=passed[-_PASSED_MAX:],
        )  # fmt: skip

    def _investigate(self, response: Response, case: Case) -> Response | None:
        now, settled = case.now_ns, case.incident.opened_ns + self.pace.settle_ns
        findings = self.stages.investigator.investigate(case)
        if now < settled and not _plain(findings, self.pace.plain):
            return response.to(Phase.OPEN, now, "a first look: nothing is plain yet", settled - now)
        if response.again_ns and response.passed and findings.conclusion == Conclusion.NONE:
            return self._aftermath(response, case, findings)
        return response.to(
            Phase.INVESTIGATED, now, _worded(findings), findings=findings, rounds=response.rounds + 1,
            signals=len(case.signals), symptoms=tuple(one.id for one in case.signals), plan=None, ruling=None,
            approval=None, extended=False,
        )  # fmt: skip

    def _aftermath(self, response: Response, case: Case, findings: Findings) -> Response:
        """No symptom has come back: all that is new follows from the cause that was answered. It is watched on."""
        text = f"{'; '.join(findings.missing) or 'nothing is wrong that is new'}: no symptom has come back"
        *earlier, passed = response.passed
        again_ns = response.receipts[-1].at_ns if earlier and response.receipts else 0
        return response.to(
            Phase.CLOSED, case.now_ns, text, findings=passed, passed=tuple(earlier), again_ns=again_ns,
            reopened=response.reopened - 1, symptoms=(*response.symptoms, *(one.id for one in case.signals)),
        )  # fmt: skip

    def _plan(self, response: Response, case: Case) -> Response:
        assert response.findings is not None, "a plan needs findings"
        failed = {(str(one.remedy), one.scope) for one in response.receipts if one.undone_ns} | {*response.rejected}
        plan = self.stages.planner().plan(case, response.findings, failed)
        return response.to(Phase.PLANNED, case.now_ns, f"plan {plan.hash}: {_steps(plan)}", plan=plan)

    def _rule(self, response: Response, case: Case, history: Sequence[Done]) -> Response:
        plan, findings = response.plan, response.findings
        assert plan is not None and findings is not None, "a ruling needs a plan"
        ruling = self.stages.gate.rule(plan, findings, history, case.now_ns)
        handed = response.handed or ruling.tier == Tier.ESCALATE
        return response.to(
            Phase.RULED, case.now_ns, f"the gate rules {ruling.tier}: {_reasons(ruling)}", ruling=ruling, handed=handed
        )

    def _go_on(self, response: Response, case: Case) -> Response | None:
        """The next step by the ruling, or by a person's answer."""
        now, plan, ruling = case.now_ns, response.plan, response.ruling
        assert plan is not None and ruling is not None, "there is a ruling"
        if response.wished is not None:
            return self._revise(response, case, plan, response.wished)
        if ruling.tier == Tier.EXECUTE:
            return self._begin(response, case)
        if ruling.tier == Tier.ESCALATE:
            answer = response.approval
            if answer is not None and answer.plan == plan.hash:
                if answer.answer == Answer.APPROVE:
                    return self._begin(response, case)
                return self._rejected(response, case, plan, answer)
            offers = any(step.alterations or step.job for step in plan.steps)
            if offers and now < response.since_ns + self.pace.answer_ns:
                return None
        return self._look_again(response, case)

    def _rejected(self, response: Response, case: Case, plan: Plan, answer: Approval) -> Response:
        """Its remedies are never planned again in this incident, which is watched on: others may be."""
        now, last = case.now_ns, response.rounds >= self.pace.rounds_max
        gone = tuple((str(one.remedy), one.scope) for one in plan.acting)
        text = f"{answer.actor} rejects it: {answer.reason}; {'it is closed' if last else 'it is watched on'}"
        return response.to(
            Phase.CLOSED if last else Phase.OPEN, now, text, self.pace.wait_ns(case.incident, now),
            rejected=tuple(dict.fromkeys((*response.rejected, *gone))),
        )  # fmt: skip

    def _revise(self, response: Response, case: Case, plan: Plan, edit: Edit) -> Response:
        """The plan as a person wants it, rehearsed; the gate rules on it next. A line says why it can't be made."""
        assert response.findings is not None, "a plan needs findings"
        try:
            made = self.stages.planner().revise(case, response.findings, plan, edit)
        except ValueError as error:
            edits = (*response.edits[:-1], replace(edit, refused=str(error)))
            text = f"the edit by {edit.actor} can't be made: {error}"
            return response.to(Phase.RULED, case.now_ns, text, edits=edits)
        text = f"plan {made.hash}, edited by {edit.actor}: {_steps(made)}"
        return response.to(Phase.PLANNED, case.now_ns, text, plan=made, ruling=None, approval=None)

    def _look_again(self, response: Response, case: Case) -> Response | None:
        """Investigate again: soon where new signals came, else later; not for ever."""
        now = case.now_ns
        if response.rounds >= self.pace.rounds_max:
            return response.to(Phase.CLOSED, now, "it was looked at often enough; a person has it")
        grown = len(case.signals) > response.signals
        wait = self.pace.wait_ns(case.incident, response.since_ns)
        if now < response.since_ns + (max(self.pace.soon_ns, wait // 2) if grown else wait):
            return None
        return response.to(Phase.OPEN, now, "it is looked at again")

    def _begin(self, response: Response, case: Case) -> Response:
        plan = response.plan
        assert plan is not None, "a step needs a plan"
        if not any(step.alterations or step.job for step in plan.steps):
            return self._nothing_to_do(response, case)
        return response.to(Phase.ACTING, case.now_ns, "")

    def _nothing_to_do(self, response: Response, case: Case) -> Response:
        """A plan to wait or to tell people is carried out by that; what grows is looked at again."""
        wait = self.pace.wait_ns(case.incident, case.now_ns) if response.rounds < self.pace.rounds_max else 0
        phase = Phase.OPEN if wait else Phase.CLOSED
        return response.to(phase, case.now_ns, "nothing is altered, and it is watched", wait)

    def _act(self, response: Response, case: Case, history: Sequence[Done]) -> Response:
        plan, now = response.plan, case.now_ns
        assert plan is not None, "a step needs a plan"
        step = next_step(response, plan)
        by = BY if response.tier == Tier.EXECUTE else actor_of(response)
        if by == BY and (forbidden := self._asked_again(response, plan, step, case, history)) is not None:
            return forbidden
        try:
            receipt = self.stages.executor.act(plan, step, by, now)
        except Conflict as error:
            return response.to(Phase.OPEN, now, f"step {step + 1} could not be done: {error}", self.pace.settle_ns)
        kind = plan.steps[step].remedy
        return response.to(
            Phase.VERIFYING, now, f"{by} does {kind} at {plan.steps[step].scope}",
            receipts=(*response.receipts, receipt), extended=False,
        )  # fmt: skip

    def _asked_again(
        self, response: Response, plan: Plan, step: int, case: Case, history: Sequence[Done]
    ) -> Response | None:  # fmt: skip
        """The gate's ruling on the rest of a plan, where it has come to forbid it since; None where it has not.

        A process that was killed may have done the step already. Then it is taken back.
        """
        findings, now = response.findings, case.now_ns
        assert findings is not None, "a ruling needs findings"
        others = [one for one in history if not (one.pending and one.plan == plan.hash)]
        ruling = self.stages.gate.rule(replace(plan, steps=plan.steps[step:]), findings, others, now)
        rest = any(one.alterations or one.job for one in plan.steps[step:])
        if ruling.tier == Tier.EXECUTE or not rest:
            return None
        text = f"before step {step + 1}, the gate rules {ruling.tier}: {_reasons(ruling)}"
        handed = response.handed or ruling.tier == Tier.ESCALATE
        begun = self.stages.executor.abandon(plan, step, BY, text, now)
        if begun is not None:
            text += "; the step had begun, and is taken back"
            return response.to(Phase.OPEN, now, text, receipts=(*response.receipts, begun), handed=handed)
        return response.to(Phase.RULED, now, text, ruling=replace(ruling, plan=plan.hash), handed=handed, approval=None)

    def _verify(self, response: Response, case: Case) -> Response | None:
        plan, now = response.plan, case.now_ns
        assert plan is not None and response.receipts, "there is a step to verify"
        receipt = response.receipts[-1]
        found = self.stages.judge(case, plan, receipt, response.extended)
        if found is None:
            return None
        verdicts = (*response.verdicts, found)
        if found.verdict == Verdict.PASS:
            more = next_step(response, plan) < len(plan.steps)
            phase = Phase.ACTING if more else Phase.CLOSED
            if not more and plan.steps[receipt.step].only_trains:
                phase = Phase.OPEN  # Its version decides nothing: whether it is to do so is another plan.
            return response.to(phase, now, f"PASS: {found.why}", verdicts=verdicts, extended=False)
        if found.verdict == Verdict.INCONCLUSIVE and not response.extended:
            return response.to(
                Phase.VERIFYING, now, f"INCONCLUSIVE: {found.why}; it has as long again", verdicts=verdicts,
                extended=True,
            )  # fmt: skip
        return self._take_back(response, case, replace(found), verdicts)

    def _take_back(self, response: Response, case: Case, found: Verified, verdicts: tuple[Verified, ...]) -> Response:
        """Undo the last step, at once, and hand the incident to a person."""
        receipt = response.receipts[-1]
        try:
            undone = self.stages.executor.undo(receipt, f"{found.verdict}: {found.why}", case.now_ns)
        except Conflict as error:
            undone = replace(receipt, undone_ns=case.now_ns, undone_why=str(error))
        text = f"{found.verdict}: {found.why}; the step is undone"
        last = response.rounds >= self.pace.rounds_max
        return response.to(
            Phase.CLOSED if last else Phase.OPEN, case.now_ns, text, self.pace.wait_ns(case.incident, case.now_ns),
            receipts=(*response.receipts[:-1], undone), verdicts=verdicts, handed=True,
        )  # fmt: skip


def _new(case: Case, response: Response) -> list[Signal]:
    """The signals that began after the PASS of a closed response, hold on, and make an incident."""
    return [
        one for one in case.signals
        if one.still and one.series.alone and one.since_ns > response.since_ns and one.id not in response.symptoms
    ]  # fmt: skip


def _since_it_passed(response: Response, case: Case) -> Case:
    """The case of a response that began again: what came since its PASS, with what it had answered as known causes."""
    if not response.again_ns:
        return case
    verdicts = [one.at_ns for one in response.verdicts if one.at_ns <= response.again_ns]
    passed_ns = max(verdicts, default=response.again_ns)
    signals = [one for one in case.signals if one.since_ns > passed_ns] or case.signals
    incident = replace(case.incident, opened_ns=max(case.incident.opened_ns, response.again_ns))
    known = [*case.elsewhere, *passed_of(response, case.now_ns)]
    return replace(case, incident=incident, signals=signals, elsewhere=known)


def _steps(plan: Plan) -> str:
    return ", then ".join(f"{one.remedy} at {one.scope}" for one in plan.steps)


def _plain(findings: Findings, least: float) -> bool:
    """Whether causes are so probable, and their evidence so complete, that nothing is to be waited for."""
    found = findings.findings
    return (
        findings.conclusion == Conclusion.CAUSE
        and bool(found)
        and all(one.probability >= least and one.grounded for one in found)
    )


def _worded(findings: Findings) -> str:
    if findings.conclusion == Conclusion.CAUSE:
        named = " and ".join(f"{one.kind} at {one.node} ({one.probability:.0%})" for one in findings.findings)
        return f"found in {findings.steps} steps: {named}"
    if findings.conclusion == Conclusion.NONE:
        return f"nothing is wrong, after {findings.steps} steps"
    return f"inconclusive after {findings.steps} steps: {'; '.join(findings.missing) or 'no cause fits'}"


def _reasons(ruling: Ruling) -> str:
    said = [] if ruling.tier == Tier.EXECUTE else [one.why for one in ruling.rules if one.tier == ruling.tier]
    return "; ".join(said[:3]) or "every rule agrees"
