"""The time that a decision takes in this process, by itself and in a batch, without journal and network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from homeostat.jobs.evaluation.deciding import Decider
from homeostat.jobs.evaluation.figures import LEVEL
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.stats.resampling import quantile_interval

ONE_MAX = 1_000  # Events that are decided one by one,
BATCH_ROWS = 256
BATCHES_MAX = 100  # and batches of so many.
_FIRST = 20  # Calls that do not count, or half of few: they fill caches.
_QUANTILES = (("p50", 0.5), ("p99", 0.99))


def latency(decider: Decider) -> dict[str, Any]:
    """Quantiles in microseconds a decision, of the window's first events."""
    return {"one": _timed(decider, 1, ONE_MAX), "batch": _timed(decider, BATCH_ROWS, BATCHES_MAX)}


def _timed(decider: Decider, rows: int, most: int) -> dict[str, Any]:
    events = decider.window.parts[0].events
    loop = decider.loop()
    took: list[float] = []
    for start in range(0, min(len(events), rows * (most + _FIRST)), rows):
        batch: EventBatch = events.slice(start, min(start + rows, len(events)))
        begun_ns = loop.clock.monotonic_ns()
        loop.decide(batch)
        took.append((loop.clock.monotonic_ns() - begun_ns) / 1e3 / len(batch))
    loop.close()
    counted = np.array(took[min(_FIRST, len(took) // 2) :])
    return {"rows": rows, **{name: _quantile(counted, share) for name, share in _QUANTILES}}


def _quantile(took_us: Float, share: float) -> dict[str, Any]:
    value, low, high = quantile_interval(took_us, share, LEVEL)
    found, least = {"value": round(value, 3), "n": len(took_us)}, _least(share)
    if len(took_us) < least:  # No value that was measured is surely above the quantile.
        return {**found, "low": None, "high": None, "why": f"not enough data: {len(took_us):,} of {least:,} calls"}
    return {**found, "low": round(low, 3), "high": round(high, 3), "why": None}


def _least(share: float) -> int:
    """How many values a quantile's upper bound takes: so many that the largest is surely above it.

    >>> _least(0.5), _least(0.99)
    (6, 368)
    """
    return math.ceil(math.log((1 - LEVEL) / 2) / math.log(share))
