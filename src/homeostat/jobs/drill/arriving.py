"""Traffic through intake: a day at a time, or in pieces that have their own clock where a source's clock is ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from homeostat.decide.intake.schema import EventSchema
from homeostat.records.arrays import Int
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.unknown import UnknownName
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, RENAMED, Traffic
from homeostat.sim.faults.wire import columns_of, received

PIECES = 4
"""Journal entries of an hour, so that each says within a quarter of an hour when it was recorded."""


class Arrived(NamedTuple):
    """Events that came together.

    rows : (n,) of the traffic
    now_ns : the clock when they came
    letters : what intake refused of them
    """

    events: EventBatch
    rows: Int
    now_ns: int
    letters: list[DeadLetter]


@dataclass(frozen=True, slots=True)
class _Day:
    """A day that intake has read: rows [first, stop) of the traffic, of which `rows` are events."""

    first: int
    stop: int
    rows: Int
    events: EventBatch
    refused: Int
    letters: list[DeadLetter]


class Arriving:
    """See the module. Whether an event is one hangs on the clock only where its time is ahead; so others need none."""

    def __init__(self, traffic: Traffic, schema: EventSchema) -> None:
        self._traffic, self._schema = traffic, schema
        self._day: _Day | None = None

    def between(self, first: int, stop: int, end_ns: int, schema: EventSchema | None = None) -> list[Arrived]:
        """The events of the rows [first, stop), which came in the hour that ends at `end_ns`.

        schema : how they are read from now on; None as they were
        """
        if schema is not None and schema is not self._schema:
            self._schema, self._day = schema, None
        if first >= stop:
            return []
        if self._day is None or stop > self._day.stop or first < self._day.first:
            self._day = self._read(first, max(stop, self._traffic.since((end_ns - 1) // DAY_NS * DAY_NS + DAY_NS)))
        day = self._day
        if day is None:
            return self._in_pieces(first, stop, end_ns)
        a, b = np.searchsorted(day.rows, [first, stop]).tolist()
        c, d = np.searchsorted(day.refused, [first, stop]).tolist()
        return [Arrived(day.events.slice(a, b), day.rows[a:b], end_ns, day.letters[c:d])]

    def unknown(self, first: int, stop: int, now_ns: int) -> list[UnknownName]:
        """The names in the rows [first, stop) that mean nothing to intake."""
        names = self._schema.unknown
        if names is None or not (self._traffic.form[first:stop] == RENAMED).any():
            return []
        names.look_at_columns(columns_of(self._traffic.rows(slice(first, stop)), self._schema), stop - first)
        return names.take(now_ns)

    def _read(self, first: int, stop: int) -> _Day | None:
        """The rest of a day; None where a clock is ahead."""
        batch = self._traffic.rows(slice(first, stop))
        if (batch.time_ns > batch.arrived_ns + self._schema.skew_ns).any():
            return None
        events, letters = received(batch, self._schema, int(batch.arrived_ns[-1]), np.arange(len(batch)))
        refused = np.array([letter.line for letter in letters], np.int64)
        return _Day(first, stop, first + _others(len(batch), refused), events, first + refused, letters)

    def _in_pieces(self, first: int, stop: int, end_ns: int) -> list[Arrived]:
        edges = end_ns - HOUR_NS + (np.arange(1, PIECES + 1) * HOUR_NS) // PIECES
        found = []
        for now_ns in edges.tolist():
            last = min(stop, self._traffic.since(now_ns)) if now_ns < end_ns else stop
            if last > first:
                batch = self._traffic.rows(slice(first, last))
                events, letters = received(batch, self._schema, now_ns, np.arange(len(batch)))
                refused = np.array([letter.line for letter in letters], np.int64)
                found.append(Arrived(events, first + _others(len(batch), refused), now_ns, letters))
                first = last
        return found


def _others(n: int, refused: Int) -> Int:
    """The numbers below n that are not refused."""
    kept = np.ones(n, np.bool_)
    kept[refused] = False
    return np.flatnonzero(kept)
