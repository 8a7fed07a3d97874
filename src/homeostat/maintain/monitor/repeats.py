"""How often an entity sends the number again that it sent last: so a sensor that sticks shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

_BITS = 14
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_AGAIN_NS = 60 * 10**9  # Less than a minute later, it may be the same event sent again.


class Repeats:
    """The last number of each entity and field, at a place by its hash: entities that share one count as strangers.

    memory : `owner`, `time` (places,) and `value` (places, fields)
    """

    def __init__(self, fields: int) -> None:
        size = 1 << _BITS
        self.memory: Memory = {
            "owner": np.zeros(size, np.int64), "time": np.zeros(size, np.int64),
            "value": np.full((size, fields), np.nan),
        }  # fmt: skip

    def count(self, owner: Int, time_ns: Int, numbers: Float) -> tuple[Float, Float]:
        """Two (fields,): how many numbers repeat the last one of their owner, and of how many this is known.

        owner : (n,) the entity; numbers : (n, fields)
        """
        hits, asked = self.count_of_ticks(owner, time_ns, numbers, np.array([0, len(owner)]))
        return hits[0], asked[0]

    def count_of_ticks(self, owner: Int, time_ns: Int, numbers: Float, offsets: Int) -> tuple[Float, Float]:
        """The same for each tick of a block: two (k, fields)."""
        k, memory = len(offsets) - 1, self.memory
        hits, asked = np.zeros((k, numbers.shape[1])), np.zeros((k, numbers.shape[1]))
        most = max(int(np.diff(offsets).max(initial=0)), 1)
        last = Last(memory["owner"], memory["time"], memory["value"])
        table = np.empty((2, 1 << (2 * most - 1).bit_length()), np.int64)
        _count(hashed(owner) | 1, time_ns, numbers, offsets, last, table, hits, asked)
        return hits, asked


class Last(NamedTuple):
    """The memory of `Repeats`."""

    owner: Int
    time: Int
    value: Float


@compiled
def _count(
    prints: Int, time_ns: Int, numbers: Float, offsets: Int, last: Last, table: Int, hits: Float, asked: Float
) -> None:  # fmt: skip
    """table : (2, size) room for the last row of an owner in a tick, and the places taken; size is a power of two"""
    mask_of_places = (1 << _BITS) - 1
    written = np.full(mask_of_places + 1, -1, np.int64)  # The tick that last wrote to a place.
    for k in range(len(hits)):
        begin, end = offsets[k], offsets[k + 1]
        bits = 1
        while (1 << bits) < 2 * (end - begin):
            bits += 1
        mask, shift, owners = (1 << bits) - 1, np.uint64(64 - bits), 0
        table[0, : mask + 1] = -1
        for i in range(begin, end):
            slot = np.int64((np.uint64(prints[i]) * _GAMMA) >> shift)
            while table[0, slot] >= 0 and prints[table[0, slot]] != prints[i]:
                slot = (slot + 1) & mask
            before, place = table[0, slot], prints[i] & mask_of_places
            if before < 0:
                table[1, owners] = slot
                owners += 1
                known = last.owner[place] == prints[i] and abs(time_ns[i] - last.time[place]) > _AGAIN_NS
            else:
                known = abs(time_ns[i] - time_ns[before]) > _AGAIN_NS
            table[0, slot] = i
            if known:
                for field in range(numbers.shape[1]):
                    now = numbers[i, field]
                    then = last.value[place, field] if before < 0 else numbers[before, field]
                    if now == now and then == then:
                        asked[k, field] += 1.0
                        hits[k, field] += now == then
        for j in range(owners):
            i = table[0, table[1, j]]
            place = prints[i] & mask_of_places
            # Of several owners of a tick at one place, that of the largest number stays.
            if written[place] != k or last.owner[place] < prints[i]:
                written[place] = k
                last.owner[place], last.time[place] = prints[i], time_ns[i]
                last.value[place] = numbers[i]
