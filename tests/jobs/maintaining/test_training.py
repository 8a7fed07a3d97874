"""A training of a live app: one job, whose version decides by a plan of its own; whatever ends the process between."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.answering import INCIDENT, LIMITS, Answering, Given, NoRehearsal, StandingClock, whole
from tests.support.breaking import WRITES, Broken, Killed
from tests.support.dying import Dying, DyingPostgres, DyingSqlite, killed

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.postgres import connections
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.adapters.postgres.plans import PostgresPlans
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.checks.inquiries import HOUR, signal
from homeostat.errors import Unavailable
from homeostat.jobs.maintaining.responding import Means
from homeostat.jobs.maintaining.work import JobsWork, kept_versions
from homeostat.maintain.contracts import Case
from homeostat.maintain.verify.training import training_verdict
from homeostat.ports.jobs import change
from homeostat.ports.registry import Lineage, Version
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Findings
from homeostat.records.incidents import Phase
from homeostat.records.job import JobState
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Alteration, Blast, Plan, Receipt, Rehearsed, Remedy, Step, Verified
from homeostat.records.signals import Kind
from homeostat.records.times import time_text

DEPLOY = Alteration(ChangeKind.DEPLOY, "champion", {"version": "b2"})


@dataclass
class Training(Given):
    """A plan to train, as long as no training has ended; then one to deploy what it made."""

    work: Any = None
    made: str = ""

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        """See the class."""
        job = None if self.made else ("train", {"why": "concept at outcome"})
        step = Step(
            Remedy.RETRAIN, "app" if self.made else "library", (DEPLOY,) if self.made else (), job, True, 0.0,
            Rehearsed(5, 4, 6, 100, "replay"), Blast(0, 0, 0), 0, {"by_ns": 99 * HOUR}, "a step",
        )  # fmt: skip
        return Plan(case.incident.id, case.now_ns, 0.95, 0, (step,))

    def judge(self, case: Case, plan: Plan, receipt: Receipt, extended: bool) -> Verified | None:
        """The real verdict on a training, and a given one on the version."""
        if not plan.steps[receipt.step].only_trains:
            return super().judge(case, plan, receipt, extended)
        found = training_verdict(plan, receipt, self.work.ended(receipt.job, receipt.key), case.now_ns)
        self.made = self.made if found is None else self.work.ended(receipt.job, receipt.key).version
        return found


@contextmanager
def process(data: Path, given: Training, clock: StandingClock, error: type[BaseException]) -> Iterator[Answering]:
    """A process that answers, and whose stores break when it is due."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(SqliteIncidents(data, app="access")))
        plans: Any = Broken(opened.enter_context(closing(SqlitePlans(data, app="access"))), WRITES, error)
        settings: Any = opened.enter_context(closing(SqliteSettings(data, app="access", clock=clock)))
        record = opened.enter_context(closing(SqliteStatements(data, app="access", clock=clock)))
        jobs: Any = opened.enter_context(closing(SqliteJobs(data)))

        @contextmanager
        def store() -> Iterator[Any]:
            yield Broken(jobs, ("submit",), error)

        given.work = JobsWork(store, ["access", f"--data={data}"], str(data), clock)
        settings = Broken(settings, WRITES, error)
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record, given.work), clock)


@contextmanager
def on_servers(url: str, given: Training, clock: StandingClock) -> Iterator[Answering]:
    """The same on PostgreSQL, where nothing breaks but processes."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(PostgresIncidents(url, app="access")))
        plans = opened.enter_context(closing(PostgresPlans(url, app="access")))
        settings = opened.enter_context(closing(PostgresSettings(url, app="access")))
        record = opened.enter_context(closing(PostgresStatements(url, app="access")))
        given.work = JobsWork(lambda: closing(PostgresJobs(url, app="access")), ["access"], "/", clock)
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record, given.work), clock)


def run_the_job(data: Path | str, clock: StandingClock) -> int:
    """Do as a runner does with the jobs that wait; returns how many there are in all. data : a folder, or servers"""
    with closing(SqliteJobs(data) if isinstance(data, Path) else PostgresJobs(data, app="access")) as store:
        jobs = store.list()
        for job in jobs:
            if not job.state.over:
                result = {"version": "b2", "source": "trained", "why": "trained as version 2 on 900 rows"}
                change(store, job.id, lambda one: one.ended(JobState.SUCCEEDED, clock.at_ns, result))
        return len(jobs)


@pytest.mark.long
@pytest.mark.parametrize("error", [Killed, Unavailable])
def test_there_is_one_training_and_one_deployment_wherever_a_process_ends(
    tmp_path: Path, error: type[BaseException]
) -> None:
    for left in (1 << 30, *range(100)):
        data = tmp_path / str(left)
        data.mkdir()
        clock, given = StandingClock(), Training(limits=LIMITS)
        with process(data, given, clock, error) as one:
            one._source.store.write([signal("source", Kind.VOLUME)], [INCIDENT])
        Broken.left, jobs = left, 0
        for _ in range(14):  # Each is a process of its own, an hour later; what only this one knew is gone.
            given = Training(limits=LIMITS, made=given.made)
            with process(data, given, clock, error) as one:
                with suppress(Killed):
                    one.step(clock.at_ns)
            jobs = run_the_job(data, clock)
            clock.at_ns += HOUR
        with process(data, given, clock, error) as one:
            assert jobs == 1 and whole(one._means.settings.since(0)) == [("deploy champion", True)], left
            found = one._means.plans.get("i1")
            assert found.phase is Phase.CLOSED and [one.job != "" for one in found.receipts] == [True, False], left
            assert found.standing == found.receipts[1:]
        if left < 1 << 30 and Broken.left >= 0:
            break  # Nothing was away: the walk has come to its end.
    assert 10 < left < 99


def library(place: Path | str) -> str:
    """The version that a training has left; empty for none."""
    with closing(SqliteJobs(place) if isinstance(place, Path) else PostgresJobs(place, app="access")) as store:
        return next((str(job.result["version"]) for job in store.list() if job.state is JobState.SUCCEEDED), "")


def to_the_end(opened: Any, place: Path | str, clock: StandingClock) -> None:
    """Processes and a runner go on, hour after hour; each change and each job is there once."""
    for _ in range(8):
        given = Training(limits=LIMITS, made=library(place))
        with opened(given, clock) as one:
            one.step(clock.at_ns)
        jobs = run_the_job(place, clock)
        clock.at_ns += HOUR
    with opened(given, clock) as one:
        found = one._means.plans.get("i1")
        assert jobs == 1 and whole(one._means.settings.since(0)) == [("deploy champion", True)], found.lines
        assert found.phase is Phase.CLOSED and [one.job != "" for one in found.receipts] == [True, False]


def walked(opened: Any, place: Path | str, left: int) -> bool:
    """Whether a process was killed at a statement of that number: in the training, or after it in the deployment."""
    Broken.left = 1 << 30  # Nothing is away.
    clock, given = StandingClock(), Training(limits=LIMITS)
    with opened(given, clock) as one:
        one._source.store.write([signal("source", Kind.VOLUME)], [INCIDENT])

    def work() -> None:
        at = StandingClock()
        for _ in range(2):
            given = Training(limits=LIMITS, made=library(place))
            with opened(given, at) as one:
                one.step(at.at_ns)
            run_the_job(place, at)
            at.at_ns += HOUR

    died = killed(work, left)
    Dying.left = 1 << 30
    to_the_end(opened, place, clock)
    return died


@pytest.mark.long
def test_kill_9_between_any_two_statements_of_the_files_trains_and_deploys_once(tmp_path: Path, monkeypatch) -> None:
    opened = sqlite3.connect

    def connect(*given, **more):
        dies = any(name in str(given[0]) for name in ("plans.db", "settings.db", "jobs.db"))
        return opened(*given, **(more | {"factory": DyingSqlite} if dies else more))

    monkeypatch.setattr(sqlite3, "connect", connect)
    left = 0
    while True:
        data = tmp_path / str(left)
        data.mkdir()
        if not walked(lambda given, clock, data=data: process(data, given, clock, Killed), data, left):
            break
        left += 17
    assert left > 100


@pytest.mark.long
def test_kill_9_on_servers_trains_and_deploys_once(postgres, monkeypatch) -> None:
    from tests.support.databases import ready_database

    monkeypatch.setattr(connections, "BoundedConnection", DyingPostgres)
    left = 0
    while True:
        with ready_database(postgres.url) as url:
            if not walked(lambda given, clock, url=url: on_servers(url, given, clock), url, left):
                break
        left += 71
    assert left > 60


def test_the_end_of_a_job_is_that_of_its_training(tmp_path: Path) -> None:
    clock = StandingClock()
    work = JobsWork(lambda: closing(SqliteJobs(tmp_path)), ["access", f"--data={tmp_path}"], str(tmp_path), clock)
    id = work.begin("train", {"why": "concept at outcome"}, "plan-0")
    assert work.ended(id, "plan-0") is None
    run_the_job(tmp_path, clock)
    ended = work.ended(id, "plan-0")
    assert ended is not None and (ended.version, ended.why) == ("b2", "trained as version 2 on 900 rows")
    other = work.begin("train", {}, "plan-1")
    with closing(SqliteJobs(tmp_path)) as store:
        change(store, int(other), lambda one: one.ended(JobState.FAILED, clock.at_ns, error="no data"))
    failed, gone = work.ended(other, "plan-1"), work.ended("99", "plan-1")
    assert failed is not None and gone is not None and not failed.version and not gone.version
    assert "no data" in failed.why and "not kept" in gone.why
    of_another = work.ended(id, "plan-1")
    assert of_another is not None and not of_another.version and "was not begun by step plan-1" in of_another.why


def test_the_library_is_what_the_registry_keeps_and_may_decide() -> None:
    def version(name: str, created_ns: int, deleted: bool = False, **lineage: Any) -> Version:
        return Version(name, 1, created_ns, 1, Lineage("access", **lineage), created_ns if deleted else None)

    bound = {"fairness": {"binds": "promotion"}}
    found: Any = SimpleNamespace(versions=lambda limit: [
        version("a1", 9 * HOUR, trained_until=time_text(8 * HOUR)), version("b2", 7 * HOUR), version("c3", 5, True),
        version("d4", 5, metrics=bound),
    ])  # fmt: skip
    assert kept_versions(found) == [
        KeptVersion(""), KeptVersion("a1", 9 * HOUR, 8 * HOUR), KeptVersion("b2", 7 * HOUR, 7 * HOUR),
    ]  # fmt: skip
    assert kept_versions(None) == [KeptVersion("")]
