"""The needs of the loops, as Protocols. Adapters implement them; `checks` holds their conformance suites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from homeostat.errors import Unavailable as Unavailable

if TYPE_CHECKING:  # A command that changes which version decides must not wait for NumPy and the records of decisions.
    import numpy as np
    from numpy.typing import NDArray

    from homeostat.records.arrays import State
    from homeostat.records.bodies import Body
    from homeostat.records.decisions import DecisionBatch
    from homeostat.records.events import DeadLetter
    from homeostat.records.identity import Coding, Identity, Ids
    from homeostat.records.meaning import Meaning
    from homeostat.records.vocabulary import Vocabulary


class Clock(Protocol):
    """Wall time, and a monotonic timer for deadlines."""

    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal record, in the order in which loop 1 saw things.

    recorded_us : when it was written, microseconds since 1970; None where the journal does not say
    """

    sequence: int
    body: Body
    recorded_us: int | None = None


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """The facts of an entry that the journal knows without reading its body.

    kind : `records.codec.DECISIONS`, `OUTCOMES` or `CHANGES`
    first_ns, last_ns : the earliest and latest time in it; 0 when it is empty
    digest : SHA-256 of the content, as hexadecimal
    took_us : how long the batch took, which the digest leaves out
    recorded_us : when it was written, microseconds since 1970; None where the journal does not say
    places : SHA-256 of where its rows were read, as hexadecimal; None where the journal does not say
    """

    sequence: int
    kind: int
    rows: int
    first_ns: int
    last_ns: int
    digest: str
    took_us: float = 0.0
    recorded_us: int | None = None
    places: str | None = None


class Journal(Protocol):
    """The append-only record. Once `append` has returned, its entry survives a kill of the process."""

    def append(self, body: Body) -> int:
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

    def sequence_of(self, event_id: Identity) -> int | None:
        """The entry that holds the decision of an event id; None where it is not there, or not yet."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


class Audited(Protocol):
    """A journal that an audit trail follows: it can say what its entries are without reading them."""

    def recent(self, after: int) -> Iterable[EntryFacts]:
        """The facts of every entry above `after`, in order."""
        ...

    def says(self) -> dict[str, str]:
        """The facts that the journal keeps about itself, by name; some of them may be secret."""
        ...


class NamedJournal(StandingJournal, Audited, Protocol):
    """A journal that commands read: it says where it is, whose it is, and how its texts become codes."""

    @property
    def where(self) -> str:
        """The file, or the server without user and password."""
        ...

    @property
    def app(self) -> str:
        """The app whose journal it is; empty where it does not say."""
        ...

    @property
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes."""
        ...

    def assume(self, words: Vocabulary) -> None:
        """Take these for the names of entries of a version that kept none, as long as no others are known."""
        ...


class KeptJournal(StandingJournal, Audited, Protocol):
    """A journal of one process: an audit trail follows it, and snapshots are made of its states."""

    def flush(self) -> None:
        """Wait until the disk has everything; any thread may call it. Raises Unavailable."""
        ...

    def history(self, sequence: int) -> str:
        """The identity of the journal up to an entry."""
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
    settings : the number of the last change that was in force
    """

    sequence: int
    state: State
    history: str = ""
    software: str = ""
    meaning: Mapping[str, Meaning] = field(default_factory=dict)
    settings: int = 0


class Snapshots(Protocol):
    """The newest snapshot, replaced atomically."""

    @property
    def skipped(self) -> Sequence[str]:
        """Why the last `load` passed snapshots over, a sentence each."""
        ...

    def save(self, snapshot: Snapshot) -> None: ...

    def load(self, refused: Callable[[Snapshot], str] | None = None) -> Snapshot | None:
        """The newest whole snapshot; None if there is none.

        refused : says why a snapshot may not be used, nothing where it may
        """
        ...


class Wording(Protocol):
    """A language model that words an explanation. It has no authority and sees no secrets."""

    def word(self, facts: str) -> str: ...
