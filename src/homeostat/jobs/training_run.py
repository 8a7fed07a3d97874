"""Training as a task of its own: recorded events in, a bundle out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from homeostat.adapters.disk.event_files import read_events, read_outcomes
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, build, untrained
from homeostat.config.plans import membership
from homeostat.config.tree import App
from homeostat.decide.contracts import Featurizer
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.features import FeaturePlan
from homeostat.engine.answers import time_text
from homeostat.engine.assembly import Prepared, prepare
from homeostat.expressions import Membership
from homeostat.jobs.censored import Censored, read_censored
from homeostat.jobs.history import History
from homeostat.jobs.past import PastOutcomes, without_labels
from homeostat.jobs.training import Collector, train, warnings_of
from homeostat.models.bundle import BundleError, save_bundle
from homeostat.models.training_set import NothingToLearn, Progress, TrainingSet
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_UNGIVEN = "no outcomes were given: name their file with --outcomes, or a column of the events with events.label"
_GATHERING = 0.3  # The share of the progress bar that reading the events takes.


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A training run: its events, outcomes and options.

    from_ns, until_ns : the models learn at `until_ns`, from the events since `from_ns` (from all, when None) whose
        outcomes are known by then; older events still fill the windows
    outcomes : a file that says when each outcome became known; the events' own labels otherwise
    decisions : a file that says what was done with each event: the silence of a blocked one teaches nothing
    """

    events: Path
    out: Path
    until_ns: int
    from_ns: int | None = None
    outcomes: Path | None = None
    decisions: Path | None = None


class Gathers(Protocol):
    """Keeps events with the features that were served: see `Collector`."""

    def add(
        self, events: EventBatch, features: Features, known: Float | None = None, censored: np.ndarray | None = None
    ) -> None: ...


class Elsewhere(Protocol):
    """Computes the features in other processes, once all events have been read."""

    def featurizer(self, plan: FeaturePlan, lists: Membership, from_ns: int | None) -> Featurizer:
        """Takes the events in, and gives each a number for its only feature."""
        ...

    def completed(self, numbered: TrainingSet) -> TrainingSet:
        """The rows with their features, by their numbers."""
        ...


def train_on_events(
    app: str | Path | App, request: TrainingRequest, progress: Progress, elsewhere: Elsewhere | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, write the bundle, and report what it learned from and how well it did on rows that it had not seen.

    elsewhere : where the features are computed; in this process when None. The bundle is the same.
    about : further facts that the bundle keeps
    Raises AppFileError, EventFileError, BundleError, MissingExtra, BadSetting, NothingToLearn.
    """
    prepared = prepare(app)
    if request.out.exists() and not (request.out / "manifest.json").is_file():
        # Found before hours of training rather than after.
        raise BundleError(f"{request.out} exists and is not a bundle; give another path or remove it")
    collector = Collector.of(prepared.app, request.from_ns, request.until_ns, apart=request.outcomes is not None)
    history = History()
    read_ns = SystemClock().now_ns()
    past, bad = past_outcomes(prepared, request, read_ns)
    undated: list[str] = []
    if past and request.until_ns <= read_ns:
        undated = past.undated(read_ns, "after the moment of learning")
    censored = None
    if request.decisions is not None:
        censored = read_censored(request.decisions, prepared.app, prepared.coding)
    events, buried = gather(prepared, request, past, censored, collector, history, progress, elsewhere)

    def rest(what: str, share: float) -> None:
        progress(what, _GATHERING + (1 - _GATHERING) * share)

    try:
        rows = collector.training_set()
        if elsewhere is not None:
            rows = elsewhere.completed(rows)
        bundle = train(prepared, collector, rest, rows=rows)
        bundle = replace(bundle, about={**bundle.about, **(about or {})})
    except NothingToLearn as error:
        ungiven = [_UNGIVEN] if past is None and not collector.labelled else []
        raise NothingToLearn("; ".join([*ungiven, *undated, str(error)])) from error
    version = save_bundle(bundle, request.out)
    about = bundle.about
    return {
        "app": prepared.app.app,
        "bundle": str(request.out),
        "version": version,
        "events": events,
        "repeated": history.repeated,
        "dead_letters": buried + bad,
        "left_out": collector.left_out(),
        "warnings": warnings_of(rows) + history.warnings() + (past.warnings() if past else []) + undated,
        "rows": about["rows"],
        "positives": about["positives"],
        "from": time_text(int(about["from_ns"])),
        "until": time_text(request.until_ns),
        "out_of_fold": about["out_of_fold"],
        "fused": about.get("fused"),
        "parts": sorted(bundle.parts),
    }


def gather(
    prepared: Prepared,
    request: TrainingRequest,
    past: PastOutcomes | None,
    censored: Censored | None,
    collector: Gathers,
    history: History,
    progress: Progress,
    elsewhere: Elsewhere | None,
) -> tuple[int, int]:
    """Let the events up to the moment of training fill the windows, and keep the rows to learn from.

    Returns how many events were read, repeats among them, and how many could not be.
    """
    clock = SystemClock()
    read = buried = 0
    with SqliteJournal(":memory:", app=prepared.app.app, secret=prepared.coding.secret) as journal:
        ports = Ports(journal, clock, prepared.coding, bounded=False)
        if elsewhere is not None:
            lists = membership(prepared.app, prepared.coding)
            ports = replace(ports, featurizer=elsewhere.featurizer(prepared.features, lists, request.from_ns))
        loop = build(prepared.app, prepared.features, untrained(prepared.app), ports)
        for events, letters in read_events(request.events, prepared.schema, clock.now_ns()):
            buried += len(letters)
            after = np.flatnonzero(events.time_ns >= request.until_ns)
            earlier = events.slice(0, int(after[0])) if len(after) else events
            read += len(earlier)
            earlier = history.fresh(earlier)
            if len(earlier):
                _absorb(loop, earlier, past, censored, request.until_ns, collector)
            progress("filling the windows", _GATHERING * read / (read + len(events)))
            if len(after):
                break
        loop.close()
    return read, buried


def _absorb(
    loop: DecisionLoop, events: EventBatch, past: PastOutcomes | None, censored: Censored | None, until_ns: int,
    collector: Gathers,
) -> None:  # fmt: skip
    among = None if censored is None else censored.among(events)
    if past is None:
        collector.add(events, loop.absorb(events), censored=among)
        return
    outcomes = past.of(events)
    if outcomes is not None:
        loop.expect(outcomes)
    collector.add(events, loop.absorb(without_labels(events)), past.labels_by(events, until_ns), among)


def past_outcomes(prepared: Prepared, request: TrainingRequest, now_ns: int) -> tuple[PastOutcomes | None, int]:
    """The outcomes that came apart, None where there is no file of them; and how many could not be read."""
    if request.outcomes is None:
        return None, 0
    batches, buried = [], 0
    for outcomes, letters in read_outcomes(request.outcomes, prepared.schema, now_ns):
        batches.append(outcomes)
        buried += len(letters)
    return PastOutcomes(batches), buried
