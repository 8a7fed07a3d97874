"""`homeostat models canary`, which starts, shows and ends a canary, and `homeostat models ramp`, which keeps one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homeostat.cli.deploying import ask, end
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Actor, Config, Data, Stores, actor_of

if TYPE_CHECKING:
    from homeostat.config.tree import App
    from homeostat.jobs.canary_keeping import Keeper
    from homeostat.jobs.shadow_places import Place
    from homeostat.ports.registry import Version
    from homeostat.records.changes import Change

Named = Annotated[str | None, Parameter(name="--app", help="A shipped app, or the app file of the server.")]
_BY_HAND = "asked for at the command line"


@Parameter(name="*")
@dataclass(frozen=True)
class Instead:
    """The work on the canary that there is, in place of starting one."""

    status: Annotated[bool, Parameter(negative="", help="Only show how it fares.")] = False
    stop: Annotated[bool, Parameter(negative="", help="End it at once.")] = False


def canary(
    version: str | None = None,
    /,
    *,
    instead: Instead = Instead(),
    app: Named = None,
    steps: Annotated[
        str | None, Parameter(help="The shares to earn, such as .01,.1,1; those of the app file when absent.")
    ] = None,
    reason: Annotated[str | None, Parameter(help="Why; it is kept with the change.")] = None,
    actor: Actor = None,
    yes: Annotated[bool, Parameter("--yes", negative="", help="Do not ask.")] = False,
    keep: Annotated[bool, Parameter(help="Leave a job that keeps it: judges it, raises its share, or ends it.")] = True,
    wait: Annotated[float, Parameter(help="Seconds to wait until each process has applied it.")] = 30.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let a version decide a share of the entities, which grows as it earns that, until it is the champion.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    """
    from homeostat.cli.version_stores import stores_of

    if version is None and not (instead.status or instead.stop):
        raise CommandError("which version? Name one, or say --status or --stop")
    if instead.status:
        with _keeper(app, data, config) as (keeper, _):
            _show(keeper, json)
        return
    with stores_of(data, config) as stores:
        if instead.stop:
            _stop(stores, actor_of(actor), reason or _BY_HAND, wait, json)
            return
        assert version is not None
        _start(
            stores, version, _app_of(app, data, config), _shares(steps), app, data, config,
            _Asked(actor_of(actor), reason or _BY_HAND, yes, keep, wait, json),
        )  # fmt: skip


def ramp(
    *,
    app: Named = None,
    every: Annotated[float, Parameter(help="Seconds between two looks.", validator=Number(gt=0, lte=3600))] = 1.0,
    once: Annotated[bool, Parameter(negative="", help="Look once, and make the move that follows.")] = False,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Keep the canary until it is the champion or has ended: judge it, raise its share, or end it at once.

    It may be ended and started again at any time, and goes on where it was.
    """
    from homeostat.adapters.process.pause import pause
    from homeostat.cli.progress import say, shown
    from homeostat.errors import Unavailable
    from homeostat.jobs.canary_keeping import sentences
    from homeostat.models.deployments import Unfair

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    told: tuple[float, str] = (0.0, "")
    trouble = ""
    with _keeper(app, data, config) as (keeper, _), shown("canary") as progress:
        while True:
            try:
                look = keeper.look()
                facts = look.as_dict()
                change = keeper.act(look)
                trouble = ""
            except (Unavailable, Unfair) as error:
                if once:
                    raise
                if str(error) != trouble:
                    say(f"{error}; it is tried again")
                trouble = str(error)
                pause(every)
                continue
            if facts["version"] is not None:
                progress(f"{facts['share']:.2%}: {facts['why']}"[:200], facts["share"])
                if change is not None or (facts["share"], facts["verdict"]) != told:
                    say("\n".join(sentences(facts)))
                told = facts["share"], facts["verdict"]
            if facts["version"] is None or (once and not look.more):
                break
            if change is None and not look.more:
                pause(every)
    print(dumps(facts) if json else "\n".join(sentences(facts)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The person who asks for a canary, and the options."""

    actor: str
    reason: str
    yes: bool
    keep: bool
    wait_s: float
    json: bool


def _shares(text: str | None) -> tuple[float, ...]:
    """The shares of `--steps`. Raises CommandError."""
    if text is None:
        return ()
    try:
        found = tuple(float(one) for one in text.split(","))
    except ValueError:
        raise CommandError(f"--steps {text}: give rising shares, such as .01,.1,1") from None
    if not all(0 < one <= 1 for one in found) or sorted(set(found)) != list(found):
        raise CommandError(f"--steps {text}: give rising shares above 0 and up to 1, such as .01,.1,1")
    return found


def _app_of(app: str | None, data: Path | None, config: Path | None) -> App:
    from homeostat.cli.settings import app_of

    found = app_of(app, data, config)
    if found is None:
        raise CommandError("a canary is judged by what its app file says: give --app")
    return found


def _start(
    stores: Stores, version: str, declared: App, steps: tuple[float, ...], app: str | None, data: Path | None,
    config: Path | None, asked: _Asked,
) -> None:  # fmt: skip
    from homeostat.jobs.canary_keeping import start
    from homeostat.jobs.canary_watch import plan_of
    from homeostat.models.deployments import usable

    one = usable(stores.registry, version)
    plan = plan_of(declared, steps)
    if plan.steps[0] >= 1:
        raise CommandError("a canary begins with a share below 1: give other --steps, or promote the version")
    _check_evidence(declared, one, app, data, config)
    ask(f"let version {one.number} ({one.version}) decide {plan.steps[0]:.2%} of the entities", asked.yes or asked.json)
    change = start(stores.settings, stores.registry, one.version, plan.steps[0], steps, asked.actor, asked.reason)
    if asked.keep:
        leave_job(change, app, data, config, asked.actor)
    end(stores, change, one, asked.wait_s, asked.json)


def _check_evidence(declared: App, one: Version, app: str | None, data: Path | None, config: Path | None) -> None:
    """Raise CommandError where the app asks for a judgement first, and that is no PASS."""
    from homeostat.cli.progress import shown
    from homeostat.cli.shadow import place_of
    from homeostat.jobs.judging import judged

    spec = declared.canary
    if spec is None or spec.evidence == "none":
        return
    name = app or declared.app
    with place_of(data, config, name) as place, shown(f"judge {one.version}") as progress:
        found = judged(name, place, one.version, spec.evidence, progress, alpha=spec.alpha, margin=spec.margin).evidence
    if found.verdict.value != "PASS":
        raise CommandError(
            f"the app asks for a PASS in {spec.evidence} first, and version {one.number} has {found.verdict.value}: "
            f"{found.why}"
        )


def leave_job(change: Change, app: str | None, data: Path | None, config: Path | None, actor: str) -> None:
    """Submit the job that keeps the canary; one for each canary, however often it is asked for."""
    import os
    import time

    from homeostat.cli.jobs import opened, place_words
    from homeostat.jobs.following import new_job

    named, place = place_words(app, data, config)
    words = [*(f"--app={one}" for one in named), *place]
    key, now_ns = f"canary-{change.number}", time.time_ns()
    made = new_job("canary", words, actor=actor, key=key, folder=os.getcwd(), now_ns=now_ns)
    with opened(data, config, make=True) as store:
        store.submit(made)


def _stop(stores: Stores, actor: str, reason: str, wait_s: float, json: bool) -> None:
    from homeostat.cli.applying import wait_applied
    from homeostat.jobs.canary_keeping import stop
    from homeostat.models.deployments import version_in

    change = stop(stores.settings, actor, reason)
    waited = wait_applied(stores.settings, change, wait_s)
    facts = {"version": version_in(change.before), "change": change.number, **waited.as_json()}
    print(dumps(facts) if json else f"version {facts['version']} is no canary any more: {waited.sentence()}")
    if waited.waiting:
        sys.exit(1)


def _show(keeper: Keeper, json: bool) -> None:
    from homeostat.jobs.canary_keeping import sentences

    look = keeper.look()
    while look.more:
        look = keeper.look()
    facts = look.as_dict()
    print(dumps(facts) if json else "\n".join(sentences(facts)))


@contextmanager
def _keeper(app: str | None, data: Path | None, config: Path | None) -> Iterator[tuple[Keeper, Place]]:
    """A keeper of the canary of a folder or of servers."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.cli.shadow import place_of
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.canary_keeping import Keeper
    from homeostat.jobs.fair_evidence import fairness_evidence
    from homeostat.models.deployments import beside_champion
    from homeostat.models.judgement import Evidence

    declared = _app_of(app, data, config)
    with place_of(data, config, app or declared.app) as place:
        prepared = prepare(declared)
        with closing(place.open_journal(prepared)) as journal:

            def fair(version: str) -> Evidence | None:
                if declared.fairness is None or not declared.fairness.binds:
                    return None
                there = beside_champion(place.settings)
                return fairness_evidence(declared, journal, place.registry.fetch(version), there)

            yield Keeper(prepared.keyed(journal.coding), place, journal, SystemClock(), fair), place
