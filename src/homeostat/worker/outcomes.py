"""Outcomes on their way into the journal and the entities' logs: each finds its event, or waits for it for a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from homeostat.decide.intake.objects import outcomes_of_events, parse_outcomes
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.dating import dated
from homeostat.engine.shared.outcomes import record_outcomes
from homeostat.ports.streams import Outgoing, Pulled
from homeostat.records.arrays import Int, Mask
from homeostat.records.events import DeadLetter, OutcomeBatch
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason
from homeostat.records.rows import joined_outcomes
from homeostat.worker.encodings import JSON, Encoding
from homeostat.worker.in_flight import InFlightJournal
from homeostat.worker.intake import pick_messages
from homeostat.worker.publishing import dead_letter

WAITING_MAX = 100_000
Withheld = Callable[[Ids], Mask] | None
"""Tells which events are in a quarantine: see `record_outcomes`."""


@dataclass(slots=True)
class _Message:
    """One outcome message.

    pulled, row : where it is among those that came with it
    until_ns : how long it waits for its event, on the monotonic clock
    outcomes, at : what could be read of those that came with it, and which of them it is
    """

    pulled: Pulled
    row: int
    until_ns: int
    outcomes: OutcomeBatch | None = None
    at: int = -1
    finished: bool = False
    tried: bool = False
    letter: Outgoing | None = None


@dataclass(slots=True)
class Finished:
    """Outcomes that are dealt with: to be marked as done, and their dead letters.

    recorded, places : those that the windows know of now, to be journalled, and where each was read
    """

    pulled: Pulled = field(default_factory=Pulled)
    letters: list[Outgoing] = field(default_factory=list)
    recorded: OutcomeBatch | None = None
    places: list[str] = field(default_factory=list)


class Outcomes:
    """See the module.

    A waiting outcome is not marked as done, nor any that came after it in its lane: a crash loses nothing.

    wait_ns : how long an outcome waits for its event
    encoding : how messages are written
    """

    def __init__(self, schema: EventSchema, journal: InFlightJournal, wait_ns: int, encoding: Encoding = JSON) -> None:
        self.count = self.unknown = 0
        self._schema, self._journal, self._wait_ns = schema, journal, wait_ns
        self._encoding = encoding
        self._lanes: dict[str, deque[_Message]] = {}
        self._waiting: list[_Message] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, pulled: Pulled, wall_ns: int, monotonic_ns: int) -> None:
        """Take messages in.

        wall_ns : when an outcome that does not say so became known
        """
        names = outcomes_of_events(self._schema).time
        objects = [dated(self._encoding.outcome(value), names, wall_ns) for value in pulled.values]
        batch, letters, positions = parse_outcomes(objects, self._schema, wall_ns, range(len(objects)))
        made = [_Message(pulled, row, monotonic_ns + self._wait_ns) for row in range(len(pulled))]
        for k, row in enumerate(positions):
            made[row].outcomes, made[row].at = batch, k
        for letter in letters:
            self._refuse(made[letter.line], letter)
        for message in made:
            self._lanes.setdefault(pulled.lane[message.row], deque()).append(message)
        self._waiting += [message for message in made if not message.finished]

    def record(
        self, featurizer: SharedFeaturizer, monotonic_ns: int, all_of_them: bool = True, withheld: Withheld = None
    ) -> Finished:
        """Let the windows know of the outcomes of decided events; returns what is to be journalled, and done with then.

        all_of_them : look for the events of those that have been waiting, too, not of the new ones alone
        Raises Unavailable, having recorded none, when the journal can't be asked.
        """
        fresh = [message for message in self._waiting if all_of_them or not message.tried]
        done = Finished()
        if fresh:
            self._record(fresh, featurizer, monotonic_ns, done, withheld)
        for lane in self._lanes.values():
            while lane and lane[0].finished:
                message = lane.popleft()
                if message.letter is not None:
                    done.letters.append(message.letter)
                done.pulled.extend(pick_messages(message.pulled, [message.row]))
        return done

    def _record(
        self, waiting: list[_Message], featurizer: SharedFeaturizer, monotonic_ns: int, done: Finished,
        withheld: Withheld,
    ) -> None:  # fmt: skip
        def keep(located: OutcomeBatch, rows: Int) -> None:
            done.recorded = located
            done.places = [waiting[k].pulled.place(waiting[k].row) for k in rows.tolist()]

        found = record_outcomes(_together(waiting), featurizer, self._journal.inner.locate, keep, withheld)
        self.count += int(found.sum())
        for k in np.flatnonzero(found).tolist():
            waiting[k].finished = True
        too_many = len(self._waiting) - int(found.sum()) - WAITING_MAX
        for message in waiting:
            message.tried = True
            if not message.finished and (monotonic_ns >= message.until_ns or too_many > 0):
                too_many -= 1
                self.unknown += 1
                assert message.outcomes is not None
                event_id = message.outcomes.id_text(message.at)
                reason = Reason.UNKNOWN_EVENT.value
                self._refuse(message, DeadLetter(message.row, self._schema.id[0], event_id, reason))
        self._waiting = [message for message in self._waiting if not message.finished]

    def _refuse(self, message: _Message, letter: DeadLetter) -> None:
        message.finished = True
        message.letter = dead_letter(message.pulled, message.row, letter, self._encoding)


def _together(messages: list[_Message]) -> OutcomeBatch:
    """The messages' outcomes, in their order."""
    parts = []
    for _, some in groupby(messages, lambda message: id(message.outcomes)):
        these = list(some)
        assert these[0].outcomes is not None
        parts.append(these[0].outcomes.rows(np.array([message.at for message in these], np.int64)))
    return joined_outcomes(parts)
