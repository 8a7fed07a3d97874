"""Events that come again under another id: the same keys and numbers within a short time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.contracts import Block
from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

WITHIN_NS = 600 * 10**9
KEPT = 8192
_COUNTED_MAX = 5
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class Copies:
    """The contents of the last minutes.

    memory : `content`, `time` (KEPT,) of the last rows of the ticks before; `count` (1,) how many of them there are
    """

    def __init__(self) -> None:
        self.memory: Memory = {
            "content": np.zeros(KEPT, np.int64),
            "time": np.zeros(KEPT, np.int64),
            "count": np.zeros(1, np.int64),
        }

    def count(self, content: Int, time_ns: Int, offsets: Int) -> tuple[Float, Float]:
        """How many events have the content of an earlier one, of a time ten minutes away at most; and of how many.

        Of one content, at most five copies of a tick count: a flood that repeats itself is no fault of the transport.

        content : (n,) see `content_of`; offsets : (k + 1,) of the ticks' rows
        Returns (k,) twice.
        """
        memory, k = self.memory, len(offsets) - 1
        copies, of = np.zeros(k), np.zeros(k)
        most = KEPT + int(np.diff(offsets).max(initial=0))
        _count(
            content, time_ns, offsets, Kept(memory["content"], memory["time"], memory["count"]),
            np.empty((2, most), np.int64), np.empty((2, 1 << (2 * most - 1).bit_length()), np.int64), copies, of,
        )  # fmt: skip
        return copies, of


def content_of(block: Block) -> Int:
    """(n,) one number for the keys and numbers of each row: equal for equal ones."""
    events = block.whole.events
    return hashed(events.keys ^ events.key_checks, events.numbers)


class Kept(NamedTuple):
    """The memory of `Copies`."""

    content: Int
    time: Int
    held: Int


@compiled
def _count(
    content: Int, time_ns: Int, offsets: Int, kept: Kept, rows: Int, table: Int, copies: Float, of: Float
) -> None:  # fmt: skip
    """Count each tick's copies.

    rows : (2, m) room for contents and times of those that are kept and of a tick
    table : (2, size) room for the last row of a content, and how often it came again; size is a power of two
    """
    for k in range(len(copies)):
        begin, end, held = offsets[k], offsets[k + 1], kept.held[0]
        if begin == end:
            continue
        n, latest = held + end - begin, np.int64(0)
        for p in range(n):
            rows[0, p] = kept.content[p] if p < held else content[begin + p - held]
            rows[1, p] = kept.time[p] if p < held else time_ns[begin + p - held]
            latest = max(latest, rows[1, p])
        bits = 1
        while (1 << bits) < 2 * n:
            bits += 1
        mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
        table[0, : mask + 1] = -1
        again = 0
        for p in range(n):
            place = np.int64((np.uint64(rows[0, p]) * _GAMMA) >> shift)
            while table[0, place] >= 0 and rows[0, table[0, place]] != rows[0, p]:
                place = (place + 1) & mask
            last = table[0, place]
            if last < 0:
                table[1, place] = 0
            elif p >= held and abs(rows[1, p] - rows[1, last]) <= WITHIN_NS:
                again += 1
                table[1, place] += 1
                if table[1, place] <= _COUNTED_MAX:
                    copies[k] += 1.0
            table[0, place] = p
        of[k] = end - begin - again + copies[k]
        _keep(kept, rows, n, int(latest) - WITHIN_NS)


@compiled
def _keep(kept: Kept, rows: Int, n: int, oldest_ns: int) -> None:
    """Keep the rows that are not too old; the last ones of too many."""
    young = 0
    for p in range(n):
        if rows[1, p] >= oldest_ns:
            young += 1
    skipped, place = max(young - KEPT, 0), 0
    for p in range(n):
        if rows[1, p] >= oldest_ns:
            if skipped > 0:
                skipped -= 1
                continue
            kept.content[place], kept.time[place] = rows[0, p], rows[1, p]
            place += 1
    for p in range(place, kept.held[0]):
        kept.content[p], kept.time[p] = 0, 0
    kept.held[0] = place
