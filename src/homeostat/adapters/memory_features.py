"""The feature store in this process's memory: the twin that the one on Redis is held against."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from homeostat.ports.shared import Asked, Logs, LogsLost, Shown

_HEAD_BYTES = 24  # A row's time, id code and kind.


@dataclass(slots=True)
class _Log:
    """Rows from number `base` on."""

    base: int
    rows: list[bytes]


class MemoryFeatures:
    """A `FeatureStore` whose logs are lists. Several workers, in threads, may share one.

    shown : what each entity last showed, by `entity:id`
    """

    def __init__(self) -> None:
        self.shown: dict[str, tuple[int, Shown, int]] = {}
        self._logs: dict[tuple[str, str], _Log] = {}
        self._through: int | None = None
        self._lock = threading.Lock()
        self._rebuilding = threading.Lock()

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """See `FeatureStore`."""
        with self._lock:
            logs = [self._exchanged(one) for one in asked]
            if through is not None:
                self._through = through
            return logs

    def _exchanged(self, asked: Asked) -> Logs:
        found = Logs([], [])
        for g, one in enumerate(asked.ids):
            log = self._logs.setdefault((asked.entity, one), _Log(0, []))
            known, width = asked.known[g], asked.width
            if known > log.base + len(log.rows):
                raise LogsLost(f"the log of {asked.entity} {one} has lost rows")
            start = max(known, log.base)
            unread = log.rows[start - log.base :]
            given = [asked.data[g][at : at + width] for at in range(0, len(asked.data[g]), width)]
            there = {row[:_HEAD_BYTES] for row in unread}
            fresh = [row for row in given if row[16] != 0 or row[:_HEAD_BYTES] not in there]
            log.rows += fresh
            self._expire(log, asked.newest_ns[g] - asked.retained_ns)
            found.start.append(start)
            found.data.append(b"".join([*unread, *fresh]) if unread and asked.read else None)
        return found

    @staticmethod
    def _expire(log: _Log, before_ns: int) -> None:
        while log.rows and int.from_bytes(log.rows[0][:8], "little", signed=True) < before_ns:
            log.rows.pop(0)
            log.base += 1

    def show(self, shown: Sequence[Shown]) -> None:
        """See `FeatureStore`."""
        with self._lock:
            for one in shown:
                for g, name in enumerate(one.ids):
                    key = f"{one.entity}:{name}"
                    if self.shown.get(key, (0, one, 0))[0] <= one.rows[g]:
                        self.shown[key] = one.rows[g], one, g

    def flush(self) -> None:
        """Nothing waits here."""

    def through(self) -> int | None:
        """See `FeatureStore`."""
        return self._through

    def begin(self, through: int) -> None:
        """See `FeatureStore`."""
        self._through = through

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """See `FeatureStore`."""
        taken = self._rebuilding.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._rebuilding.release()
