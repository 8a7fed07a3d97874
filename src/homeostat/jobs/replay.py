"""Decides on recorded events, as they would have been decided when they happened."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.audit.trail import AuditLog, digest_of_file
from homeostat.adapters.disk.dead_letters import DeadLetterFile
from homeostat.adapters.disk.decision_files import DecisionsWriter
from homeostat.adapters.disk.event_files import read_events, read_outcomes
from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, OPEN_FILE_MODE, OPEN_FOLDER_MODE, replace_file
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import LEARNED_UNTIL
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Brain, Ports, brain, build, costs_of, panel_of, untrained, weights_of
from homeostat.config.tree import App
from homeostat.decide.ahead import decide_ahead
from homeostat.decide.decided import Decided, refused_field
from homeostat.engine.assembly import Prepared, bundle_of, fitting_bundle, prepare
from homeostat.engine.folders import clear_for_replay
from homeostat.engine.readiness import compile_first
from homeostat.jobs.by_group import ByGroup
from homeostat.jobs.history import History
from homeostat.jobs.past import PastOutcomes, without_labels
from homeostat.jobs.report import Gathered, throughput
from homeostat.jobs.report_page import report_page
from homeostat.jobs.training import Collector, final, train, warnings_of
from homeostat.models.bundle import save_bundle
from homeostat.records.arrays import Float
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch
from homeostat.records.times import time_text

Progress = Callable[[str, float], None]
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """A replay: its events, outcomes and options.

    train_from_ns, train_until_ns : learn at `train_until_ns` from the events since `train_from_ns`, and decide from
        then on; None decides from the first event with the bundle
    until_ns : stop before the first event at or after this
    chunk_rows : events in a batch
    force : delete what is in `out` even if it is more than an older replay's output
    private : files and folders that are created are their owner's alone; if not, the process's umask decides
    tell : is given what is deleted by force
    """

    events: Path
    out: Path
    outcomes: Path | None = None
    bundle: Path | None = None
    train_from_ns: int | None = None
    train_until_ns: int | None = None
    until_ns: int | None = None
    chunk_rows: int = _CHUNK_ROWS
    force: bool = False
    private: bool = True
    tell: Callable[[str], None] = lambda text: None


def replay_events(app: str | Path | App, request: Request, progress: Progress) -> dict[str, Any]:
    """Replay, and return the report, which is also in `out`/report.json, and drawn in report.html.

    Raises AppFileError, EventFileError, BundleError, NotTrained; Unavailable where the disk fails.
    """
    prepared = prepare(app)
    request = replace(request, out=request.out.absolute())  # A plug-in may change the working folder.
    file_mode, folder_mode = (FILE_MODE, FOLDER_MODE) if request.private else (OPEN_FILE_MODE, OPEN_FOLDER_MODE)
    first = usable(prepared, request)
    request.out.mkdir(parents=True, exist_ok=True, mode=folder_mode)
    needed = [path for path in (request.events, request.outcomes) if path is not None]
    clear_for_replay(request.out, request.force, request.tell, needed)
    if request.train_until_ns is None:  # Nothing decides before the training, so no made-up events can be decided.
        compile_first(prepared.app, prepared.features, lambda: _again(prepared, request, first), SystemClock())
    with ExitStack() as stack:
        run = Replay(prepared, request, progress, stack, first)
        report = run.run()
        path = request.out / "report.json"
        replace_file(path, [json.dumps(report, indent=2).encode(), b"\n"], mode=file_mode)
        replace_file(request.out / "report.html", [report_page(report).encode()], mode=file_mode)
        run.audit.seal(path)
    return report


def usable(prepared: Prepared, request: Request) -> Brain:
    """The brain that decides first, once events, outcomes and bundle are known to be usable.

    Nothing has been removed for them by then.

    Before a moment of training nothing decides. Files are read up to their first rows.
    Raises EventFileError, BundleError, NotTrained, Unavailable.
    """
    now_ns = SystemClock().now_ns()
    for path, read in ((request.events, read_events), (request.outcomes, read_outcomes)):
        if path is not None and not path.is_fifo():  # Rows read from a pipe are gone.
            next(iter(read(path, prepared.schema, now_ns, 1)), None)
    if request.train_until_ns is not None:
        return untrained(prepared.app)
    return brain(prepared.app, prepared.features, bundle_of(prepared, request.bundle))


def _again(prepared: Prepared, request: Request, first: Brain) -> Brain:
    """Another brain like the first, of the same scorers."""
    scorers = dict(zip(prepared.app.scorers, first.scorers, strict=True))
    return brain(prepared.app, prepared.features, bundle_of(prepared, request.bundle), scorers)


class Replay:
    """One run: where it stands, and what it has written."""

    def __init__(
        self, prepared: Prepared, request: Request, progress: Progress, stack: ExitStack, first: Brain
    ) -> None:
        self.prepared, self.request, self.progress = prepared, request, progress
        self.clock = SystemClock()
        self._begun_ns = self.clock.monotonic_ns()
        out = request.out
        mode = FILE_MODE if request.private else OPEN_FILE_MODE
        secret = prepared.coding.secret
        self.journal = stack.enter_context(
            SqliteJournal(out / "journal.db", app=prepared.app.app, bulk=True, secret=secret, mode=mode)
        )
        if request.train_until_ns is not None:
            self.journal.say(LEARNED_UNTIL, str(request.train_until_ns))
        self.letters = stack.enter_context(DeadLetterFile(out / "dead_letters.jsonl", mode))
        self.audit = stack.enter_context(AuditLog(out / "audit.jsonl", self.journal, mode=mode))
        self.audit.holds(self.journal.says())
        self.costs = costs_of(prepared.app)
        guards = prepared.app.guards.rules
        self.gathered = Gathered(
            prepared.app.actions, self.costs, [rule.name for rule in guards], tuple(prepared.app.scorers),
            lambda rule: prepared.app.actions.index(guards[rule].action),
        )  # fmt: skip
        fair = prepared.app.fairness
        self.by_group = None if fair is None else ByGroup(prepared.app, fair)
        self.seconds = {"read": 0.0, "write": 0.0, "train": 0.0}
        self.events = self.buried = self.refused = 0
        self._labels: deque[Float] = deque()  # Of the batches on their way, which must not see them.
        self.warnings: list[str] = []  # About the outcomes.
        self._taught = None if request.bundle is None else span_of(request.bundle)
        self.taught = 0  # Decisions on events of the span that the bundle learned from.
        self.past = self._past()
        self.learning = request.train_until_ns is not None
        self.history = History()
        self.trained: dict[str, Any] = {}
        self.ports = Ports(self.journal, self.clock, prepared.coding, bounded=False)
        self.collector = Collector.of(
            prepared.app, request.train_from_ns, request.train_until_ns or 0, apart=self.past is not None
        )
        self.loop = build(prepared.app, prepared.features, first, self.ports)
        words = prepared.words
        self.writer = stack.enter_context(
            DecisionsWriter(
                out / "decisions.parquet", words.actions, [name for name, _ in words.rules],
                tuple(prepared.app.scorers), prepared.features.names, mode,
            )
        )  # fmt: skip
        # They are in the journal by then. The file may be a batch behind: writing it lets other threads run.
        self._beside = stack.enter_context(ThreadPoolExecutor(1, "decisions-file"))
        self._being_written: Future[float] | None = None
        if not self.learning:
            self.audit.started(self.loop.stages.version, None)

    def run(self) -> dict[str, Any]:
        """Read, learn if asked to, decide, and report."""
        for sent, decided in decide_ahead(self.loop, self._to_decide()):
            self._keep(sent, decided)
        if self.learning:
            self._train()
        self._wait_until_written()
        written_ns = self.clock.monotonic_ns()
        self.writer.close()
        self.seconds["write"] += (self.clock.monotonic_ns() - written_ns) / 1e9
        self._warn_of_nothing()
        self._warn_of_known_events()
        return self._report(self._beside.submit(digest_of_file, self.request.out / "decisions.parquet"))

    def _warn_of_nothing(self) -> None:
        """Nothing to decide is seldom what somebody wants."""
        request, bad = self.request, self.buried + self.refused
        if self.loop.counts["events"] or self.loop.counts["repeated"] or self.trained:
            return
        why = f"{request.events} holds no event" + (" before --until" if request.until_ns is not None else "")
        if bad:
            why = f"each of the {bad:,} rows read is a dead letter: {request.out / 'dead_letters.jsonl'} says why"
        self.warnings.append(f"nothing was decided: {why}")
        request.tell(f"warning: {self.warnings[-1]}")

    def _warn_of_known_events(self) -> None:
        """Figures on events that the models have learned from are better than those on new ones."""
        if not self.taught or self._taught is None:
            return
        until = time_text(self._taught[1])
        self.warnings.append(
            f"{self.taught:,} of the events are of the time before {until} from which the bundle learned, so its cost "
            f"and quality here are better than on new events: homeostat evaluate --from {until} measures these"
        )
        self.request.tell(f"warning: {self.warnings[-1]}")

    # Reading.

    def _chunks(self) -> Iterator[tuple[EventBatch, float]]:
        """The file's events up to `until`, with how far along the file is; bad ones go to the dead letters."""
        request, line = self.request, 0
        source = read_events(request.events, self.prepared.schema, self.clock.now_ns(), request.chunk_rows)
        total = rows_in(request.events)
        while True:
            begun_ns = self.clock.monotonic_ns()
            chunk = next(source, None)
            self.seconds["read"] += (self.clock.monotonic_ns() - begun_ns) / 1e9
            if chunk is None:
                return
            events, letters = chunk
            line += len(events) + len(letters)
            self.letters.bury(letters)
            self.buried += len(letters)
            events, ended = self._before_until(events)
            self.events += len(events) + len(letters)
            if len(events):
                yield events, line / total if total else 0.5
            if ended:
                return

    def _before_until(self, events: EventBatch) -> tuple[EventBatch, bool]:
        until_ns = self.request.until_ns
        if until_ns is None:
            return events, False
        over = np.flatnonzero(events.time_ns >= until_ns)
        return (events.slice(0, int(over[0])), True) if len(over) else (events, False)

    def _past(self) -> PastOutcomes | None:
        if self.request.outcomes is None:
            return None
        batches, read_ns = [], self.clock.now_ns()
        for outcomes, letters in read_outcomes(self.request.outcomes, self.prepared.schema, read_ns):
            self.letters.bury(letters)
            self.buried += len(letters)
            batches.append(outcomes)
        past = PastOutcomes(batches)
        self.warnings = past.warnings() + past.undated(read_ns, "they teach nothing and count in the report alone")
        for warning in self.warnings:
            self.request.tell(f"warning: {warning}")
        return past

    # Learning.

    def _learn_from(self, events: EventBatch) -> EventBatch:
        """Gather what comes before the moment of training; at the moment, train. Returns what is left to decide."""
        until_ns = self.request.train_until_ns
        assert until_ns is not None
        after = np.flatnonzero(events.time_ns >= until_ns)
        split = int(after[0]) if len(after) else len(events)
        earlier = self.history.fresh(events.slice(0, split))
        if len(earlier):
            known = None if self.past is None else self.past.labels_by(earlier, until_ns)
            self.collector.add(earlier, self.loop.absorb(self._with_outcomes(earlier, self.loop.expect)), known)
        if split < len(events):
            self._train()
        return events.slice(split, len(events))

    def _train(self) -> None:
        """Train on what was gathered, and let it decide from here on."""
        begun_ns = self.clock.monotonic_ns()
        self.learning = False
        folder = self.request.out / "bundle"
        rows = self.collector.training_set()
        made = train(self.prepared, self.collector, self.progress, rows=rows)
        save_bundle(made, folder, self.request.private)
        self.trained = {
            "rows": made.about["rows"], "positives": made.about["positives"], "left_out": self.collector.left_out(),
            "warnings": warnings_of(rows) + self.history.warnings(),
            "out_of_fold": made.about["out_of_fold"],
        }  # fmt: skip
        bundle = fitting_bundle(folder, self.prepared)
        trained = brain(self.prepared.app, self.prepared.features, bundle)
        self.loop.install(
            panel_of(self.prepared.app, trained, self.ports), trained.fusion, trained.policy, trained.version
        )
        self.audit.started(trained.version, None)
        self.seconds["train"] += (self.clock.monotonic_ns() - begun_ns) / 1e9

    # Deciding.

    def _with_outcomes(self, events: EventBatch, hand: Callable[[OutcomeBatch], None]) -> EventBatch:
        """Hand the loop what will become known of these events; a file of outcomes replaces their labels."""
        if self.past is None:
            return events
        outcomes = self.past.of(events)
        if outcomes is not None:
            hand(outcomes)
        return without_labels(events)

    def _to_decide(self) -> Iterator[EventBatch]:
        """The events to decide, batch by batch; learns on the way, when the moment comes."""
        for events, share in self._chunks():
            self.progress("learning" if self.learning else "deciding", share)
            rest = self.history.unknown(self._learn_from(events) if self.learning else events)
            if len(rest):
                self._labels.append(rest.label if self.past is None else self.past.labels_by(rest, None))
                yield self._with_outcomes(rest, self.loop.learn)

    def _keep(self, sent: EventBatch, decided: Decided) -> None:
        """Write a batch's decisions, and remember what the report needs."""
        label = self._labels.popleft()
        refused = [
            DeadLetter(0, refused_field(why), sent.id_text(row), why.value) for row, why in decided.refused.items()
        ]
        self.letters.bury(refused)
        self.refused += len(refused)
        if decided.fresh is None:
            return
        begun_ns = self.clock.monotonic_ns()
        self._wait_until_written()
        self._being_written = self._beside.submit(self._write, decided.fresh)
        self.audit.decided(decided.fresh)
        self.gathered.add(decided.fresh, label[first_of(decided)])
        if self._taught is not None and not self.learning:
            time_ns = decided.fresh.events.time_ns
            self.taught += int(np.count_nonzero((time_ns >= self._taught[0]) & (time_ns < self._taught[1])))
        if self.by_group is not None:
            self.by_group.add(decided.fresh)
        self.seconds["write"] += (self.clock.monotonic_ns() - begun_ns) / 1e9

    def _write(self, decisions: DecisionBatch) -> float:
        """Write decisions to their file; returns the seconds that it took. In a thread of its own."""
        begun_ns = self.clock.monotonic_ns()
        self.writer.write(decisions)
        return (self.clock.monotonic_ns() - begun_ns) / 1e9

    def _wait_until_written(self) -> None:
        """Wait for the decisions that are being written to their file. Raises Unavailable where the disk fails."""
        if self._being_written is not None:
            self.seconds["write"] += self._being_written.result()
            self._being_written = None

    def _today_ns(self) -> int:
        """The latest moment of which the record knows."""
        newest_ns = self.gathered.newest_ns
        return newest_ns if self.past is None else max(newest_ns, self.past.newest_ns)

    def _report(self, written: Future[tuple[str, int]]) -> dict[str, Any]:
        """The report's figures, made while another thread digests the decisions' file, which the audit then names."""
        loop = self.loop
        known = self.gathered.known(final(self.prepared.app, self.past is not None), self._today_ns())
        judged = self.gathered.judged(known, weights_of(loop.stages.fusion))
        fairness = {"fairness": self.by_group.figures(known, self.costs is not None)} if self.by_group else {}
        self.audit.wrote(self.request.out / "decisions.parquet", digest=written.result())
        total = (self.clock.monotonic_ns() - self._begun_ns) / 1e9
        decisions = loop.counts["events"]
        stages = ("windows", "scorers", "fusion", "policy", "guards", "journal", "learning")
        seconds = {"read": self.seconds["read"], **{name: loop.seconds[name] for name in stages}}
        seconds |= {"write": self.seconds["write"], "train": self.seconds["train"], "total": total}
        deciding = total - self.seconds["train"]
        return {
            "app": self.prepared.app.app,
            "version": loop.stages.version,
            "currency": self.prepared.app.currency,
            "events": self.events,
            "decisions": decisions,
            "dead_letters": self.buried + self.refused,
            "repeated": loop.counts["repeated"] + self.history.repeated,
            "differing": loop.counts["differing"],
            "late": loop.counts["late"],
            "outcomes": loop.counts["outcomes"],
            "unknown_outcomes": loop.counts["unknown_outcomes"],
            "fallbacks": {reason.value: count for reason, count in loop.fallbacks.items() if count},
            "troubles": loop.troubles(),
            "decisions_per_second": throughput(decisions, deciding),
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "latency_us": self.gathered.latency_us(),
            "actions": self.gathered.actions(),
            "decided_by": self.gathered.decided_by(),
            "rules": self.gathered.rules(),
            "breakers": self.gathered.breakers(),
            "failed_learning": loop.counts["failed_learning"],
            **judged,
            **fairness,
            "warnings": self.warnings,
            **({"training": self.trained} if self.trained else {}),
            "audit_entries": self.audit.count,
            "audit_head": self.audit.head,
        }


def span_of(bundle: Path) -> tuple[int, int] | None:
    """The span of the events that a checked bundle learned from, in nanoseconds; None if it does not say so."""
    about = json.loads((bundle / "manifest.json").read_bytes()).get("about", {})
    first, end = about.get("from_ns"), about.get("until_ns")
    return (first, end) if isinstance(first, int) and isinstance(end, int) else None


def first_of(decided: Decided) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each fresh decision, the row of the batch that it answers first."""
    rows = np.flatnonzero(decided.row >= 0)
    _, first = np.unique(decided.row[rows], return_index=True)
    return np.asarray(rows[first], np.int64)


def rows_in(path: Path) -> int | None:
    """How many rows a file says it has; None where it does not say, or says nonsense: reading it will tell."""
    if path.suffix != ".parquet":
        return None
    import pyarrow.parquet as pq

    with suppress(Exception), pq.ParquetFile(path) as file:  # Arrow raises many kinds, and this is for a progress bar.
        return int(file.metadata.num_rows)
    return None
