"""One app deciding in this process: `homeostat.load`, the HTTP server and the demo all use this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from homeostat.config.tree import App
from homeostat.decide.intake.border import Texts
from homeostat.decide.intake.objects import outcomes_of_events, parse_outcomes, read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.splice import pick_outcomes
from homeostat.embedded import problems
from homeostat.embedded.answers import answer, features_of
from homeostat.ports import Clock, DeadLetters, Snapshots, Unavailable
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch
from homeostat.records.identity import text_of
from homeostat.records.vocabulary import Vocabulary

if TYPE_CHECKING:
    from homeostat.embedded.readings import Value

# Batches after which the audit trail is brought up to the journal, which has everything already: so few that none of
# the decisions that wait for it waits for long, and enough to share one write to the file.
AUDIT_EVERY = 16
Event = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(slots=True)
class Parts:
    """What an engine is made of; `embedded.assembly` makes them."""

    app: App
    loop: DecisionLoop
    schema: EventSchema
    words: Vocabulary
    journal: Any
    clock: Clock
    dead_letters: DeadLetters | None = None
    snapshots: Snapshots | None = None
    audit: Any = None


class UnusableEvent(ValueError):
    """An event that the app's declaration does not allow; `problem` says which field, which value and why."""

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
        self.actions: dict[str, int] = dict.fromkeys(parts.words.actions, 0)

    @property
    def app(self) -> App:
        """The app file as a typed tree."""
        return self.parts.app

    @property
    def trouble(self) -> str:
        """What is wrong at present with the servers it decides on, in a sentence; empty where nothing is."""
        return ""

    def readings(self) -> Mapping[str, Value]:
        """Current figures of those servers by name of a declared metric; called by any thread."""
        return {}

    @overload
    def decide(self, events: Event) -> Answer: ...

    @overload
    def decide(self, events: Sequence[Event]) -> list[Answer]: ...

    def decide(self, events: Event | Sequence[Event]) -> Answer | list[Answer]:
        """Decide one event or several, each a mapping as it would be sent over HTTP.

        Raises UnusableEvent for a single bad event; in a sequence, a bad event gets its problem in its place.
        Raises Unavailable when the journal can't be written: nothing was decided, and the events may be sent again.
        """
        if isinstance(events, Mapping):
            answered = self.answer([events])[0]
            if "event_id" not in answered:
                raise UnusableEvent(answered)
            return answered
        return self.answer(list(events))

    def answer(self, objects: Sequence[object]) -> list[Answer]:
        """A decision or a problem for each object, in order."""
        parts = self.parts
        now_ns = stepped(parts.clock.now_ns(), parts.schema.ahead_max_ns)
        batch, letters, positions = parts.loop.timed("intake", read_objects, objects, parts.schema, now_ns)
        answers: list[Answer] = [{}] * len(objects)
        self._bury(letters, set(range(len(objects))) - set(positions), answers)
        if len(batch) == 0:
            return answers
        decided = parts.loop.decide(batch)
        if decided.fresh is not None and parts.audit is not None:
            self._unaudited += 1
            if self._unaudited >= AUDIT_EVERY:
                with suppress(Unavailable):  # The decisions stand: they are in the journal, and audited when it can be.
                    self.audit()
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
                letter = DeadLetter(position + 1, "time", str(int(batch.time_ns[k])), reason.value)
                self._bury([letter], {position}, answers)
        return answers

    def _bury(self, letters: list[DeadLetter], positions: set[int], answers: list[Answer]) -> None:
        """Put the problems of unreadable events in their places, and the events into the dead letters."""
        if not letters:
            return
        self.bad_events += len(letters)
        self.parts.loop.meters.buried(letters)
        if self.parts.dead_letters is not None:
            self.parts.dead_letters.bury(letters)
        for position, letter in zip(sorted(positions), letters, strict=True):
            answers[position] = problems.of_letter(letter)

    def learn(self, outcomes: Event | Sequence[Event]) -> list[Answer]:
        """Take in outcomes (`event_id`, `label`, perhaps `time` and `amount`); one receipt or problem for each."""
        return self.receive([outcomes] if isinstance(outcomes, Mapping) else list(outcomes))

    def receive(self, objects: Sequence[object]) -> list[Answer]:
        """A receipt or a problem for each object that should be an outcome, in order."""
        parts = self.parts
        now_ns = parts.clock.now_ns()
        names = outcomes_of_events(parts.schema).time
        told = [dated(item, names, now_ns) for item in objects]
        batch, letters, positions = parse_outcomes(told, parts.schema, stepped(now_ns, parts.schema.ahead_max_ns))
        receipts: list[Answer] = [{}] * len(objects)
        self._bury(letters, set(range(len(objects))) - set(positions), receipts)
        known = self._learned(batch) if len(batch) else np.zeros(0, bool)
        for k, position in enumerate(positions):
            if not known[k]:
                receipts[position] = problems.of_unknown(objects[position], parts.schema.id)
            else:
                receipts[position] = {"event_id": text_of(int(batch.id_code[k]), batch.texts), "accepted": True}
        return receipts

    def _learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Take in the outcomes of decided events; (n,) which those are."""
        known = self.parts.journal.seen(batch.id_code)
        if known.any():
            self.parts.loop.learn(pick_outcomes(batch, known))
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
            recorded["features"] = features_of(decisions, row)
        if explain:
            from homeostat.embedded.explaining import explained

            parts = self.parts
            recorded["explanation"] = explained(parts.loop.stages, parts.app, decisions, row)
        return recorded

    def find(self, event_id: str | int) -> tuple[DecisionBatch, int] | None:
        """The recorded decision as its batch and row."""
        journal = self.parts.journal
        found: tuple[DecisionBatch, int] | None
        # The text tells an id apart from another with the same hash.
        found = journal.find(event_id) if isinstance(event_id, int) else journal.find_text(event_id)
        return found

    def audit(self) -> None:
        """Let the audit trail catch up with the journal."""
        if self.parts.audit is not None:
            self._unaudited = 0
            self.parts.audit.follow(self.parts.journal, self.parts.clock.now_ns())

    def settle(self) -> None:
        """Do what can wait for a quiet moment: here, nothing can."""

    def save(self) -> None:
        """Write a snapshot, so that the next start has less to replay."""
        parts = self.parts
        self.audit()
        if parts.snapshots is not None:
            parts.loop.flush()  # A state that knows more than the journal would be recovered twice.
            parts.journal.flush()
            parts.snapshots.save(parts.journal.last, parts.loop.state())

    def close(self) -> None:
        """Save, and let go of files and threads."""
        try:
            self.save()
        finally:  # Where the journal is down there is nothing to save to; files and threads are let go all the same.
            self.parts.loop.close()
            for part in (self.parts.journal, self.parts.audit, self.parts.dead_letters):
                if part is not None and hasattr(part, "close"):
                    part.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
