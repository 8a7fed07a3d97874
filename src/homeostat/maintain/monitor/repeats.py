"""How often an entity sends the number again that it sent last: so a sensor that sticks shows."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Float, Int

_BITS = 14
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
        memory, n = self.memory, len(owner)
        prints = hashed(owner) | 1
        order = np.argsort(prints, kind="stable")
        mine, when, value = prints[order], time_ns[order], numbers[order]
        place = mine & ((1 << _BITS) - 1)
        first = np.ones(n, bool)
        first[1:] = mine[1:] != mine[:-1]
        before_when, before = np.empty(n, np.int64), np.empty_like(value)
        before_when[1:], before[1:] = when[:-1], value[:-1]
        known = ~first
        known[first] = memory["owner"][place[first]] == mine[first]
        before_when[first], before[first] = memory["time"][place[first]], memory["value"][place[first]]
        asked = known & (np.abs(when - before_when) > _AGAIN_NS)
        last = np.ones(n, bool)
        last[:-1] = first[1:]
        memory["owner"][place[last]], memory["time"][place[last]] = mine[last], when[last]
        memory["value"][place[last]] = value[last]
        both = asked[:, None] & ~np.isnan(before) & ~np.isnan(value)
        hits = (both & (before == value)).sum(axis=0).astype(np.float64)
        return hits, both.sum(axis=0).astype(np.float64)
