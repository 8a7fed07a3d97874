"""The events that positives can be of, against a naive twin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tests.support.outcome_ticks import World, ticks

from homeostat.checks.ticks import HOUR_NS
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.exposure import Exposure
from homeostat.maintain.monitor.outcomes import seen


def naive(of: list[Tick]) -> Iterator[float]:
    """The mean events of the last hours, twice as many as positives are old on average."""
    counts: list[int] = []
    mean, n = 0.0, 0
    for tick in of:
        counts.append(max(tick.events_n, len(tick)))
        known = tick.known
        for age in (known.known_ns - known.time_ns)[seen(known).positives].tolist():
            n += 1
            mean += (age - mean) / n
        hours = max(1, round(2 * mean / HOUR_NS))
        yield float(np.mean(counts[-hours:])) if n >= 20 else 0.0


def test_events_are_those_of_twice_the_age_of_positives_however_ticks_are_cut() -> None:
    of = list(ticks(World(), 72))
    wanted = list(naive(of))
    for size in (1, 24):
        exposure, found = Exposure(), []
        for at in range(0, len(of), size):
            block = block_of(of[at : at + size])
            rows = seen(block.whole.known).positives
            found += exposure.of_block(block, rows, np.searchsorted(rows, block.known_offsets)).events.tolist()
        assert found == wanted and found[-1] > 0 == found[0]
