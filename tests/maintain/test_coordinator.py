"""An incident is brought from its opening to its end, one phase a call, and every step that fails is taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.inquiries import signal
from homeostat.errors import Conflict
from homeostat.maintain.beside import elsewhere_of, history_of, unanswered
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import HOUR_NS, Coordinator, Pace, Stages
from homeostat.records.changes import ChangeKind
from homeostat.records.edits import Edit, with_body
from homeostat.records.findings import Conclusion, Edge, Finding, Findings
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.plans import (
    Alteration,
    Blast,
    Done,
    Plan,
    Receipt,
    Rehearsed,
    Remedy,
    Ruling,
    Spoke,
    Step,
    Tier,
    Verified,
)
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.signals import Kind, Signal
from homeostat.records.verdicts import Verdict

OPENED = 100 * HOUR_NS
INCIDENT = Incident("i1", "shop", 1, OPENED, OPENED, OPENED, Severity.HIGH, ("s1",))


@dataclass
class World:
    """Stages with fixed answers, and what was done."""

    tier: Tier = Tier.EXECUTE
    steps: int = 1
    verdicts: list[Verdict | None] = field(default_factory=lambda: [Verdict.PASS] * 9)
    conflict: bool = False
    probability: float = 0.9
    looks: int = 0
    done: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)

    def investigate(self, case: Case) -> Findings:
        self.looks += 1
        path = (Edge("field:amount", "fusion", "risks moved"),)
        found = Finding("field:amount", "unit", self.probability, OPENED, path)
        return Findings("i1", case.now_ns, Conclusion.CAUSE, (found,), (("field:amount", "unit", 0.9),), 3)

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        step = Step(
            Remedy.CONVERT, "field:amount", (Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.5}),), None, True, 1.0,
            Rehearsed(5, 4, 6, 100, "replay"), Blast(0.1, 0.1, 1), 0, {}, "cents",
        )  # fmt: skip
        return Plan("i1", case.now_ns, 0.9, 0, (step,) * self.steps)

    def revise(self, case: Case, findings: Findings, plan: Plan, edit: Edit) -> Plan:
        if edit.drop:
            raise ValueError("nothing is left of it")
        (step,) = plan.steps
        made = replace(step, alterations=with_body(step.alterations, edit.body or {}))
        return replace(plan, at_ns=case.now_ns, steps=(made,), by=edit.actor)

    def rule(self, plan: Plan, findings: Findings, history: Sequence[Done], now_ns: int) -> Ruling:
        return Ruling(plan.hash, now_ns, self.tier, (Spoke("confidence", self.tier, 0.9, 0.8, "sure enough"),))

    def act(self, plan: Plan, step: int, by: str, now_ns: int) -> Receipt:
        if self.conflict:
            raise Conflict("ann was faster")
        key = f"{plan.hash}-{step}"
        if key not in self.done:
            self.done.append(key)
        done = plan.steps[step]
        return Receipt(
            plan.hash, step, key, now_ns, by, (step + 1,), remedy=done.remedy, scope=done.scope, cost=done.cost
        )  # fmt: skip

    def undo(self, receipt: Receipt, why: str, now_ns: int) -> Receipt:
        self.undone.append(receipt.key)
        return replace(receipt, undone_ns=now_ns, undone_why=why)

    def judge(self, case: Case, plan: Plan, receipt: Receipt, extended: bool) -> Verified | None:
        verdict = self.verdicts.pop(0)
        if verdict is None:
            return None
        return Verified(receipt.step, case.now_ns, verdict, 0.1, 0.1, 0.1, 0.1, 99, "seen", extended, receipt.key)

    def abandon(self, plan: Plan, step: int, by: str, why: str, now_ns: int) -> Receipt | None:
        return None

    @property
    def coordinator(self) -> Coordinator:
        return Coordinator(Stages(self, lambda: self, self, self, self.judge), Pace(rounds_max=2))


def run(world: World, hours: int = 100, response: Response | None = None, answer: Answer | None = None) -> Response:
    """Call hour after hour; a person answers at once what they are asked."""
    at = response or Response("i1", since_ns=OPENED)
    for hour in range(hours):
        case = Case(INCIDENT, (), (), (), OPENED + hour * HOUR_NS)
        for _ in range(20):
            if answer is not None and at.phase == Phase.RULED and at.plan is not None:
                at = replace(at, approval=Approval(at.plan.hash, answer, "ann", "I looked", case.now_ns))
            further = world.coordinator.advance(at, case, history_of([at]))
            if further is None:
                break
            assert further.revision == at.revision + 1
            at = further
    return at


def test_a_remedy_that_helps_stays() -> None:
    world = World(steps=2)
    found = run(world)
    assert found.phase is Phase.CLOSED and len(world.done) == 2 and not world.undone and not found.handed
    assert [one.step for one in found.receipts] == [0, 1] and len(found.verdicts) == 2
    texts = [line.text for line in found.lines]
    assert texts[1].startswith("found in 3 steps: unit at field:amount (90%)") and "PASS" in texts[-1]


def test_it_waits_until_the_signals_of_one_fault_are_together() -> None:
    assert run(World(), hours=2).phase is Phase.OPEN and run(World(), hours=3).phase is Phase.CLOSED
    once = World(tier=Tier.WATCH)
    assert run(once, hours=2).lines[-1].text == "a first look: nothing is plain yet" and once.looks == 1


def test_a_cause_that_is_plain_at_once_is_not_waited_for() -> None:
    found = run(World(probability=0.99), hours=1)
    assert found.phase is Phase.CLOSED and found.receipts[0].at_ns == OPENED


def test_an_incident_is_looked_at_more_and_more_seldom() -> None:
    world = World(Tier.WATCH)
    pace, waits = Pace(), list[float]()
    for hours in (0, 2, 3, 12, 47, 49, 500):
        waits.append(pace.wait_ns(INCIDENT, OPENED + hours * HOUR_NS) / HOUR_NS)
    assert waits == [1, 1, 1.5, 6, 23.5, 24, 24]
    assert [run(world, hours).rounds for hours in (3, 4, 5)] == [1, 2, 2]  # At most two rounds here.


@pytest.mark.parametrize("verdicts", [[Verdict.FAIL], [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]])
def test_what_does_not_help_is_taken_back_and_handed_to_a_person(verdicts: list[Verdict | None]) -> None:
    world = World(verdicts=[*verdicts, *verdicts])
    found = run(world)
    assert found.handed and world.undone == world.done and not found.standing and found.phase is Phase.CLOSED
    history = history_of([found])  # The gate hears of every round, not of the last plan alone.
    assert len(history) == 2 and [one.verdict for one in history] == [verdicts[-1]] * 2
    assert history[0].remedy is Remedy.CONVERT and history[0].cost == 1.0 and history[0].judged_ns >= history[0].at_ns


def test_an_inconclusive_step_has_as_long_again_once() -> None:
    world = World(verdicts=[None, Verdict.INCONCLUSIVE, None, Verdict.PASS])
    found = run(world)
    assert not world.undone and [one.verdict for one in found.verdicts] == [Verdict.INCONCLUSIVE, Verdict.PASS]


@pytest.mark.parametrize("tier", [Tier.ESCALATE, Tier.WATCH])
def test_nothing_is_done_where_the_gate_does_not_say_execute(tier: Tier) -> None:
    world = World(tier)
    found = run(world)
    assert not world.done and found.phase is Phase.CLOSED and found.rounds == 2
    assert found.handed == (tier is Tier.ESCALATE)


def test_a_person_lets_a_plan_pass_or_not() -> None:
    yes, no = World(Tier.ESCALATE), World(Tier.ESCALATE)
    found = run(yes, answer=Answer.APPROVE)
    assert len(yes.done) == 1 and found.receipts[0].by == "ann" and found.handed
    rejected = run(no, answer=Answer.REJECT)
    assert rejected.phase is Phase.CLOSED and not no.done and rejected.rounds == 2


@dataclass
class Choosing(World):
    """Its plans do not offer again what failed."""

    left_out: list[Collection[tuple[str, str]]] = field(default_factory=list)

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        self.left_out.append(failed)
        made = super().plan(case, findings, failed)
        return replace(made, steps=tuple(one for one in made.steps if (str(one.remedy), one.scope) not in failed))


def test_a_rejected_plan_is_watched_on_and_never_made_again_in_that_incident() -> None:
    world = Choosing(Tier.ESCALATE)
    at = run(world, hours=3)
    assert at.plan is not None and not at.rejected
    no = Approval(at.plan.hash, Answer.REJECT, "ann", "that is no fault", at.since_ns)
    later = looked(world, replace(at, approval=no), 3)
    assert later is not None and later.phase is Phase.OPEN and later.rejected == (("convert", "field:amount"),)
    assert later.lines[-1].text == "ann rejects it: that is no fault; it is watched on"
    world.tier = Tier.EXECUTE
    last = run(world, 90, later)
    assert last.rounds == 2 and not world.done and [sorted(one) for one in world.left_out] == [[], [*later.rejected]]


def comes(id: str, since_h: int, **more: object) -> Signal:
    return replace(signal(f"field:{id}", Kind.UNIT, id=f"{id}-{since_h}", since_ns=OPENED + since_h * HOUR_NS), **more)  # type: ignore[arg-type]


def looked(world: World, at: Response, hour: int, *signals: Signal, closed_ns: int = 0) -> Response | None:
    incident = replace(INCIDENT, closed_ns=closed_ns)
    return world.coordinator.advance(at, Case(incident, signals, (), (), OPENED + hour * HOUR_NS), ())


def test_a_symptom_that_comes_back_within_the_watch_begins_the_same_response_again() -> None:
    world = World(verdicts=[Verdict.PASS, Verdict.PASS])
    done = run(world, hours=3)
    assert done.phase is Phase.CLOSED and done.verdicts[-1].verdict is Verdict.PASS
    old, new = comes("amount", -5), comes("amount", 20)
    assert looked(world, done, 21) is None and looked(world, done, 21, old) is None
    assert looked(world, done, 21, replace(new, still=False)) is None
    assert looked(world, done, 21, new, closed_ns=OPENED + 21 * HOUR_NS) is None
    assert looked(world, done, 3 + 7 * 24, new) is None
    again = looked(world, done, 21, old, new)
    assert again is not None and (again.phase, again.reopened, again.rounds) == (Phase.OPEN, 1, 0)
    assert again.incident == done.incident and again.receipts == done.receipts and again.passed == (done.findings,)
    seen: list[Case] = []
    coordinator = Coordinator(replace(world.coordinator.stages, investigator=Noting(seen, world)), Pace())
    case = Case(INCIDENT, (old, new), (), (), OPENED + 24 * HOUR_NS)
    found = coordinator.advance(again, case, history_of([again]))
    assert found is not None and found.phase is Phase.INVESTIGATED
    assert seen[0].signals == [new] and seen[0].incident.opened_ns == OPENED + 21 * HOUR_NS
    assert [(one.node, one.kind, one.mended) for one in seen[0].elsewhere] == [("field:amount", "unit", True)]
    assert [one.mended for one in elsewhere_of([found], {}, case.now_ns)] == [True, False]
    assert [one.id for one in unanswered([found], {"i1": INCIDENT}, "i2")] == ["i1"]


@dataclass
class Explained:
    """All that is new follows from a known cause."""

    def investigate(self, case: Case) -> Findings:
        return Findings("i1", case.now_ns, Conclusion.NONE, (), (), 1, ("unit at field:amount explains it",))


def test_an_aftermath_is_no_symptom_that_came_back_and_a_later_one_is() -> None:
    world = World()
    done = run(world, hours=3)
    after, later = comes("amount", 20), comes("items", 40)
    again = looked(world, done, 21, after)
    assert again is not None and again.reopened == 1
    explaining = Coordinator(replace(world.coordinator.stages, investigator=Explained()), Pace())
    case = Case(INCIDENT, (after,), (), (), OPENED + 24 * HOUR_NS)
    closed = explaining.advance(again, case, ())
    assert closed is not None and (closed.phase, closed.reopened, closed.again_ns) == (Phase.CLOSED, 0, 0)
    assert (closed.findings, closed.passed, closed.plan) == (done.findings, (), done.plan)
    assert closed.lines[-1].text == "unit at field:amount explains it: no symptom has come back"
    assert looked(world, closed, 41, after) is None
    second = looked(world, closed, 41, after, later)
    assert second is not None and second.reopened == 1 and second.passed == (done.findings,)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, None])
def test_a_response_that_ended_without_a_pass_is_not_begun_again(verdict: Verdict | None) -> None:
    done = run(World(), hours=3)
    last = replace(done, verdicts=() if verdict is None else (replace(done.verdicts[0], verdict=verdict),))
    assert looked(World(), last, 21, comes("amount", 20)) is None


@dataclass
class Noting:
    """Notes the cases that it is given."""

    seen: list[Case]
    world: World

    def investigate(self, case: Case) -> Findings:
        self.seen.append(case)
        return self.world.investigate(case)


def test_an_edited_plan_is_ruled_on_again_and_done_once_a_person_approves_that_one() -> None:
    world = World(Tier.ESCALATE)
    at = run(world, hours=3)
    assert at.plan is not None and at.phase is Phase.RULED
    edit = Edit(at.plan.hash, 0, "ann", "milder", OPENED + 2 * HOUR_NS, body={"at": 0.6})
    made = run(world, 4, replace(at, edits=(edit,)))
    assert made.plan is not None and made.ruling is not None and made.phase is Phase.RULED and not world.done
    assert made.plan.hash != at.plan.hash and made.plan.by == "ann" and made.ruling.plan == made.plan.hash
    assert made.plan.steps[0].alterations[0].body == {"at": 0.6} and made.wished is None
    old = replace(made, approval=Approval(at.plan.hash, Answer.APPROVE, "bob", "I looked", 0))
    assert run(world, 5, old).phase is Phase.RULED and not world.done
    run(world, 5, made, Answer.APPROVE)
    assert world.done == [f"{made.plan.hash}-0"]


def test_an_edit_that_can_t_be_made_leaves_the_plan_as_it_is_and_says_why() -> None:
    world = World(Tier.ESCALATE)
    at = run(world, hours=3)
    assert at.plan is not None
    found = run(world, 4, replace(at, edits=(Edit(at.plan.hash, 0, "ann", "no", OPENED, drop=True),)))
    assert found.plan == at.plan and found.wished is None and found.edits[0].refused == "nothing is left of it"
    assert "the edit by ann can't be made" in found.lines[-1].text and found.phase is Phase.RULED


def test_an_answer_to_another_plan_counts_for_nothing() -> None:
    world = World(Tier.ESCALATE)
    at = run(world, hours=3)
    stale = replace(at, approval=Approval("another", Answer.APPROVE, "ann", "I looked", 0))
    assert not world.done and run(world, 10, stale).phase is Phase.RULED and not world.done


def test_where_somebody_else_was_faster_it_looks_again() -> None:
    world = World(conflict=True)
    found = run(world, hours=4)
    assert found.phase is Phase.OPEN and not world.done and "ann was faster" in found.lines[-1].text


@pytest.mark.long
@given(st.data())
def test_a_call_that_is_made_again_after_a_crash_does_nothing_twice(data: st.DataObject) -> None:
    """A crash is a response that was not stored: the next call begins at the one before it."""
    world = World(steps=2)
    at = Response("i1", since_ns=OPENED)
    case = Case(INCIDENT, (), (), (), OPENED + 3 * HOUR_NS)
    for _ in range(60):
        world.verdicts = [Verdict.PASS]
        further = world.coordinator.advance(at, case, history_of([at]))
        if further is None or at.phase is Phase.CLOSED:
            break
        if not data.draw(st.booleans()):
            at = further
    else:
        return
    assert len(world.done) == len(set(world.done)) == 2 and not world.undone


@dataclass
class Trains(World):
    """A plan to train first; once that has passed, one that alters something."""

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        made = super().plan(case, findings, failed)
        if self.done:
            return made
        (step,) = made.steps
        return replace(made, steps=(replace(step, remedy=Remedy.RETRAIN, alterations=(), job=("train", {})),))

    def act(self, plan: Plan, step: int, by: str, now_ns: int) -> Receipt:
        found = super().act(plan, step, by, now_ns)
        return replace(found, changes=(), job="7") if plan.steps[step].only_trains else found


def test_a_training_that_passed_is_looked_at_again_and_its_version_is_a_plan_of_its_own() -> None:
    world = Trains()
    found = run(world)
    assert found.phase is Phase.CLOSED and not found.handed and world.looks == 3
    assert [(one.remedy, one.job) for one in found.receipts] == [(Remedy.RETRAIN, "7"), (Remedy.CONVERT, "")]
    assert (
        found.standing == found.receipts[1:] and [one.at_ns for one in found.receipts] == [found.receipts[0].at_ns] * 2
    )
    (one,) = elsewhere_of([replace(found, receipts=found.receipts[:1])], {}, OPENED + 99 * HOUR_NS)
    assert not one.acts_ns and not one.mended
    (one,) = elsewhere_of([found], {}, OPENED + 99 * HOUR_NS)
    assert list(one.acts_ns) == [found.receipts[1].at_ns] and one.mended
    failed = run(Trains(verdicts=[Verdict.FAIL] + [Verdict.PASS] * 9))
    assert failed.handed and failed.receipts[0].undone_ns


def test_open_incidents_about_which_nothing_stands_are_beside_one() -> None:
    def incident(id: str, closed_ns: int = 0) -> Incident:
        return Incident(id, "shop", 1, 0, 0, 0, Severity.LOW, (), closed_ns=closed_ns)

    incidents = {one.id: one for one in (incident("own"), incident("open"), incident("mended"), incident("over", 5))}
    receipt = Receipt("p", 0, "p-0", 1, "homeostat", (1,), "")
    responses = [Response("mended", receipts=(receipt,)), Response("open", receipts=(replace(receipt, undone_ns=2),))]
    assert [one.id for one in unanswered(responses, incidents, "own")] == ["open"]
