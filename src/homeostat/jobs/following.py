"""A job from its submission to its end, for those who wait for it: the command line, and flows of other schedulers."""

from __future__ import annotations

from collections.abc import Callable

from homeostat.config.job_kinds import attempts_max, checked
from homeostat.errors import HomeostatError
from homeostat.ports.jobs import Jobs, change
from homeostat.records.job import Job, JobState


class JobFailed(HomeostatError):
    """A job came to another end than success; the text says which, and why."""

    why = "its command failed, or somebody cancelled it, or its process was lost too often"
    remedy = "Look at its log with homeostat jobs logs, and retry it with homeostat jobs retry"


def new_job(kind: str, arguments: list[str], *, actor: str, key: str = "", folder: str = "", now_ns: int) -> Job:
    """A job to be submitted, its arguments checked. Raises BadJob."""
    words = checked(kind, arguments)
    most = attempts_max(kind)
    return Job(kind, words, actor=actor, key=key, folder=folder, attempts_max=most, created_ns=now_ns)


def submitted_again(jobs: Jobs, job: Job) -> Job:
    """The job of a key: a new one; the one that waits, runs or has succeeded; or one that failed, waiting once more.

    So a flow that is tried again does the work again only where it has to. Raises KeyReused, QueueFull, Unavailable.
    """
    found = jobs.submit(job)
    return change(jobs, found.id, lambda job: job.again() if _may_be_retried(job) else job)


def to_its_end(jobs: Jobs, job: Job, pause: Callable[[], None], tell: Callable[[str], None] = lambda text: None) -> Job:
    """A job once it is over.

    pause : waits a moment between looks
    tell : gets the lines of its log, as far as they are whole, and what it does
    Raises UnknownJob, Unavailable.
    """
    offset, rest, note = jobs.read(job.id).end if job.attempts == 0 else 0, b"", ""
    while True:
        job = jobs.get(job.id)
        while (part := jobs.read(job.id, offset)).data:
            offset = part.offset + len(part.data)
            *lines, rest = (rest + part.data).split(b"\n")
            for line in lines:
                tell(line.decode("utf-8", "replace"))
        if job.note not in ("", note):
            note = job.note
            tell(f"{note} ({job.progress:.0%})")
        if job.state.over:
            if rest:
                tell(rest.decode("utf-8", "replace"))
            return job
        pause()


def result_of(job: Job) -> object:
    """The result of a job that succeeded. Raises JobFailed."""
    if job.state is not JobState.SUCCEEDED:
        raise JobFailed(f"job {job.id} ({job.kind}) is {job.state}" + (f": {job.error}" if job.error else ""))
    return job.result


def _may_be_retried(job: Job) -> bool:
    return job.state.over and job.state is not JobState.SUCCEEDED
