"""Decisions of challengers beside the champion's: by version and journal entry, with who decides them and how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from homeostat.records.shadowed import Shadowed

LEASE_S = 15.0  # Longer than a slow batch, shorter than people wait for another process to go on.
KEEP_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ShadowState:
    """How a challenger in shadow fares, as its process says it.

    entry : the last journal entry that it has dealt with; last : the last one that there was
    events : that it decided; differing : in which it took another action than the champion
    failed : of these events, those decided without one of its parts
    behind_s : seconds since it had last decided all that there was
    began_ns, at_ns : when its process began, and the time of this
    trouble : what keeps it from deciding, or what fails in it, in a sentence; empty where all is well
    """

    entry: int = 0
    last: int = 0
    events: int = 0
    differing: int = 0
    failed: int = 0
    behind_s: float = 0.0
    began_ns: int = 0
    at_ns: int = 0
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a JSON object.

        >>> ShadowState.of_json(ShadowState(7, events=3).as_json()) == ShadowState(7, events=3)
        True
        """
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> ShadowState:
        """From a JSON object; members that a later version added are left out. Raises TypeError."""
        if not isinstance(stored, Mapping):
            raise TypeError("it is no object")
        return cls(**{name: stored[name] for name in _MEMBERS if name in stored})


_MEMBERS = tuple(item.name for item in fields(ShadowState))


@dataclass(frozen=True, slots=True)
class Held:
    """A version's lease.

    owner : the process that has it, or had it last
    lives : whether it still has it
    state : the last one that it stored
    """

    owner: str
    lives: bool
    state: ShadowState


class ShadowStore(Protocol):
    """Challengers' decisions. Every method raises Unavailable where its store fails.

    It holds at most so many bytes of decisions, over all versions: the oldest entries go first. They can be
    made again from the journal.
    """

    @property
    def where(self) -> str:
        """The file, or the server without user and password."""
        ...

    def last(self, version: str) -> int:
        """The last journal entry that a version has decided; 0 for none."""
        ...

    def append(self, version: str, made: Sequence[Shadowed]) -> None:
        """Keep the decisions of entries, all or none; those of the same entry are replaced."""
        ...

    def read(self, version: str, after: int = 0) -> Iterator[Shadowed]:
        """The decisions of a version above an entry, in order. A damaged one raises Unavailable too."""
        ...

    def at(self, version: str, entry: int) -> Shadowed | None:
        """The decisions of a version on one entry."""
        ...

    def versions(self) -> dict[str, int]:
        """Version -> how many entries it decided, of those that are kept."""
        ...

    def drop(self, version: str) -> None:
        """Forget what a version decided, and how it fared."""
        ...

    def prune(self, retention_ns: int | None = None) -> int:
        """Drop the oldest entries beyond the bound on bytes; returns how many went.

        retention_ns : entries that were kept for longer go too; None keeps them
        """
        ...

    def take(self, version: str, owner: str, lease_s: float = LEASE_S) -> bool:
        """Have a version's lease for so long, by the store's clock; False where another process has it."""
        ...

    def say(self, version: str, owner: str, state: ShadowState, lease_s: float = LEASE_S) -> bool:
        """Store how it fares, and have the lease for so much longer; False where another process has it by now."""
        ...

    def leave(self, version: str, owner: str) -> None:
        """Give the lease back; the last state stays."""
        ...

    def held(self) -> dict[str, Held]:
        """Version -> its lease, of each version that was ever decided in shadow and not dropped."""
        ...

    def close(self) -> None:
        """Let go of file or server."""
        ...
