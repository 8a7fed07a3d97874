"""The state of one series, a row of metrics after another, and the numbers that all series share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float, Int

WARM = 150  # Rows that only teach: the centre and scale of each metric come from them.
SLOTS = 48  # Half hours of a day.
KEPT = 2_000  # Patterns in the memory of a length: half are the latest, half a fair sample of those before.
RECENT = 1_000
BLOCKS = np.array([1, 4, 12])  # Rows that one number of a pattern is the mean of.
PARTS = np.array([4, 6, 6])  # Numbers of a pattern for one metric; fewer for many metrics.
PATTERNS = 3
PAST = 96  # Rows that are kept as they came, at least as many as the longest pattern has.
REST = 80  # Rows after an alarm in which a weaker one counts less.
RING = 2_000  # Raw scores that the level of alarms is taken from.

MANY = 8  # More metrics than these are compared by patterns alone: one of many often sets a record of its own.

# The distances of one metric.
STEP, LEVEL, SHIFT, SEASON, SEASON_MEAN = range(5)
CHANNELS = 5

# Columns of `Series.metric`.
CENTRE, SCALE, LAST, NEAR, FAR, SLOW, ERROR, COUNT, SEASON_ERROR, SEASON_COUNT, SPREAD, WEIGHT = range(12)
COLUMNS = 12

# Places of `Series.number`.
SEEN, STORED_0, TAIL_LEVEL, TAIL_SCALE, JUDGED, ALARMED = 0, 1, 4, 5, 6, 7
NUMBERS = 8


class Series(NamedTuple):
    """The memory of one series of p metrics.

    metric : (p, COLUMNS) means and scales
    past : (PAST, p) the latest rows in units of the scale, a ring
    slow : (24, p) the slow mean of the latest rows, a ring
    season : (SLOTS, p) the mean of each half hour, NaN before it was seen
    residual : (4, p) the latest distances from the season, a ring
    top : (CHANNELS, p) the largest distance so far, which fades
    top_all : (CHANNELS + PATTERNS,) the same over all metrics
    pattern : (PATTERNS, KEPT, width) patterns that were seen; float32, since they are most of a series' memory
    born : (PATTERNS, KEPT) the row that each of them ended at, -1 for none
    latest : (RING,) the latest raw scores, a ring
    number : (NUMBERS,) counters and the tail of the raw scores
    early : (WARM, p + 1) the rows of the warm-up, with their half hour
    """

    metric: Float
    past: Float
    slow: Float
    season: Float
    residual: Float
    top: Float
    top_all: Float
    pattern: NDArray[np.float32]
    born: Int
    latest: Float
    number: Float
    early: Float


def parts_of(metrics: int) -> Int:
    """(PATTERNS,) how many numbers a pattern has for each metric: fewer for many metrics.

    >>> parts_of(1).tolist(), parts_of(3).tolist(), parts_of(38).tolist()
    ([4, 6, 6], [2, 2, 2], [1, 1, 1])
    """
    return np.minimum(PARTS, max(1, 8 // (metrics + 1))) if metrics > 1 else PARTS.copy()


def new_series(metrics: int) -> Series:
    """A series of so many metrics before its first row."""
    width = int(parts_of(metrics).max()) * metrics
    metric = np.zeros((metrics, COLUMNS))
    metric[:, LAST], metric[:, WEIGHT] = np.nan, 1.0
    return Series(
        metric, np.zeros((PAST, metrics)), np.full((24, metrics), np.nan), np.full((SLOTS, metrics), np.nan),
        np.zeros((4, metrics)), np.zeros((CHANNELS, metrics)), np.zeros(CHANNELS + PATTERNS),
        np.zeros((PATTERNS, KEPT, width), np.float32), np.full((PATTERNS, KEPT), -1, np.int64), np.zeros(RING),
        np.zeros(NUMBERS), np.zeros((WARM, metrics + 1)),
    )  # fmt: skip
