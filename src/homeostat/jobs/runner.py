"""Runs jobs: takes them from their store, one process each, and says there how they fare.

A job runs in one process at a time. Its runner has it by a lease: it changes the stored job every few seconds, and each
time it has done so it lets the process go on for one lease more, counted from before the change. A process that is not
let go on ends itself. Other runners take a job over when they have seen it unchanged for longer than a lease.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from homeostat.adapters.process.job_process import JobProcess
from homeostat.adapters.process.scratch import Scratch
from homeostat.config.job_kinds import BadJob, beside, command_of
from homeostat.errors import Unavailable
from homeostat.jobs.lapses import Lapses
from homeostat.ports import Clock
from homeostat.ports.jobs import JobMoved, Jobs, UnknownJob
from homeostat.records.job import Job, JobState

_LOG_BYTES_MAX = 1 << 18  # Of a log that waits for its store; what comes beyond that is lost.
_TAKEN = "another runner has taken it over"
_LAPSED_SHARE = 1.2  # Of a lease: clocks of two machines don't run alike to the last bit.


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a runner does what, in seconds.

    lease_s : how long a job's process goes on without a word
    beat_s : between signs of life
    look_s : between looks at whether a job is to be cancelled
    grace_s : from the request to end until it is forced
    turn_s : the longest wait for something to happen
    """

    lease_s: float = 30.0  # More than any call that lets no other thread of the job come to its turn.
    beat_s: float = 3.0
    look_s: float = 0.3
    grace_s: float = 1.0
    turn_s: float = 0.1


class Starts(Protocol):
    """Starts a job's process, with a folder for its temporary files. Raises OSError, BadJob."""

    def __call__(self, job: Job, scratch: Path) -> JobProcess: ...


def start(job: Job, scratch: Path) -> JobProcess:
    """Start the command of a job. Raises OSError, BadJob."""
    return JobProcess(command_of(job.kind, job.arguments), job.folder, scratch)


@dataclass(slots=True)
class _Run:
    """A job that runs here.

    until_ns : until when it may go on
    asked_ns : when its process was asked to end
    outcome : what becomes of the job, once its process has ended; it waits for the store
    """

    job: Job
    process: JobProcess | None
    until_ns: int
    beat_ns: int
    looked_ns: int
    asked_ns: int | None = None
    shown: tuple[float, str] = (0.0, "")
    log: bytearray = field(default_factory=bytearray)
    outcome: Callable[[Job], Job] | None = None


class Runner:
    """See the module. One thread runs it; `stop` may be called from any, and from a signal's handler.

    owner : its name, unlike that of any other runner, now or earlier
    at_once : jobs that run at the same time, over all runners of the store
    say : gets a sentence about each job that begins or ends, and about a store that fails
    """

    def __init__(
        self,
        jobs: Jobs,
        clock: Clock,
        owner: str,
        *,
        at_once: int = 1,
        pace: Pace = Pace(),
        starts: Starts = start,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Raises Unavailable where there is no room for temporary files."""
        self._jobs, self._clock, self._owner = jobs, clock, owner
        self._at_once, self._pace, self._starts, self._say = at_once, pace, starts, say
        self._scratch = Scratch()
        self._lapses = Lapses(_ns(pace.lease_s * _LAPSED_SHARE))
        self._runs: list[_Run] = []
        self._stopping, self._pause = threading.Event(), threading.Event()
        self._trouble = ""
        self._claim_ns = self._clock.monotonic_ns()
        self._idle = False

    def stop(self) -> None:
        """Let `run` end: what runs is asked to end, and waits again for another runner."""
        self._stopping.set()

    def run(self, once: bool = False) -> None:
        """Run jobs until `stop` is called.

        once : return when nothing is left to do: what waits is done, and each job elsewhere shows that it lives
        """
        while not self._stopping.is_set() and not (once and self._idle):
            self.turn()
        self._give_back()

    def close(self) -> None:
        """End what still runs, without a word to the store, and remove temporary files."""
        for run in self._runs:
            if run.process is not None:
                run.process.close()
        self._runs = []
        self._scratch.close()

    def turn(self) -> None:
        """Look once after everything, and wait a moment where nothing happens."""
        for run in list(self._runs):
            if run.process is not None:
                self._hear(run, self._pace.turn_s / len(self._runs))
        if not any(run.process is not None for run in self._runs):
            self._stopping.wait(self._pace.turn_s)
        for run in list(self._runs):
            self._tend(run)
        self._take()

    def _hear(self, run: _Run, wait_s: float) -> None:
        assert run.process is not None
        run.log += run.process.hear(wait_s)[: max(0, _LOG_BYTES_MAX - len(run.log))]

    def _tend(self, run: _Run) -> None:
        """Let a run go on, or end."""
        now_ns = self._clock.monotonic_ns()
        if run.process is not None and run.process.ended():
            self._reap(run)
        elif run.process is not None and now_ns > run.until_ns:
            self._drop(run, "the store of jobs did not answer for a whole lease")
        elif run.process is not None and run.asked_ns is not None and now_ns - run.asked_ns > _ns(self._pace.grace_s):
            run.process.signal(signal.SIGKILL)
        if run not in self._runs:
            return
        if run.outcome is not None:
            self._try(run, self._conclude)
        elif now_ns - run.looked_ns > _ns(self._pace.look_s):
            run.looked_ns = now_ns
            self._try(run, self._look)

    def _try(self, run: _Run, act: Callable[[_Run], None]) -> None:
        """Do something with the store, which may be away: it is tried again at the next turn."""
        try:
            act(run)
            self._well()
        except UnknownJob:
            self._drop(run, "it was deleted from the store")
        except JobMoved:
            pass  # Somebody else's change comes first; ours is made on it at the next turn.
        except Unavailable as error:
            self._fails(error)

    def _look(self, run: _Run) -> None:
        """Say that the job goes on, write its log, and see whether it is to be cancelled."""
        assert run.process is not None
        now_ns = self._clock.monotonic_ns()
        job = self._jobs.get(run.job.id)
        if not self._has(run, job):
            self._drop(run, _TAKEN)
            return
        run.job = job
        if job.cancel and run.asked_ns is None:
            self._ask_to_end(run)
        shown = (run.process.share, run.process.note)
        due = now_ns - run.beat_ns > _ns(self._pace.beat_s)
        if due or (shown != run.shown and now_ns - run.beat_ns > _ns(self._pace.beat_s / 3)):
            run.job = self._jobs.move(job.beaten(self._clock.now_ns(), *shown))
            run.beat_ns, run.shown = now_ns, shown
            run.until_ns = now_ns + _ns(self._pace.lease_s)
            run.process.renew(run.until_ns)
        self._write_log(run)

    def _write_log(self, run: _Run) -> None:
        if run.log:
            self._jobs.write(run.job, bytes(run.log))
            run.log.clear()

    def _ask_to_end(self, run: _Run) -> None:
        assert run.process is not None
        run.asked_ns = self._clock.monotonic_ns()
        run.process.signal(signal.SIGTERM)

    def _reap(self, run: _Run) -> None:
        """Take in the last of what a process left, and decide what becomes of its job."""
        process = run.process
        assert process is not None
        process.signal(signal.SIGKILL)  # Children that it left behind.
        run.log += process.drain()[: max(0, _LOG_BYTES_MAX - len(run.log))]
        code, run.process = process.close(), None
        self._scratch.clear(str(run.job.id))
        now_ns, result, error = self._clock.now_ns(), process.result(), process.error()
        if code == 0:
            run.outcome = lambda job: job.ended(JobState.SUCCEEDED, now_ns, result)
        elif run.job.cancel and run.asked_ns is not None:
            run.outcome = lambda job: job.ended(JobState.CANCELLED, now_ns)
        elif run.asked_ns is not None:
            run.outcome = lambda job: job.released()
        elif code < 0:
            run.outcome = lambda job: job.lost(now_ns)
        else:
            why = error or f"the command ended with exit code {code} and without a word"
            run.outcome = lambda job: job.ended(JobState.FAILED, now_ns, result, why)

    def _conclude(self, run: _Run) -> None:
        """Store what became of a job whose process has ended."""
        assert run.outcome is not None
        self._write_log(run)
        job = self._jobs.get(run.job.id)
        if not self._has(run, job):
            self._drop(run, _TAKEN)
            return
        job = self._jobs.move(run.outcome(job))
        self._runs.remove(run)
        self._say(f"job {job.id} ({job.kind}): {job.state}" + (f": {_last_line(job.error)}" if job.error else ""))
        self._claim_ns = self._clock.monotonic_ns()
        self._jobs.prune()

    def _drop(self, run: _Run, why: str) -> None:
        """End a process whose job is no longer ours. Nothing is stored: what becomes of it is another's to say."""
        if run.process is not None:
            run.process.close()
            self._scratch.clear(str(run.job.id))
        self._runs.remove(run)
        self._say(f"job {run.job.id} ({run.job.kind}) was ended here: {why}")

    def _has(self, run: _Run, job: Job) -> bool:
        """Whether a stored job is still this run of it."""
        known = (run.job.attempts, self._owner)
        return job.state is JobState.RUNNING and (job.attempts, job.owner) == known

    def _take(self) -> None:
        """Begin what may be begun."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._claim_ns:
            return
        self._claim_ns = now_ns + _ns(5 * self._pace.turn_s)
        try:
            lapsed = self._lapsed()
            while True:
                begun_ns = self._clock.monotonic_ns()
                full = sum(run.job.kind not in beside() for run in self._runs) >= self._at_once
                most, lost = (0, {}) if full else (self._at_once, lapsed)
                job = self._jobs.claim(self._owner, self._clock.now_ns(), lost, most)
                if job is None:
                    break
                lapsed.pop(job.id, None)
                self._begin(job, begun_ns)
            self._idle = not self._runs and not self._lapses.undecided
            self._well()
        except Unavailable as error:
            self._idle = False
            self._fails(error)

    def _lapsed(self) -> dict[int, int]:
        own = {run.job.id for run in self._runs}
        running = self._jobs.list([JobState.RUNNING], limit=1000)
        return self._lapses.look([job for job in running if job.id not in own], self._clock.monotonic_ns())

    def _begin(self, job: Job, begun_ns: int) -> None:
        """Start the process of a job that was claimed.

        begun_ns : a moment before that
        """
        run = _Run(job, None, begun_ns + _ns(self._pace.lease_s), begun_ns, begun_ns)
        self._runs.append(run)
        if job.attempts > 1:
            run.log += f"--- begun again, for the {job.attempts}. time, by {self._owner}\n".encode()
        try:
            run.process = self._starts(job, self._scratch.room(str(job.id)))
        except (OSError, BadJob) as error:
            now_ns, why = self._clock.now_ns(), f"the command could not be started: {error}"
            run.outcome = lambda job: job.ended(JobState.FAILED, now_ns, None, why)
            return
        run.process.renew(run.until_ns)
        self._say(f"job {job.id} ({job.kind}) begins, in process {run.process.pid}")

    def _give_back(self) -> None:
        """Ask all that runs to end, and let it wait for another runner."""
        for run in self._runs:
            if run.process is not None and run.asked_ns is None:
                self._ask_to_end(run)
        until_ns = self._clock.monotonic_ns() + _ns(5 * self._pace.grace_s)
        while self._runs and self._clock.monotonic_ns() < until_ns:
            for run in list(self._runs):
                if run.process is not None:
                    self._hear(run, self._pace.turn_s / len(self._runs))
                self._tend(run)
            if not any(run.process is not None for run in self._runs):
                self._pause.wait(self._pace.turn_s)
        self.close()

    def _fails(self, error: Unavailable) -> None:
        if not self._trouble:
            self._say(f"{error}; it is tried again")
        self._trouble = str(error)

    def _well(self) -> None:
        if self._trouble:
            self._say("the store of jobs answers again")
        self._trouble = ""


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _last_line(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines() or [""]
    return lines[-1][:200]
