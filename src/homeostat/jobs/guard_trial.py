"""Trying a change of rules on decisions that were made: those of recorded events, or those of a journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.event_files import read_events, read_outcomes
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import REPLAYED
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build, costs_of
from homeostat.config import plans
from homeostat.config.load import load_app
from homeostat.config.tree import App
from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.rehearsal import Tried, rehearse
from homeostat.engine.answers import time_text
from homeostat.engine.assembly import Prepared, bundle_of, prepare
from homeostat.errors import HomeostatError
from homeostat.jobs.past import PastOutcomes, without_labels
from homeostat.jobs.training import final
from homeostat.models.maturity import Matured, Maturity, complete_until, matured
from homeostat.models.training_set import Progress
from homeostat.records.arrays import Float, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch


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
    if trial.data is not None:  # The records there name their events by a secret of its own.
        with _journal(trial.data) as journal:
            prepared = prepared.keyed(journal.coding)
    app, lists = changed.app, plans.membership(changed.app, prepared.coding)
    new = Guards(plans.guard_plan(app), plans.guard_names(app, changed.features), lists)
    outcomes = [] if trial.outcomes is None else _outcomes(trial.outcomes, prepared)
    if trial.data is not None:
        past = PastOutcomes([*_journalled(trial.data), *outcomes])
        decided, events = _recorded(trial.data, prepared, progress), _recorded_events(trial.data, prepared.app)
    else:
        assert trial.events is not None
        past = PastOutcomes(outcomes)
        apart = past if trial.outcomes is not None else None
        decided = _decided(prepared, bundle_of(prepared, trial.bundle), trial.events, apart, progress)
        events = _events(trial.events, prepared, apart is not None)
    labels = Labels.of(events, past, final(prepared.app, trial.outcomes is not None or len(past) > 0))
    found = rehearse(plans.guard_plan(prepared.app), new, _with_outcomes(decided, labels, prepared))
    report: dict[str, Any] = {**found.as_json(), "left_out": labels.left_out()}
    for change in report["changes"]:
        for example in change["examples"]:
            example["time"] = time_text(example.pop("time_ns"))
    return {"app": prepared.app.app, "rules": str(trial.rules), "currency": prepared.app.currency, **report}


@dataclass(frozen=True, slots=True)
class Labels:
    """The outcomes that count for each event today: as in reports, only where good and bad could both be known.

    past : what a file or a journal says wins over the events' labels
    """

    past: PastOutcomes
    today_ns: int
    complete_ns: int
    maturity: Maturity
    found: Matured

    @classmethod
    def of(cls, batches: Iterable[tuple[EventBatch, Mask]], past: PastOutcomes, maturity: Maturity) -> Labels:
        """Looks at all events once.

        batches : events, and of which of them the decision hid the outcome
        """
        times, known, censored = [np.empty(0, np.int64)], [np.empty(0)], [np.empty(0, bool)]
        for events, hidden in batches:
            times.append(events.time_ns)
            known.append(_known(events, past))
            censored.append(hidden)
        time_ns, label, hides = np.concatenate(times), np.concatenate(known), np.concatenate(censored)
        today_ns = max(int(time_ns.max(initial=past.newest_ns)), past.newest_ns)
        found = matured(time_ns, label, today_ns, maturity, hides)
        return cls(past, today_ns, complete_until(time_ns, label, hides), maturity, found)

    def labels(self, events: EventBatch, hides: Mask) -> Float:
        """(n,) 1, 0, or NaN where the outcome does not count today.

        hides : (n,) whether what was done with an event hid its outcome
        """
        known = _known(events, self.past)
        return matured(events.time_ns, known, self.today_ns, self.maturity, hides, self.complete_ns).label

    def left_out(self) -> dict[str, int]:
        """How many events do not count, by cause."""
        found = self.found
        return {"too_young": found.young, "without_outcome": found.silent, "censored": found.censored}


def _known(events: EventBatch, past: PastOutcomes) -> Float:
    later = past.labels_by(events, None)
    return np.where(np.isnan(later), events.label, later)


def _with_outcomes(
    decided: Iterable[tuple[DecisionBatch, Mask]], labels: Labels, prepared: Prepared
) -> Iterator[Tried]:
    """Each batch with the outcomes of its events that count today."""
    costs = costs_of(prepared.app)
    for batch, hides in decided:
        label = labels.labels(batch.events, hides)
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


def _events(path: Path, prepared: Prepared, apart: bool) -> Iterator[tuple[EventBatch, Mask]]:
    """A file's events, none of which hid its outcome; without their labels where outcomes come apart."""
    for batch, _ in read_events(path, prepared.schema, SystemClock().now_ns()):
        yield (without_labels(batch) if apart else batch), np.zeros(len(batch), bool)


def _recorded(folder: Path, prepared: Prepared, progress: Progress) -> Iterator[tuple[DecisionBatch, Mask]]:
    """A journal's decisions as they were made, and which of them hid the outcome.

    Raises CanNotTry where they are another app's.
    """
    with _journal(folder) as journal:
        last, hiding = max(1, journal.last), _hiding(journal, prepared.app)
        for entry in journal.read(0):
            progress("reading decisions", min(0.99, entry.sequence / last))
            if isinstance(entry.body, DecisionBatch):
                _check_same(entry.body, prepared, folder)
                yield entry.body, np.isin(entry.body.ruling.action, hiding)


def _recorded_events(folder: Path, app: App) -> Iterator[tuple[EventBatch, Mask]]:
    """A journal's events, and of which of them the decision hid the outcome."""
    with _journal(folder) as journal:
        hiding = _hiding(journal, app)
        for entry in journal.read(0):
            if isinstance(entry.body, DecisionBatch):
                yield entry.body.events, np.isin(entry.body.ruling.action, hiding)


def _hiding(journal: SqliteJournal, app: App) -> list[int]:
    """The actions after which no outcome is ever seen: none in a replay, whose decisions nobody carried out."""
    if journal.about(REPLAYED) is not None and journal.served is None:
        return []
    return [app.actions.index(action) for action in app.outcomes.censoring]


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


def _decided(
    prepared: Prepared, bundle: Any, events: Path, past: PastOutcomes | None, progress: Progress
) -> Iterator[tuple[DecisionBatch, Mask]]:
    """The app's decisions on recorded events, batch by batch; none of them was carried out, so none hides an outcome.

    past : what became known of the events, and when; None where their own labels say it
    """
    clock, read = SystemClock(), 0
    with SqliteJournal(":memory:", app=prepared.app.app, secret=prepared.coding.secret) as journal:
        ready = brain(prepared.app, prepared.features, bundle)
        loop = build(prepared.app, prepared.features, ready, Ports(journal, clock, prepared.coding, bounded=False))
        for batch, _ in read_events(events, prepared.schema, clock.now_ns()):
            if past is not None:
                outcomes = past.of(batch)
                if outcomes is not None:
                    loop.learn(outcomes)
            decided = loop.decide(batch if past is None else without_labels(batch))
            read += len(batch)
            progress(f"{read:,} events", min(0.99, read / (read + 65_536)))
            if decided.fresh is not None:
                yield decided.fresh, np.zeros(len(decided.fresh), bool)
        loop.close()
