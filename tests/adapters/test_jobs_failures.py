"""Stores of jobs whose processes are killed at every statement, and whose disk is full; and a naive twin."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.support.dying import Dying, DyingPostgres, DyingSqlite

from homeostat.adapters.disk.sqlite import jobs as sqlite_jobs
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.errors import Unavailable
from homeostat.ports.jobs import Bounds, JobMoved, KeyReused, QueueFull, UnknownJob
from homeostat.records.job import MOVES, Job, JobState, NotNow


def a_life(open_jobs) -> None:
    """A job from its submission to its end, in one process."""
    with closing(open_jobs()) as jobs:
        jobs.submit(Job("train", ("a",), key="once"))
        run = jobs.claim("one", 1, {}, 1)
        if run is not None:
            jobs.write(run, b"line\n")
            jobs.move(jobs.move(run.beaten(2, 0.5, "half")).ended(JobState.SUCCEEDED, 3, {"rows": 1}))


def kill_at_every_statement(open_jobs, empty) -> set[JobState | None]:
    """Kill that life at each of its statements; returns the states in which the job was found, each led to its end."""
    found: set[JobState | None] = set()
    for moment in count():
        child = os.fork()
        if child == 0:
            Dying.left = moment
            try:
                a_life(open_jobs)
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        with closing(open_jobs()) as jobs:
            there = list(jobs.list())
            assert len(there) <= 1
            found.add(there[0].state if there else None)
            job = jobs.submit(Job("train", ("a",), key="once"))
            assert not there or job == there[0]
            while not job.state.over:
                lapsed = {job.id: job.revision} if job.state is JobState.RUNNING else {}
                # The server may still hold the row for the killed process: it notices its end a little later.
                claims = (jobs.claim("two", 9, lapsed, 1) for _ in range(10_000))
                run = next((one for one in claims if one is not None), None)
                assert run is not None and run.attempts == job.attempts + 1 <= 2
                assert jobs.write(run, b"again\n")
                job = jobs.move(run.ended(JobState.SUCCEEDED, 10, {"rows": 1}))
            assert job.state is JobState.SUCCEEDED and job.result == {"rows": 1}
            assert jobs.read(job.id).data in (b"line\n", b"again\n", b"line\nagain\n")
        empty()
        if code == 0:
            return found
    raise AssertionError("the process never came to its end")


ALL = {None, JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED}


@pytest.mark.long
def test_a_kill_in_any_state_leaves_a_job_that_comes_to_its_end_in_sqlite(tmp_path: Path, monkeypatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite_jobs.sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "factory": DyingSqlite}))

    def empty() -> None:
        for path in [*tmp_path.rglob("*.log"), *tmp_path.glob("jobs.db*")]:
            path.unlink()

    assert kill_at_every_statement(lambda: SqliteJobs(tmp_path), empty) == ALL


@pytest.mark.long
def test_a_kill_in_any_state_leaves_a_job_that_comes_to_its_end_in_postgresql(database, monkeypatch) -> None:
    PostgresJobs(database).close()
    monkeypatch.setattr("homeostat.adapters.postgres.connections.BoundedConnection", DyingPostgres)

    def empty() -> None:
        import psycopg

        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DELETE FROM jobs")

    assert kill_at_every_statement(lambda: PostgresJobs(database), empty) == ALL


def test_a_full_disk_stores_nothing_and_a_later_change_succeeds(tmp_path: Path) -> None:
    with closing(SqliteJobs(tmp_path)) as jobs:
        jobs.submit(Job("train", ()))
        run = jobs.claim("one", 1, {}, 1)
        assert run is not None
        (pages,) = jobs._db.execute("PRAGMA page_count").fetchone()
        jobs._db.execute(f"PRAGMA max_page_count = {pages}")
        large = run.ended(JobState.SUCCEEDED, 2, "x" * 200_000)
        for act in (lambda: jobs.move(large), lambda: jobs.submit(Job("train", ("x" * 200_000,)))):
            with pytest.raises(Unavailable, match="full"):
                act()
        assert list(jobs.list()) == [run]
        jobs._db.execute("PRAGMA max_page_count = 1000000")
        assert jobs.get(jobs.move(large).id).result == "x" * 200_000


def test_another_program_that_holds_the_file_stops_changes_and_no_look(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sqlite_jobs, "_WAIT_S", 0.05)
    with closing(SqliteJobs(tmp_path)) as jobs:
        job = jobs.submit(Job("train", ()))
        with closing(sqlite3.connect(tmp_path / sqlite_jobs.FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked"):
                jobs.claim("one", 1, {}, 1)
            assert jobs.get(job.id) == job
            other.execute("ROLLBACK")
        assert jobs.claim("one", 1, {}, 1) is not None


BOUNDS = Bounds(queued=4, over=3, log_bytes=100)


class Naive:
    """A list of jobs, and every rule of the port as plainly as it can be put."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.last = 0

    def of(self, *states: JobState) -> list[Job]:
        return [self.jobs[id] for id in sorted(self.jobs) if self.jobs[id].state in states]

    def submit(self, job: Job) -> Job:
        for one in self.jobs.values():
            if job.key and one.key == job.key:
                if not one.same_work(job):
                    raise KeyReused
                return one
        if len(self.of(JobState.QUEUED)) >= BOUNDS.queued:
            raise QueueFull
        self.last += 1
        self.jobs[self.last] = replace(job, id=self.last, revision=1)
        self.prune()
        return replace(job, id=self.last, revision=1)

    def claim(self, lapsed: dict[int, int], running_max: int) -> Job | None:
        may = len(self.of(JobState.RUNNING)) < running_max
        running = {job.id: job for job in self.of(JobState.RUNNING)}
        lost = [running[id] for id, revision in lapsed.items() if id in running and running[id].revision == revision]
        for job in [*lost, *self.of(JobState.QUEUED)[: 1 if may else 0]]:
            if job.state is JobState.RUNNING and (job.cancel or job.attempts >= job.attempts_max):
                self._store(job.lost(5))
            else:
                return self._store(job.taken("me", 5))
        return None

    def move(self, job: Job) -> Job:
        if job.id not in self.jobs:
            raise UnknownJob
        if self.jobs[job.id].revision != job.revision:
            raise JobMoved
        return self._store(job)

    def prune(self) -> None:
        over = [job.id for job in self.of(*(state for state in JobState if state.over))]
        for id in over[: max(0, len(over) - BOUNDS.over)]:
            del self.jobs[id]

    def _store(self, job: Job) -> Job:
        self.jobs[job.id] = replace(job, revision=job.revision + 1)
        return self.jobs[job.id]


class Twins(RuleBasedStateMachine):
    """A store and its naive twin get the same calls, of several authors who remember old states of jobs."""

    open_jobs = None

    def __init__(self) -> None:
        super().__init__()
        self.store, self.naive = type(self).open_jobs(), Naive()
        self.seen: list[Job] = []

    def teardown(self) -> None:
        self.store.close()

    def both(self, act, naive):
        """The same answer or the same error from both; the store's ids count from another start."""
        got = wanted = None
        errors = []
        for call in (act, naive):
            try:
                result = call()
                got, wanted = wanted, result
            except (KeyReused, QueueFull, JobMoved, UnknownJob, NotNow) as error:
                errors.append(type(error))
        assert not errors or (len(errors) == 2 and errors[0] is errors[1]), errors
        return None if errors else (got, wanted)

    @rule(name=st.sampled_from("ab"), key=st.sampled_from(["", "", "k1", "k2"]), most=st.integers(1, 3))
    def submit(self, name: str, key: str, most: int) -> None:
        job = Job("train", (name,), key=key, attempts_max=most, created_ns=1)
        answers = self.both(lambda: self.store.submit(job), lambda: self.naive.submit(job))
        if answers:
            assert answers[0] == answers[1]
            self.seen.append(answers[0])

    @rule(running_max=st.integers(1, 3), lapsing=st.sets(st.integers(0, 30), max_size=3))
    def claim(self, running_max: int, lapsing: set[int]) -> None:
        lapsed = {job.id: job.revision for k, job in enumerate(self.seen) if k in lapsing}
        answers = self.both(lambda: self.store.claim("me", 5, lapsed, running_max),
                            lambda: self.naive.claim(lapsed, running_max))  # fmt: skip
        assert answers is not None and answers[0] == answers[1]
        if answers[0] is not None:
            self.seen.append(answers[0])

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.seen))
        ways = [lambda: job.asked_to_cancel("ann", 6), lambda: job.again()]
        if job.state is JobState.RUNNING:
            ways += [
                lambda: job.beaten(6, 0.5, "half"), lambda: job.released(), lambda: job.lost(6),
                lambda: job.ended(JobState.SUCCEEDED, 6, [1]), lambda: job.ended(JobState.FAILED, 6, None, "bad"),
            ]  # fmt: skip
        way = data.draw(st.sampled_from(ways))
        with suppress(NotNow):
            wanted = way()
            assert wanted.state is job.state or wanted.state in MOVES[job.state]
            answers = self.both(lambda: self.store.move(wanted), lambda: self.naive.move(wanted))
            if answers:
                assert answers[0] == answers[1]
                self.seen.append(answers[0])

    @rule()
    def prune(self) -> None:
        self.store.prune()
        self.naive.prune()

    @invariant()
    def both_list_the_same(self) -> None:
        assert list(self.store.list()) == [self.naive.jobs[id] for id in sorted(self.naive.jobs, reverse=True)]


STEPS = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.mark.long
def test_jobs_in_sqlite_equal_their_naive_twin(tmp_path: Path) -> None:
    numbers = count()

    class Sqlite(Twins):
        open_jobs = staticmethod(lambda: SqliteJobs(tmp_path / str(next(numbers)), BOUNDS))

    run_state_machine_as_test(Sqlite, settings=STEPS)


@pytest.mark.long
def test_jobs_in_postgresql_equal_their_naive_twin(database: str) -> None:
    import psycopg

    def empty() -> PostgresJobs:
        store = PostgresJobs(database, BOUNDS)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("TRUNCATE jobs, job_logs RESTART IDENTITY")
        return store

    class Postgres(Twins):
        open_jobs = staticmethod(empty)

    run_state_machine_as_test(Postgres, settings=settings(STEPS, max_examples=25))
