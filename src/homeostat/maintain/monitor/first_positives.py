"""The first positives of entities: those of which no entity had a positive lately.

Positives come in runs: a stolen card or a bad terminal has many of them until it is known. A run makes their number go
up and down for weeks. First positives count each run once, so that their number is nearly that of independent hits, and
a change of the law, whose positives are of many entities, stands out.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Block, Known
from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.maintain.monitor.rows_of_ticks import ticks_of
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

    def chosen(self, known: Known, at: Int, offsets: Int, end_ns: Int) -> Mask:
        """(m,) which of these positives are first ones, tick by tick; they are remembered.

        at : (m,) rows of `known`, in order; offsets : (k + 1,) of those of each tick; end_ns : (k,) of the ticks
        """
        first: Mask = np.ones(len(at), np.bool_)
        now_ns, last = end_ns[ticks_of(offsets)], self.memory["last"]
        for j in range(min(len(last), known.keys.shape[1]) if len(at) else 0):
            keys = known.keys[at, j]
            there = np.flatnonzero(keys != ABSENT)
            slot, now = hashed(keys[there]) % _SLOTS, now_ns[there]
            order = np.argsort(slot, kind="stable")
            slot, now = slot[order], now[order]
            before = last[j, slot]
            again = np.flatnonzero(slot[1:] == slot[:-1]) + 1
            before[again] = now[again - 1]
            first[there[order]] &= now - before >= _LATELY_NS
            last[j, slot] = now  # Of equal places, the latest is written last.
        return first

    def of_block(self, known: Known, at: Int, block: Block) -> Int:
        """The rows among these positives that are first ones; they are remembered.

        at : (m,) rows of `known`, in order
        """
        return at[self.chosen(known, at, np.searchsorted(at, block.known_offsets), block.end_ns)]
