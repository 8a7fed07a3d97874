"""A runner of made-up jobs as a process that tests kill: `python -m tests.support.job_runner ADDRESS OWNER`."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.support.job_programs import PACE, start

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.adapters.process.clock import SystemClock
from homeostat.jobs.runner import Runner
from homeostat.ports.jobs import Jobs

LEASE_S = 1.5


def opened(address: str) -> Jobs:
    """The jobs of a folder or of a database."""
    return PostgresJobs(address) if "://" in address else SqliteJobs(Path(address))


def main() -> None:
    """Run jobs until SIGTERM."""
    address, owner = sys.argv[1:]
    with closing(opened(address)) as jobs:
        pace = replace(PACE, lease_s=LEASE_S)
        runner = Runner(jobs, SystemClock(), owner, at_once=4, pace=pace, starts=start)
        signal.signal(signal.SIGTERM, lambda number, frame: runner.stop())
        print("ready", flush=True)
        runner.run()


if __name__ == "__main__":
    main()
