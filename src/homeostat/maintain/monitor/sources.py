"""Sources that fall silent while the rest of the stream goes on: the busiest entities, each against its usual share."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Int
from homeostat.records.identity import ABSENT

_KEPT = 256
_FADES = 0.998  # A tick's weight: half of it is left after two weeks of hours.
_EXPECTED = 16.0  # So many events were to be expected: none is a chance of 1 in 9 million, at every tick and source.
_DAYS_LEAST = 4  # A source that was there for a day was a visitor.
_LONGER = 2.0  # People come in visits: a silence is longer than the longest so far.
_KNOWN = 30.0  # Events without which nobody knows a source's share.


class Sources:
    """The busiest entities by a summary of fixed size (space saving; Metwally, Agrawal, El Abbadi 2005).

    memory : `key` (k,), `count` (k,) faded, `missed` (k,) events of all since its own last, `longest`
        (k,) of these so far, `days` (k,) on
        which it was seen, `day` (k,) the last of these, `total` (1,) faded
    """

    def __init__(self) -> None:
        self.memory: Memory = {
            "key": np.full(_KEPT, ABSENT), "count": np.zeros(_KEPT), "missed": np.zeros(_KEPT),
            "longest": np.zeros(_KEPT), "total": np.zeros(1),
            "days": np.zeros(_KEPT, np.int64), "day": np.zeros(_KEPT, np.int64),
        }  # fmt: skip

    def silent(self, keys: Int, end_ns: int) -> tuple[float, Int]:
        """The share of the known sources' traffic that is missing, NaN while none is known; and those sources.

        keys : (n,) of a tick that ends at `end_ns`
        """
        memory = self.memory
        memory["count"] *= _FADES
        memory["total"] *= _FADES
        found, counts = np.unique(keys[keys != ABSENT], return_counts=True)
        n = int(counts.sum())
        memory["total"] += n
        memory["missed"] += n
        place = np.searchsorted(found, memory["key"])
        here = (place < len(found)) & (found[np.minimum(place, max(len(found) - 1, 0))] == memory["key"]) if n else None
        if here is not None:
            at = place[here]
            memory["count"][here] += counts[at]
            memory["longest"][here] = np.maximum(_FADES * memory["longest"][here], memory["missed"][here])
            memory["missed"][here] = 0.0
            day = end_ns // DAY_NS
            memory["days"][here] += memory["day"][here] != day
            memory["day"][here] = day
            self._admit(np.delete(found, at), np.delete(counts, at))
        return self._judged()

    def _admit(self, keys: Int, counts: Int) -> None:
        """Let the busiest strangers in, at the places of the least."""
        memory = self.memory
        order = np.lexsort((keys, -counts))[:_KEPT]
        places = np.lexsort((memory["key"], memory["count"]))[: len(order)]
        # A stranger takes the place of one that it may have outdone by now: those known well are not pushed out.
        free = memory["count"][places] <= np.maximum(counts[order] + 1.0, 2.0)
        places, order = places[free], order[free]
        memory["key"][places], memory["count"][places] = keys[order], memory["count"][places] + counts[order]
        for name in ("missed", "longest", "days", "day"):
            memory[name][places] = 0

    def _judged(self) -> tuple[float, Int]:
        memory = self.memory
        known = (memory["count"] >= _KNOWN) & (memory["days"] >= _DAYS_LEAST)
        total = float(memory["total"][0])
        if not known.any() or total <= 0:
            return float("nan"), np.zeros(0, np.int64)
        expected = memory["count"] / total * memory["missed"]
        gone = known & (expected > _EXPECTED) & (memory["missed"] > _LONGER * memory["longest"])
        share = float(memory["count"][gone].sum() / memory["count"][known].sum())
        found: Int = memory["key"][gone]
        return share, found
