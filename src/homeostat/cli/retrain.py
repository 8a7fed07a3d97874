"""`homeostat retrain`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Actor, Config, Data, actor_of

if TYPE_CHECKING:
    from homeostat.jobs.retraining import Look, Retrainer
    from homeostat.jobs.retraining_triggers import Due
    from homeostat.records.changes import Change

_BY_HAND = "asked for at the command line"
_JOB_S = 1.0  # Between two looks at a job of its own.
_SHARE = 20.0  # Between two looks it rests so many times as long as the last one took.


def retrain(
    app: str,
    /,
    *,
    now: Annotated[bool, Parameter(negative="", help="Begin without a trigger, and during a cool-down.")] = False,
    tune: Annotated[bool, Parameter(negative="", help="With --now: search for better settings in this round.")] = False,
    only_train: Annotated[
        bool, Parameter(negative="", help="Train a version that joins the library; no round begins. Give a --reason.")
    ] = False,
    status: Annotated[bool, Parameter(negative="", help="Only show where it is, and the last rounds.")] = False,
    approve: Annotated[str | None, Parameter(help="Let this version get the role that was proposed.")] = None,
    stop: Annotated[bool, Parameter(negative="", help="Object: end the round, and take back its roles.")] = False,
    reason: Annotated[str | None, Parameter(help="Why; it is kept with the step.")] = None,
    actor: Actor = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Take the next step from a trigger to a promotion: train again, judge, shadow, canary.

    It may be ended and called again at any time, and goes on where it was.

    Parameters
    ----------
    app
        A shipped app, or the app file of the server: its `retrain` section says when and how.
    """
    if sum((now, only_train, status, approve is not None, stop)) > 1:
        raise CommandError("give one of --now, --only-train, --status, --approve and --stop")
    if only_train and reason is None:
        raise CommandError("--only-train needs a --reason: the same one again gives the version that is there")
    if tune and not now:
        raise CommandError("--tune is about a round that begins now: add --now")
    who, why = actor_of(actor), reason or _BY_HAND
    with _retrainer(app, data, config) as one:
        if only_train:
            made = asdict(one.train_apart(why))
            print(dumps(made) if json else f"version {made['version']}: {made['why']}")
            return
        if approve is not None:
            look = one.approve(approve, who, why)
        elif stop:
            look = one.stop(who, why)
        elif status:
            look = one.look()
        else:
            look = one.step(_asked(f"{why} ({who})", tune) if now else None)
        found = {**look.as_dict(), "rounds": [it.as_json() for it in one.rounds()[:20]] if status else None}
    print(
        dumps({name: it for name, it in found.items() if it is not None or name != "rounds"}) if json else _text(found)
    )


def retraining(
    app: str,
    /,
    *,
    every: Annotated[float, Parameter(help="Seconds between two looks.", validator=Number(gt=0, lte=86400))] = 60.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Look on, and train again when that is due: take each step of `homeostat retrain`, and leave long ones to jobs.

    It may be ended and started again at any time, and goes on where it was.

    Parameters
    ----------
    app
        A shipped app, or the app file of the server: its `retrain` section says when and how.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with _retrainer(app, data, config) as one:
        _watch(one, every, _jobs_of(app, data, config, actor_of(None)))


def _asked(why: str, tunes: bool) -> Due:
    from homeostat.jobs.retraining_triggers import REQUEST, Due

    return Due(REQUEST, why, tunes)


def _text(found: dict[str, Any]) -> str:
    from homeostat.records.times import time_text

    lines = [f"{found['state']}: {found['why']}" + (f" (round {found['round']})" if found["round"] else "")]
    for one in found["rounds"] or ():
        lines.append(f"round {one['round']}" + (f", version {one['version']}" if one["version"] else ""))
        for step in one["steps"]:
            value = f" {step['value']}" if step["value"] and step["step"] != "begun" else ""
            lines.append(f"  {time_text(step['at_ns'])} {step['step']}{value} by {step['actor']}: {step['why']}")
    return "\n".join(lines)


def _watch(one: Retrainer, every: float, job: Callable[[Look], str | None]) -> None:
    """Look on for ever; leave long steps to jobs, and take the others.

    job : see `_jobs_of`
    """
    from homeostat.adapters.process.pause import pause
    from homeostat.cli.progress import say, shown
    from homeostat.errors import Unavailable
    from homeostat.jobs.retraining import HEAVY

    before: tuple[Any, ...] = ()
    with shown("retraining") as progress:
        while True:
            began_s = time.monotonic()
            try:
                look = one.look()
                done = job(look) if look.state in HEAVY else ""
                if done:
                    one.fail(done)
                    look = one.look()
                elif done == "" and not look.waits:
                    look = one.step()
                text = f"{look.state.value}: {look.why}"
            except Unavailable as error:
                look, text = None, f"{error}; it is tried again"
            seen = (look, text)
            if seen != before:
                say(text)
                progress(text[:200], 0.0)
            if look is not None and look.state in HEAVY:
                pause(min(every, _JOB_S))
            elif seen == before or look is None or look.waits:
                pause(max(every, _SHARE * (time.monotonic() - began_s)))
            before = seen


def _words(app: str, data: Path | None, config: Path | None) -> list[str]:
    from homeostat.cli.jobs import place_words

    named, place = place_words(app, data, config)
    return [*named, *place]


def leave_retraining(app: str, data: Path) -> None:
    """Submit the job that looks on, once for each app file; one that failed or was lost waits again.

    One that a person cancelled stays so.
    """
    from homeostat.cli.jobs import opened
    from homeostat.jobs.following import new_job
    from homeostat.ports.jobs import change
    from homeostat.records.job import JobState

    words, again = _words(app, data, None), (JobState.FAILED, JobState.INTERRUPTED)
    made = new_job(
        "retraining", words, actor="homeostat", key=f"retraining {words[0]}", folder=os.getcwd(), now_ns=time.time_ns()
    )
    with opened(data, None, make=True) as store:
        change(store, store.submit(made).id, lambda job: job.again() if job.state in again else job)


def _jobs_of(app: str, data: Path | None, config: Path | None, actor: str) -> Callable[[Look], str | None]:
    """Submits the job of a long step, once for each.

    It returns None while the job goes on, why it failed, or nothing where it succeeded: then the step is still to be
    taken, since another process took the one that the job was for.
    """
    from homeostat.cli.jobs import opened
    from homeostat.jobs.following import new_job
    from homeostat.records.job import JobState

    def submit(look: Look) -> str | None:
        key = f"retraining-{look.round}-{look.state.value}"
        made = new_job(
            "retrain", _words(app, data, config), actor=actor, key=key, folder=os.getcwd(), now_ns=time.time_ns()
        )
        with opened(data, config, make=True) as store:
            job = store.submit(made)
        if not job.state.over:
            return None
        why = f"job {job.id} is {job.state}: {job.error or 'without a reason'}"
        return "" if job.state is JobState.SUCCEEDED else why

    return submit


@contextmanager
def _retrainer(app: str, data: Path | None, config: Path | None) -> Iterator[Retrainer]:
    """The retraining of a folder or of servers."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.adapters.process.load import load_each
    from homeostat.cli.canary import leave_job
    from homeostat.cli.progress import shown
    from homeostat.cli.settings import app_of
    from homeostat.cli.shadow import place_of
    from homeostat.cli.statements import statements_of
    from homeostat.config.retraining import Retrain
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.feedback import feedback_since
    from homeostat.jobs.retraining import Ports, Retrainer
    from homeostat.jobs.retraining_record import ACTOR
    from homeostat.jobs.retraining_versions import Versions

    declared = app_of(app, data, config)
    assert declared is not None
    with (
        place_of(data, config, app) as place, statements_of(data, config) as statements,
        closing(place.open_journal(prepare(declared))) as journal, shown("retraining") as progress,
    ):  # fmt: skip
        prepared, clock = prepare(declared).keyed(journal.coding), SystemClock()

        def keep(change: Change) -> None:
            leave_job(change, app, data, config, ACTOR)

        def feedback(since_ns: int) -> float:
            return feedback_since(statements, journal, since_ns).weight

        outcomes = declared.outcomes
        versions = Versions(app, max(outcomes.matures, outcomes.delay), place, clock, progress, data)
        ports = Ports(place, journal, statements, clock, keep, feedback, load_each)
        yield Retrainer(declared.retrain or Retrain(), prepared, ports, versions)
