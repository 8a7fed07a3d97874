"""A batch of valid events as columns. One event is a batch of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.identity import text_of


class Row(IntEnum):
    """What a row of an event batch is."""

    EVENT = 0
    LATE_EVENT = 1  # Past the lateness bound: decided, but not counted by the windows.
    OUTCOME = 2  # An earlier event's label, arriving now.


@dataclass(frozen=True, slots=True)
class EventBatch:
    """`n` events in order of arrival.

    id_code : (n,) see `records.identity`
    time_ns : (n,) event time, nanoseconds since 1970 UTC
    keys : (n, entities) entity key codes, ABSENT where the event has none
    numbers : (n, fields) declared fields: numbers, booleans as 0/1, categories as `category_code`; NaN where absent
    label : (n,) an outcome that came along with the event, NaN if none; known only after the app's outcome delay
    kind : (n,) `Row`
    texts : the text of every hashed code in the batch
    """

    id_code: Int
    time_ns: Int
    keys: Int
    numbers: Float
    label: Float
    kind: Bytes
    texts: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id_code)

    def id_text(self, row: int) -> str:
        """The id of one row as text."""
        return text_of(int(self.id_code[row]), self.texts)

    def slice(self, start: int, stop: int) -> EventBatch:
        """Rows `start` to `stop` as views."""
        rows = slice(start, stop)
        return EventBatch(
            self.id_code[rows], self.time_ns[rows], self.keys[rows], self.numbers[rows], self.label[rows],
            self.kind[rows], self.texts,
        )  # fmt: skip


def row_of(events: EventBatch, id_code: int) -> int | None:
    """The row of an event id among those that are decided; None where it is not there."""
    rows = np.flatnonzero((events.id_code == id_code) & (events.kind != Row.OUTCOME))
    return int(rows[0]) if len(rows) else None


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """`n` outcomes in order of arrival.

    id_code : (n,) the decided events' ids
    label : (n,) 1 positive (fraud), 0 negative
    known_ns : (n,) when each became known, nanoseconds since 1970 UTC
    amount : (n,) the outcome's own amount if it has one (a chargeback), else NaN
    scheduled : each counts from the moment on at which the stream's event time reaches its `known_ns` (a file of past
        outcomes), instead of at once
    time_ns, keys : (n,), (n, entities) of the decided events, where whoever read the outcomes knows them already
    entities : what the columns of the keys stand for, as in `Vocabulary`; nothing where nobody named them
    """

    id_code: Int
    label: Float
    known_ns: Int
    amount: Float
    texts: dict[int, str] = field(default_factory=dict)
    scheduled: bool = False
    time_ns: Int | None = None
    keys: Int | None = None
    entities: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.id_code)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event or outcome that could not be read: where, which field, which value and which rule it broke.

    detail : what else is known, as a sentence without its end; empty where the reason says it all
    """

    line: int
    field: str
    value: str
    reason: str
    detail: str = ""
