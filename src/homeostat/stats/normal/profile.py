"""Each metric against its expected value for the hour of the day and of the week, of its own series if it is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

DAY_HOURS = 24
WEEK_HOURS = 168


class Profile(NamedTuple):
    """The expected course.

    codes : (series,) the codes of the known series, ascending
    location, spread : (1 + series, slots, metrics); row 0 is for all other series. There are 168 slots where the hour
        and the weekday are known, from Monday's first hour, 24 where the hour alone is, else 1
    """

    codes: Float
    location: Float
    spread: Float


@compiled
def cell_of(values: Float, row: int, series: int, hour: int, weekday: int, codes: Float) -> tuple[int, int]:
    """The series and the slot of a row; a missing hour or weekday counts as 0.

    series, hour, weekday : columns of the features, -1 where there is none
    """
    known = 0
    if series >= 0 and len(codes):
        at = np.searchsorted(codes, values[row, series])
        if at < len(codes) and codes[at] == values[row, series]:
            known = at + 1
    slot = 0
    if hour >= 0:
        slot = _held(values[row, hour], DAY_HOURS)
        if weekday >= 0:
            slot += DAY_HOURS * _held(values[row, weekday], WEEK_HOURS // DAY_HOURS)
    return known, slot


@compiled
def _held(x: float, count: int) -> int:
    return 0 if not x > 0.0 else min(int(x), count - 1)


@compiled
def residuals(
    values: Float, columns: Int, places: Int, codes: Float, location: Float, spread: Float, out: Float
) -> None:
    """Write (n, metrics) distances from the expected values, in spreads; NaN for a missing metric.

    values : (n, features); columns : (metrics,) where each metric stands
    places : (3,) the columns of series, hour and weekday, -1 where there is none
    """
    for row in range(len(out)):
        series, slot = cell_of(values, row, places[0], places[1], places[2], codes)
        for m in range(len(columns)):
            out[row, m] = (values[row, columns[m]] - location[series, slot, m]) / spread[series, slot, m]
