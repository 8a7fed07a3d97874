"""What several workers share: the journal and the entities' pasts, on servers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Journal
from homeostat.records.arrays import Float, Int
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

    def locate(self, id_code: Int) -> tuple[NDArray[np.bool_], Int, Int, dict[int, str]]:
        """Whether each event was decided (n,), its time (n,), its entity keys (n, entities), and the texts of those
        keys that are hashed: the entities' shared logs are found by them."""
        ...

    @property
    def last(self) -> int:
        """The last committed entry's sequence number, 0 when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """New rows for the logs of entities of one kind, and how much of each log is known already.

    entity : name of the kind, such as customer
    ids : (g,) entities as people write them, each once
    known : (g,) rows of each log that the caller has read; 0 for none
    data : (g,) whole rows, one after the other; empty to read only
    newest_ns : (g,) the latest event time among them, from which the age of old rows is reckoned
    width : bytes of a row
    retained_ns : rows this much older than the newest may be dropped
    read : whether the caller wants to have what it has not read; if not, it only wants rows to be there
    """

    entity: str
    ids: list[str]
    known: list[int]
    data: list[bytes]
    newest_ns: list[int]
    width: int
    retained_ns: int
    read: bool = True


@dataclass(frozen=True, slots=True)
class Logs:
    """What the logs hold that the caller has not read.

    start : (g,) number of each log's first row in `data`; above `known` where older rows were dropped meanwhile
    data : (g,) whole rows up to the last one, those just given included; None where nobody else has written, so that
        it would be just what was given
    """

    start: list[int]
    data: list[bytes | None]


@dataclass(frozen=True, slots=True)
class Shown:
    """Current values of entities of one kind, for people and other programs.

    rows : (g,) of the log that the values rest on; older values never replace newer ones
    values : (g, len(names)), NaN where there is none
    freshness : (g,) the worst `Freshness` code among them
    watermark_ns : (g,) the event time that they are as of
    """

    entity: str
    ids: list[str]
    rows: list[int]
    names: tuple[str, ...]
    values: Float
    freshness: list[int]
    watermark_ns: list[int]


class FeatureStore(Protocol):
    """The entities' pasts as append-only logs of rows, shared by any number of workers.

    A row begins with three little-endian 64-bit integers: its event's time, its event's id code, and its kind. A row
    of kind 0 (an event) of whose time and id there is one already among the rows that its writer has not read is not
    appended again: whoever knows nothing of a log can't write an event twice, and nor can whoever asks again.
    """

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """Append rows and read what is new, each entity atomically, in one round trip.

        through : all journal entries up to this one have been exchanged
        Raises Unavailable; whether rows were appended then is unknown, and asking the same again is safe.
        Raises LogsLost when a log is shorter than it was known to be: the store has lost its memory.
        """
        ...

    def show(self, shown: Sequence[Shown]) -> None:
        """Put values up for reading, with one of the next exchanges."""
        ...

    def flush(self) -> None:
        """Let everything shown be readable now. Raises Unavailable."""
        ...

    def through(self) -> int | None:
        """The journal entry up to which the logs are whole; None where they were never begun. Raises Unavailable."""
        ...

    def begin(self, through: int) -> None:
        """Say that the logs are whole up to a journal entry, having been begun or mended: all who knew them before are
        told LogsLost with their next exchange, once. Raises Unavailable."""
        ...

    def alone(self, seconds: float) -> AbstractContextManager[bool]:
        """Whether this is the only one to rebuild the logs for the next so many seconds. Raises Unavailable."""
        ...


class LogsLost(Exception):
    """The store has forgotten rows that it had: they have to be written again, from the journal."""
