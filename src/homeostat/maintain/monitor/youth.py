"""Which values are new: a table of fixed size that remembers when each was seen first."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Int, Mask

DAY_NS = 86_400 * 10**9


class Youth:
    """Values by their hash, each at one of two places of a table. Where both are taken, the one seen least lately goes.

    A value that was forgotten is new again, so a stream of more values than places has a steady share of new ones.

    memory : `prints`, `first`, `last` (2 ** bits,) and `begun` (1,)
    young_ns : a value is new for so long
    """

    def __init__(self, bits: int = 14, young_ns: int = 7 * DAY_NS) -> None:
        size = 1 << bits
        self._mask, self._shift, self.young_ns = size - 1, bits, young_ns
        self.memory: Memory = {
            "prints": np.zeros(size, np.int64), "first": np.zeros(size, np.int64), "last": np.zeros(size, np.int64),
            "begun": np.zeros(1, np.int64),
        }  # fmt: skip

    def new(self, codes: Int, now_ns: int) -> Mask | None:
        """(n,) whether each value is new, now that they are seen; None while too little is known.

        codes : (n,) any 64 bits
        now_ns : rises from call to call
        """
        memory = self.memory
        if memory["begun"][0] == 0 and len(codes):
            memory["begun"][0] = now_ns
        prints = hashed(codes) | 1
        one, other = prints >> 1 & self._mask, prints >> (1 + self._shift) & self._mask
        known, last, first = memory["prints"], memory["last"], memory["first"]
        at_one, at_other = known[one] == prints, known[other] == prints
        there = at_one | at_other
        place = np.where(at_one, one, np.where(at_other, other, np.where(last[one] <= last[other], one, other)))
        last[place] = now_ns
        known[place[~there]] = prints[~there]
        first[place[~there]] = now_ns
        since = first[place]
        if not len(codes) or now_ns - int(memory["begun"][0]) < 2 * self.young_ns:
            return None  # At first, everything is new; and then much that comes seldom.
        found: Mask = now_ns - since < self.young_ns
        return found
