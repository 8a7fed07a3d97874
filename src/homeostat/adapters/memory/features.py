"""The feature store in this process's memory: the twin that the one on Redis is held against."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from homeostat.ports.shared import Asked, Logs, LogsLost, Shown

_HEAD_BYTES = 24  # A row's time, id code and kind.
_NUMBERS = 1 << 40  # More rows than a log ever has: no number means rows of two logs of the same name.


@dataclass(slots=True)
class _Log:
    """Rows from number `base` on."""

    base: int
    rows: list[bytes]


@dataclass(slots=True)
class _Memory:
    """The state that stores beside each other share.

    begun : the number of the last log's first row
    mark : which logs these are, and the journal entry up to which they are whole
    shown_rows : on how many rows rests what is shown
    signs : by process, the number of its last exchange, and whether it lacks nothing
    exchanges : their count
    """

    logs: dict[tuple[str, str], _Log] = field(default_factory=dict)
    begun: int = 0
    mark: tuple[int, int] | None = None
    shown: dict[str, dict[str, float]] = field(default_factory=dict)
    shown_rows: dict[str, int] = field(default_factory=dict)
    signs: dict[int, tuple[int, bool]] = field(default_factory=dict)
    exchanges: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    rebuilding: threading.Lock = field(default_factory=threading.Lock)


class MemoryFeatures:
    """A `FeatureStore` whose logs are lists. Several workers, in threads, may share one.

    beside : the store of another worker, whose memory this one shares
    """

    def __init__(self, beside: MemoryFeatures | None = None) -> None:
        self._memory: _Memory = _Memory() if beside is None else beside._memory
        self._epoch = 0
        self._whole, self._since, self._expected = True, 0, set[int]()

    @property
    def awaited(self) -> int:
        """See `FeatureStore`."""
        signs = ((one, *sign) for one, sign in self._memory.signs.items() if one != id(self))
        return sum(not whole or (one in self._expected and at <= self._since) for one, at, whole in signs)

    def lacks(self) -> None:
        """See `FeatureStore`."""
        memory = self._memory
        with memory.lock:
            self._whole, self._since, self._expected = False, memory.exchanges, {*memory.signs} - {id(self)}
            self._sign()

    def whole(self) -> None:
        """See `FeatureStore`."""
        self._whole = True

    def _sign(self) -> None:
        self._memory.exchanges += 1
        self._memory.signs[id(self)] = self._memory.exchanges, self._whole

    @property
    def shown(self) -> dict[str, dict[str, float]]:
        """Each entity's newest values, by `entity:id`: watermark_ns, freshness, and its features by their names."""
        return self._memory.shown

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """See `FeatureStore`."""
        memory = self._memory
        with memory.lock:
            if self._epoch and (memory.mark is None or memory.mark[0] != self._epoch):
                raise LogsLost("the logs were begun again")
            if through is not None and memory.mark is not None:
                memory.mark = memory.mark[0], max(memory.mark[1], through)
            self._sign()
            return [self._exchanged(one) for one in asked]

    def _exchanged(self, asked: Asked) -> Logs:
        memory = self._memory
        start: np.ndarray[tuple[int], np.dtype[np.int64]] = asked.known.copy()
        unread: dict[int, bytes] = {}
        width, rows = asked.rows.shape[1] * 8, asked.rows.tobytes()
        begins = [0, *(asked.ends * width).tolist()]
        for g, one in enumerate(asked.ids):
            given = [rows[at : at + width] for at in range(begins[g], begins[g + 1], width)]
            log = memory.logs.get((asked.entity, one))
            known = int(asked.known[g])
            if known > (0 if log is None else log.base + len(log.rows)):
                raise LogsLost(f"the log of {asked.entity} {one} has lost rows")
            if log is None:
                if not given:
                    continue
                memory.begun += _NUMBERS
                log = memory.logs[asked.entity, one] = _Log(memory.begun, [])
            start[g] = max(known, log.base)
            others = log.rows[int(start[g]) - log.base :]
            fresh = missing(given, others, asked.read) if others else given
            log.rows += fresh
            if others and asked.read:
                unread[g] = b"".join([*others, *fresh])
            _expire(log, int(asked.oldest_ns[g]) - asked.retained_ns)
        return Logs(start, unread)

    def drop(self, entity: str, one: str) -> None:
        """Let a log expire."""
        with self._memory.lock:
            self._memory.logs.pop((entity, one), None)

    def lose(self) -> None:
        """Lose everything, as a server without persistence does when it restarts."""
        with self._memory.lock:
            self._memory.logs.clear()
            self._memory.mark = None

    def show(self, shown: Sequence[Shown]) -> None:
        """See `FeatureStore`."""
        memory = self._memory
        with memory.lock:
            for one in shown:
                for g in np.flatnonzero(one.last >= 0).tolist():
                    text, values, fresh, time_ns = one.values_of(g)
                    key, rows = f"{one.entity}:{text}", int(one.rows[g])
                    if memory.shown_rows.get(key, 0) <= rows:
                        memory.shown_rows[key] = rows
                        named = dict(zip(one.names, values.tolist(), strict=True))
                        memory.shown[key] = {"watermark_ns": time_ns, "freshness": fresh, **named}

    def flush(self) -> None:
        """Nothing waits here."""

    def through(self) -> int | None:
        """See `FeatureStore`."""
        mark = self._memory.mark
        if mark is None:
            return None
        self._epoch = mark[0]
        return mark[1]

    def begin(self, through: int) -> None:
        """See `FeatureStore`."""
        with self._memory.lock:
            before = 0 if self._memory.mark is None else self._memory.mark[0]
            self._memory.mark = max(before, self._epoch) + 1, through
            self._epoch = self._memory.mark[0]

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """See `FeatureStore`."""
        taken = self._memory.rebuilding.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._memory.rebuilding.release()

    def close(self) -> None:
        """Nothing is held open."""
        with self._memory.lock:
            self._memory.signs.pop(id(self), None)


def _expire(log: _Log, before_ns: int) -> None:
    while log.rows and int.from_bytes(log.rows[0][:8], "little", signed=True) < before_ns:
        log.rows.pop(0)
        log.base += 1


def missing(given: Sequence[bytes], there: Sequence[bytes], read: bool) -> list[bytes]:
    """The rows given that are not there yet. An outcome is looked for after its event, and where nothing is read."""
    heads = [row[:_HEAD_BYTES] for row in there]
    fresh: list[bytes] = []
    added: set[bytes] = set()
    for row in given:
        event = row[:16] + bytes(8)
        if row[16] == 0:
            found = event in heads
            if not found:
                added.add(event)
        else:
            after = heads.index(event) if event in heads else 0
            found = not read and event not in added and row in there[after:]
        if not found:
            fresh.append(row)
    return fresh
