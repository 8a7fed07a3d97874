"""`homeostat jobs`."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from json import dumps
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import STORABLE, Json, Stored

if TYPE_CHECKING:
    from homeostat.ports.jobs import Jobs
    from homeostat.records.job import Job

jobs = App(name="jobs", help="Run long work beside the decisions, and look after it", help_format="plaintext")
Data: TypeAlias = Annotated[Path | None, Parameter(help="The folder that keeps the jobs, such as that of a server.")]
Config: TypeAlias = Annotated[
    Path | None, Parameter(help="A file with a `servers` section: jobs are in its journal's PostgreSQL.")
]
State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
_LOOK_S = 0.2  # Between looks at a job that is waited for.


def place_words(app: str | None, data: Path | None, config: Path | None) -> tuple[list[str], list[str]]:
    """The words of a job that name its app, none for None, and those that name its stores, wherever it runs.

    Where only the environment names servers, no word does: a runner has that environment, too.
    """
    named = [] if app is None else [str(Path(app).absolute()) if Path(app).suffix else app]
    stores = {"data": data, "config": config}
    return named, [f"--{name}={path.absolute()}" for name, path in stores.items() if path is not None]


@jobs.command
def submit(
    kind: str,
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    key: Annotated[str, Parameter(help="The same key with the same work is the same job.")] = "",
    wait: Annotated[bool, Parameter(negative="", help="Wait for its end; exit 1 unless it succeeds.")] = False,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Leave a job for a runner: homeostat jobs submit KIND --data DIR -- ARGUMENTS.

    Parameters
    ----------
    kind
        As `homeostat jobs kinds` lists them.
    arguments
        Those of its command. Relative paths begin in the present folder.
    """
    from homeostat.adapters.process.pause import pause
    from homeostat.jobs.following import new_job, to_its_end

    if not key.isprintable():
        raise CommandError("--key has printable characters")
    made = new_job(kind, list(arguments), actor=_user(), key=key, folder=os.getcwd(), now_ns=time.time_ns())
    with opened(data, config, make=True) as store:
        job = store.submit(made)
        if wait:
            job = to_its_end(store, job, lambda: pause(_LOOK_S), lambda text: print(text, file=sys.stderr))
    _print(job, json, f"job {job.id} is {job.state}")
    if wait and job.state != "succeeded":
        sys.exit(1)


@jobs.command
def kinds(*, json: Json = False) -> None:
    """Show the kinds of jobs, with the arguments that each takes."""
    from homeostat.config.job_kinds import KINDS

    if json:
        shown = {
            name: {
                "command": list(kind.command), "does": kind.does, "given": dict(kind.given),
                "options": dict(kind.options), "needed": list(kind.needed), "attempts_max": kind.attempts_max,
            }
            for name, kind in KINDS.items()
        }  # fmt: skip
        print(dumps(shown))
        return
    for name, kind in KINDS.items():
        options = [option if option in kind.needed else f"[{option}]" for option in kind.options]
        print(f"{name:<9} {' '.join([*kind.given, *options])}\n{'':<9} {kind.does}")


@jobs.command(name="list")
def list_(
    *,
    state: Annotated[State | None, Parameter(help="Only jobs in this state.")] = None,
    limit: Annotated[Stored, Parameter(help="How many, the newest first.")] = 50,
    below: Annotated[
        int | None, Parameter(help="Only jobs with a smaller number: the next page.", validator=STORABLE)
    ] = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show jobs, the newest first."""
    from homeostat.adapters.disk.sqlite.jobs import FILE
    from homeostat.records.job import JobState, facts

    if limit < 1:
        raise CommandError("--limit is at least 1")
    if config is None and data is not None and data.is_dir() and not (data / FILE).exists():
        found: Sequence[Job] = []  # No job was ever submitted there.
    else:
        with opened(data, config) as store:
            found = store.list([] if state is None else [JobState(state)], limit, below)
    if json:
        print(dumps({"jobs": [facts(job) for job in found], "next": found[-1].id if len(found) == limit else None}))
        return
    from homeostat.cli.tables import jobs_table

    jobs_table(found, sys.stdout)


@jobs.command
def show(id: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one job: its arguments, state, result or error."""
    with opened(data, config) as store:
        job = store.get(id)
    _print(job, json, "")
    if not json:
        from homeostat.cli.tables import job_lines

        for line in job_lines(job):
            print(line)


@jobs.command
def logs(
    id: Stored,
    /,
    *,
    follow: Annotated[bool, Parameter(("--follow", "-f"), negative="", help="Go on until the job is over.")] = False,
    offset: Annotated[Stored, Parameter(help="Begin at this byte.")] = 0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print a job's log, which is its command's standard error."""
    from homeostat.adapters.process.printable import printable

    with opened(data, config) as store:
        texts = []
        for text in _log(store, id, offset, follow):
            if json:
                texts.append(text)
            else:
                print(printable(text, lines=True), end="", flush=True)
        if json:
            print(dumps({"id": id, "state": store.get(id).state, "end": store.read(id).end, "text": "".join(texts)}))


@jobs.command
def cancel(
    id: Stored,
    /,
    *,
    wait: Annotated[bool, Parameter(negative="", help="Wait until it is over, for some seconds.")] = False,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Cancel a job: one that waits is over at once, one that runs is asked to end, and a second later made to."""
    from homeostat.ports.jobs import change

    with opened(data, config) as store:
        job = change(store, id, lambda job: job.asked_to_cancel(_user(), time.time_ns()))
        if wait:
            job = _ended(store, job)
    _print(job, json, f"job {id} is {job.state}" + (", and asked to end" if job.state == "running" else ""))


@jobs.command
def retry(id: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Let a job that failed, was cancelled or interrupted wait once more."""
    from homeostat.ports.jobs import change

    with opened(data, config) as store:
        job = change(store, id, lambda job: job.again())
    _print(job, json, f"job {id} is {job.state}")


@jobs.command
def run(
    *,
    once: Annotated[bool, Parameter(negative="", help="End when nothing is left to do.")] = False,
    at_once: Annotated[int, Parameter(help="Jobs at a time, over all runners of the store.")] = 1,
    data: Data = None,
    config: Config = None,
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
) -> None:
    """Run jobs, each in a process of its own at low priority, until a signal says to stop.

    At the first signal the jobs that run are asked to end, and wait for the next runner. A second one stops at once.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.adapters.process.logs import configure
    from homeostat.cli.watched import watched
    from homeostat.jobs.runner import Runner

    if at_once < 1:
        raise CommandError("--at-once is at least 1")
    ready = watched()
    logger = configure(log)
    owner = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
    with opened(data, config, make=True) as store:
        runner = Runner(store, SystemClock(), owner, at_once=at_once, say=logger.info)
        _stop_by_signals(runner.stop)
        logger.info("runs jobs of %s, %d at a time", data or "PostgreSQL", at_once)
        ready("runs jobs")
        try:
            runner.run(once)
        finally:
            runner.close()


@contextmanager
def opened(data: Path | None, config: Path | None, make: bool = False) -> Iterator[Jobs]:
    """The store of jobs while the block runs; see `adapters.jobs.opening`."""
    from homeostat.adapters.jobs.opening import opened

    with closing(opened(data, config, make)) as store:
        yield store


def _stop_by_signals(stop: Callable[[], None]) -> None:
    """The first signal stops, the second ends this process: its jobs' processes then end by themselves."""
    asked: list[int] = []

    def handle(number: int, frame: object) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _ended(store: Jobs, job: Job) -> Job:
    """A job once it is over."""
    while not job.state.over:
        time.sleep(_LOOK_S)
        job = store.get(job.id)
    return job


def _log(store: Jobs, id: int, offset: int, follow: bool) -> Iterator[str]:
    """The pieces of a log, whole lines as far as there are; while the job goes on, if it is to be followed."""
    rest = b""
    while True:
        over = store.get(id).state.over
        while (part := store.read(id, offset)).data:
            offset = part.offset + len(part.data)
            lines, newline, rest = (rest + part.data).rpartition(b"\n")
            yield (lines + newline).decode("utf-8", "replace")
        if over or not follow:
            if rest:
                yield rest.decode("utf-8", "replace") + "\n"
            return
        time.sleep(_LOOK_S)


def _print(job: Job, json: bool, text: str) -> None:
    from homeostat.records.job import facts

    if json:
        print(dumps(facts(job)))
    elif text:
        print(text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A user without a name, as in some containers.
        return f"user {os.getuid()}"
