"""Trying a change of rules on recorded events: the same proposals, ruled by both sets of guards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from homeostat.adapters.clock import SystemClock
from homeostat.adapters.event_files import read_events
from homeostat.adapters.sqlite_journal import SqliteJournal
from homeostat.app import World, brain, build
from homeostat.config import plans
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, shipped_apps
from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.rehearsal import rehearse
from homeostat.embedded.answers import time_text
from homeostat.embedded.assembly import Prepared, bundle_of, prepare
from homeostat.models.training_set import Progress
from homeostat.records.decisions import DecisionBatch


class NoApp(ValueError):
    """Rules alone don't say which app they are for."""


def try_rules(rules: Path, events: Path, app: str | None, bundle: Path | None, progress: Progress) -> dict[str, Any]:
    """What would have changed if the guards of `rules` had ruled instead of the app's own.

    rules : a file with `guards`, alone or in a whole app file
    app : whose guards they would replace; without one, the shipped app that the rules name or alone make sense in
    Raises NoApp, AppFileError, EventFileError, BundleError, NotTrained.
    """
    name = app or _named_in(rules)
    prepared = prepare(name)
    changed = prepare(load_app(name, guards_from=rules))
    found = rehearse(
        _guards(prepared), _guards(changed), _decided(prepared, bundle_of(prepared, bundle), events, progress)
    )
    report = asdict(found)
    for change in report["changes"]:
        for example in change["examples"]:
            example["time"] = time_text(example.pop("time_ns"))
    return {"app": prepared.app.app, "rules": str(rules), **report}


def _named_in(rules: Path) -> str:
    """The shipped app that rules are for: the one they name, or the only one in which they make sense."""
    fitting, faults = [], AppFileError([])
    for name in shipped_apps():
        try:
            load_app(name, guards_from=rules)
            fitting.append(name)
        except AppFileError as error:
            faults = error
    try:
        named = load_app(rules).app
    except AppFileError:
        named = ""  # Guards alone are no app file.
    if named in fitting:
        return named
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and not named:
        raise faults
    raise NoApp(f"which app are the rules in {rules} for? Give --app, a shipped app or an app file")


def _guards(prepared: Prepared) -> Guards:
    app = prepared.app
    return Guards(plans.guard_plan(app), plans.guard_names(app, prepared.features), plans.membership(app))


def _decided(prepared: Prepared, bundle: Any, events: Path, progress: Progress) -> Iterator[DecisionBatch]:
    """The app's decisions on recorded events, batch by batch."""
    clock, read = SystemClock(), 0
    with SqliteJournal(":memory:", app=prepared.app.app) as journal:
        ready = brain(prepared.app, prepared.features, bundle)
        loop = build(prepared.app, prepared.features, ready, World(journal, clock, bounded=False))
        for batch, _ in read_events(events, prepared.schema, clock.now_ns()):
            decided = loop.decide(batch)
            read += len(batch)
            progress(f"{read:,} events", min(0.99, read / (read + 65_536)))
            if decided.fresh is not None:
                yield decided.fresh
        loop.close()
