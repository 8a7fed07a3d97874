"""One app deciding in this process: `homeostat.load`, the HTTP server and the demo all use this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from homeostat.config.tree import App
from homeostat.decide.admission import admitted, newest
from homeostat.decide.decided import refused_field
from homeostat.decide.intake.border import Texts
from homeostat.decide.intake.objects import by_clock, outcomes_of_events, parse_outcomes, read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop, Stopped
from homeostat.engine import problems
from homeostat.engine.answers import answer, features_of, naming
from homeostat.engine.faults import Reports, Spoilt, shown
from homeostat.errors import HomeostatError
from homeostat.ports import Clock, DeadLetters, KeptJournal, Snapshot, Snapshots, StandingJournal, Unavailable
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason
from homeostat.records.vocabulary import Vocabulary

if TYPE_CHECKING:
    from homeostat.engine.frames import Rows
    from homeostat.engine.readings import Value

# Batches after which the audit trail is brought up to the journal, which has everything already: so few that none of
# the decisions that wait for it waits for long, and enough to share one write to the file.
AUDIT_EVERY = 16
_NOBODY = Ids.of([(0, 0)])  # An id that is asked for to see whether the journal answers.
Event = Mapping[str, Any]
Answer = dict[str, Any]


@runtime_checkable
class ArrowStream(Protocol):
    """A data frame of any library that has the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class Trail(Protocol):
    """The audit trail, which follows a journal."""

    def follow(self, journal: Any, now_ns: int | None) -> object: ...


@dataclass(slots=True)
class Parts:
    """The parts of an engine; `engine.assembly` makes them.

    kept : the journal again, where `snapshots` are made of it
    begin_again : lets the loop continue from snapshot and journal after a fault broke it off
    room : raises Unavailable where the disk that the journal is on takes nothing more; None without a disk
    opened : what the engine lets go of when it is closed, the last opened first
    """

    app: App
    loop: DecisionLoop
    schema: EventSchema
    words: Vocabulary
    journal: StandingJournal
    clock: Clock
    dead_letters: DeadLetters | None = None
    snapshots: Snapshots | None = None
    kept: KeptJournal | None = None
    audit: Trail | None = None
    begin_again: Callable[[], None] | None = None
    room: Callable[[], None] | None = None
    opened: ExitStack = field(default_factory=ExitStack)


class NotBuried(Unavailable):
    """Bad events could not be written to the dead letters; the other events of the request were decided."""


class UnusableEvent(HomeostatError, ValueError):
    """An event that the app's declaration does not allow; `problem` says which field, which value and why."""

    why = "an event has the fields and types that the app file declares"
    remedy = "Correct the event, or declare the field in the app file"

    def __init__(self, problem: Answer) -> None:
        self.problem = problem
        super().__init__(f"{problem['detail']}. {problem['fix']}")


def stepped(now_ns: int, ahead_max_ns: int) -> int:
    """The time against which event times are held, in steps of a 24th of how far ahead they may be.

    So the latest time allowed, which the HTTP interface publishes, holds for a while and not for an instant.
    """
    step_ns = ahead_max_ns // 24
    return now_ns - now_ns % step_ns if step_ns else now_ns


def dated(outcome: object, names: tuple[str, ...], now_ns: int) -> object:
    """An outcome that says when it became known: now, where it does not."""
    if not isinstance(outcome, Mapping) or any(outcome.get(name) not in (None, "") for name in names):
        return outcome
    known = {names[0]: str(np.datetime64(now_ns, "ns"))}
    return Texts({**outcome, **known}) if isinstance(outcome, Texts) else {**outcome, **known}


class Engine:
    """Decides events and learns from outcomes. A context manager; not for several threads at once.

    >>> from homeostat import load
    >>> with load("access") as engine:
    ...     event = {"event_id": "1", "entity_id": "123", "event_type": "action", "value": 10,
    ...              "timestamp": "2026-01-30T12:00:00Z"}
    ...     engine.decide(event)["action"]
    'allow'
    """

    waits_for_servers = False  # Whether deciding means waiting for others, so that it is best done in a thread.

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.bad_events = 0
        self._unaudited = 0
        self._reports = Reports(parts.clock)
        self._spoilt = Spoilt()
        self._taken = False  # Whether what is being worked on is in the journal already.
        self.actions: dict[str, int] = dict.fromkeys(parts.words.actions, 0)

    @property
    def app(self) -> App:
        """The app file as a typed tree."""
        return self.parts.app

    @property
    def trouble(self) -> str:
        """What is wrong at present with the servers it decides on, in a sentence; empty where nothing is."""
        return ""

    @property
    def notice(self) -> str:
        """What people should know at present: the trouble, or what is worth a line though decisions go on as ever."""
        return self.refused or self.trouble

    @property
    def refused(self) -> str:
        """Why nothing can be decided at present, in a sentence; empty where decisions are made."""
        if self.parts.loop.stopped:
            return "a fault broke a decision off, and the engine could not begin again from its journal"
        return self.parts.loop.recording.trouble

    def readings(self) -> Mapping[str, Value]:
        """Current figures of those servers by name of a declared metric; called by any thread."""
        return {}

    @overload
    def decide(self, events: Event) -> Answer: ...

    @overload
    def decide(self, events: Sequence[Event]) -> list[Answer]: ...

    @overload
    def decide(self, events: ArrowStream) -> Any: ...

    def decide(self, events: Event | Sequence[Event] | ArrowStream) -> Answer | list[Answer] | Any:
        """Decide one event or several, each a mapping as it would be sent over HTTP; or the rows of a data frame.

        A frame (pandas, Polars, PyArrow) is answered by one of the same library, see `frames.decide_frame`.
        Raises UnusableEvent for a single bad event; in a sequence, a bad event gets its problem in its place.
        Raises Unavailable when the journal can't be written: nothing was decided, and the events may be sent again.
        """
        if isinstance(events, Mapping):
            answered = self.answer([events])[0]
            if "event_id" not in answered:
                raise UnusableEvent(answered)
            return answered
        if isinstance(events, ArrowStream):
            from homeostat.engine.frames import decide_frame

            return decide_frame(self, events)
        return self.answer(list(events))

    def answer(self, objects: Sequence[object]) -> list[Answer]:
        """A decision or a problem for each object, in order."""
        return self._isolated(self._answer, objects)

    def answer_rows(self, rows: Rows) -> list[Answer]:
        """A decision or a problem for each row of a table, in order."""
        return self._isolated(self._answer_rows, rows)

    def _answer_rows(self, rows: Any) -> list[Answer]:
        from homeostat.decide.intake.columns import read_columns  # Loads PyArrow, which single events do without.

        schema, now_ns = self.parts.schema, self.parts.clock.now_ns()
        until_ns = stepped(now_ns, schema.ahead_max_ns)
        with self.parts.loop.meters.timed("intake"):
            batch, letters = read_columns(rows.columns, len(rows), schema, until_ns, np.arange(1, len(rows) + 1))
        bad = {letter.line - 1 for letter in letters}
        positions = [row for row in range(len(rows)) if row not in bad]
        return self._answered(batch, letters, positions, len(rows), now_ns, until_ns)

    def _isolated(self, work: Callable[[Sequence[object]], list[Answer]], objects: Sequence[object]) -> list[Answer]:
        """The answers of `work`. An object that brings about a fault is a bad event, and costs the others nothing."""
        if self._spoilt and any(map(self._spoilt.holds, objects)):
            return [
                self._given_up(item) if self._spoilt.holds(item) else self._isolated(work, objects[k : k + 1])[0]
                for k, item in enumerate(objects)
            ]
        self._taken = False
        try:
            return work(objects)
        except (Unavailable, Stopped):
            raise
        except Exception as error:
            self._reports.fault("decisions", error)
            broken = self.parts.loop.stopped
            self._mend()
            if len(objects) > 1:
                half = len(objects) // 2
                return [*self._isolated(work, objects[:half]), *self._isolated(work, objects[half:])]
            if broken:  # It would break the loop off again, each time that it is sent.
                self._spoilt.add(objects[0])
            return [self._given_up(objects[0], bad=broken or not self._taken)]

    def _given_up(self, item: object, bad: bool = True) -> Answer:
        """The problem of an object that brought about a fault, and its dead letter unless it was taken in before."""
        letter = DeadLetter(1, "", shown(item), Reason.UNDECIDABLE.value)
        if not bad:
            return problems.of_letter(letter)
        answers: list[Answer] = [{}]
        self._bury([letter], {0}, answers)
        return answers[0]

    def _mend(self) -> None:
        """Be ready for the next event after a fault. Raises where no event is to blame for it, but journal or disk."""
        parts = self.parts
        if parts.loop.stopped:
            if parts.begin_again is None:
                raise Stopped(self.refused)
            try:
                parts.begin_again()
            except Unavailable:
                raise
            except Exception as error:
                self._reports.fault("recovery", error)
                raise Stopped(self.refused) from error
        try:
            parts.loop.flush()
            parts.journal.seen(_NOBODY)
        except (Unavailable, Stopped):
            raise
        except Exception as error:
            self._reports.fault("the journal", error)
            parts.loop.recording.trouble = f"the journal failed with {type(error).__name__}"
            raise Stopped(parts.loop.recording.trouble) from error

    def _answer(self, objects: Sequence[object]) -> list[Answer]:
        parts = self.parts
        schema, now_ns = parts.schema, parts.clock.now_ns()
        until_ns = stepped(now_ns, schema.ahead_max_ns)
        with parts.loop.meters.timed("intake"):
            batch, letters, positions = read_objects(objects, schema, until_ns)
        return self._answered(batch, letters, positions, len(objects), now_ns, until_ns)

    def _answered(
        self, batch: EventBatch, letters: list[DeadLetter], positions: Sequence[int], count: int, now_ns: int,
        until_ns: int,
    ) -> list[Answer]:  # fmt: skip
        """The answers to `count` events, of which those at `positions` could be read, as `batch`."""
        schema = self.parts.schema
        letters = by_clock(letters, now_ns - until_ns)
        answers: list[Answer] = [{}] * count
        if len(batch):
            self.parts.loop.meters.came(newest(batch) - now_ns)
            self._decided(admitted(batch, now_ns, schema.skew_ns, schema.ahead_max_ns), positions, answers)
        # Last, so that events which are sent again because the journal is down are not buried each time.
        self._bury(letters, set(range(count)) - set(positions), answers)
        return answers

    def _decided(self, batch: EventBatch, positions: Sequence[int], answers: list[Answer]) -> None:
        """Decide events, and put their answers in their places."""
        parts = self.parts
        decided = parts.loop.decide(batch)
        self._taken = True
        if decided.fresh is not None and parts.audit is not None:
            self._unaudited += 1
            if self._unaudited >= AUDIT_EVERY:
                self._audit_if_it_can_be()
        for k, position in enumerate(positions):
            row = int(decided.row[k])
            if row >= 0 and decided.fresh is not None:
                answers[position] = answer(decided.fresh, row)
                self.actions[answers[position]["action"]] += 1
            elif row == -1:
                earlier, at = decided.repeated[k]
                answers[position] = {**answer(earlier, at), "duplicate": True}
                if k in decided.differing:
                    answers[position]["differs"] = True
            else:
                reason = decided.refused[k]
                value = str(int(batch.time_ns[k])) if reason is Reason.TOO_LATE else batch.id_text(k)
                letter = DeadLetter(position + 1, refused_field(reason), value, reason.value)
                self._bury([letter], {position}, answers)

    def _audit_if_it_can_be(self) -> None:
        """The decisions stand whatever becomes of the trail: they are in the journal, and audited when they can be."""
        try:
            self.audit()
        except Unavailable:
            return
        except Exception as error:
            self._reports.fault("audit", error)

    def _bury(self, letters: list[DeadLetter], positions: set[int], answers: list[Answer]) -> None:
        """Put the problems of unreadable events in their places, and the events into the dead letters."""
        if not letters:
            return
        if self.parts.dead_letters is not None:
            try:
                self.parts.dead_letters.bury(letters)
            except Unavailable as error:
                raise NotBuried(str(error)) from error
        self.bad_events += len(letters)
        self.parts.loop.meters.buried(letters)
        for position, letter in zip(sorted(positions), letters, strict=True):
            answers[position] = problems.of_letter(letter)

    def learn(self, outcomes: Event | Sequence[Event]) -> list[Answer]:
        """Take in outcomes (`event_id`, `label`, perhaps `time` and `amount`); one receipt or problem for each."""
        return self.receive([outcomes] if isinstance(outcomes, Mapping) else list(outcomes))

    def receive(self, objects: Sequence[object]) -> list[Answer]:
        """A receipt or a problem for each object that should be an outcome, in order."""
        return self._isolated(self._receive, objects)

    def _receive(self, objects: Sequence[object]) -> list[Answer]:
        parts = self.parts
        now_ns, names = parts.clock.now_ns(), outcomes_of_events(parts.schema)
        told = [dated(item, names.time, now_ns) for item in objects]
        until_ns = stepped(now_ns, parts.schema.ahead_max_ns)
        batch, letters, positions = parse_outcomes(told, parts.schema, until_ns)
        letters = by_clock(letters, now_ns - until_ns)
        receipts: list[Answer] = [{}] * len(objects)
        known = self._learned(batch) if len(batch) else np.zeros(0, bool)
        self._taken = True
        self._bury(letters, set(range(len(objects))) - set(positions), receipts)
        for k, position in enumerate(positions):
            if not known[k]:
                receipts[position] = problems.of_unknown(objects[position], names.id)
            else:
                receipts[position] = {"event_id": batch.id_text(k), "accepted": True}
        return receipts

    def _learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Take in the outcomes of decided events; (n,) which those are."""
        known = self.parts.journal.seen(batch.ids)
        if known.any():
            self.parts.loop.learn(batch.rows(known))
        mask: NDArray[np.bool_] = known
        return mask

    def decision(self, event_id: str | int, features: bool = False, explain: bool = False) -> Answer | None:
        """The recorded decision of an event, None if there is none.

        features : with its features as they were served, and how fresh each was
        explain : with `explanation`: what moved the risk, and what would have changed the action
        """
        found = self.find(event_id)
        if found is None:
            return None
        decisions, row = found
        recorded = answer(decisions, row)
        if features:
            recorded["features"] = features_of(decisions, row, naming(self.parts.loop.stages, decisions))
        if explain:
            from homeostat.engine.explaining import explained

            parts = self.parts
            recorded["explanation"] = explained(parts.loop.stages, parts.app, decisions, row)
        return recorded

    def find(self, event_id: str | int) -> tuple[DecisionBatch, int] | None:
        """The recorded decision as its batch and row."""
        journal = self.parts.journal
        # The text tells an id apart from another with the same hash.
        return journal.find_text(str(event_id))

    def audit(self) -> None:
        """Let the audit trail catch up with the journal."""
        if self.parts.audit is not None:
            self._unaudited = 0
            self.parts.audit.follow(self.parts.journal, self.parts.clock.now_ns())

    def settle(self) -> None:
        """Try to go on after a failure: nobody may ask a server that says that it is not ready.

        Raises Unavailable while the disk is full, say; Stopped where the engine can't begin again.
        """
        if not self.refused:
            return
        self._mend()
        if self.parts.loop.recording.trouble:  # An append of outcomes failed, of which nothing is left to be written.
            if self.parts.room is not None:
                self.parts.room()
            self.parts.loop.recording.trouble = ""

    def save(self) -> None:
        """Write a snapshot, so that the next start has less to replay."""
        parts = self.parts
        self.audit()
        if parts.snapshots is not None and parts.kept is not None:
            parts.loop.flush()  # A state that knows more than the journal would be recovered twice.
            parts.kept.flush()
            last, stages = parts.kept.last, parts.loop.stages
            history, state = parts.kept.history(last), parts.loop.state()
            parts.snapshots.save(Snapshot(last, state, history, stages.words.software, stages.meaning))

    def close(self) -> None:
        """Save, and let go of files and threads."""
        with self.parts.opened:  # Where the journal is down nothing can be saved; the rest is let go all the same.
            self.save()

    def _facts(self) -> dict[str, str]:
        """Its state in a few words, for people who look at it in a shell or a notebook."""
        loop = self.parts.loop
        facts = {"app": self.parts.app.app, "version": loop.stages.version, "decided": f"{loop.counts['events']:,}"}
        facts |= {action: f"{count:,}" for action, count in self.actions.items()}
        return facts | ({"notice": self.notice} if self.notice else {})

    def __repr__(self) -> str:
        return f"<Engine {', '.join(f'{name} {value}' for name, value in self._facts().items())}>"

    def _repr_html_(self) -> str:
        """The same as a table, in a notebook."""
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in self._facts().items()
        )
        return f"<table>{rows}</table>"

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
