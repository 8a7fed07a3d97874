"""How soon a job begins and is cancelled, and what its store and an idle runner cost: `python -m benchmarks.jobs`.

Jobs are simulations of payments that would take minutes. A runner is a process as users start it, on a data folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import psutil

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.jobs.following import new_job
from homeostat.ports.jobs import Bounds, Jobs, change
from homeostat.records.job import Job, JobState

LONG = ["payments", "--days", "3000", "--customers", "100000", "--out", "simulated"]


@contextmanager
def runner(folder: Path) -> Iterator[psutil.Process]:
    """A runner that has begun to look for jobs."""
    command = [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(folder)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None and "runs jobs" in process.stderr.readline()
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate()


def took(jobs: Jobs, job: Job, come: Callable[[Job], bool]) -> float:
    """Seconds until a job has come to a state."""
    begun = time.perf_counter()
    while not come(jobs.get(job.id)):
        time.sleep(0.002)
    return time.perf_counter() - begun


def begun_and_cancelled(jobs: Jobs, count: int) -> tuple[list[float], list[float]]:
    """Seconds from submission to running, and from the wish to cancel to the end."""
    begins, ends = [], []
    for k in range(count):
        job = jobs.submit(new_job("simulate", LONG, actor="bench", now_ns=time.time_ns()))
        begins.append(took(jobs, job, lambda job: job.state is JobState.RUNNING))
        time.sleep(0.5 + 0.25 * (k % 8))  # At its start, in its imports, and at work.
        begun = time.perf_counter()
        change(jobs, job.id, lambda job: job.asked_to_cancel("bench", time.time_ns()))
        took(jobs, job, lambda job: job.state.over)
        ends.append(time.perf_counter() - begun)
        assert jobs.get(job.id).state is JobState.CANCELLED
    return begins, ends


def idle_share(process: psutil.Process, seconds: float) -> float:
    """The share of one processor that a runner without work takes."""
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / seconds


def a_life_ms(folder: Path, count: int) -> float:
    """Milliseconds of the store for a job from its submission to its end: four changes and a line of log."""
    with closing(SqliteJobs(folder, Bounds(over=count))) as jobs:
        begun = time.perf_counter()
        for _ in range(count):
            jobs.submit(new_job("export", ["--out", "x"], actor="bench", now_ns=1))
            run = jobs.claim("bench", 2, {}, 1)
            assert run is not None and jobs.write(run, b"a line\n")
            jobs.move(jobs.move(run.beaten(3, 0.5, "half")).ended(JobState.SUCCEEDED, 4, {"rows": 1}))
        return 1000 * (time.perf_counter() - begun) / count


def measured(count: int, seconds: float) -> list[Figure]:
    """The figures."""
    with tempfile.TemporaryDirectory() as folder, closing(SqliteJobs(Path(folder))) as jobs:
        with runner(Path(folder)) as process:
            begins, ends = begun_and_cancelled(jobs, count)
            idle = idle_share(process, seconds)
        life = a_life_ms(Path(folder) / "store", 200)
    return [
        Figure("jobs", f"from the wish to cancel to the end, longest of {count}", max(ends), "s", "<= 2"),
        Figure("jobs", "the same, median", median(ends), "s"),
        Figure("jobs", f"from submission to its process, longest of {count}", max(begins), "s"),
        Figure("jobs", "share of a processor that an idle runner takes", idle),
        Figure("jobs", "of the store, for one job's whole life", life, "ms"),
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measured(chosen.jobs, chosen.seconds)
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
