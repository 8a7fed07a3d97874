"""Settings in memory, for engines without a data folder and for tests: gone with the process."""

from __future__ import annotations

import threading
from itertools import islice

from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.ports.settings import Applied, agreed, unchanged
from homeostat.records.change_rows import checked, placed
from homeostat.records.changes import Change, Scope, in_force


class MemorySettings:
    """See `Settings`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._changes: list[Change] = []
        self._keys: dict[str, Change] = {}
        self._processes: dict[str, Applied] = {}
        self._lock = threading.Lock()

    def append(self, change: Change, expected: int | None) -> Change:
        """See `Settings`."""
        change = checked(change)
        with self._lock:
            if change.key in self._keys:
                return agreed(self._keys[change.key], change)
            last = self.last_of(change.where)
            unchanged(last, expected)
            at_ns = max(self._clock.now_ns(), self._changes[-1].at_ns + 1 if self._changes else 0)
            change = placed(change, len(self._changes) + 1, at_ns, last)
            self._changes.append(change)
            if change.key:
                self._keys[change.key] = change
        return change

    def since(self, number: int, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        number = max(number, 0)
        return self._changes[number : None if limit is None else number + limit]

    def last_of(self, scope: Scope) -> Change | None:
        """See `Settings`."""
        return next(iter(self.history(scope, limit=1)), None)

    def at(self, time_ns: int) -> dict[Scope, Change]:
        """See `Settings`."""
        return in_force(change for change in self._changes if change.at_ns <= time_ns)

    def history(self, scope: Scope, until_ns: int | None = None, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        until = float("inf") if until_ns is None else until_ns
        found = (change for change in reversed(self._changes) if change.where == scope and change.at_ns <= until)
        return list(islice(found, limit))

    def next_of(self, scope: Scope, number: int) -> Change | None:
        """See `Settings`."""
        return next((change for change in self._changes[max(number, 0) :] if change.where == scope), None)

    @property
    def last(self) -> int:
        """See `Settings`."""
        return len(self._changes)

    def report(self, applied: Applied) -> None:
        """See `Settings`."""
        with self._lock:
            kept = (old for old in self._processes.values() if old.at_ns >= applied.forgotten_ns)
            self._processes = {old.process: old for old in kept} | {applied.process: applied}

    def processes(self) -> list[Applied]:
        """See `Settings`."""
        with self._lock:
            return sorted(self._processes.values(), key=lambda applied: applied.process)

    def leave(self, process: str) -> None:
        """See `Settings`."""
        with self._lock:
            self._processes.pop(process, None)

    def close(self) -> None:
        """See `Settings`."""
