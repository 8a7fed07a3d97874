"""People answer and edit the plans of a live app; all that is done is on record, and is counted from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.answering import INCIDENT, NOW, Answering, Given, NoRehearsal, StandingClock, whole

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.checks.inquiries import HOUR, signal
from homeostat.config.gate import GateSpec
from homeostat.engine.answering import Answering as People
from homeostat.engine.unauthorised import Counted, count
from homeostat.jobs.maintaining.responding import Means
from homeostat.maintain.contracts import Case
from homeostat.ports.plans import AnswerVoid
from homeostat.records.edits import Edit, with_body
from homeostat.records.findings import Findings
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Tier
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.signals import Kind
from homeostat.records.statements import StatementKind

SPEC = GateSpec(level="full", four_eyes=("convert",))


class Editable(Given):
    """Its plan can be edited."""

    def revise(self, *given: object) -> Plan:
        """The first alteration with other values."""
        case, _, plan, edit = given
        assert isinstance(case, Case) and isinstance(plan, Plan) and isinstance(edit, Edit)
        first = replace(plan.steps[0], alterations=with_body(plan.steps[0].alterations, edit.body or {}))
        return replace(plan, at_ns=case.now_ns, steps=(first, *plan.steps[1:]), by=edit.actor)


class Desk:
    """The process that answers, and the people beside it."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.clock = StandingClock()
        incidents = opened.enter_context(closing(SqliteIncidents(folder, app="access")))
        self.plans = opened.enter_context(closing(SqlitePlans(folder, app="access")))
        self.settings = opened.enter_context(closing(SqliteSettings(folder, app="access", clock=self.clock)))
        self.record = opened.enter_context(closing(SqliteStatements(folder, app="access", clock=self.clock)))
        self.people = People(self.plans, self.settings, self.record, SPEC)
        means = Means(self.plans, self.settings, NoRehearsal(), self.record)
        self.loop = Answering(Editable(limits=SPEC), incidents, means, self.clock)
        incidents.write([signal("source", Kind.VOLUME)], [INCIDENT])

    def go_on(self, hours: int = 1) -> Response:
        for _ in range(hours):
            self.loop.step(self.clock.at_ns)
            self.clock.at_ns += HOUR
        return self.plans.get("i1")

    def approve(self, plan: Plan, who: str) -> None:
        self.people.answer("i1", Approval(plan.hash, Answer.APPROVE, who, "I looked", self.clock.at_ns))

    @property
    def counted(self) -> Counted:
        words = self.record.list(StatementKind.APPROVAL)
        return count(self.settings.since(0), words, self.plans.ruled(0), SPEC)


@contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    with ExitStack() as opened:
        yield Desk(folder, opened)


def test_a_plan_is_edited_approved_by_a_second_person_and_done_as_edited(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        first = desk.go_on().plan
        assert first is not None
        edit = Edit(first.hash, 0, "ann", "milder", desk.clock.at_ns, body={"at": 0.8})
        desk.people.edit("i1", edit)
        found = desk.go_on()
        assert found.plan is not None and (found.phase, found.tier) == (Phase.RULED, Tier.ESCALATE)
        assert found.plan.by == "ann" and found.plan.hash != first.hash and desk.settings.last == 0
        for plan, who in ((first, "bob"), (found.plan, "ann"), (found.plan, "homeostat")):
            with pytest.raises(AnswerVoid):
                desk.approve(plan, who)
        desk.approve(found.plan, "bob")
        assert desk.go_on(4).phase == Phase.CLOSED
        changes = desk.settings.since(0)
        assert changes[0].body == {"at": 0.8} and {one.actor for one in changes} == {"bob through homeostat"}
        assert len(whole(changes)) == 3
        words = [(one.topic, one.actor) for one in desk.record.list(StatementKind.APPROVAL)]
        assert words == [("approve", "bob"), ("edit", "ann")]
        assert (desk.counted.steps, desk.counted.approved, desk.counted.unauthorised) == (2, 2, [])


def test_an_answer_or_an_edit_that_was_put_into_the_store_past_the_record_does_nothing(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        found = desk.go_on()
        assert found.plan is not None
        forged = Approval(found.plan.hash, Answer.APPROVE, "mallory", "trust me", NOW)
        desk.plans.write(replace(found, revision=found.revision + 1, approval=forged))
        found = desk.go_on(4)
        assert desk.settings.last == 0 and desk.counted.unauthorised == []
        assert found.plan is not None
        edit = Edit(found.plan.hash, 0, "homeostat", "milder", NOW, body={"at": 0.8})
        desk.plans.write(replace(found, revision=found.revision + 1, phase=Phase.RULED, approval=None, edits=(edit,)))
        found = desk.go_on(4)
        assert desk.settings.last == 0 and found.plan is not None and found.plan.by == "homeostat"


def test_a_process_that_dies_between_the_record_and_the_store_answers_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk_in(tmp_path) as desk:
        found = desk.go_on()
        assert found.plan is not None
        with monkeypatch.context() as patch:
            patch.setattr(SqlitePlans, "write", lambda self, response: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                desk.approve(found.plan, "ann")
        assert desk.plans.get("i1").approval is None and desk.settings.last == 0
        desk.clock.at_ns += 1
        desk.approve(found.plan, "ann")
        assert len(desk.record.list(StatementKind.APPROVAL)) == 1
        assert desk.go_on(4).phase == Phase.CLOSED and desk.counted.unauthorised == []


def test_nobody_is_asked_twice_for_findings_of_a_plan_that_is_edited(tmp_path: Path) -> None:
    with desk_in(tmp_path) as desk:
        found = desk.go_on()
        assert found.plan is not None and isinstance(found.findings, Findings)
        edit = Edit(found.plan.hash, 0, "ann", "milder", desk.clock.at_ns, body={"at": 0.8})
        desk.people.edit("i1", edit)
        assert desk.go_on().findings == found.findings and len(desk.loop.given.seen) == 1
