"""A job as a row of a table, in the order of its fields; and how a store takes the next one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from homeostat.ports.jobs import JobMoved, KeyReused, QueueFull, UnknownJob
from homeostat.records.job import Job, JobState

NAMES = tuple(field.name for field in fields(Job))
RUNNING, QUEUED = JobState.RUNNING.value, JobState.QUEUED.value
OVER = tuple(state.value for state in JobState if state.over)


def as_row(job: Job) -> tuple[Any, ...]:
    """The values of a job's columns; arguments and result are JSON."""
    values = {name: getattr(job, name) for name in NAMES}
    values["arguments"] = json.dumps(job.arguments)
    values["state"] = job.state.value
    values["result"] = None if job.result is None else json.dumps(job.result)
    return tuple(_storable(value) for value in values.values())


def of_row(row: Sequence[Any]) -> Job:
    """The job of a row.

    >>> job = Job("train", ("a", "b"), id=3, result={"rows": 1})
    >>> of_row(as_row(job)) == job
    True
    """
    values = dict(zip(NAMES, row, strict=True))
    values["arguments"] = tuple(json.loads(values["arguments"]))
    values["state"] = JobState(values["state"])
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    return Job(**values)


def next_job(lost: Iterable[Job], waiting: Iterable[Job], owner: str, now_ns: int) -> tuple[list[Job], Job | None]:
    """The jobs that a claim changes, and the one of them that the runner is to begin, if there is one.

    lost : jobs that run without a sign of life; some may have been lost too often, and are over now
    waiting : jobs that wait, oldest first, if more may run
    """
    changed = []
    for job in lost:
        taken = job.taken(owner, now_ns)
        changed.append(taken)
        if taken.state is JobState.RUNNING:
            return changed, taken
    for job in waiting:
        taken = job.taken(owner, now_ns)
        return [*changed, taken], taken
    return changed, None


def stored(job: Job, id: int | None = None) -> Job:
    """A job with its next revision, as it is stored."""
    return replace(job, revision=job.revision + 1, id=job.id if id is None else id)


def same_or_refused(found: Job, job: Job) -> Job:
    """The job that has a key already. Raises KeyReused where it is other work."""
    if not found.same_work(job):
        raise KeyReused(f"the key {job.key!r} is that of job {found.id}, a {found.kind} with other arguments")
    return found


def refuse_full(waiting: int, most: int) -> None:
    """Raises QueueFull where no more jobs may wait."""
    if waiting >= most:
        raise QueueFull(f"{waiting} jobs wait, which is as many as may")


def unknown(id: int) -> UnknownJob:
    """The error that there is no such job."""
    return UnknownJob(f"there is no job {id}")


def moved(job: Job) -> JobMoved:
    """The error that somebody else changed a job first."""
    return JobMoved(f"job {job.id} was changed by another process meanwhile")


def _storable(value: Any) -> Any:
    """Text that every store takes: names of files may hold bytes that are no text."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode()
