"""Jobs that run: what becomes of each, one process at a time, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from tests.support.job_programs import PACE, children, lives, python, start, until

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.job_process import JobProcess
from homeostat.jobs.runner import Runner
from homeostat.ports.jobs import JobMoved, Jobs
from homeostat.records.job import Job, JobState


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobs]:
    store: Jobs
    if request.param == "sqlite":
        store = SqliteJobs(tmp_path / "data")
    else:
        url = request.getfixturevalue("postgres").url
        store = PostgresJobs(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("TRUNCATE jobs, job_logs RESTART IDENTITY")
    yield store
    store.close()


def runner(jobs: Jobs, owner: str = "one", **named) -> Runner:
    return Runner(jobs, SystemClock(), owner, pace=PACE, starts=start, **named)


def done(jobs: Jobs, *submitted: Job) -> list[Job]:
    """Run all that waits, and return what became of these."""
    own = runner(jobs)
    own.run(once=True)
    return [jobs.get(job.id) for job in submitted]


@contextmanager
def running(jobs: Jobs, owner: str = "one", **named) -> Iterator[Runner]:
    """A runner in a thread of its own."""
    own = runner(jobs, owner, **named)
    thread = threading.Thread(target=own.run)
    thread.start()
    try:
        yield own
    finally:
        own.stop()
        thread.join()


def log(jobs: Jobs, job: Job) -> str:
    return jobs.read(job.id).data.decode()


def test_a_job_ends_with_its_result_its_log_and_its_progress(jobs: Jobs) -> None:
    code = "print('reading', file=sys.stderr); line.report('half', 0.5); time.sleep(0.2); print('{\"rows\": 3}')"
    job = jobs.submit(python(code))
    with running(jobs):
        until(lambda: jobs.get(job.id).progress == 0.5 or jobs.get(job.id).state.over)
        until(lambda: jobs.get(job.id).state.over)
    ended = jobs.get(job.id)
    assert ended.state is JobState.SUCCEEDED and ended.result == {"rows": 3} and ended.progress == 1.0
    assert log(jobs, job) == "reading\n" and ended.attempts == 1 and ended.ended_ns and ended.started_ns


def test_a_job_that_fails_says_why_in_its_last_lines(jobs: Jobs) -> None:
    failing = "print('homeostat: no such file', file=sys.stderr); sys.exit(1)"
    failed, silent, missing = done(
        jobs, jobs.submit(python(failing)), jobs.submit(python("sys.exit(2)")),
        jobs.submit(Job("python", ("",), folder="/nowhere/at/all")),
    )  # fmt: skip
    assert failed.state is silent.state is missing.state is JobState.FAILED
    assert failed.error == "homeostat: no such file" and failed.attempts == 1
    assert "exit code 2" in silent.error and "could not be started" in missing.error


def test_a_result_that_is_no_json_or_too_long_is_kept_as_far_as_it_goes(jobs: Jobs) -> None:
    text, nothing, long = done(
        jobs, jobs.submit(python("print('done')")), jobs.submit(python("")),
        jobs.submit(python("sys.stdout.write('x' * 3_000_000)")),
    )  # fmt: skip
    assert text.result == {"text": "done"} and nothing.result is None
    assert long.state is JobState.SUCCEEDED and long.result == {"too_long_bytes": 3_000_000}


def test_a_job_has_its_own_session_low_priority_and_a_folder_that_goes_with_it(jobs: Jobs) -> None:
    code = (
        "import json, tempfile; open(tempfile.gettempdir() + '/left', 'w').close();"
        "print(json.dumps([os.getsid(0), os.getpid(), os.nice(0), tempfile.gettempdir(), os.environ.get("
        "'HOMEOSTAT_JOB_FD'), sys.path[0]]))"
    )
    (ended,) = done(jobs, jobs.submit(python(code)))
    session, pid, nice, scratch, variable, first = ended.result
    assert session == pid != os.getpid() and nice >= 10 and variable is None and first != ""
    assert "homeostat-jobs-" in scratch and not Path(scratch).parent.exists()


def test_a_cancelled_job_is_asked_to_end_and_then_made_to_with_its_children(jobs: Jobs) -> None:
    stubborn = (
        "import signal, subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)']); print(os.getpid(), child.pid,"
        " file=sys.stderr, flush=True); time.sleep(600)"
    )
    polite, forced = jobs.submit(python("time.sleep(600)")), jobs.submit(python(stubborn))
    waiting = jobs.submit(python(""))
    with running(jobs, at_once=2):
        until(lambda: log(jobs, forced).endswith("\n") and jobs.get(polite.id).state is JobState.RUNNING)
        pids = [int(word) for word in log(jobs, forced).split()]
        assert all(lives(pid) for pid in pids)
        for job in (polite, forced, waiting):
            asked(jobs, job)
        until(lambda: all(jobs.get(job.id).state.over for job in (polite, forced, waiting)))
        until(lambda: not any(lives(pid) for pid in pids))
    for job in (polite, forced, waiting):
        assert jobs.get(job.id).state is JobState.CANCELLED and jobs.get(job.id).cancel == "ann"


def asked(jobs: Jobs, job: Job) -> None:
    """Ask for its cancellation, however often its runner changes it meanwhile."""
    while True:
        with suppress(JobMoved):
            jobs.move(jobs.get(job.id).asked_to_cancel("ann", 9))
            return


def test_a_job_whose_process_is_killed_is_begun_again_once(jobs: Jobs) -> None:
    dies = "os.kill(os.getpid(), 9)"
    once = "if not os.path.exists('{0}'): open('{0}', 'w').close(); os.kill(os.getpid(), 9)"
    with tempfile.TemporaryDirectory() as folder:
        again, never = done(jobs, jobs.submit(python(once.format(folder + "/been"))), jobs.submit(python(dies)))
    assert (
        again.state is JobState.SUCCEEDED and again.attempts == 2 and "begun again, for the 2. time" in log(jobs, again)
    )
    assert never.state is JobState.INTERRUPTED and never.attempts == 2 and "lost 2 times" in never.error


def test_a_runner_that_stops_gives_its_job_back(jobs: Jobs) -> None:
    job = jobs.submit(python("print('on', file=sys.stderr, flush=True); time.sleep(600)"))
    with running(jobs):
        until(lambda: "on" in log(jobs, job))
    waits = jobs.get(job.id)
    assert waits.state is JobState.QUEUED and waits.attempts == 0 and waits.owner == ""


def test_a_hundred_jobs_leave_no_process_and_no_file_behind(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_scratch = tmp_path / "scratch"  # Other programs make and remove folders in the machine's one at any time.
    own_scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own_scratch))
    assert jobs.list() == []  # It has what it keeps open by now.
    before, files, handles = children(), set(os.listdir(own_scratch)), set(os.listdir("/proc/self/fd"))
    own = Runner(jobs, SystemClock(), "one", pace=PACE, starts=quick, at_once=4)
    submitted = [jobs.submit(python("")) for _ in range(100)]
    own.run(once=True)
    assert {jobs.get(job.id).state for job in submitted} == {JobState.SUCCEEDED}
    assert children() == before and set(os.listdir("/proc/self/fd")) == handles
    assert set(os.listdir(own_scratch)) == files
    assert {path.name for path in tmp_path.glob("data/*")} <= {"jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs"}


def quick(job: Job, folder: Path):
    """A process that starts in some milliseconds, leaves a file and a child."""
    from homeostat.adapters.process.job_process import JobProcess

    return JobProcess(["-c", "echo x > $TMPDIR/left; sleep 600 & echo 1"], "", folder, ("/bin/sh",))


@pytest.mark.long
def test_two_racing_runners_run_each_job_once(jobs: Jobs, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    submitted = [jobs.submit(python(f"open({str(marks)!r}, 'a').write('{k}\\n')")) for k in range(8)]
    with running(jobs, "one", at_once=3), running(jobs, "two", at_once=3):
        until(lambda: all(jobs.get(job.id).state.over for job in submitted))
    assert sorted(marks.read_text().split()) == [str(k) for k in range(8)]
    assert all(jobs.get(job.id).attempts == 1 for job in submitted)


def let_go_on(process: JobProcess, seconds: float) -> None:
    process.renew(time.perf_counter_ns() + int(seconds * 1e9))


def ended_by(process: JobProcess) -> int:
    """The signal that ended a process, once it has."""
    until(process.ended)
    status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    return status.si_status


def test_a_process_that_is_not_let_go_on_ends_itself_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess; c = subprocess.Popen(['sleep', '600']); print(c.pid, file=sys.stderr); time.sleep(600)"
    for _ in range(9):  # On a busy machine the kernel's timer may come first, which ends the process alone.
        process, heard = start(python(code), tmp_path), b""
        let_go_on(process, 600)
        while not heard.endswith(b"\n"):
            heard += process.hear(0.1)
        let_go_on(process, 1)
        if ended_by(process) == signal.SIGKILL:
            until(lambda child=int(heard): not lives(child))
            assert process.close() == -signal.SIGKILL
            return
        assert process.close() == -signal.SIGALRM
    pytest.fail("it never ended itself")


def test_the_kernel_ends_a_process_in_which_python_is_held_up(tmp_path: Path) -> None:
    hold = "import ctypes; print(1, file=sys.stderr, flush=True); ctypes.PyDLL(None).usleep(900_000_000)"
    for seconds in (1, 4, 16, 64):  # On a busy machine the time may be over before Python is held up.
        process = start(python(hold), tmp_path)
        let_go_on(process, seconds)
        by = ended_by(process)
        held_up = process.drain() != b""
        assert process.close() == -by
        if held_up and by == signal.SIGALRM:
            return
    pytest.fail("the kernel never ended it")


def test_what_is_left_in_the_pipes_of_an_ended_process_is_taken_in(tmp_path: Path) -> None:
    process = start(python("print('x' * 50_000, flush=True); print('log', file=sys.stderr)"), tmp_path)
    process.renew(time.perf_counter_ns() + 60 * 10**9)
    until(process.ended)
    assert process.drain() == b"log\n" and process.result() == {"text": "x" * 50_000} and process.close() == 0


def test_a_job_dies_with_its_runner(tmp_path: Path) -> None:
    process = start(python("print(1, file=sys.stderr, flush=True); time.sleep(600)"), tmp_path)
    process.renew(time.perf_counter_ns() + 600 * 10**9)
    while not process.hear(0.1):
        pass
    process._line.close()  # As the kernel does for a runner that was killed.
    until(process.ended)
    assert process.close() == -signal.SIGKILL
