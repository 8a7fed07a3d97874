"""The first positives of entities: those of which no entity had a positive lately.

Positives come in runs: a stolen card or a bad terminal has many of them until it is known. A run makes their number go
up and down for weeks. First positives count each run once, so that their number is nearly that of independent hits, and
a change of the law, whose positives are of many entities, stands out.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Block, Known
from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Int, Mask
from homeostat.records.identity import ABSENT

_SLOTS = 8192
_LATELY_NS = 14 * 86_400 * 10**9


class FirstPositives:
    """See the module.

    entities : how many each event has; where it has none, every positive is a first one
    memory : `last`, (entities, slots) when a positive was last reported, by a hash of the entity's key
    """

    def __init__(self, entities: int) -> None:
        self.memory: Memory = {"last": np.full((entities, _SLOTS), -_LATELY_NS, np.int64)}

    def among(self, known: Known, at: Int, now_ns: int) -> Mask:
        """(m,) which of these positives are first ones; they are remembered.

        at : (m,) rows of `known`, just reported
        """
        first: Mask = np.ones(len(at), np.bool_)
        last = self.memory["last"]
        for j in range(min(len(last), known.keys.shape[1])):
            keys = known.keys[at, j]
            there = np.flatnonzero(keys != ABSENT)
            slot = hashed(keys[there]) % _SLOTS
            again: Mask = np.ones(len(there), np.bool_)
            again[np.unique(slot, return_index=True)[1]] = False
            first[there] &= ~again & (now_ns - last[j, slot] >= _LATELY_NS)
            last[j, slot] = now_ns
        return first

    def of_block(self, known: Known, at: Int, block: Block) -> Int:
        """The rows among these positives that are first ones, tick by tick of a block; they are remembered.

        at : (m,) rows of `known`, in order
        """
        edges = np.searchsorted(at, block.known_offsets)
        first = np.zeros(len(at), np.bool_)
        for tick in np.flatnonzero(np.diff(edges)).tolist():
            rows = slice(edges[tick], edges[tick + 1])
            first[rows] = self.among(known, at[rows], int(block.end_ns[tick]))
        return at[first]
