"""What the loops need of the world, as Protocols. Adapters implement them; `checks` holds their conformance suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import Unavailable as Unavailable
from homeostat.records.arrays import State
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch
from homeostat.records.identity import Identity, Ids
from homeostat.records.meaning import Meaning


class Clock(Protocol):
    """Wall time, and a monotonic timer for deadlines."""

    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal record, in the order in which loop 1 saw things."""

    sequence: int
    body: DecisionBatch | OutcomeBatch


class Journal(Protocol):
    """The append-only record. What `append` returned from survives a kill of the process."""

    def append(self, body: DecisionBatch | OutcomeBatch) -> int:
        """Write durably and return the entry's sequence number; raises Unavailable and writes nothing."""
        ...

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a sequence number above `after`, in order."""
        ...

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event id has a decision."""
        ...

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None if never decided."""
        ...

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """The same for each of (n,) event ids; those that were decided together are read together."""
        ...


class StandingJournal(Journal, Protocol):
    """A journal that stands by itself: what is decided and asked for outside the loop rests on it."""

    @property
    def last(self) -> int:
        """The last entry's sequence number, 0 when there is none."""
        ...

    def find_text(self, event_id: str) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as text, as its batch and row; never that of another id of one hash."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


class KeptJournal(StandingJournal, Protocol):
    """A journal of one process, of whose states snapshots are made."""

    def flush(self) -> None:
        """Wait until the disk has everything; raises Unavailable."""
        ...

    def history(self, sequence: int) -> str:
        """What identifies the journal up to an entry."""
        ...


class DeadLetters(Protocol):
    """Where unreadable events go."""

    def bury(self, letters: list[DeadLetter]) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's state as it was after a journal entry.

    history : what identifies the journal up to that entry; a snapshot is of that history, and of no other
    software : the program that made it
    meaning : what the state of each part means
    """

    sequence: int
    state: State
    history: str = ""
    software: str = ""
    meaning: Mapping[str, Meaning] = field(default_factory=dict)


class Snapshots(Protocol):
    """The newest snapshot, replaced atomically."""

    def save(self, snapshot: Snapshot) -> None: ...

    def load(self, refused: Callable[[Snapshot], str] | None = None) -> Snapshot | None:
        """The newest whole snapshot; None if there is none.

        refused : says why a snapshot may not be used, nothing where it may
        """
        ...


class Wording(Protocol):
    """A language model that words an explanation. It has no authority and sees no secrets."""

    def word(self, facts: str) -> str: ...
