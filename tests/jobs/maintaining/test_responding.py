"""Incidents of a live app are answered phase by phase: exactly once, or handed to a person; never half."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.answering import ALTERED, INCIDENT, LIMITS, NOW, Answering, Given, NoRehearsal, StandingClock, whole
from tests.support.breaking import WRITES, Broken, Killed
from tests.support.dying import Dying, DyingPostgres, DyingSqlite, killed

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.postgres import connections
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.adapters.postgres.plans import PostgresPlans
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.checks.inquiries import HOUR, ONSET, signal
from homeostat.engine.answering import Answering as People
from homeostat.engine.gate_record import GateRecord
from homeostat.errors import Unavailable
from homeostat.jobs.maintaining.responding import LIVE_NS, LeaseLost, Means
from homeostat.maintain.coordinator import Coordinator
from homeostat.maintain.incident.keeping import together
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import FINDINGS, Incident, Phase, Severity
from homeostat.records.plans import Tier
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.signals import Kind
from homeostat.records.verdicts import Verdict

ALL = [f"{one.kind} {one.scope}" for step in ALTERED for one in step]


@contextmanager
def stores(data: Path, given: Given, clock: StandingClock, say=lambda text: None) -> Iterator[Answering]:
    """A process that answers, on the stores of a folder."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(SqliteIncidents(data, app="access")))
        plans = opened.enter_context(closing(SqlitePlans(data, app="access")))
        settings = opened.enter_context(closing(SqliteSettings(data, app="access", clock=clock)))
        record = opened.enter_context(closing(SqliteStatements(data, app="access", clock=clock)))
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record), clock, say)


@contextmanager
def servers(url: str, given: Given, clock: StandingClock) -> Iterator[Answering]:
    """The same on PostgreSQL."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(PostgresIncidents(url, app="access")))
        plans = opened.enter_context(closing(PostgresPlans(url, app="access")))
        settings = opened.enter_context(closing(PostgresSettings(url, app="access")))
        record = opened.enter_context(closing(PostgresStatements(url, app="access")))
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record), clock)


def noticed(one: Answering) -> None:
    """Let an incident be open."""
    one._source.store.write([signal("source", Kind.VOLUME)], [INCIDENT])


def to_its_end(one: Answering, clock: StandingClock, hours: int = 60) -> Response:
    """Hour after hour, until the response is closed."""
    for _ in range(hours):
        one.step(clock.at_ns)
        clock.at_ns += HOUR
        found = one._means.plans.list((), 1)
        if found and found[0].phase == Phase.CLOSED:
            return found[0]
    return one._means.plans.get("i1")


def test_an_incident_is_answered_after_it_settled_and_once(tmp_path: Path) -> None:
    clock, said = StandingClock(ONSET - HOUR), list[str]()
    with stores(tmp_path, Given(), clock, said.append) as one:
        assert one.step(clock.at_ns) == 0
        noticed(one)
        found = to_its_end(one, clock)
        assert found.phase == Phase.CLOSED and [one.verdict for one in found.verdicts] == [Verdict.PASS] * 2
        assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL]
        incident = one._source.store.get("i1")
        assert incident.phase == Phase.INVESTIGATED and incident.notes[FINDINGS]["conclusion"] == "cause"
        assert any("unit at field:amount (95%)" in text for text in said)
        assert one.step(clock.at_ns) == 0 and len(one.given.seen) == 1


def test_what_fails_is_undone_and_handed_to_a_person(tmp_path: Path) -> None:
    clock = StandingClock()
    limits = LIMITS.model_copy(update={"actions_per_day": 2})
    with stores(tmp_path, Given((Verdict.PASS, Verdict.FAIL), limits), clock) as one:
        noticed(one)
        to_its_end(one, clock, 8)
        found = one._means.plans.get("i1")
        assert found.handed and [one.verdict for one in found.verdicts][:2] == [Verdict.PASS, Verdict.FAIL]
        assert whole(one._means.settings.since(0))[:3] == [*((name, True) for name in ALL[:2]), (ALL[2], False)]


def test_an_app_that_declares_no_gate_asks_a_person_and_does_what_they_approve(tmp_path: Path) -> None:
    clock = StandingClock()
    with stores(tmp_path, Given(limits=type(LIMITS)()), clock) as one:
        noticed(one)
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        assert (found.phase, found.tier) == (Phase.RULED, Tier.ESCALATE) and not one._means.settings.last
        assert found.plan is not None
        stranger = Approval("another", Answer.APPROVE, "ann", "I looked", clock.at_ns)
        one._means.plans.write(replace(found, revision=found.revision + 1, approval=stranger))
        one.step(clock.at_ns)
        assert not one._means.settings.last
        found = one._means.plans.get("i1")
        assert found.plan is not None
        word = replace(stranger, plan=found.plan.hash)
        People(one._means.plans, one._means.settings, one._means.record, LIMITS).answer("i1", word)
        done = to_its_end(one, clock)
        assert done.phase == Phase.CLOSED and {one.by for one in done.receipts} == {"ann"}
        assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL]


def test_the_kill_switch_stops_between_two_steps(tmp_path: Path) -> None:
    clock, given = StandingClock(), Given()
    with stores(tmp_path, given, clock) as one:
        noticed(one)
        given.judge = lambda *_: None  # type: ignore[method-assign] - it is too early for a verdict.
        one.step(clock.at_ns)
        assert one._means.plans.get("i1").phase == Phase.VERIFYING
        given.limits = LIMITS.model_copy(update={"stop": True})
        del given.judge
        to_its_end(one, clock, 3)
        found = one._means.plans.get("i1")
        assert found.tier == Tier.ESCALATE and found.handed
        assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL[:2]]


def test_the_switch_on_record_stops_between_two_steps_at_once_and_lets_go_on(tmp_path: Path) -> None:
    clock, given = StandingClock(), Given()
    with stores(tmp_path, given, clock) as one:
        noticed(one)
        given.judge = lambda *_: None  # type: ignore[method-assign] - it is too early for a verdict.
        one.step(clock.at_ns)
        assert one._means.plans.get("i1").phase == Phase.VERIFYING
        with closing(SqliteStatements(tmp_path, app="access", clock=clock)) as other:  # Of another process.
            GateRecord(other).turn(True, "ann", "stop it")
            del given.judge
            to_its_end(one, clock, 3)
            found = one._means.plans.get("i1")
            assert found.tier == Tier.ESCALATE and found.handed
            assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL[:2]]
            GateRecord(other).turn(False, "ann", "all is well")
        later = to_its_end(one, clock).lines[len(found.lines) :]
        assert any("the gate rules execute" in line.text for line in later)


def test_the_switch_holds_from_the_ruling_to_the_very_act(tmp_path: Path) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given(), clock, said.append) as one:
        noticed(one)
        coordinator = one._coordinator

        def turned() -> Coordinator:
            made = coordinator()  # With the limits of before.
            one._permits.record.turn(True, "ann", "stop it")
            return made

        one._coordinator = turned  # type: ignore[method-assign]
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        assert (found.phase, found.tier) == (Phase.RULED, Tier.ESCALATE) and found.waits and found.handed
        assert not one._means.settings.last and any("the kill switch is on" in text for text in said)
        assert found.ruling is not None and found.ruling.rules[-1].rule == "record"


def forged_ruling(found: Response) -> Response:
    assert found.ruling is not None
    return replace(found, ruling=replace(found.ruling, tier=Tier.EXECUTE))


def forged_plan(found: Response) -> Response:
    assert found.plan is not None and found.ruling is not None
    plan = replace(found.plan, steps=found.plan.steps[1:])
    return replace(found, plan=plan, ruling=replace(found.ruling, plan=plan.hash, tier=Tier.EXECUTE))


def forged_findings(found: Response) -> Response:
    assert found.findings is not None
    sure = replace(found.findings, findings=tuple(replace(one, probability=0.99) for one in found.findings.findings))
    return replace(found, findings=sure, phase=Phase.INVESTIGATED, plan=None, ruling=None)


def forged_phase(found: Response) -> Response:
    return replace(found, phase=Phase.ACTING)


@pytest.mark.parametrize("forge", [forged_ruling, forged_plan, forged_findings, forged_phase])
def test_a_response_that_was_changed_in_its_store_allows_nothing(
    tmp_path: Path, forge: Callable[[Response], Response]
) -> None:
    clock, given = StandingClock(), Given(limits=type(LIMITS)())
    with stores(tmp_path, given, clock) as one:
        noticed(one)
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        assert (found.phase, found.tier) == (Phase.RULED, Tier.ESCALATE)
        one._means.plans.write(replace(forge(found), revision=found.revision + 1))
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        assert found.tier == Tier.ESCALATE and not one._means.settings.last
        assert any("not what is on record" in line.text for line in found.lines) and len(given.seen) == 2


def test_a_failure_that_was_taken_out_of_the_store_counts_though_the_response_went_on(tmp_path: Path) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given((Verdict.FAIL,), LIMITS.model_copy(update={"actions_per_day": 2})), clock) as one:
        noticed(one)
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        assert found.phase == Phase.OPEN and found.receipts[0].undone_ns
        forged = replace(found, revision=found.revision + 1, receipts=(), verdicts=())
        one._means.plans.write(forged)
        acted = len(one._means.settings.since(0))
        clock.at_ns += 2 * HOUR
        one.given.verdicts = (Verdict.PASS,)
        one.step(clock.at_ns)
        assert one._means.plans.get("i1").revision > forged.revision  # The record goes on from what was forged.
        one._source.store.write([], [replace(INCIDENT, id="i2")])
    with stores(tmp_path, Given(), clock, said.append) as one:
        for _ in range(3):
            one.step(clock.at_ns)
            clock.at_ns += HOUR // 60
        made = [each for each in one._means.settings.since(0)[acted:] if not each.reverts]
        assert not made and any("not what is on record" in text for text in said), said


def test_a_record_that_was_removed_lets_nothing_be_done_by_itself(tmp_path: Path) -> None:
    """With it go a kill switch, rejections and what failed; the settings say that there was one."""
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given(limits=LIMITS.model_copy(update={"actions_per_day": 9})), clock) as one:
        noticed(one)
        assert to_its_end(one, clock).phase == Phase.CLOSED
        before = one._means.settings.last
    (tmp_path / "statements.db").unlink()
    (tmp_path / "plans.db").unlink()
    clock.at_ns += HOUR
    with stores(tmp_path, Given(limits=LIMITS.model_copy(update={"actions_per_day": 9})), clock, said.append) as one:
        one._source.store.write([], [replace(INCIDENT, id="i2")])
        for _ in range(3):
            one.step(clock.at_ns)
            clock.at_ns += HOUR // 60
        assert one._means.settings.last == before and any("which was lost" in text for text in said), said
        found = one._means.plans.get("i2")
        assert found.waits and found.handed  # A person may let it be done.


def rejected_once(one: Answering, clock: StandingClock) -> Response:
    """A plan that a person was asked about, and rejected."""
    noticed(one)
    one.step(clock.at_ns)
    found = one._means.plans.get("i1")
    assert found.plan is not None and found.phase == Phase.RULED
    word = Approval(found.plan.hash, Answer.REJECT, "ann", "the feed is right", clock.at_ns)
    People(one._means.plans, one._means.settings, one._means.record, LIMITS).answer("i1", word)
    one.step(clock.at_ns)
    return one._means.plans.get("i1")


@pytest.mark.parametrize("forgotten", ["nothing", "the answer", "the plan"])
def test_a_rejected_remedy_is_not_done_whatever_the_store_of_plans_says(tmp_path: Path, forgotten: str) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given(limits=type(LIMITS)()), clock, said.append) as one:
        found = rejected_once(one, clock)
        assert found.phase == Phase.OPEN and found.rejected == (("convert", "field:0"), ("convert", "field:1"))
        assert found.plan is not None
        if forgotten == "the answer":
            one._means.plans.write(replace(found, revision=found.revision + 1, rejected=()))
    if forgotten == "the plan":
        with closing(sqlite3.connect(tmp_path / "plans.db")) as db, db:
            db.execute("DELETE FROM ruled_plans")
    with stores(tmp_path, Given(), clock, said.append) as one:  # The gate would let it be done now.
        for _ in range(30):
            clock.at_ns += HOUR
            one.step(clock.at_ns)
        assert not one._means.settings.last
        why = {"nothing": "a person has rejected convert", "the plan": "a person has rejected plan"}
        assert any(why.get(forgotten, "not what is on record") in text for text in said), said[-5:]


def test_a_symptom_that_comes_back_after_pass_begins_the_same_response_again(tmp_path: Path) -> None:
    clock, said = StandingClock(), list[str]()
    given = Given()
    with stores(tmp_path, given, clock, said.append) as one:
        noticed(one)
        done = to_its_end(one, clock)
        assert done.phase == Phase.CLOSED and done.verdicts[-1].verdict == Verdict.PASS
        assert one.step(clock.at_ns) == 0
        back = replace(signal("source", Kind.VOLUME, "total"), since_ns=clock.at_ns, at_ns=clock.at_ns)
        incident = one._source.store.get("i1")
        ids = (*incident.signals, back.id)
        one._source.store.write([back], [replace(incident, revision=incident.revision + 1, signals=ids)])
        clock.at_ns += HOUR
        one.step(clock.at_ns)
        again = one._means.plans.get("i1")
        assert (again.reopened, again.rounds) == (1, 1) and [each.id for each in given.seen[-1].signals] == [back.id]
        assert any("a symptom came back" in text for text in said)
        assert len(one._means.plans.list((), 9)) == 1


@pytest.mark.parametrize("hides", ["failure", "response"])
def test_what_was_done_counts_though_the_store_of_plans_forgets_it(tmp_path: Path, hides: str) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given((Verdict.FAIL,), LIMITS.model_copy(update={"actions_per_day": 2})), clock) as one:
        noticed(one)
        to_its_end(one, clock, 4)
        found = one._means.plans.get("i1")
        assert found.verdicts and one._means.settings.last
        before = len(one._means.settings.since(0))
    if hides == "failure":
        with stores(tmp_path, Given(), clock) as one:
            one._means.plans.write(replace(found, revision=found.revision + 1, verdicts=(), receipts=()))
    else:
        (tmp_path / "plans.db").unlink()
    with stores(tmp_path, Given(), clock, said.append) as one:
        incident = replace(INCIDENT, id="i2")
        one._source.store.write([], [incident])
        for _ in range(4):
            one.step(clock.at_ns)
            clock.at_ns += HOUR // 60
        acted = [one for one in one._means.settings.since(0)[before:] if not one.reverts]
        assert not acted and any("not what is on record" in text for text in said), said


def test_a_receipt_that_was_made_up_undoes_nothing_of_other_people(tmp_path: Path) -> None:
    clock = StandingClock()
    with stores(tmp_path, Given((Verdict.FAIL,)), clock) as one:
        theirs = one._means.settings.append(
            Change(ChangeKind.LEARNING, "fusion", {"on": False}, "bob", "odd labels"), None
        )
        noticed(one)
        one.given.judge = lambda *_: None  # type: ignore[method-assign]
        one.step(clock.at_ns)
        found = one._means.plans.get("i1")
        made_up = replace(found.receipts[0], changes=(theirs.number,))
        one._means.plans.write(replace(found, revision=found.revision + 1, receipts=(made_up,)))
        del one.given.judge
        to_its_end(one, clock, 3)
        assert not any(one.reverts == theirs.number for one in one._means.settings.since(0))


def test_a_recording_is_planned_for_and_nothing_is_carried_out(tmp_path: Path) -> None:
    clock, said = StandingClock(NOW + 2 * LIVE_NS), list[str]()
    with stores(tmp_path, Given(), clock, said.append) as one:
        noticed(one)
        for _ in range(5):
            one.step(NOW)
        found = one._means.plans.get("i1")
        assert (found.phase, found.tier) == (Phase.RULED, Tier.EXECUTE) and not one._means.settings.last
        assert sum("none is carried out" in text for text in said) == 1


@pytest.mark.parametrize("jump", [-30 * HOUR, -2 * HOUR, 20 * HOUR, 400 * 24 * HOUR])
def test_a_clock_that_jumps_at_any_phase_does_nothing_twice_and_leaves_nothing_half(tmp_path: Path, jump: int) -> None:
    for at in range(6):
        data, clock = tmp_path / str(at), StandingClock()
        data.mkdir()
        with stores(data, Given(), clock) as one:
            noticed(one)
            for hour in range(40):
                reached = NOW + hour * HOUR
                clock.at_ns = reached + (jump if at <= hour < at + 3 else 0)
                one.step(reached)
            found = one._means.plans.get("i1")
            names = whole(one._means.settings.since(0))
            assert found.phase == Phase.CLOSED and names == [(name, True) for name in ALL], (at, jump)


@pytest.mark.long
@pytest.mark.parametrize("error", [Killed, Unavailable])
@pytest.mark.parametrize("verdicts", [(Verdict.PASS,), (Verdict.PASS, Verdict.FAIL)])
def test_a_process_that_ends_at_any_store_leaves_what_one_without_a_break_leaves(
    tmp_path: Path, error: type[BaseException], verdicts: tuple[Verdict, ...]
) -> None:
    wanted: list[tuple[str, bool]] = []
    for left in (1 << 30, *range(100)):
        data = tmp_path / str(left)
        data.mkdir()
        clock = StandingClock()
        given = Given(verdicts, LIMITS.model_copy(update={"actions_per_day": 2}))
        with stores(data, given, clock) as one:
            noticed(one)
        Broken.left = left
        for _ in range(12):  # Each is a process of its own, an hour later.
            with stores(data, given, clock) as one:
                means = one._means
                one._means = replace(
                    means, plans=Broken(means.plans, WRITES, error), settings=Broken(means.settings, WRITES, error)
                )
                with suppress(Killed):
                    one.step(clock.at_ns)
                clock.at_ns += HOUR
        with stores(data, given, clock) as one:
            found = whole(one._means.settings.since(0))
            wanted = wanted or found
            assert found == wanted, left
            response = one._means.plans.get("i1")
            assert response.phase == Phase.CLOSED or response.handed
        if left < 1 << 30 and Broken.left >= 0:
            break  # Nothing was away: the walk has come to its end.
    assert 20 < left < 99
    assert len(wanted) == 3 and all(still for _, still in wanted[:2])


@pytest.mark.long
def test_kill_9_between_any_two_statements_of_the_files_leaves_nothing_half(tmp_path: Path, monkeypatch) -> None:
    opened = sqlite3.connect

    def connect(*given, **more):
        dies = any(name in str(given[0]) for name in ("plans.db", "settings.db"))
        return opened(*given, **(more | {"factory": DyingSqlite} if dies else more))

    monkeypatch.setattr(sqlite3, "connect", connect)
    left, ended = 0, False
    while not ended:
        data = tmp_path / str(left)
        data.mkdir()
        with stores(data, Given(), StandingClock()) as one:
            noticed(one)
        clock = StandingClock()

        def work(data: Path = data) -> None:
            with stores(data, Given(), StandingClock()) as one:
                one.step(NOW)

        ended = not killed(work, left)
        Dying.left = 1 << 30
        with stores(data, Given(), clock) as one:
            assert to_its_end(one, clock).phase == Phase.CLOSED
            assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL], left
        left += 3
    assert left > 60


@pytest.mark.long
def test_kill_9_on_servers_leaves_nothing_half(postgres, monkeypatch) -> None:
    from tests.support.databases import ready_database

    monkeypatch.setattr(connections, "BoundedConnection", DyingPostgres)
    left, ended = 0, False
    while not ended:
        with ready_database(postgres.url) as url:
            with servers(url, Given(), StandingClock()) as one:
                noticed(one)

            def work(url: str = url) -> None:
                with servers(url, Given(), StandingClock()) as one:
                    one.step(NOW)

            ended = not killed(work, left)
            Dying.left = 1 << 30
            clock = StandingClock()
            with servers(url, Given(), clock) as one:
                assert to_its_end(one, clock).phase == Phase.CLOSED
                assert whole(one._means.settings.since(0)) == [(name, True) for name in ALL], left
        left += 11
    assert left > 30


@pytest.mark.long
def test_of_two_at_once_one_acts_whatever_they_do_in_turn(tmp_path: Path) -> None:
    for turn in range(24):
        data = tmp_path / str(turn)
        data.mkdir()
        clock = StandingClock()
        with stores(data, Given(), clock) as first, stores(data, Given(), clock) as second:
            noticed(first)
            calls = 0
            plans = first._means.plans

            def interrupted(response: Response, turn: int = turn, plans: Any = plans, second: Any = second) -> None:
                nonlocal calls
                calls += 1
                if calls == turn // 2 and turn % 2:
                    second.step(clock.at_ns)  # It comes in just before the first one stores what it has done.
                plans.write(response)
                if calls == turn // 2 and not turn % 2:
                    second.step(clock.at_ns)

            seen: Any = SimpleNamespace(
                write=interrupted, get=plans.get, list=plans.list, raised=plans.raised, ruled=plans.ruled
            )
            first._means = replace(first._means, plans=seen)
            assert to_its_end(first, clock).phase == Phase.CLOSED
            assert whole(second._means.settings.since(0)) == [(name, True) for name in ALL], turn


def test_another_process_that_has_taken_over_ends_the_answer(tmp_path: Path) -> None:
    clock = StandingClock()
    with stores(tmp_path, Given(), clock) as one:
        noticed(one)

        def lost() -> None:
            raise LeaseLost

        one._keep = lost
        with pytest.raises(LeaseLost):
            one.step(clock.at_ns)
        assert not one._means.plans.list(())


def test_a_part_that_fails_holds_up_its_own_incident_alone(tmp_path: Path) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given(), clock, said.append) as one:
        noticed(one)
        one._source.store.write([], [replace(INCIDENT, id="i0", opened_ns=ONSET - HOUR)])
        investigate = one.given.investigate

        def fails(case: Any) -> Any:
            if case.incident.id == "i0":
                raise ZeroDivisionError("a hypothesis of somebody's")
            return investigate(case)

        one.given.investigate = fails  # type: ignore[method-assign]
        assert to_its_end(one, clock, 5).phase == Phase.CLOSED
        assert any("i0 waits: ZeroDivisionError" in text for text in said)


def test_a_store_that_is_away_is_tried_again_later_and_ends_nothing(tmp_path: Path) -> None:
    clock, said = StandingClock(), list[str]()
    with stores(tmp_path, Given(), clock, said.append) as one:
        noticed(one)
        settings = one._means.settings

        def away(*_: object) -> Any:
            raise Unavailable("the server is away")

        one._means = replace(one._means, settings=SimpleNamespace(since=away))  # type: ignore[arg-type]
        one._cases = replace(one._cases, settings=one._means.settings)
        assert one.step(clock.at_ns) == 0 and one.step(clock.at_ns) == 0
        assert one.trouble and sum("incidents wait" in text for text in said) == 1
        one._means = replace(one._means, settings=settings)
        one._cases = replace(one._cases, settings=settings)
        assert to_its_end(one, clock).phase == Phase.CLOSED and not one.trouble


def test_who_is_slower_than_a_person_stores_no_findings(tmp_path: Path) -> None:
    clock = StandingClock()
    with stores(tmp_path, Given(), clock) as one:
        noticed(one)
        investigate = one.given.investigate

        def slow(case: Any) -> Any:
            one._source.store.write([], [INCIDENT.closed("it is over", ONSET + 1)], "ann")
            return investigate(case)

        one.given.investigate = slow  # type: ignore[method-assign]
        one.step(clock.at_ns)
        incident = one._source.store.get("i1")
        assert incident.phase == Phase.CLOSED and FINDINGS not in incident.notes


def test_a_change_of_somebody_else_makes_it_look_again(tmp_path: Path) -> None:
    clock, given = StandingClock(), Given()
    with stores(tmp_path, given, clock) as one:
        noticed(one)
        plan = given.plan

        def raced(case: Any, findings: Any, failed: Any = ()) -> Any:
            made = plan(case, findings)
            if not one._means.settings.last:
                one._means.settings.append(
                    Change(ChangeKind.LATENESS, "app", {"lateness": "3h"}, "ann", "I know better"), None
                )
            return replace(made, settings=0)

        given.plan = raced  # type: ignore[method-assign]
        one.step(clock.at_ns)
        changes = one._means.settings.since(0)
        ours = [one for one in changes if one.actor == "homeostat"]
        assert len(ours) == 2 and ours[1].reverts == ours[0].number  # The first half is taken back.
        assert one._means.plans.get("i1").phase == Phase.OPEN


def test_the_loop_keeps_findings_that_came_while_it_worked() -> None:
    theirs = INCIDENT.investigated({"conclusion": "none"}, ONSET + HOUR)
    ours = Incident("i1", "access", 2, ONSET, ONSET + 2, ONSET, Severity.HIGH, ("a", "b"), notes={"impact": "measured"})
    both = together(ours, theirs)
    assert both is not None and both.phase == Phase.INVESTIGATED and both.severity == Severity.HIGH
    assert both.notes == {"impact": "measured", FINDINGS: {"conclusion": "none"}} and both.revision == 3
