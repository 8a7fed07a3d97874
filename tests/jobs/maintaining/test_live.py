"""A live app whose amounts are suddenly in cents is mended by itself: noticed, investigated, rehearsed, acted on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.support.answering import NoRehearsal, StandingClock
from tests.support.watched_app import HOUR_S, START_S, app_file, decide, events_of

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.engine.assembly import open_engine, prepare
from homeostat.engine.stores import stores_in
from homeostat.errors import Unavailable
from homeostat.jobs.maintaining.answering import Answering
from homeostat.jobs.maintaining.rehearsal_process import Place, RehearsalProcess, rehearsal_at
from homeostat.jobs.maintaining.responding import Means, Responding
from homeostat.jobs.maintaining.role import PHASES, RoleProcess
from homeostat.jobs.maintaining.running import Maintaining, Setting
from homeostat.jobs.maintaining.source import source_in
from homeostat.ports.rehearsal import CanNotRehearse, Rehearsal
from homeostat.records.changes import ChangeKind
from homeostat.records.incidents import Phase
from homeostat.records.plans import Alteration, Tier
from homeostat.records.verdicts import Verdict

HOURS, BROKEN = 24 * 12, 24 * 10
GATE = "gate: {level: full, blast: {decisions: 1, entities: 1}}"


def at_ns(hour: float) -> int:
    """An hour of the record."""
    return int((START_S + hour * HOUR_S) * 1e9)


@pytest.fixture(scope="module")
def made(noticed: Path, tmp_path_factory) -> Path:
    """A copy of that folder, in which tests go on one after the other."""
    return copytree(noticed, tmp_path_factory.mktemp("answered") / "live")


@pytest.fixture(scope="module")
def noticed(tmp_path_factory) -> Path:
    """A folder with an app's file that lets everything be done, and a data folder in which the fault was noticed."""
    folder = tmp_path_factory.mktemp("live")
    app = app_file(folder)
    app.write_text(app.read_text().replace("remembers: 1000", f"remembers: 1000, {GATE}"))
    decide(folder / "data", app, range(HOURS), BROKEN)
    prepared = prepare(app)
    with closing(SqliteIncidents(folder / "data", app="watched")) as store:
        one = Maintaining(
            Setting(
                prepared.app, store, lambda: source_in(folder / "data", prepared, store), "one", SystemClock()
            )
        )  # fmt: skip
        while (step := one.turn()) is not None and not step.at_end:
            pass
        one.turn(last=True)
        one.close()
        assert [kept.incident.phase for kept in store.list((), 9)] == [Phase.OPEN]
    return folder


@contextmanager
def answering(made: Path, clock: StandingClock, rehearsal: Rehearsal, said: list[str]) -> Iterator[Responding]:
    """The answers of the folder's app."""
    data, prepared = made / "data", prepare(made / "watched.yaml")
    with ExitStack() as opened:
        store = opened.enter_context(closing(SqliteIncidents(data, app="watched")))
        source = opened.enter_context(source_in(data, prepared, store))
        settings = opened.enter_context(closing(stores_in(data, "watched", clock))).settings
        plans = opened.enter_context(closing(SqlitePlans(data, app="watched")))
        record = opened.enter_context(closing(SqliteStatements(data, app="watched", clock=clock)))
        yield Responding(source, Means(plans, settings, rehearsal, record), clock, said.append)


@pytest.mark.long
def test_a_fault_of_a_live_app_is_mended_and_the_mending_proves_itself(made: Path) -> None:
    clock, said = StandingClock(at_ns(HOURS)), list[str]()
    app = made / "watched.yaml"
    with (
        rehearsal_at(Place(prepare(app).app, made / "data")) as rehearsal,
        answering(made, clock, rehearsal, said) as one,
    ):
        one.step(clock.at_ns)
        (found,) = one._means.plans.list((), 9)
        assert found.phase == Phase.VERIFYING and found.tier == Tier.EXECUTE, said
        assert found.plan is not None and found.plan.steps[0].rehearsed.how == "replay"
        assert [one.kind for one in found.findings.findings] == ["unit"]  # type: ignore[union-attr]
        (change,) = one._means.settings.since(0)
        assert change.kind == ChangeKind.REPAIR and change.scope == "field:amount"
        for hour in range(HOURS, HOURS + 30):
            with open_engine(app, data=made / "data", audit=False) as engine:
                decided = engine.decide(events_of(hour, True))
            clock.at_ns = at_ns(hour + 1)
            one.step(clock.at_ns)
        assert np.mean([answer["risk"] > 0.5 for answer in decided]) < 0.2
        (found,) = one._means.plans.list((), 9)
        assert found.phase == Phase.CLOSED and [one.verdict for one in found.verdicts] == [Verdict.PASS], said
        assert len(one._means.settings.since(0)) == 1 and not found.handed


@contextmanager
def maintaining(made: Path, plans: Any, said: list[str]) -> Iterator[Maintaining]:
    """A process that maintains the folder's app, and answers by these plans."""
    data, prepared = made / "data", prepare(made / "watched.yaml")
    kept: list[Callable[[], None]] = []

    @contextmanager
    def means(keep: Callable[[], None]) -> Iterator[Means]:
        kept.append(keep)
        with (
            closing(stores_in(data, "watched", SystemClock())) as stores,
            closing(SqliteStatements(data, app="watched")) as record,
        ):
            yield Means(plans, stores.settings, NoRehearsal(), record)

    with closing(SqliteIncidents(data, app="watched")) as store:
        one = Maintaining(
            Setting(prepared.app, store, lambda: source_in(data, prepared, store), "two", SystemClock(), means),
            said.append,
        )
        with closing(one):
            yield one


@pytest.mark.long
def test_a_store_of_plans_that_is_away_is_shown_and_watching_goes_on(made: Path) -> None:
    def away(*_: object) -> Any:
        raise Unavailable("the plans are away")

    said: list[str] = []
    with maintaining(made, SimpleNamespace(list=away, hold=away), said) as one:
        assert one.turn() is not None and one.turn(last=True) is not None
        one._beat(None)
        lease = one._setting.store.lease()
        assert lease is not None and lease.state.trouble == "incidents wait for an answer: the plans are away"
    assert sum("the plans are away" in text for text in said) == 1


@pytest.mark.long
def test_who_has_lost_the_lease_answers_nothing_and_waits(made: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with closing(SqlitePlans(tmp_path, app="watched")) as plans, maintaining(made, plans, said) as one:
        store = one._setting.store
        step = one.turn

        def robbed(reached_ns: int) -> int:
            store.leave("two")
            assert store.take("three")
            one._keep_lease()
            raise AssertionError("it has the lease no more")

        assert one._led() and one._responding is not None
        one._responding.step = robbed  # type: ignore[method-assign]
        assert step() is None and not one.leads and not plans.list(())
        store.leave("three")
    assert "another process has taken maintenance over" in said


@pytest.mark.long
def test_a_rehearsal_in_its_own_process_says_the_same_and_may_be_killed(made: Path) -> None:
    place = Place(prepare(made / "watched.yaml").app, made / "data")
    block, beats = [Alteration(ChangeKind.FALLBACK, "app", {"action": "block"})], list[int]()
    process = RehearsalProcess(place, 1024, lambda: beats.append(1))
    with closing(process), rehearsal_at(place) as here:
        ours, theirs = (one.again(at_ns(200), at_ns(220), block) for one in (here, process))
        for name in set(ours.__slots__) - {"took_us"}:
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
        for times in (ours.took_us, theirs.took_us):  # Each process measures its own.
            assert times is not None and len(times) == len(ours) and (times > 0).all()
        with pytest.raises(CanNotRehearse, match="block"):
            process.again(at_ns(200), at_ns(220), [Alteration(ChangeKind.FALLBACK, "app", {"action": "blok"})])
        pool = process._pool
        assert pool is not None
        (child,) = pool._processes
        assert os.getpriority(os.PRIO_PROCESS, child) == 19
        os.kill(child, signal.SIGKILL)
        with pytest.raises(CanNotRehearse, match="its process ended"):
            process.again(at_ns(200), at_ns(220), block)
        assert len(process.again(at_ns(200), at_ns(220), block)) == len(ours)
        (child,) = process._pool._processes  # type: ignore[union-attr]
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.long
def test_processes_with_a_role_each_bring_an_incident_as_far_as_one_would(noticed: Path, tmp_path: Path) -> None:
    """Of a record of another time a plan is made and ruled on; nothing is carried out."""
    folder = copytree(noticed, tmp_path / "live")
    app, data = prepare(folder / "watched.yaml").app, folder / "data"
    answers = Answering(Place(app, data), ["watched.yaml", "--data", "data"], str(folder))
    phases, said = list[Phase | None](), list[str]()
    for role in (*PHASES, *PHASES):  # Each of them twice: nobody takes a step that is another one's.
        with closing(SqliteIncidents(data, app="watched")) as store:
            prepared = prepare(folder / "watched.yaml")
            setting = Setting(
                prepared.app, store, lambda prepared=prepared, store=store: source_in(data, prepared, store), role,
                SystemClock(), answers.opened,
            )  # fmt: skip
            with closing(RoleProcess(setting, role, said.append)) as one:
                while one.turn():
                    pass
        with closing(SqlitePlans(data, app="watched")) as plans:
            found = plans.list((), 9)
            phases.append(found[0].phase if found else None)
            free = plans.hold("coordinate", "a test", 0.0)
    assert phases == [Phase.INVESTIGATED, Phase.PLANNED, *[Phase.RULED] * 4], said
    assert found[0].tier == Tier.EXECUTE and not found[0].receipts and free is not None
