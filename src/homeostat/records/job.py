"""Jobs: work that runs to an end beside the decisions, such as training. Each step of a job's life is a function here.

A job is read, one of these functions makes the next one of it, and a store replaces the one by the other if nobody
else did so first. A lease makes sure that a job runs in one process at a time: see `jobs.runner`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from homeostat.errors import Conflict

NOTE_MAX = 200  # Characters of what a job does at the moment.
ERROR_MAX = 4000  # Characters of why it failed: the last lines of its log.


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"  # It waits for a runner.
    RUNNING = "running"  # A runner has it, and has started a process.
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # Its command ended with an error, or could not be started.
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # Its process was lost each time that it was tried.

    @property
    def over(self) -> bool:
        """Whether the job has come to its end."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(JobState),
    JobState.SUCCEEDED: frozenset(),
    **{state: frozenset({JobState.QUEUED}) for state in (JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)},
}
"""Where a job may go from each state."""


class NotNow(Conflict):
    """A job is in a state in which this can't be done; nothing was changed."""

    why = "a job is retried once it is over, and one that succeeded has nothing to retry"
    remedy = "Look at it with homeostat jobs show, and submit a new job where that is what you want"


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    kind : of `config.job_kinds`: which command it is
    arguments : of that command, checked
    actor : who submitted it
    key : the same key is the same job, however often it is submitted; "" for none
    folder : where paths in its arguments begin; "" for the runner's own
    attempts_max : how often it is begun at most, if its process is lost
    id : counts the jobs of a store, from 1 on; 0 until it is stored
    revision : how often it was changed, 0 until it is stored
    heartbeat_ns : when its runner last reported that it goes on
    progress : share that is done, in [0, 1]
    note : what it does at the moment
    attempts : how often it was begun; with `owner` it names one run
    owner : the runner that has it
    cancel : who asked for its cancellation; "" for nobody
    result : what it printed, as JSON; None where there is none
    error : why it failed
    """

    kind: str
    arguments: tuple[str, ...]
    actor: str = ""
    key: str = ""
    folder: str = ""
    attempts_max: int = 2
    id: int = 0
    revision: int = 0
    state: JobState = JobState.QUEUED
    created_ns: int = 0
    started_ns: int | None = None
    heartbeat_ns: int | None = None
    ended_ns: int | None = None
    progress: float = 0.0
    note: str = ""
    attempts: int = 0
    owner: str = ""
    cancel: str = ""
    result: Any = None
    error: str = ""

    def same_work(self, other: Job) -> bool:
        """Whether both ask for the same."""
        return (self.kind, self.arguments, self.folder) == (other.kind, other.arguments, other.folder)

    def taken(self, owner: str, now_ns: int) -> Job:
        """Begun by a runner; over, where it was lost as often as it may be, or was to be cancelled when it was lost.

        >>> job = Job("train", (), id=1)
        >>> job.taken("a", 5).attempts, job.taken("a", 5).taken("b", 9).taken("c", 12).state
        (1, <JobState.INTERRUPTED: 'interrupted'>)
        """
        lost = self.lost(now_ns)
        if lost.state.over:
            return lost
        return replace(
            self, state=JobState.RUNNING, owner=owner, attempts=self.attempts + 1, started_ns=now_ns,
            heartbeat_ns=now_ns, progress=0.0, note="",
        )  # fmt: skip

    def lost(self, now_ns: int) -> Job:
        """The fate of a job without a process: it waits again; it is over, if lost too often, or to be cancelled."""
        if self.cancel:
            return self._over(JobState.CANCELLED, now_ns)
        if self.attempts >= self.attempts_max:
            why = f"its process was lost {self.attempts} times: it was killed, or its runner or machine failed"
            return replace(self._over(JobState.INTERRUPTED, now_ns), error=why)
        return replace(self, state=JobState.QUEUED, owner="", progress=0.0, note="")

    def beaten(self, now_ns: int, progress: float, note: str) -> Job:
        """Still running; progress never goes back, since parts of the work may count for themselves."""
        share = max(self.progress, min(1.0, progress)) if progress == progress else self.progress
        return replace(self, heartbeat_ns=now_ns, progress=share, note=note[:NOTE_MAX])

    def released(self) -> Job:
        """Given back by a runner that stops: queued again, as if this attempt had not been; or cancelled, if asked."""
        if self.cancel:
            return self._over(JobState.CANCELLED, self.heartbeat_ns or self.created_ns)
        return replace(self, state=JobState.QUEUED, attempts=self.attempts - 1, owner="", progress=0.0, note="")

    def ended(self, state: JobState, now_ns: int, result: Any = None, error: str = "") -> Job:
        """Over, by its own doing or by a cancellation.

        state : one that is over
        """
        assert state.over, state
        done = 1.0 if state is JobState.SUCCEEDED else self.progress
        return replace(self._over(state, now_ns), progress=done, result=result, error=error[-ERROR_MAX:])

    def asked_to_cancel(self, actor: str, now_ns: int) -> Job:
        """Cancelled, where it waits; its runner is asked to, where it runs; itself, where it is over.

        >>> Job("train", ()).asked_to_cancel("ann", 5).state
        <JobState.CANCELLED: 'cancelled'>
        """
        if self.state.over or self.cancel:
            return self
        asked = replace(self, cancel=actor or "somebody")
        return asked._over(JobState.CANCELLED, now_ns) if self.state is JobState.QUEUED else asked

    def again(self) -> Job:
        """Queued once more, as if new. Raises NotNow where it runs, waits or has succeeded."""
        if JobState.QUEUED not in MOVES[self.state] or self.state is JobState.RUNNING:
            raise NotNow(f"job {self.id} is {self.state}: only what failed, was cancelled or interrupted is retried")
        return replace(
            self, state=JobState.QUEUED, started_ns=None, heartbeat_ns=None, ended_ns=None, progress=0.0, note="",
            attempts=0, owner="", cancel="", result=None, error="",
        )  # fmt: skip

    def _over(self, state: JobState, now_ns: int) -> Job:
        return replace(self, state=state, ended_ns=now_ns, note="")


def facts(job: Job) -> dict[str, Any]:
    """A job as JSON: its fields by name, with times as ISO 8601 texts.

    >>> facts(Job("train", (), created_ns=10**18))["created"]
    '2001-09-09T01:46:40Z'
    """
    shown = asdict(job)
    shown["arguments"], shown["state"] = list(job.arguments), job.state.value
    for name in ("created", "started", "heartbeat", "ended"):
        at_ns = shown.pop(f"{name}_ns")
        shown[name] = None if at_ns is None else _when(at_ns)
    return shown


def _when(at_ns: int) -> str:
    try:
        return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # A clock that was wrong by ages.
        return str(at_ns)
