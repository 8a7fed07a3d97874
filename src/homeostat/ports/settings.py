"""Settings: changes to a running loop 1, in order, in one place that every process of an app reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.records.change_rows import same_wish
from homeostat.records.changes import Change, Scope, expiry

REPORT_EVERY_S = 5.0
"""How often a process that applies changes says how far it has come, at least."""

GONE_AFTER_S = 30.0
"""A process that has been silent for so long has ended without leaving."""
FORGOTTEN_AFTER_S = 86_400.0
"""A report that is so much older than another is dropped."""

_ALWAYS_NS = (1 << 63) - 1


class Changed(Conflict):
    """Someone else changed the same scope first; nothing was stored.

    found : their change
    """

    why = "each author must have seen the change before their own"
    remedy = "Look at the other change; then make yours again, if it is still wanted"

    def __init__(self, found: Change) -> None:
        self.found = found
        super().__init__(
            f"{found.kind} {found.scope} was changed meanwhile: change {found.number} by {found.actor} ({found.reason})"
        )


class SettingsError(HomeostatError):
    """A store of settings holds another app's, another version's, or damaged ones; the text says which."""

    why = "settings are read by the app and a version that know their form, and only undamaged"
    remedy = "Name the right folder or database, or restore the settings from a backup"


@dataclass(frozen=True, slots=True)
class Applied:
    """How far one process has come.

    process : its name, unique among those of the app
    number : the last change that it has applied
    at_ns : when it last reported
    trouble : why it can't apply the next one; "" where it can
    """

    process: str
    number: int
    at_ns: int
    trouble: str = ""

    @property
    def forgotten_ns(self) -> int:
        """Reports from before this time are dropped when this one is stored."""
        return self.at_ns - int(FORGOTTEN_AFTER_S * 1e9)

    def gone(self, now_ns: int) -> bool:
        """Whether the process has ended without leaving, as far as its silence says."""
        return now_ns - self.at_ns > GONE_AFTER_S * 1e9


class Settings(Protocol):
    """The changes of one app, numbered without gaps, of use to several threads at once.

    Every method raises Unavailable where its store fails, and SettingsError where the store holds something else.
    """

    def append(self, change: Change, expected: int | None) -> Change:
        """Store a change; returned with its number, time, and what was in force before.

        expected : the number of the last change of that scope as its author read it, 0 for none; None conflicts with
            nobody
        A key that is stored already returns that change, and stores nothing. Raises Changed; Conflict where the key
        stands for another change; ValueError where it can't be stored. Where a server went away in the midst of it,
        it may have been stored: the same key finds out.
        """
        ...

    def since(self, number: int, limit: int | None = None) -> list[Change]:
        """The changes above a number, in order."""
        ...

    def last_of(self, scope: Scope) -> Change | None:
        """The last change of a scope, undone or not; None where there was none."""
        ...

    def at(self, time_ns: int) -> dict[Scope, Change]:
        """The changes that were in force at a time."""
        ...

    def history(self, scope: Scope, until_ns: int | None = None, limit: int | None = None) -> list[Change]:
        """The changes of a scope, newest first, those up to a time."""
        ...

    def next_of(self, scope: Scope, number: int) -> Change | None:
        """The first change of a scope above a number; None where there is none."""
        ...

    @property
    def last(self) -> int:
        """The number of the last change; 0 for none. Cheap enough to ask before each batch, and never waits long."""
        ...

    def report(self, applied: Applied) -> None:
        """Say how far a process has come; its earlier report is replaced, and those of long ago are dropped."""
        ...

    def processes(self) -> Sequence[Applied]:
        """The last report of each process that has not left."""
        ...

    def leave(self, process: str) -> None:
        """Take a process that ends out of the reports."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


def expire(settings: Settings, now_ns: int) -> list[Change]:
    """Undo the changes whose time is over; returns those that do so, of this process or of another. Raises Unavailable.

    Any number of processes may try: each change is undone once.
    """
    done = []
    for change in settings.at(_ALWAYS_NS).values():  # A clock that was set back hides nothing.
        if change.expires_ns is not None and change.expires_ns <= now_ns:
            try:
                done.append(settings.append(expiry(settings.history(change.where)), expected=change.number))
            except Changed:
                continue
    return done


def agreed(stored: Change, change: Change) -> Change:
    """The stored change, where a key that is used again stands for the same. Raises Conflict."""
    if not same_wish(stored, change):
        raise Conflict(
            f"the key {change.key!r} was used for change {stored.number}, which asks for something else",
            remedy="give each change a key of its own",
        )
    return stored


def unchanged(last: Change | None, expected: int | None) -> None:
    """Raise Changed where the last change of a scope is not the one that its author read."""
    if expected is None or expected == (0 if last is None else last.number):
        return
    if last is None:
        raise Conflict(f"there is no change {expected} of that scope", remedy="read the settings, then try again")
    raise Changed(last)
