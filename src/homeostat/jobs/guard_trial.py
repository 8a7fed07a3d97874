"""Trying a change of rules on decisions that were made: those of recorded events, or those of a journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.event_files import read_events, read_outcomes
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build, costs_of
from homeostat.config import plans
from homeostat.config.load import load_app
from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.rehearsal import Tried, rehearse
from homeostat.engine.answers import time_text
from homeostat.engine.assembly import Prepared, bundle_of, prepare
from homeostat.errors import HomeostatError
from homeostat.jobs.past import PastOutcomes
from homeostat.models.training_set import Progress
from homeostat.records.arrays import Float
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch


class CanNotTry(HomeostatError, ValueError):
    """The rules can't be tried on what was given; the text says why and what to do."""

    why = "a trial of rules needs rules, and decisions of the same app to hold them against"
    remedy = "Correct the rules, or name events or a folder of that app"


@dataclass(frozen=True, slots=True)
class Trial:
    """The rules to try, and the events to try them on.

    rules : a file with `guards`, alone or in a whole app file
    app : whose guards they would replace
    events : recorded events, which the app as it is decides again; or
    data : the folder of a server or a replay, whose decisions stand as they were made
    outcomes : a file of what became known of the events, beside what the folder's journal or the events say
    """

    rules: Path
    app: str
    events: Path | None = None
    data: Path | None = None
    outcomes: Path | None = None
    bundle: Path | None = None


def try_rules(trial: Trial, progress: Progress) -> dict[str, Any]:
    """The changes if the guards of `rules` had ruled instead of the app's own.

    Raises CanNotTry, AppFileError, EventFileError, BundleError, NotTrained, JournalError.
    """
    prepared, changed = prepare(trial.app), prepare(load_app(trial.app, guards_from=trial.rules))
    if trial.data is not None:  # What was recorded there names its events by a secret of its own.
        with _journal(trial.data) as journal:
            prepared = prepared.keyed(journal.coding)
    app, lists = changed.app, plans.membership(changed.app, prepared.coding)
    new = Guards(plans.guard_plan(app), plans.guard_names(app, changed.features), lists)
    outcomes = [] if trial.outcomes is None else _outcomes(trial.outcomes, prepared)
    if trial.data is not None:
        decided, known = _recorded(trial.data, prepared, progress), [*_journalled(trial.data), *outcomes]
    else:
        assert trial.events is not None
        decided = _decided(prepared, bundle_of(prepared, trial.bundle), trial.events, progress)
        known = outcomes
    found = rehearse(plans.guard_plan(prepared.app), new, _with_outcomes(decided, PastOutcomes(known), prepared))
    report: dict[str, Any] = found.as_json()
    for change in report["changes"]:
        for example in change["examples"]:
            example["time"] = time_text(example.pop("time_ns"))
    return {"app": prepared.app.app, "rules": str(trial.rules), "currency": prepared.app.currency, **report}


def _with_outcomes(decided: Iterable[DecisionBatch], past: PastOutcomes, prepared: Prepared) -> Iterator[Tried]:
    """Each batch with what is known of its events today; what a file or a journal says wins over the events' labels."""
    costs = costs_of(prepared.app)
    for batch in decided:
        later = past.labels_by(batch.events, None)
        label: Float = np.where(np.isnan(later), batch.events.label, later)
        if costs is None:
            yield Tried(batch, label)
            continue
        positive, negative = costs(batch.events)
        shown = label[:, None]
        yield Tried(batch, label, np.where(shown == 1, positive, np.where(shown == 0, negative, np.nan)))


def _outcomes(path: Path, prepared: Prepared) -> list[OutcomeBatch]:
    return [batch for batch, _ in read_outcomes(path, prepared.schema, SystemClock().now_ns())]


def _journalled(folder: Path) -> list[OutcomeBatch]:
    """The outcomes that a journal holds."""
    with _journal(folder) as journal:
        return [entry.body for entry in journal.read(0) if isinstance(entry.body, OutcomeBatch)]


def _recorded(folder: Path, prepared: Prepared, progress: Progress) -> Iterator[DecisionBatch]:
    """A journal's decisions, as they were made. Raises CanNotTry where they are another app's."""
    with _journal(folder) as journal:
        last = max(1, journal.last)
        for entry in journal.read(0):
            progress("reading decisions", min(0.99, entry.sequence / last))
            if isinstance(entry.body, DecisionBatch):
                _check_same(entry.body, prepared, folder)
                yield entry.body


def _journal(folder: Path) -> SqliteJournal:
    path = folder / "journal.db"
    if not path.is_file():
        raise CanNotTry(f"{folder} has no journal.db: give the --data folder of a server, or the --out of a replay")
    return SqliteJournal(path, readonly=True)


def _check_same(batch: DecisionBatch, prepared: Prepared, folder: Path) -> None:
    app = prepared.app
    words, width = batch.words, batch.proposal.propensity.shape[1]
    entities = tuple(name for name, _ in words.entities)
    differs = {
        "features": batch.features.names != prepared.features.names,
        "scorers": batch.scores.names != tuple(app.scorers),
        "actions": (words.actions or app.actions) != app.actions or width != len(app.actions),
        "entities": bool(entities) and entities != tuple(app.events.entities),
    }
    for what, wrong in differs.items():
        if wrong:
            raise CanNotTry(
                f"the decisions in {folder} have other {what} than {app.app}: give the --app that decided, or its "
                "recorded events instead of --data"
            )


def _decided(prepared: Prepared, bundle: Any, events: Path, progress: Progress) -> Iterator[DecisionBatch]:
    """The app's decisions on recorded events, batch by batch."""
    clock, read = SystemClock(), 0
    with SqliteJournal(":memory:", app=prepared.app.app, secret=prepared.coding.secret) as journal:
        ready = brain(prepared.app, prepared.features, bundle)
        loop = build(prepared.app, prepared.features, ready, Ports(journal, clock, prepared.coding, bounded=False))
        for batch, _ in read_events(events, prepared.schema, clock.now_ns()):
            decided = loop.decide(batch)
            read += len(batch)
            progress(f"{read:,} events", min(0.99, read / (read + 65_536)))
            if decided.fresh is not None:
                yield decided.fresh
        loop.close()
