"""The memory of loop 2: past incidents as cases, and the notes of people, where all processes of an app read them.

A case is recalled by its signals. Words are for people: no search by words, and no text of a case or note, has a part
in a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import HomeostatError
from homeostat.records.past import Found, Note, PastCase, Recalled, Trait


class MemoryFault(HomeostatError):
    """A memory holds another app's, another version's, or damaged cases; the text says which."""

    why = "cases are read by the app and a version that know their form, and only undamaged"
    remedy = "Name the right folder or database, or remove the memory: cases are learned again from stored incidents"


class NoSuchMemory(HomeostatError, LookupError):
    """No case and no note has this name, or no longer."""

    why = "the newest cases and notes are kept"
    remedy = "homeostat memory list shows those that there are"


class BadNote(HomeostatError, ValueError):
    """A file can't be taken as a note; the text says why."""

    why = "notes are Markdown or plain text in UTF-8, of a bounded size"
    remedy = "Split the file, or save it as UTF-8 text"


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """How much a memory keeps; the oldest go first."""

    cases: int = 2_000
    notes: int = 500


class Recalls(Protocol):
    """The part of a memory that an investigation asks."""

    def like(self, traits: Sequence[Trait], limit: int) -> Sequence[Recalled]:
        """The cases whose signals resemble these most, the most alike first. Raises Unavailable."""
        ...


class Memory(Recalls, Protocol):
    """The memory of one app. Every method raises Unavailable where its store fails, and MemoryFault where it holds
    something else. May be used by several threads.
    """

    def keep(self, case: PastCase) -> bool:
        """Store a case, in place of an earlier state of it; False where this state or a later one is stored already."""
        ...

    def case(self, id: str) -> PastCase:
        """A case. Raises NoSuchMemory."""
        ...

    def cases(self, limit: int = 100) -> Sequence[PastCase]:
        """Cases, the last one that was opened first."""
        ...

    def add(self, note: Note) -> bool:
        """Store a note, in place of the one of its name; False where it is stored already, word for word."""
        ...

    def note(self, name: str) -> Note:
        """A note. Raises NoSuchMemory."""
        ...

    def notes(self, limit: int = 100) -> Sequence[Note]:
        """Notes, the newest first."""
        ...

    def forget(self, id: str) -> None:
        """Drop a case or a note. Raises NoSuchMemory."""
        ...

    def search(self, words: str, limit: int = 10) -> Sequence[Found]:
        """The passages with most of these words, the best first; none where no word is in any."""
        ...

    def passages(self) -> Sequence[Found]:
        """All passages, in the order in which they were stored, for a search of another kind."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...
