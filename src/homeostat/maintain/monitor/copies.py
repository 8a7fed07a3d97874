"""Events that come again under another id: the same keys and numbers within a short time."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory, hashed
from homeostat.records.arrays import Int
from homeostat.records.events import EventBatch

WITHIN_NS = 600 * 10**9
KEPT = 8192
_COUNTED_MAX = 5


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

    def count(self, events: EventBatch) -> tuple[float, float]:
        """How many events have the content of an earlier one, of a time ten minutes away at most; and of how many.

        Of one content, at most five copies count: a flood that repeats itself is no fault of the transport.
        """
        memory, n = self.memory, len(events)
        held = int(memory["count"][0])
        content = hashed(events.keys ^ events.key_checks, events.numbers)
        both = np.concatenate([memory["content"][:held], content])
        when = np.concatenate([memory["time"][:held], events.time_ns])
        again = np.zeros(len(both), bool)
        order = np.argsort(both, kind="stable")
        same = (both[order][1:] == both[order][:-1]) & (np.abs(np.diff(when[order])) <= WITHIN_NS)
        again[order[1:]] = same
        again[:held] = False
        self._keep(both, when)
        counts = np.unique(both[again], return_counts=True)[1]
        copies = float(np.minimum(counts, _COUNTED_MAX).sum())
        return copies, n - float(counts.sum()) + copies

    def _keep(self, content: Int, when: Int) -> None:
        memory = self.memory
        rows = np.flatnonzero(when >= int(when.max(initial=0)) - WITHIN_NS)[-KEPT:]
        memory["count"][0] = len(rows)
        for name, column in (("content", content), ("time", when)):
            memory[name][: len(rows)], memory[name][len(rows) :] = column[rows], 0
