"""One app deciding in this process: `homeostat.load`, the HTTP server and the demo all use this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

import numpy as np

from homeostat.config.tree import App
from homeostat.decide.admission import admitted, newest
from homeostat.decide.decided import refused_field
from homeostat.decide.intake.objects import by_clock, outcomes_of_events, parse_outcomes, read_objects
from homeostat.engine import problems
from homeostat.engine.answer_types import Decision
from homeostat.engine.answers import answer, features_of, naming
from homeostat.engine.dating import dated, stepped
from homeostat.engine.duties import Duties, OwnDuties
from homeostat.engine.isolating import UNSET, Answer, Isolation, Received, UnusableEvent
from homeostat.engine.parts import Parts
from homeostat.engine.shown import as_table, facts_of
from homeostat.errors import HomeostatError
from homeostat.ports import Snapshot, Unavailable
from homeostat.ports.settings import Settings
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.reasons import Reason

if TYPE_CHECKING:
    from homeostat.engine.frames import Rows
    from homeostat.engine.readings import Value

# Batches after which the audit trail is brought up to the journal, which has everything already. The decision that does
# it waits for it: with 16 batches that was a third of a decision's time, and seen in the slowest hundredth.
AUDIT_EVERY = 4
_STATEMENTS_EVERY_NS = 10**9  # Between two looks for new statements of people, while decisions wait for the trail.
Event = Mapping[str, Any]


@runtime_checkable
class ArrowStream(Protocol):
    """A data frame of any library that has the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class Engine:
    """Decides events and learns from outcomes. A context manager; not for several threads at once.

    >>> from homeostat import load
    >>> with load("access") as engine:
    ...     event = {"event_id": "1", "entity_id": "123", "event_type": "action", "value": 10,
    ...              "timestamp": "2026-01-30T12:00:00Z"}
    ...     engine.decide(event)["action"]
    'allow'
    """

    def __init__(self, parts: Parts, duties: Duties | None = None) -> None:
        """Decide with these parts.

        duties : around deciding; None for those of a process that owns its data
        """
        self.parts = parts
        self.duties: Duties = OwnDuties(parts) if duties is None else duties
        self._isolation = Isolation(parts, lambda: self.refused)
        self._unaudited = self._looked_ns = 0
        self.actions: dict[str, int] = dict.fromkeys(parts.words.actions, 0)
        self.listener: Callable[[int, DecisionBatch], None] | None = None

    @property
    def app(self) -> App:
        """The app file as a typed tree."""
        return self.parts.app

    @property
    def waits_for_servers(self) -> bool:
        """Whether deciding means waiting for others, so that it is best done in a thread."""
        return self.duties.waits_for_servers

    @property
    def bad_events(self) -> int:
        """How many events could not be used."""
        return self._isolation.bad_events

    @property
    def trouble(self) -> str:
        """Why nothing is decided at present, or without its servers, in a sentence; empty where all is well."""
        return self.refused or self.duties.trouble

    @property
    def notice(self) -> str:
        """The notice for people at present: the trouble, or what is worth a line though decisions go on as ever."""
        return self.trouble or self.duties.notice

    @property
    def refused(self) -> str:
        """Why nothing can be decided at present, in a sentence; empty where decisions are made."""
        if self.duties.refused:
            return self.duties.refused
        if self.parts.loop.stopped:
            return "a fault broke a decision off, and the engine could not begin again from its journal"
        return self.parts.loop.recording.trouble

    @property
    def settings(self) -> Settings:
        """The changes of this app; one that is appended is in force from a batch on that comes a moment later."""
        watcher = self.parts.watcher
        if watcher is None:
            raise HomeostatError("this engine was made without settings")
        watcher.start()
        return watcher.settings

    def change(self) -> None:
        """Put changes of the settings in force that are ready, and say so. Raises Unavailable."""
        self.parts.loop.change()
        if self.parts.watcher is not None:
            self.parts.watcher.report()

    def notes(self) -> list[str]:
        """The notices for people though decisions go on, a sentence each."""
        watcher = self.parts.watcher
        notes = self.parts.loop.notes() + ([] if watcher is None else watcher.notes())
        notes += self.duties.notes()
        notes += [] if self.parts.fairness is None else self.parts.fairness.notes()
        beside = (self.parts.shadow, self.parts.maintenance, self.parts.predictions)
        return notes + [note for keeper in beside if keeper is not None for note in keeper.notes()]

    def readings(self) -> Mapping[str, Value]:
        """Current figures of servers and processes beside by name of a declared metric; called by any thread."""
        found: dict[str, Value] = dict(self.duties.readings())
        found |= {} if self.parts.fairness is None else self.parts.fairness.readings()
        found |= {} if self.parts.sizer is None else {"homeostat_batch_rows_bound": self.parts.sizer.rows}
        for keeper in (self.parts.shadow, self.parts.maintenance, self.parts.measuring, self.parts.predictions):
            found = found if keeper is None else {**found, **keeper.readings()}
        return found

    @overload
    def decide(self, events: Event) -> Decision: ...

    @overload
    def decide(self, events: Sequence[Event]) -> list[Answer]: ...

    @overload
    def decide(self, events: ArrowStream) -> Any: ...

    def decide(self, events: Event | Sequence[Event] | ArrowStream) -> Decision | list[Answer] | Any:
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
        with self.duties.deciding():
            return self._isolation.answers(self._answer, objects)

    def answer_rows(self, rows: Rows) -> list[Answer]:
        """A decision or a problem for each row of a table, in order."""
        with self.duties.deciding():
            return self._isolation.answers(self._answer_rows, rows)

    def _answer_rows(self, rows: Any) -> list[Answer]:
        from homeostat.decide.intake.columns import read_columns  # Loads PyArrow, which single events do without.

        schema, now_ns = self.parts.schema, self.parts.clock.now_ns()
        until_ns = stepped(now_ns, schema.ahead_max_ns)
        with self.parts.loop.meters.timed("intake"):
            batch, letters = read_columns(rows.columns, len(rows), schema, until_ns, np.arange(1, len(rows) + 1))
            if schema.unknown is not None:
                schema.unknown.look_at_columns(rows.columns, len(rows))
        bad = {letter.line - 1 for letter in letters}
        positions = [row for row in range(len(rows)) if row not in bad]
        return self._answered(batch, letters, positions, len(rows), now_ns, until_ns)

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
        answers: list[Answer] = [UNSET] * count
        if len(batch):
            self.parts.loop.meters.came(newest(batch) - now_ns)
            batch = admitted(batch, now_ns, schema.skew_ns, schema.ahead_max_ns)
            for part, start in self.duties.pieces(batch):
                self._decided(part, positions if part is batch else positions[start : start + len(part)], answers)
        # Last, so that events which are sent again because the journal is down are not buried each time.
        self._isolation.bury(letters, set(range(count)) - set(positions), answers)
        if schema.unknown is not None and schema.unknown.due(now_ns):
            self._isolation.note(schema.unknown.take(now_ns))
        return answers

    def _decided(self, batch: EventBatch, positions: Sequence[int], answers: list[Answer]) -> None:
        """Decide events, and put their answers in their places."""
        parts = self.parts
        decided = parts.loop.decide(batch)
        self._isolation.taken = True
        if self.listener is not None and decided.fresh is not None:
            self.listener(parts.journal.last, decided.fresh)
        if decided.fresh is not None and parts.audit is not None:
            self._unaudited += 1
            if self._unaudited >= AUDIT_EVERY:
                self._audit_if_it_can_be()
        for k, position in enumerate(positions):
            row = int(decided.row[k])
            if row >= 0 and decided.fresh is not None:
                answered = answer(decided.fresh, row)
                self.actions[answered["action"]] += 1
                answers[position] = answered
            elif row == -1:
                earlier, at = decided.repeated[k]
                answers[position] = answered = answer(earlier, at)
                answered["duplicate"] = True
                if k in decided.differing:
                    answered["differs"] = True
            else:
                reason = decided.refused[k]
                value = str(int(batch.time_ns[k])) if reason is Reason.TOO_LATE else batch.id_text(k)
                letter = DeadLetter(position + 1, refused_field(reason), value, reason.value)
                self._isolation.bury([letter], {position}, answers)

    def _audit_if_it_can_be(self) -> None:
        """The decisions stand whatever becomes of the trail: they are in the journal, and audited when they can be."""
        try:
            self.audit(statements=self.parts.clock.monotonic_ns() - self._looked_ns >= _STATEMENTS_EVERY_NS)
        except Unavailable:
            return
        except Exception as error:
            self._isolation.reports.fault("audit", error)

    def bury(self, letters: list[DeadLetter]) -> None:
        """Put into the dead letters what came and is no event. Raises Unavailable."""
        self._isolation.bury(letters, set(range(len(letters))), [UNSET] * len(letters))

    def learn(self, outcomes: Event | Sequence[Event]) -> list[Received]:
        """Take in outcomes (`event_id`, `label`, perhaps `time` and `amount`); one receipt or problem for each."""
        return self.receive([outcomes] if isinstance(outcomes, Mapping) else list(outcomes))

    def receive(self, objects: Sequence[object]) -> list[Received]:
        """A receipt or a problem for each object that should be an outcome, in order."""
        with self.duties.receiving():
            return self._isolation.answers(self._receive, objects)

    def _receive(self, objects: Sequence[object]) -> list[Received]:
        parts = self.parts
        now_ns, names = parts.clock.now_ns(), outcomes_of_events(parts.schema)
        dated_objects = [dated(item, names.time, now_ns) for item in objects]
        until_ns = stepped(now_ns, parts.schema.ahead_max_ns)
        batch, letters, positions = parse_outcomes(dated_objects, parts.schema, until_ns)
        letters = by_clock(letters, now_ns - until_ns)
        receipts: list[Received] = [UNSET] * len(objects)
        known = self.duties.learned(batch) if len(batch) else np.zeros(0, bool)
        self._isolation.taken = True
        self._isolation.bury(letters, set(range(len(objects))) - set(positions), receipts)
        for k, position in enumerate(positions):
            if not known[k]:
                receipts[position] = problems.of_unknown(objects[position], names.id)
            else:
                receipts[position] = {"event_id": batch.id_text(k), "accepted": True}
        return receipts

    def decision(self, event_id: str | int, features: bool = False, explain: bool = False) -> Decision | None:
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

    def placed(self, event_id: str) -> tuple[DecisionBatch, int, int] | None:
        """The recorded decision as its batch, row and journal entry; None where the journal does not hold it yet."""
        found, journal = self.find(event_id), self.parts.journal
        sequence = None if found is None else journal.sequence_of(self.parts.loop.stages.coding.identify(event_id))
        return None if found is None or sequence is None else (*found, sequence)

    def find(self, event_id: str | int) -> tuple[DecisionBatch, int] | None:
        """The recorded decision as its batch and row."""
        try:
            text = str(event_id)
        except ValueError:  # An integer of thousands of digits, which no event has.
            return None
        # The text tells an id apart from another with the same hash.
        return self.parts.journal.find_text(text)

    def audit(self, statements: bool = True) -> None:
        """Let the audit trail catch up with the journal, and with the statements of people."""
        if self.parts.audit is not None and self.parts.kept is not None:
            self._unaudited = 0
            now_ns = self.parts.clock.now_ns()
            self.parts.audit.follow(self.parts.kept, now_ns)
            if statements and self.parts.stated is not None:
                self._looked_ns = self.parts.clock.monotonic_ns()
                with suppress(HomeostatError):  # Statements that can't be read are no reason to leave decisions out.
                    self.parts.audit.stated(*self.parts.stated(), now_ns)

    def resume(self) -> None:
        """Try to go on after a failure: nobody may ask a server that says that it is not ready.

        Raises Unavailable while the disk is full, say; Stopped where the engine can't begin again.
        """
        self.duties.resume(self._isolation.mend)

    def save(self) -> None:
        """Keep what the next start would miss, so that it has less to replay."""
        self.duties.save(self.snapshot)

    def snapshot(self) -> Callable[[], None]:
        """Take a snapshot. The call that is returned writes it, which any thread may do while decisions go on."""
        parts = self.parts
        snapshots, kept = parts.snapshots, parts.kept
        self.audit()
        if snapshots is None or kept is None:
            return lambda: None
        parts.loop.flush()  # A state that knows more than the journal would be recovered twice.
        last, stages, state = kept.last, parts.loop.stages, parts.loop.taken()
        history, software = kept.history(last), stages.words.software
        meaning, settings = stages.meaning, stages.settings

        def write() -> None:
            kept.flush()  # A snapshot of entries that a loss of power could take would be of another history.
            snapshots.save(Snapshot(last, state(), history, software, meaning, settings))

        return write

    def close(self) -> None:
        """Save, and let go of files, servers and threads."""
        self.duties.close(self.save)

    def __repr__(self) -> str:
        return f"<Engine {', '.join(f'{name} {value}' for name, value in facts_of(self).items())}>"

    def _repr_html_(self) -> str:
        """The same as a table, in a notebook."""
        return as_table(facts_of(self))

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
