"""Runners of made-up jobs: each job is a line of Python, run as a process that a runner started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from homeostat.adapters.process.job_process import JobProcess
from homeostat.jobs.runner import Pace
from homeostat.records.job import Job

# A lease that a busy machine does not let run out.
PACE = Pace(lease_s=60.0, beat_s=0.2, look_s=0.05, grace_s=0.5, turn_s=0.02)
BEGIN = "from homeostat.adapters.process.job_line import begin; line = begin(); import os, sys, time\n"


def python(code: str, key: str = "", attempts_max: int = 2) -> Job:
    """A job that runs this code; `line` is its line to the runner."""
    return Job("python", (code,), key=key, attempts_max=attempts_max, created_ns=1)


def start(job: Job, scratch: Path) -> JobProcess:
    """Start such a job."""
    return JobProcess(["-c", BEGIN + job.arguments[0]], job.folder, scratch, (sys.executable, "-P"))


def until(true: Callable[[], bool], within_s: float = 240.0) -> None:
    """Wait until something is true; fails where it does not become so."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int = 0) -> set[int]:
    """The processes that a process started and that are there still."""
    with open(f"/proc/{pid or os.getpid()}/task/{pid or os.getpid()}/children") as file:
        return {int(word) for word in file.read().split()}
