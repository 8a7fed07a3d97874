"""Runners that are killed or stopped, and stores that go away: no job runs twice at once, and each comes to its end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.support.job_programs import PACE, lives, python, start, until
from tests.support.job_runner import opened

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Unavailable
from homeostat.jobs.runner import Runner
from homeostat.ports.jobs import Jobs
from homeostat.records.job import JobState

ROOT = Path(__file__).parents[2]
# The kernel lets go of a lock when its process has died, and not before.
ALONE = (
    "import fcntl; lock = open({path!r} + '.lock', 'w')\n"
    "try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except OSError: open({path!r} + '.twice', 'w')\n"
    "open({path!r}, 'a').write(str(os.getpid()) + '\\n'); time.sleep({seconds}); print(1)"
)


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of jobs."""
    if request.param == "sqlite":
        return str(tmp_path / "data")
    url: str = request.getfixturevalue("postgres").url
    PostgresJobs(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs, job_logs RESTART IDENTITY")
    return url


@contextmanager
def runner(address: str, owner: str) -> Iterator[subprocess.Popen[str]]:
    """A runner as a process."""
    command = [sys.executable, "-m", "tests.support.job_runner", address, owner]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def alone(path: Path, seconds: float = 600.0) -> str:
    return ALONE.format(path=str(path), seconds=seconds)


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.long
def test_a_job_of_a_runner_that_hangs_ends_before_another_takes_it(address: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    with closing(opened(address)) as jobs, runner(address, "one") as one:
        job = jobs.submit(python(alone(path), attempts_max=3))
        until(lambda: len(pids(path)) == 1)
        one.send_signal(signal.SIGSTOP)
        with runner(address, "two"):
            until(lambda: len(pids(path)) == 2)
            assert not lives(pids(path)[0]) and not Path(f"{path}.twice").exists()
            one.send_signal(signal.SIGCONT)
            ran = jobs.get(job.id)
            assert ran.attempts == 2 and ran.owner == "two"
            until(lambda: jobs.get(job.id).revision > ran.revision + 2)  # The first one has looked, and left it alone.
            assert jobs.get(job.id).owner == "two" and lives(pids(path)[1]) and len(pids(path)) == 2
        until(lambda: not lives(pids(path)[1]))


@pytest.mark.long
def test_jobs_come_to_their_end_alone_however_often_runners_are_killed(address: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    with closing(opened(address)) as jobs:
        submitted = [jobs.submit(python(alone(tmp_path / f"marks{k}", 0.3), attempts_max=50)) for k in range(12)]
        for k in range(5):
            with runner(address, f"runner {k}") as process:
                until(lambda: jobs.list([JobState.RUNNING]) or not jobs.list([JobState.QUEUED]))
                threading.Event().wait(chance.uniform(0.0, 0.4))
                process.kill()
        with runner(address, "last"):
            until(lambda: all(jobs.get(job.id).state.over for job in submitted))
        ended = [jobs.get(job.id) for job in submitted]
    assert {job.state for job in ended} == {JobState.SUCCEEDED} and {job.result for job in ended} == {1}
    assert not list(tmp_path.glob("*.twice"))
    assert max(job.attempts for job in ended) > 1
    assert not any(lives(pid) for k in range(12) for pid in pids(tmp_path / f"marks{k}"))


class Away:
    """A store that can't be reached for a while."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.away = jobs, False

    def __getattr__(self, name: str):
        if self.away:
            raise Unavailable("the store is away")
        return getattr(self.jobs, name)


@contextmanager
def running(store, **named) -> Iterator[list[str]]:
    said: list[str] = []
    own = Runner(store, SystemClock(), "one", starts=start, say=said.append, **{"pace": PACE, **named})
    thread = threading.Thread(target=own.run)
    thread.start()
    try:
        yield said
    finally:
        own.stop()
        thread.join()


def test_a_result_waits_for_a_store_that_is_away(tmp_path: Path) -> None:
    with closing(SqliteJobs(tmp_path)) as jobs:
        store, gate, mark = Away(jobs), tmp_path / "gate", tmp_path / "mark"
        code = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint(7)"
        job = jobs.submit(python(f"open({str(mark)!r}, 'w').write(str(os.getpid()) + '\\n')\n{code}"))
        with running(store, pace=replace(PACE, lease_s=60.0)) as said:
            until(lambda: pids(mark) != [])
            store.away = True
            until(lambda: any("tried again" in line for line in said))
            gate.touch()
            until(lambda: not lives(pids(mark)[0]))
            assert jobs.get(job.id).state is JobState.RUNNING
            store.away = False
            until(lambda: jobs.get(job.id).state.over)
        assert jobs.get(job.id).result == 7 and jobs.get(job.id).attempts == 1
        assert any("answers again" in line for line in said)


def test_a_job_ends_when_its_store_is_away_for_a_lease_and_is_begun_again(tmp_path: Path) -> None:
    with closing(SqliteJobs(tmp_path)) as jobs:
        store, path = Away(jobs), tmp_path / "marks"
        job = jobs.submit(python(alone(path)))
        with running(store, pace=replace(PACE, lease_s=0.7)):
            until(lambda: len(pids(path)) == 1)
            store.away = True
            until(lambda: not lives(pids(path)[0]))
            store.away = False
            until(lambda: len(pids(path)) == 2)
        assert jobs.get(job.id).attempts >= 1 and not Path(f"{path}.twice").exists()


def test_a_log_that_finds_no_room_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if full[0] and os.readlink(f"/proc/self/fd/{file}").endswith(".log"):
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    with closing(SqliteJobs(tmp_path)) as jobs:
        job = jobs.submit(python("print('one', file=sys.stderr, flush=True); time.sleep(600)"))
        with running(jobs) as said:
            until(lambda: any("No space left" in line for line in said))
            assert jobs.get(job.id).state is JobState.RUNNING
            full[0] = False
            until(lambda: jobs.read(job.id).data == b"one\n")
