"""The parts that several workers share: the journal and the entities' pasts, on servers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import Conflict, HomeostatError
from homeostat.ports import NamedJournal, StandingJournal
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding, Ids, IdTexts, text_of


class Repeated(Conflict):
    """Nothing was appended, because other workers decided some of the events first.

    rows : which rows of the batch
    """

    why = "several workers may be given one event, and the first decision counts"
    remedy = "Take the other worker's decision, which the journal holds"

    def __init__(self, rows: Int) -> None:
        self.rows = rows
        super().__init__(f"{len(rows)} events were decided by another worker meanwhile")


@dataclass(frozen=True, slots=True)
class Located:
    """When and of whom events were.

    found : (n,) which of those asked for were decided; the others' rows mean nothing
    time_ns : (n,)
    keys, key_checks : (n, entities)
    texts : of those keys that are hashed
    """

    found: NDArray[np.bool_]
    time_ns: Int
    keys: Int
    key_checks: Int
    texts: IdTexts


@dataclass(frozen=True, slots=True)
class Backlog:
    """The entries that wait on this machine's disk for a journal's server.

    rows, nbytes : decisions and outcomes, and bytes
    oldest_s : seconds since the first was put in
    """

    rows: int
    nbytes: int
    oldest_s: float


class SharedJournal(StandingJournal, Protocol):
    """A journal that many processes write at once. One row for each event id, whoever comes first.

    Sequence numbers rise but may have gaps; `read(after)` gives what is committed, in their order.
    """

    @property
    def appended(self) -> int:
        """The last entry that this process has written, 0 before the first; those before it are committed too."""
        ...

    @property
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes, by a secret that every process of the journal shares."""
        ...

    @property
    def identity(self) -> str:
        """A name that no other journal has: it names the entities' logs that follow from this one."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether the server is away, so that answers come from what this process knows."""
        ...

    @property
    def reason(self) -> str:
        """Why the server is taken to be away; empty while it answers."""
        ...

    @property
    def backlog(self) -> Backlog | None:
        """The entries that wait for the server; None for a journal that keeps nothing back."""
        ...

    def append(self, body: Body, places: Sequence[str] | None = None) -> int:
        """Write durably, all or nothing; returns the (last) entry's sequence number.

        places : (n,) where each event or outcome was read (`Pulled.place`). An outcome whose place is there already
            is left out
        A change that is there already is left out too: each process that applies it appends it.
        Raises Repeated where events were decided by others, Unavailable when the server fails; nothing is written.
        """
        ...

    def places(self, ids: Ids) -> list[str | None]:
        """(n,) where each decided event was read, "" where that is not known; None where it was never decided."""
        ...

    def locate(self, ids: Ids) -> Located:
        """When and of whom each event was, where it was decided."""
        ...

    def newest(self, rows: int) -> list[DecisionBatch]:
        """The last entries of decisions, of `rows` decisions at the most, oldest first. Raises Unavailable."""
        ...

    def recall(self) -> None:
        """Learn what all processes decided last, to know its repeats while the server is away. Raises Unavailable."""
        ...

    def wait_until_written(self, wait_s: float) -> bool:
        """Wait until nothing that was appended waits any more for the server; False where that takes longer."""
        ...

    def retire(self) -> object:
        """Drop what was kept for long enough; returns what that was. Raises Unavailable."""
        ...


class ServerJournal(SharedJournal, NamedJournal, Protocol):
    """A journal on a server, as its address opens it: processes share it, and commands read it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """New rows for the logs of entities of one kind, and how much of each log is known already.

    entity : name of the kind, such as customer
    ids : (g,) texts that tell the entities apart, each once
    known : (g,) number up to which the caller has read each log; 0 for nothing
    oldest_ns : (g,) the earliest event time among them, from which the age of old rows is counted: whoever asks again
        finds what there was
    rows : (r, words) new rows, entity by entity
    ends : (g,) where each entity's rows end
    retained_ns : rows this much older may be dropped
    read : whether the caller wants to have what it has not read; if not, it only wants its rows to be there, once
    """

    entity: str
    ids: list[str]
    known: Int
    oldest_ns: Int
    rows: Int
    ends: Int
    retained_ns: int
    read: bool = True


@dataclass(frozen=True, slots=True)
class Logs:
    """The rows of the logs that the caller has not read.

    start : (g,) number of each log's first row that was not read. It is `known`, or above where older rows were dropped
        meanwhile or the log is a new one: what the caller remembers is then worth nothing
    unread : the rows from there on, those just given included, by entity (its place among the asked). None where nobody
        else has written, so that they would be just those that were given
    """

    start: Int
    unread: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Shown:
    """Current values of entities of one kind, for people and other programs: see `values_of`.

    ids : (g,) the entities, see `records.identity`
    texts : of those that are hashed
    rows : (g,) number of the log's rows that the values rest on; older values never replace newer ones
    names, slots : what the values are called, and their columns in `values`
    last : (g,) the row of `values`, `freshness`, `time_ns` that is an entity's last, -1 where there is nothing to show
    """

    entity: str
    ids: Ids
    texts: IdTexts
    rows: Int
    names: tuple[str, ...]
    slots: Int
    last: Int
    values: Float
    freshness: Bytes
    time_ns: Int

    def values_of(self, g: int) -> tuple[str, Float, int, int]:
        """One entity's id as people write it, values, worst `Freshness` among them, and the event time they are of."""
        row = int(self.last[g])
        fresh = int(self.freshness[row, self.slots].max(initial=0))
        return text_of(*self.ids.at(g), self.texts), self.values[row, self.slots], fresh, int(self.time_ns[row])


class FeatureStore(Protocol):
    """The entities' pasts as append-only logs of rows, shared by any number of workers.

    A row begins with three little-endian 64-bit integers: its event's time, its event's id code, and its kind. A row
    of kind 0 (an event) of whose time and id there is one already among the rows that its writer has not read is not
    appended again: whoever knows nothing of a log can't write an event twice. Nor is a row of another kind (an outcome)
    that is there already, after its event, where the writer does not read, or the store itself asks its server again.
    """

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """Append rows and read what is new, each entity atomically, in one round trip.

        through : all journal entries up to this one have been exchanged
        Raises Unavailable; whether rows were appended then is unknown. Asking again writes no event twice.
        Raises LogsLost when a log is shorter than it was known to be: the store has lost its memory.
        """
        ...

    @property
    def awaited(self) -> int:
        """How many other processes may have rows that the store has lost or never got, as the last exchange found it:
        those that called `lacks`, and, once this one has called it, those that have exchanged nothing since."""
        ...

    def lacks(self) -> None:
        """Let the others know that this process has rows that the store may lack, until `whole`. Raises Unavailable."""
        ...

    def whole(self) -> None:
        """The store has all rows of this process: its next exchange lets the others know."""
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
        given LogsLost with their next exchange, once. Raises Unavailable."""
        ...

    def alone(self, seconds: float) -> AbstractContextManager[bool]:
        """Whether this is the only one to rebuild the logs for the next so many seconds. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Show what still waits to be shown, and let go of the server; nobody waits for this process then."""
        ...


class LogsLost(HomeostatError):
    """The store has forgotten rows that it had: they have to be written again, from the journal."""

    why = "the feature store was emptied or restarted without its data"
    remedy = "Write the rows again from the journal; homeostat does so by itself"
