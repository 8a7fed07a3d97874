"""Counts the names in events that an app file does not declare: so many names, and no value of any."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock
from typing import Any

from homeostat.records.unknown import UnknownName

NAMES_MAX = 64
NAME_CHARS_MAX = 80
SOON_NS = 60 * 10**9
"""A name that is new is handed on so much later."""
EACH_NS = 3600 * 10**9
"""And names that were there before are, so often."""


class UnknownNames:
    """See the module. Of several threads that count at once, some counts may be lost; a member that is null is none.

    known : the names that mean something
    """

    def __init__(self, known: Collection[str]) -> None:
        self._known = frozenset(known)
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._before: frozenset[str] = frozenset()
        self._of = 0
        self._taken_ns: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins to count for itself."""
        return UnknownNames, (self._known,)

    def look(self, event: object) -> None:
        """Count one event."""
        self._of += 1
        if not isinstance(event, Mapping) or self._known.issuperset(event):
            return
        found: list[str] = []
        for name, value in event.items():
            if name not in self._known and value is not None:
                found.append(_plain(name))
                if len(found) >= NAMES_MAX:
                    break
        self._add(dict.fromkeys(found, 1))

    def look_at_columns(self, columns: Mapping[str, Any], n: int) -> None:
        """Count `n` events in Arrow columns."""
        self._of += n
        found = [(name, n - int(columns[name].null_count)) for name in columns if name not in self._known]
        self._add({_plain(name): there for name, there in found[:NAMES_MAX] if there})

    def _add(self, found: Mapping[str, int]) -> None:
        with self._lock:
            counts = self._counts
            for name, n in found.items():
                if name in counts or len(counts) < NAMES_MAX:
                    counts[name] = counts.get(name, 0) + n

    def due(self, now_ns: int) -> bool:
        """Whether names are to be handed on: an hour after the last time, a minute after it where one is new."""
        if not self._counts:
            return False
        if self._taken_ns is None:
            return True
        new = not self._before.issuperset(self._counts)
        return abs(now_ns - self._taken_ns) >= (SOON_NS if new else EACH_NS)

    def take(self, now_ns: int) -> list[UnknownName]:
        """The names since the last time, the most frequent first; the counts begin again."""
        with self._lock:
            counts, of = self._counts, self._of
            self._counts, self._of = {}, 0
            self._before = frozenset([*counts, *sorted(self._before)][:NAMES_MAX])
            self._taken_ns = now_ns
        ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        return [UnknownName(name, n, max(of, n), now_ns) for name, n in ordered]


def _plain(name: object) -> str:
    """A name without control characters, and short."""
    return "".join(one if one.isprintable() else "?" for one in str(name)[:NAME_CHARS_MAX])
