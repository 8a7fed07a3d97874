"""A batch of valid events as columns. One event is a batch of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.identity import Identity, Ids, IdTexts, is_hashed, text_of

_UNSAID: Int = np.zeros(0, np.int64)


class Row(IntEnum):
    """The kind of a row of an event batch."""

    EVENT = 0
    LATE_EVENT = 1  # Past the lateness bound, or a copy: decided, but not counted by the windows.
    OUTCOME = 2  # An earlier event's label, arriving now.


@dataclass(frozen=True, slots=True)
class Came:
    """`n` events as they came, before repairs.

    time_ns : (n,) event times
    numbers : (n, fields) values
    copy : (n,) 1 for a copy of an earlier event, which windows don't count again
    """

    time_ns: Int
    numbers: Float
    copy: Bytes

    def rows(self, at: slice | Int | NDArray[np.bool_]) -> Came:
        """Some of the rows."""
        return Came(self.time_ns[at], self.numbers[at], self.copy[at])


@dataclass(frozen=True, slots=True)
class EventBatch:
    """`n` events in order of arrival, as the stages see them.

    id_code, id_check : (n,) see `records.identity`
    time_ns : (n,) event time, nanoseconds since 1970 UTC
    keys, key_checks : (n, entities) entity keys' codes and checks, ABSENT and 0 where the event has none
    numbers : (n, fields) declared fields: numbers, booleans as 0/1, categories as `category_code`; NaN where absent
    label : (n,) an outcome that came along with the event, NaN if none; known only after the app's outcome delay
    kind : (n,) `Row`
    texts : the text of every id and key in the batch that is hashed, and of every category by its code and 0
    reach_ns : (n,) how far each event moves the time that all share; None where that is its own time, see `reach`
    came : times and values as they came; None where no repair altered any
    Checks may be left out where every id and key is an integer.
    """

    id_code: Int
    time_ns: Int
    keys: Int
    numbers: Float
    label: Float
    kind: Bytes
    texts: IdTexts = field(default_factory=dict)
    id_check: Int = field(default_factory=lambda: _UNSAID)
    key_checks: Int = field(default_factory=lambda: _UNSAID)
    reach_ns: Int | None = None
    came: Came | None = None

    def __post_init__(self) -> None:
        if self.id_check is _UNSAID:
            object.__setattr__(self, "id_check", _no_checks(self.id_code))
        if self.key_checks is _UNSAID:
            object.__setattr__(self, "key_checks", _no_checks(self.keys))

    def __len__(self) -> int:
        return len(self.id_code)

    @property
    def ids(self) -> Ids:
        """(n,) the events' identities."""
        return Ids(self.id_code, self.id_check)

    @property
    def tag(self) -> Int:
        """(n,) 64 bits that tell an event apart from others of the same entity and instant."""
        return self.id_code ^ self.id_check

    @property
    def reach(self) -> Int:
        """(n,) the time that each event says it is: its own, unless that was ahead of the clock when it came.

        All that entities share (watermark, learning, breakers) goes by this; the event itself goes by its time.
        """
        return self.time_ns if self.reach_ns is None else self.reach_ns

    def id_text(self, row: int) -> str:
        """The id of one row as text."""
        return text_of(self.id_code.item(row), self.id_check.item(row), self.texts)

    @property
    def category_texts(self) -> dict[float, str]:
        """The texts of the categories that the batch may mention, by code."""
        return {float(code): text for (code, _), text in self.texts.items() if not is_hashed(code)}

    def rows(self, rows: slice | Int | NDArray[np.bool_]) -> EventBatch:
        """The rows of a slice (as views), those where a mask (n,) holds, or those of these numbers."""
        return EventBatch(
            self.id_code[rows], self.time_ns[rows], self.keys[rows], self.numbers[rows], self.label[rows],
            self.kind[rows], self.texts, self.id_check[rows], self.key_checks[rows],
            None if self.reach_ns is None else self.reach_ns[rows], None if self.came is None else self.came.rows(rows),
        )  # fmt: skip

    @property
    def as_came(self) -> EventBatch:
        """The events as they came, before repairs; their reach stays where it is."""
        came = self.came
        if came is None:
            return self
        kind = np.where(came.copy != 0, np.uint8(Row.EVENT), self.kind)
        return replace(self, time_ns=came.time_ns, numbers=came.numbers, kind=kind, came=None)

    def as_copies(self, copy: NDArray[np.bool_]) -> EventBatch:
        """The events, of which those of a mask (n,) are copies: decided, and not counted by the windows."""
        came = self.came or Came(self.time_ns, self.numbers, np.zeros(len(self), np.uint8))
        kind = np.where(copy, np.uint8(Row.LATE_EVENT), self.kind)
        return replace(self, kind=kind, came=Came(came.time_ns, came.numbers, came.copy | copy.astype(np.uint8)))

    def slice(self, start: int, stop: int) -> EventBatch:
        """Rows `start` to `stop` as views."""
        return self.rows(slice(start, stop))


def _no_checks(codes: Int) -> Int:
    """The checks of integers."""
    assert not is_hashed(int(codes.max(initial=0))), "a text's code goes with a check"
    return np.zeros(codes.shape, np.int64)


def row_of(events: EventBatch, event_id: Identity, text: str | None = None) -> int | None:
    """The row of an event id among those that are decided; None where it is not there.

    text : the id's own text, where it is at hand: another event of the same identity is not taken for it
    """
    rows = np.flatnonzero(events.ids.where(event_id) & (events.kind != Row.OUTCOME))
    return next((row for row in rows.tolist() if text is None or events.id_text(row) == text), None)


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """`n` outcomes in order of arrival.

    id_code, id_check : (n,) the decided events' ids
    label : (n,) 1 positive (fraud), 0 negative
    known_ns : (n,) when each became known, nanoseconds since 1970 UTC
    amount : (n,) the outcome's own amount if it has one (a chargeback), else NaN
    scheduled : each counts from the moment on at which the stream's event time reaches its `known_ns` (a file of past
        outcomes), instead of at once
    time_ns, keys, key_checks : (n,), (n, entities) twice, of the decided events, where whoever read the outcomes knows
        them already
    entities : what the columns of the keys stand for, as in `Vocabulary`; nothing where nobody named them
    Checks may be left out where every id and key is an integer.
    """

    id_code: Int
    label: Float
    known_ns: Int
    amount: Float
    texts: IdTexts = field(default_factory=dict)
    scheduled: bool = False
    time_ns: Int | None = None
    keys: Int | None = None
    entities: tuple[tuple[str, tuple[str, ...]], ...] = ()
    id_check: Int = field(default_factory=lambda: _UNSAID)
    key_checks: Int | None = None

    def __post_init__(self) -> None:
        if self.id_check is _UNSAID:
            object.__setattr__(self, "id_check", _no_checks(self.id_code))
        if self.keys is not None and self.key_checks is None:
            object.__setattr__(self, "key_checks", _no_checks(self.keys))

    def __len__(self) -> int:
        return len(self.id_code)

    @property
    def ids(self) -> Ids:
        """(n,) the decided events' identities."""
        return Ids(self.id_code, self.id_check)

    def id_text(self, row: int) -> str:
        """The id of one row as text."""
        return text_of(self.id_code.item(row), self.id_check.item(row), self.texts)

    def rows(self, rows: slice | Int | NDArray[np.bool_]) -> OutcomeBatch:
        """The outcomes of a slice (as views), those where a mask (n,) holds, or those of these numbers."""
        return OutcomeBatch(
            self.id_code[rows], self.label[rows], self.known_ns[rows], self.amount[rows], self.texts, self.scheduled,
            None if self.time_ns is None else self.time_ns[rows], None if self.keys is None else self.keys[rows],
            self.entities, self.id_check[rows], None if self.key_checks is None else self.key_checks[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event or outcome that could not be read: where, which field, which value and which rule it broke.

    detail : what else is known, as a sentence without its end; empty where the reason says it all
    ahead_ns : how far ahead of the clock its time is, where it is refused for that
    """

    line: int
    field: str
    value: str
    reason: str
    detail: str = ""
    ahead_ns: int = 0
