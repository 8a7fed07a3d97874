"""One learner for many processes: who it is, what it published, and what exploration may cost all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.records.changes import Change

LEASE_S = 15.0
"""How long a learner that gives no sign of life keeps its lead."""


class Deposed(Conflict):
    """Another process leads by now; nothing was stored."""

    why = "one learner at a time may publish, else each would undo what the other learned"
    remedy = "Nothing: it waits until the lead is free again"


class UnknownState(HomeostatError, LookupError):
    """There is no learned state under that hash, or no longer."""

    why = "learned states are kept as long as the journal's days whose decisions were made under them"
    remedy = "Undo the change to a state that is kept, or to none: homeostat settings list shows them"


@dataclass(frozen=True, slots=True)
class Lead:
    """The right to publish, until someone else takes it.

    epoch : counts who led; the store refuses what comes from an earlier one
    """

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A learned state on its way out.

    change : of kind STATE, that puts it in force; its body names the SHA-256 of `content`
    expected : see `Settings.append`
    """

    change: Change
    content: bytes
    expected: int


@dataclass(frozen=True, slots=True)
class Learnt:
    """How far a learner has come.

    position : the journal entry up to which it has read
    behind : entries that the journal held beyond that
    moment_ns : the last moment of the learning grid, in event time; 0 before the first
    number : the number of the last change that was published
    seen_s : seconds ago, all that the journal held then had been learned from and published; None: not at this moment
    trouble : why it does not go on; "" where it does
    """

    position: int
    behind: int
    moment_ns: int
    seen_s: float | None
    trouble: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A process's wish that be learned what is known at a moment, since it is about to decide the first event after it.

    moment_ns : of the grid, in event time; 0 where nobody has asked
    after : once the journal has been read up to this entry
    """

    moment_ns: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class LearnerStanding:
    """The learner, as its store knows it.

    owner : who leads or led last; "" where nobody ever has
    leads : whether the lead is held at present
    stale_s : seconds since all that the journal held had been learned from and published; None where never
    silent_s : seconds since its last sign of life; None where there was none
    number : of the last change that it published
    """

    owner: str
    leads: bool
    position: int
    behind: int
    moment_ns: int
    stale_s: float | None
    silent_s: float | None
    trouble: str = ""
    number: int = 0


class LearnedStates(Protocol):
    """The store of one app's learner. Every method raises Unavailable where it fails."""

    def lead(self, owner: str, lease_s: float = LEASE_S) -> Lead | None:
        """Take the lead if it is free; None where another holds it."""
        ...

    def note(self, lead: Lead, learnt: Learnt, lease_s: float = LEASE_S) -> None:
        """Keep the lead, and say how far learning is. Raises Deposed."""
        ...

    def resign(self, lead: Lead) -> None:
        """Let the next one lead at once. Nothing where another leads already."""
        ...

    def publish(self, lead: Lead, states: Sequence[Publication]) -> list[Change]:
        """Store learned states and the changes that put them in force, all or none. Raises Deposed, Changed."""
        ...

    def save(self, lead: Lead, content: bytes) -> None:
        """Replace all that the learner needs to go on. Raises Deposed."""
        ...

    def saved(self) -> bytes | None:
        """The content that was saved last; None where nothing was."""
        ...

    def state(self, digest: str) -> bytes:
        """The state that was published under a SHA-256, as hexadecimal. Raises UnknownState."""
        ...

    def drop(self, before_ns: int) -> int:
        """Drop states that no decision since that time was made under, and that are not in force; how many."""
        ...

    def standing(self) -> LearnerStanding:
        """The learner as it is."""
        ...

    def ask(self, asked: Asked) -> None:
        """Ask the learner to learn what is known at a moment; nothing where a later one was asked for."""
        ...

    def asked(self) -> Asked:
        """The latest moment that was asked for."""
        ...

    def grant(self, period: int, amount: float, budget: float) -> float:
        """Take some of what exploration may cost all processes in a period; returns how much was left, at most amount.

        budget : for the whole period; a negative amount gives back
        """
        ...

    def granted(self, period: int) -> float:
        """How much of a period's budget has been taken."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...
