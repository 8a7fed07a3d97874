"""Some rows of the past of many columns, in memory of a fixed size, and the places of new values among them.

Rows are gathered over a week at least, so that each hour and weekday is among them. Then ticks take the place of old
rows at such a pace that a row stays for about four weeks. Quantiles are made again each day. At most `SAMPLE` rows of a
tick are looked at, evenly spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import AnyArray, Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats.place import GRID, places, quantile_grid

ROWS = 1024
SAMPLE = 128
_DAY_NS = 86_400 * 10**9
_MEMORY_NS = 28 * _DAY_NS
_FILL_NS = 7 * _DAY_NS
_LEAST = 128  # Rows without which nothing has a place.


class Spans(NamedTuple):
    """When the ticks of a block begin and end, (k,) each."""

    start_ns: Int
    end_ns: Int


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
        return looked_at(np.array([0, n]))[0]

    def places(self, values: Float) -> Float:
        """The places of values (n, columns); NaN before the past is known, and where a value is absent."""
        into = np.full(values.shape, np.nan)
        if self.ready and len(values):
            places(held(values).astype(np.float64), self.memory["grid"], into)
        return into

    def add(self, values: Float, start_ns: int, end_ns: int) -> None:
        """Take a tick's rows in, after their places were asked for."""
        for _ in self.stretches(values, np.array([0, len(values)]), Spans(np.array([start_ns]), np.array([end_ns]))):
            pass

    def places_of(
        self, asked: Float, asked_offsets: Int, values: Float, offsets: Int, spans: Spans
    ) -> Float:  # fmt: skip
        """The places of rows (m, columns) of a block, each before the rows of its tick are taken in.

        values : (n, columns) to be taken in; asked_offsets, offsets : of the rows of each tick in both
        """
        found = np.full(asked.shape, np.nan)
        for first, stop in self.stretches(values, offsets, spans):
            at = slice(asked_offsets[first], asked_offsets[stop])
            found[at] = self.places(asked[at])
        return found

    def stretches(self, values: AnyArray, offsets: Int, spans: Spans) -> Iterator[tuple[int, int]]:
        """Take the rows (n, columns) of a block in; stretches of ticks, from one to before another.

        Places do not change within a stretch. Ask for those of its ticks before the next stretch: it has others.
        """
        first, k, counts = 0, len(offsets) - 1, self.memory["counts"]
        day, pace = spans.end_ns // _DAY_NS, _paces(spans)
        while first < k:
            stop, over = _gather(values, offsets, day, spans.end_ns, pace, first, self.memory["rows"], counts)
            yield first, stop
            if over:
                counts[1] = day[stop - 1]
                self.memory["grid"][...] = quantile_grid(self.memory["rows"][: min(int(counts[0]), ROWS)])
            first = stop


def looked_at(offsets: Int) -> tuple[Int, Int]:
    """The rows of a block that are looked at, and their offsets.

    offsets : (k + 1,) of all rows

    >>> looked_at(np.array([0, 2, 3]))[0].tolist()
    [0, 1, 2]
    """
    n = np.diff(offsets)
    if int(n.max(initial=0)) <= SAMPLE:
        return np.arange(offsets[0], offsets[-1]), offsets - offsets[0]
    sizes = np.minimum(n, SAMPLE)
    found = np.zeros_like(offsets)
    np.cumsum(sizes, out=found[1:])
    step = np.where(n > SAMPLE, (n - 1) / (SAMPLE - 1), 1.0)
    each = np.arange(found[-1]) - np.repeat(found[:-1], sizes)
    rows = (each * np.repeat(step, sizes)).astype(np.int64)
    some = sizes > 0
    rows[found[1:][some] - 1] = n[some] - 1
    return rows + np.repeat(offsets[:-1], sizes), found


def held(values: Float) -> NDArray[np.float32]:
    """Values as they are remembered, so that equal ones stay equal."""
    return np.clip(values, -1e30, 1e30).astype(np.float32)


@compiled
def held_one(value: float) -> np.float32:
    """One value as it is remembered."""
    if value < -1e30:
        return np.float32(-1e30)
    return np.float32(1e30) if value > 1e30 else np.float32(value)


@compiled
def take_held(source: Float, columns: Int, rows: Int, into: NDArray[np.float32]) -> None:
    """Copy some columns of some rows, as they are remembered; infinite values are absent."""
    for i in range(len(rows)):
        for k in range(len(columns)):
            value = source[rows[i], columns[k]]
            into[k, i] = held_one(value) if abs(value) < math.inf else np.float32(math.nan)


def _paces(spans: Spans) -> Int:
    """(k, 2) how many rows of each tick are remembered: while rows are few, and later."""
    lengths = (spans.end_ns - spans.start_ns).tolist()
    of = {one: [max(1, round(ROWS * one / stay_ns)) for stay_ns in (_FILL_NS, _MEMORY_NS)] for one in set(lengths)}
    return np.array([of[one] for one in lengths], np.int64)


@compiled
def _gather(
    values: AnyArray, offsets: Int, day: Int, end_ns: Int, pace: Int, first: int, rows: NDArray[np.float32], counts: Int
) -> tuple[int, bool]:
    """Remember rows of each tick from the first on, up to that after which quantiles are to be made again.

    Returns the tick after the last, and whether quantiles are to be made.
    """
    for tick in range(first, len(day)):
        start, n = offsets[tick], offsets[tick + 1] - offsets[tick]
        if n > 0:
            if counts[2] == 0:
                counts[2] = end_ns[tick]
            some = min(pace[tick, 1 if counts[0] >= ROWS else 0], n)
            step = (n - 1) / (some - 1) if some > 1 else 0.0
            for j in range(some):
                at = n - 1 if j > 0 and j == some - 1 else int(j * step)
                for column in range(values.shape[1]):
                    rows[(counts[0] + j) % ROWS, column] = held_one(values[start + at, column])
            counts[0] += some
        if day[tick] != counts[1] and counts[0] >= _LEAST and end_ns[tick] - counts[2] >= _FILL_NS:
            return tick + 1, True
    return len(day), False
