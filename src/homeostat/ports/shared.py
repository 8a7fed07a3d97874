"""What several workers share: the journal and the entities' pasts, on servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Journal
from homeostat.records.arrays import Bytes, Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch


class Repeated(Exception):
    """Nothing was appended, because other workers decided some of the events first.

    rows : which rows of the batch
    """

    def __init__(self, rows: Int) -> None:
        self.rows = rows
        super().__init__(f"{len(rows)} events were decided by another worker meanwhile")


class SharedJournal(Journal, Protocol):
    """A journal that many processes write at once. One row for each event id, whoever comes first.

    Sequence numbers rise but may have gaps; `read(after)` gives what is committed, in their order.
    """

    def append(self, body: DecisionBatch | OutcomeBatch, places: Sequence[str] | None = None) -> int:
        """Write durably, all or nothing; returns the (last) entry's sequence number.

        places : (n,) where each event or outcome was read (`Pulled.place`). An outcome whose place is there already
            is left out
        Raises Repeated where events were decided by others, Unavailable when the server fails; nothing is written.
        """
        ...

    def places(self, id_code: Int) -> list[str | None]:
        """(n,) where each decided event was read, "" where that was not said; None where it was never decided."""
        ...

    def locate(self, id_code: Int) -> tuple[NDArray[np.bool_], Int, Int]:
        """Whether each event was decided (n,), its time (n,) and its entity keys (n, entities)."""
        ...

    @property
    def last(self) -> int:
        """The last committed entry's sequence number, 0 when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """New rows for one entity's log, and how much of it is known already.

    entity : name of the entity, such as customer
    id : the entity's id as people write it
    known : rows of the log that the caller has seen; 0 for none
    data : rows of the store's width, one after the other; may be empty, to read only
    newest_ns : the latest event time among them, by which old rows expire; None where `data` is empty
    """

    entity: str
    id: str
    known: int
    data: bytes
    newest_ns: int | None


@dataclass(frozen=True, slots=True)
class Log:
    """What an entity's log holds that the caller has not seen.

    start : number of the first row of `data`. Above `known` where older rows have expired since
    data : whole rows, up to the last one, those just given included
    """

    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """An entity's current values, for people and other programs.

    rows : of the log that the values rest on; older values never replace newer ones
    values : by feature name; NaN where there is none
    freshness : (len(values),) `Freshness` codes
    watermark_ns : the newest event time that they rest on
    """

    entity: str
    id: str
    rows: int
    names: tuple[str, ...]
    values: Sequence[float]
    freshness: Bytes
    watermark_ns: int


class FeatureStore(Protocol):
    """The entities' pasts as append-only logs of rows, shared by any number of workers.

    A row begins with its event's time and id (two little-endian 64-bit integers). A row whose first 17 bytes (time,
    id, kind) are in the part of the log that its writer has not seen is not appended again: so a writer that knows
    nothing of a log can't write a row twice.
    """

    def exchange(self, asked: Sequence[Rows], through: int | None = None) -> list[Log]:
        """Append rows and read what is new, entity by entity atomically, in one round trip.

        through : journal entries up to this one have all been exchanged; kept for `through`
        Raises Unavailable; whether rows were appended then is unknown, and asking again with `known` 0 is safe.
        Raises LogsLost when a log is shorter than it was known to be: the server has lost its memory.
        """
        ...

    def show(self, shown: Sequence[Shown]) -> None:
        """Put values up for reading. May wait for the next `exchange`, to save a round trip. Raises Unavailable."""
        ...

    def through(self) -> int | None:
        """The journal entry up to which the logs are whole; None where they were never begun."""
        ...


class LogsLost(Exception):
    """The store has forgotten rows that it had: they have to be written again, from the journal."""
