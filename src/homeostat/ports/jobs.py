"""The store of jobs: who submits one leaves it here, and runners on any machine take it from here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError, Unavailable
from homeostat.records.job import Job, JobState


class UnknownJob(HomeostatError, LookupError):
    """There is no such job, or no longer."""

    why = "jobs that are over are kept up to a number, the newest ones"
    remedy = "homeostat jobs list shows the jobs that there are"


class JobMoved(Conflict):
    """Another process changed the job first; nothing was stored."""

    why = "a job is changed only by those who know its last state"
    remedy = "Look at the job again; it may be over by now"


class KeyReused(Conflict):
    """A key was given before, with other work; nothing was stored."""

    why = "one key stands for one job"
    remedy = "Give another key, or none"


class QueueFull(Unavailable):
    """As many jobs wait as may; the new one was not taken."""

    why = "the queue of jobs has a bound, so that it can't grow for ever"
    remedy = "Wait until some are done, cancel some, or start another homeostat jobs run"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a store keeps.

    queued : jobs that wait at most; then a new one is refused
    over : jobs that are over at most; the oldest are deleted first, with their logs
    log_bytes : of each log; the newest half of it at least is kept
    """

    queued: int = 1000
    over: int = 500
    log_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class LogPart:
    """Bytes of a log.

    offset : of the first of them since the job was submitted; later than asked for where older ones were deleted
    end : of the log, so far
    """

    offset: int
    data: bytes
    end: int


class Jobs(Protocol):
    """The jobs of one app. Every method raises Unavailable where its store fails."""

    def submit(self, job: Job) -> Job:
        """Store a new job; returned with its id. A key that is there already returns the job that has it.

        Raises KeyReused, QueueFull.
        """
        ...

    def get(self, id: int) -> Job:
        """A job. Raises UnknownJob."""
        ...

    def list(self, states: Collection[JobState] = (), limit: int = 100, below: int | None = None) -> Sequence[Job]:
        """Jobs, newest first; those in one of the states, if any is given, and with a smaller id than `below`."""
        ...

    def claim(self, owner: str, now_ns: int, lapsed: Mapping[int, int], running_max: int) -> Job | None:
        """Take a job for a runner: one that was lost, else the oldest that waits; None where there is nothing to do.

        lapsed : jobs that run elsewhere without a sign of life, each with its last revision as it was seen; one that
            has moved since is left alone
        running_max : nothing that waits is taken where so many jobs of this store run; kinds that run beside others
            (`job_kinds.beside`) are not counted, and go first
        """
        ...

    def move(self, job: Job) -> Job:
        """Replace a job by what became of it, if its revision is still the stored one; returned with the next.

        Raises JobMoved, UnknownJob.
        """
        ...

    def write(self, job: Job, data: bytes) -> bool:
        """Append to the log of a job's present run; False, and nothing is written, where that run is over."""
        ...

    def read(self, id: int, offset: int = 0, limit: int = 1 << 16) -> LogPart:
        """A part of a job's log, from an offset on. Raises UnknownJob."""
        ...

    def prune(self) -> int:
        """Delete what is over and beyond the bounds; returns how many jobs that were."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


_TRIES = 20  # Somebody else's change comes first each time; a runner makes one every second at most.


def change(jobs: Jobs, id: int, made: Callable[[Job], Job]) -> Job:
    """Change a job, however often its runner changes it meanwhile.

    made : the next job of the present one; nothing is stored where both are equal
    Raises UnknownJob, JobMoved, Unavailable, and what `made` raises.
    """
    for left in reversed(range(_TRIES)):
        job = jobs.get(id)
        wanted = made(job)
        if wanted == job:
            return job
        try:
            return jobs.move(wanted)
        except JobMoved:
            if left == 0:
                raise
    raise AssertionError("the last try returns or raises")
