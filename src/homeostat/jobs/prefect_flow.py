"""Jobs as a Prefect flow: Prefect says when, homeostat runs the job and keeps it from running twice.

A flow run is one job, by an idempotency key that follows from the run's id. So a run that Prefect tries again finds its
job: it waits for it, takes its result, or has it begun once more if it failed. A run that is cancelled cancels its job.
Some `homeostat jobs run` on the same store does the work.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.pause import pause
from homeostat.errors import needs
from homeostat.jobs.following import new_job, result_of, submitted_again, to_its_end
from homeostat.ports.jobs import Jobs, change

with needs("prefect", "a Prefect flow"):
    from prefect import flow, get_run_logger
    from prefect.runtime import flow_run

_LOOK_S = 0.5


def _run_job(
    kind: str, arguments: list[str], data: str | None = None, config: str | None = None, key: str | None = None
) -> Any:
    """Run one homeostat job to its end, and return what it printed.

    kind, arguments : as `homeostat jobs submit KIND -- ARGUMENTS` takes them
    data, config : the folder that keeps the jobs, or a file that names the PostgreSQL that does
    key : the same key with the same work is the same job; by default each flow run is a job of its own
    Raises JobFailed.
    """
    logger, name = get_run_logger(), key or f"prefect-{flow_run.get_id()}"
    made = new_job(kind, arguments, actor="prefect", key=name, now_ns=SystemClock.now_ns())
    with closing(_opened(data, config)) as jobs:
        job = submitted_again(jobs, made)
        logger.info("job %d (%s)", job.id, kind)
        try:
            job = to_its_end(jobs, job, lambda: pause(_LOOK_S), logger.info)
        except BaseException:  # The run is cancelled, or its process is asked to end.
            change(jobs, job.id, lambda job: job.asked_to_cancel("prefect", SystemClock.now_ns()))
            raise
    return result_of(job)


def _opened(data: str | None, config: str | None) -> Jobs:
    from homeostat.adapters.jobs.opening import opened

    return opened(None if data is None else Path(data), None if config is None else Path(config), make=True)


run_job: Any = flow(name="homeostat job", flow_run_name="homeostat {kind}")(_run_job)
"""The flow, for `run_job.serve(...)`, `run_job.deploy(...)`, or a call."""
