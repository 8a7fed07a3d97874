"""How many events the positives of an hour can be of: positives are reported days later, each sooner or later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.contracts import Block
from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.rows_of_ticks import totals_of
from homeostat.records.arrays import Float, Int

_COUNTS = 1024
_KNOWN_LEAST = 20.0  # Positives without which their age is not known.


class Exposed(NamedTuple):
    """Of each tick of a block.

    events : (k,) the mean of a tick, over twice the mean age of positives; 0 where that is not known
    ages : the mean age of positives when they are reported, in nanoseconds
    """

    events: Float
    ages: list[float]


class Exposure:
    """See the module.

    memory : `counts`, events of the last ticks; `ticks`, how many there were; `age`, the mean and its weight
    """

    def __init__(self) -> None:
        self.memory: Memory = {"counts": np.zeros(_COUNTS), "ticks": np.zeros(1, np.int64), "age": np.zeros(2)}

    def of_block(self, block: Block, at: Int, offsets: Int) -> Exposed:
        """Take a block's events and positives in.

        at : rows of the block's outcomes, the positives that were just reported; offsets : of each tick
        """
        known, memory, ticks = block.whole.known, self.memory, len(block)
        age = np.clip(known.known_ns[at] - known.time_ns[at], 0, None).astype(np.float64)
        came = np.maximum(block.events_n, block.rows).astype(np.float64)
        first = int(memory["ticks"][0])
        past = memory["counts"][(first + np.arange(_COUNTS)) % _COUNTS]  # The oldest first.
        total = np.concatenate([[0.0], np.cumsum(np.concatenate([past, came]))])  # Of whole numbers: exact.
        ages, counts = totals_of(age, offsets), np.diff(offsets).tolist()
        spans, found = (block.end_ns - block.start_ns).tolist(), Exposed(np.zeros(ticks), [])
        mean, n = memory["age"].tolist()
        for tick, count in enumerate(counts):
            if count:
                rows = min(n + count, 500.0)
                mean, n = mean + (ages[tick] / count - mean) * count / rows, rows
            found.ages.append(mean)
            if n >= _KNOWN_LEAST:
                length = min(max(round(2.0 * mean / spans[tick]), 1), min(_COUNTS, first + tick + 1))
                last = _COUNTS + tick + 1
                found.events[tick] = (total[last] - total[last - length]) / length
        memory["age"][:] = mean, n
        number = first + np.arange(max(0, ticks - _COUNTS), ticks)
        memory["counts"][number % _COUNTS] = came[number - first]
        memory["ticks"][0] = first + ticks
        return found
