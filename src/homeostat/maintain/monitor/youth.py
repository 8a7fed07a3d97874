"""Which values are new: a table of fixed size that remembers when each was seen first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import AnyArray, Int, Mask
from homeostat.records.compiled import compiled

DAY_NS = 86_400 * 10**9


class Youth:
    """Values by their hash, each at one of two places of a table. Where both are taken, the one seen least lately goes.

    A value that was forgotten is new again, so a stream of more values than places has a steady share of new ones.

    memory : `prints`, `first`, `last` (2 ** bits,) and `begun` (1,)
    young_ns : a value is new for so long
    """

    def __init__(self, bits: int = 14, young_ns: int = 7 * DAY_NS) -> None:
        size = 1 << bits
        self._bits, self.young_ns = bits, young_ns
        self.memory: Memory = {
            "prints": np.zeros(size, np.int64), "first": np.zeros(size, np.int64), "last": np.zeros(size, np.int64),
            "begun": np.zeros(1, np.int64),
        }  # fmt: skip

    def new(self, codes: AnyArray, now_ns: int) -> Mask | None:
        """(n,) whether each value of a tick is new, now that they are seen; None while too little is known.

        codes : (n,) any 64 bits
        now_ns : rises from call to call
        """
        found, known = self.new_of_ticks(codes, np.array([0, len(codes)]), np.array([now_ns]))
        return found if known[0] else None

    def new_of_ticks(self, codes: AnyArray, offsets: Int, now_ns: Int) -> tuple[Mask, Mask]:
        """The same for a block: (n,) whether each value is new, and (k,) whether that is known of a tick's.

        now_ns : (k,) of each tick
        """
        memory, found = self.memory, np.zeros(len(codes), np.bool_)
        known = np.zeros(len(now_ns), np.bool_)
        if len(codes):
            most = int(np.diff(offsets).max())
            _see(
                hashed(codes) | 1, offsets, np.asarray(now_ns, np.int64), self._bits, self.young_ns,
                Table(memory["prints"], memory["first"], memory["last"], memory["begun"]),
                np.empty(most, np.int64), found, known,
            )  # fmt: skip
        return found, known


class Table(NamedTuple):
    """The memory of `Youth`."""

    prints: Int
    first: Int
    last: Int
    begun: Int


@compiled
def _see(
    prints: Int, offsets: Int, now_ns: Int, bits: int, young_ns: int, table: Table, places: Int, found: Mask,
    known: Mask,
) -> None:  # fmt: skip
    """See the values of each tick. Their places follow from those of the ticks before: equal values have one place.

    places : for the rows of one tick
    """
    mask = (1 << bits) - 1
    for tick in range(len(now_ns)):
        start, stop, now = offsets[tick], offsets[tick + 1], now_ns[tick]
        if start == stop:
            continue
        if table.begun[0] == 0:
            table.begun[0] = now
        for i in range(start, stop):
            one, other = prints[i] >> 1 & mask, prints[i] >> (1 + bits) & mask
            if table.prints[one] == prints[i]:
                places[i - start] = one
            elif table.prints[other] == prints[i]:
                places[i - start] = other
            else:
                places[i - start] = -1 - (one if table.last[one] <= table.last[other] else other)
        for i in range(start, stop):
            place = places[i - start]
            if place < 0:
                place = -1 - place
                table.prints[place], table.first[place] = prints[i], now
            table.last[place] = now
        known[tick] = now - table.begun[0] >= 2 * young_ns  # At first, everything is new, and then what comes seldom.
        if known[tick]:
            for i in range(start, stop):
                place = places[i - start]
                found[i] = now - table.first[place if place >= 0 else -1 - place] < young_ns
