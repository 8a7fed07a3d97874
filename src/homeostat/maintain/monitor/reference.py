"""Some rows of the past of many columns, in memory of a fixed size, and the places of new values among them.

Rows are gathered over a week at least, so that each hour and weekday is among them. Then ticks take the place of old
rows at such a pace that a row stays for about four weeks. Quantiles are made again each day. At most `SAMPLE` rows of a
tick are looked at, evenly spread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float, Int
from homeostat.stats.place import GRID, places, quantile_grid

ROWS = 1024
SAMPLE = 256
_DAY_NS = 86_400 * 10**9
_MEMORY_NS = 28 * _DAY_NS
_FILL_NS = 7 * _DAY_NS
_LEAST = 128  # Rows without which nothing has a place.


class Reference:
    """See the module.

    memory : `rows` (ROWS, columns), `grid` (columns, GRID + 1), and `counts`: rows that came, the day of the grid,
        when the first came
    """

    def __init__(self, columns: int) -> None:
        self.memory: Memory = {
            "rows": np.full((ROWS, columns), np.nan, np.float32), "grid": np.full((columns, GRID + 1), np.nan),
            "counts": np.zeros(3, np.int64),
        }  # fmt: skip

    @property
    def ready(self) -> bool:
        """Whether values have places yet."""
        return bool(self.memory["counts"][1])

    @property
    def grid(self) -> Float:
        """(columns, GRID + 1) quantiles of the past."""
        return self.memory["grid"]

    @staticmethod
    def looked_at(n: int) -> Int:
        """The rows of a tick of n rows that are looked at."""
        return np.arange(n) if n <= SAMPLE else np.linspace(0, n - 1, SAMPLE).astype(np.int64)

    def places(self, values: Float) -> Float:
        """The places of values (n, columns); NaN before the past is known, and where a value is absent."""
        into = np.full(values.shape, np.nan)
        if self.ready and len(values):
            places(_held(values).astype(np.float64), self.memory["grid"], into)
        return into

    def add(self, values: Float, start_ns: int, end_ns: int) -> None:
        """Take a tick's rows in, after their places were asked for."""
        rows, counts = self.memory["rows"], self.memory["counts"]
        n, known = len(values), int(counts[0])
        if n:
            counts[2] = counts[2] or end_ns
            stay_ns = _MEMORY_NS if known >= ROWS else _FILL_NS
            pace = max(1, round(ROWS * (end_ns - start_ns) / stay_ns))
            take = np.linspace(0, n - 1, min(pace, n)).astype(np.int64)
            rows[(known + np.arange(len(take))) % ROWS] = _held(values[take])
            counts[0] += len(take)
        day = end_ns // _DAY_NS
        if day != counts[1] and counts[0] >= _LEAST and end_ns - counts[2] >= _FILL_NS:
            counts[1] = day
            self.memory["grid"][...] = quantile_grid(rows[: min(int(counts[0]), ROWS)].astype(np.float64))


def _held(values: Float) -> NDArray[np.float32]:
    """Values as they are remembered, so that equal ones stay equal."""
    return np.clip(values, -1e30, 1e30).astype(np.float32)
