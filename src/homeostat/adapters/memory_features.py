"""The feature store in this process's memory: the twin that the one on Redis is held against."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from homeostat.ports.shared import Asked, Logs, LogsLost, Shown

_HEAD_BYTES = 24  # A row's time, id code and kind.
_NUMBERS = 1 << 40  # More rows than a log ever has: no number means rows of two logs of the same name.


@dataclass(slots=True)
class _Log:
    """Rows from number `base` on."""

    base: int
    rows: list[bytes]


class MemoryFeatures:
    """A `FeatureStore` whose logs are lists. Several workers, in threads, may share one.

    shown : what each entity last showed, by `entity:id`: watermark_ns, freshness, and its features by their names
    """

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, float]] = {}
        self._shown_rows: dict[str, int] = {}
        self._begun = 0
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
        starts, unread = asked.known.copy(), {}
        width, rows = asked.rows.shape[1] * 8, asked.rows.tobytes()
        before = 0
        for g, one in enumerate(asked.ids):
            stop = int(asked.ends[g]) * width
            given = [rows[at : at + width] for at in range(before, stop, width)]
            before = stop
            log = self._logs.get((asked.entity, one))
            known = int(asked.known[g])
            if known > (0 if log is None else log.base + len(log.rows)):
                raise LogsLost(f"the log of {asked.entity} {one} has lost rows")
            if log is None:
                self._begun += _NUMBERS
                log = _Log(self._begun, [])
            start = starts[g] = max(known, log.base)
            others = log.rows[start - log.base :]
            fresh = list(_missing(given, others, asked.read)) if others else given
            log.rows += fresh
            if log.rows:
                self._logs[asked.entity, one] = log
            if others and asked.read:
                unread[g] = b"".join([*others, *fresh])
            self._expire(log, int(asked.newest_ns[g]) - asked.retained_ns)
        return Logs(starts, unread)

    @staticmethod
    def _expire(log: _Log, before_ns: int) -> None:
        while log.rows and int.from_bytes(log.rows[0][:8], "little", signed=True) < before_ns:
            log.rows.pop(0)
            log.base += 1

    def drop(self, entity: str, one: str) -> None:
        """Let a log expire."""
        with self._lock:
            self._logs.pop((entity, one), None)

    def show(self, shown: Sequence[Shown]) -> None:
        """See `FeatureStore`."""
        with self._lock:
            for one in shown:
                for g in np.flatnonzero(one.last >= 0).tolist():
                    text, values, fresh, time_ns = one.values_of(g)
                    key, rows = f"{one.entity}:{text}", int(one.rows[g])
                    if self._shown_rows.get(key, 0) <= rows:
                        self._shown_rows[key] = rows
                        named = dict(zip(one.names, values.tolist(), strict=True))
                        self.shown[key] = {"watermark_ns": time_ns, "freshness": fresh, **named}

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


def _missing(given: Sequence[bytes], there: Sequence[bytes], read: bool) -> Iterator[bytes]:
    """The rows given that are not there yet; where nothing is read, outcomes that follow their events neither."""
    for row in given:
        event = row[:16] + bytes(8)
        heads = [one[:_HEAD_BYTES] for one in there]
        if row[16] == 0:
            found = event in heads
        else:
            after = heads.index(event) if event in heads else 0
            found = (
                not read
                and row in there[after:]
                and event not in {one[:_HEAD_BYTES] for one in given}.difference(heads)
            )
        if not found:
            yield row
