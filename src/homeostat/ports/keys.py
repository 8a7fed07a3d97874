"""API keys: who may call, what for, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SCOPES = {
    "decide": "send events and outcomes",
    "read": "look at decisions, metrics and the interface's description",
    "operate": "change how the app runs",
    "approve": "answer the plans of incidents",
    "admin": "everything",
}
NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class Key:
    """The known facts of a key; its secret is not one of them.

    id : the part of the secret that may be shown
    rate : requests a second that it may send; None where nothing but the server's own limits holds
    expires_ns, revoked_ns : None where it does not expire, was not revoked
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None
    rate: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key is good for a scope.

        >>> Key("1", "till", ("decide",), 0).allows("read"), Key("2", "root", ("admin",), 0).allows("read")
        (False, True)
        """
        return scope in self.scopes or "admin" in self.scopes

    def live(self, now_ns: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_ns is None and (self.expires_ns is None or now_ns < self.expires_ns)


class ApiKeys(Protocol):
    """The keys of a deployment, in one place that several servers may read."""

    def prepare(self) -> None:
        """Create where keys lie, if that is missing. Raises Unavailable."""
        ...

    def create(self, name: str, scopes: Sequence[str], expires_ns: int | None = None, rate: float | None = None) -> str:
        """Make a key and return its secret, which can't be had again.

        Raises ValueError for a name, scopes, time or rate that can't be; Unavailable.
        """
        ...

    def all(self) -> list[Key]:
        """Every key that was ever made, oldest first. Raises Unavailable."""
        ...

    def revoke(self, id: str) -> bool:
        """Let a key hold no longer; whether there is such a key. Raises Unavailable."""
        ...

    def check(self, secret: str, now_ns: int) -> Key | None:
        """The live key of a secret, as at the last `refresh`; None for anything else, whatever it is.

        Reads memory only and never waits, since each request is checked. This object knows at once of a key that it
        creates or revokes.
        """
        ...

    def refresh(self) -> int:
        """Take in what others changed; returns how many keys there are, revoked ones included.

        Raises Unavailable: `check` then goes on with what it knew.
        """
        ...

    def close(self) -> None: ...
