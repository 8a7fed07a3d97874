"""Whether values lie as they did: each field, feature, score and the risk, and all together.

A value's place is the share of the past that lies below it. The mean place of a tick is the probability that a value of
now exceeds one of the past, so a shift has a size that does not depend on the unit. All together: the distance from the
plane of the first components, of places turned into normal figures, shows relations that broke.

A shift within the past is evidence beside other signals, and no incident of its own: people differ from month to month.
Values outside of the past, and relations that broke, are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.plane import Plane
from homeostat.maintain.monitor.reference import Reference, Spans, looked_at, take_held
from homeostat.maintain.monitor.rows_of_ticks import totals_of
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.compiled import compiled
from homeostat.records.signals import Kind, Measured, Scale, Series, Side
from homeostat.stats.place import count_below, place_of, ties_of

COLUMNS_MAX = 256
_EDGE = 0.5 / 64  # Places beyond are outside of the past: not even half a quantile of it lies there.
_OF_PLACES = np.sqrt(1.0 / 12.0)


class Part(NamedTuple):
    """One column: its node, and whether it says something of its own; features and answers follow from fields."""

    node: str
    own: bool


class Figure(NamedTuple):
    """One figure of a column, as in `Series`."""

    text: str
    unit: str
    side: Side
    scale: Scale
    weight: float
    alone: bool


_FIGURES = (
    Figure("mean place", "place", "both", "mean", 0.2, False),
    Figure("mean distance from the middle", "place", "both", "mean", 0.2, False),
    Figure("share outside of the past", "share", "up", "share", 1.0, True),
)


class DistributionMonitor:
    """See the module. Series of each column: mean place, mean distance from the middle, share outside; one of all."""

    name = "distribution"

    def __init__(self, names: Names) -> None:
        self._numbers = np.array(names.columns("number", "integer", "boolean"), np.int64)
        fields = [Part(names.node(names.fields[column][0]), True) for column in self._numbers]
        own = {name for name, _ in names.fields}  # Features begin with the fields themselves.
        self._computed = np.array([k for k, one in enumerate(names.features) if one not in own], np.int64)
        features = [Part(f"feature:{names.features[k]}", False) for k in self._computed]
        answers = [Part("fusion", False), *(Part(f"scorer:{one}", False) for one in names.scorers)]
        self._kept = np.arange(min(len(fields) + len(features), COLUMNS_MAX - len(answers)))
        columns = [*(fields + features)[: len(self._kept)], *answers]
        self.series: tuple[Series, ...] = tuple(
            Series(self.name, one.node, Kind.DISTRIBUTION, of.text, of.unit, of.side, of.scale, seasonal=True,
                   weight=of.weight, alone=of.alone and one.own)
            for of in _FIGURES
            for one in columns
        )  # fmt: skip
        self.series += (Series(self.name, "source", Kind.DISTRIBUTION, "distance from the plane", "log", "up", "mean"),)
        self._width = len(columns)
        self._events = len(self._kept)
        self._reference, self._plane = Reference(self._width), Plane(self._events)
        self._grids: list[Float] = []  # Before each tick of the last block, for notes.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        ticks, w = len(block), self._width
        rows, offsets = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        spans = Spans(block.start_ns, block.end_ns)
        values = self._values(block.whole, rows)
        figures = np.zeros((self._plane.width, len(rows)))
        counted = Counted(*(np.zeros((ticks, w)) for _ in Counted._fields))
        self._grids = []
        for first, stop in self._reference.stretches(values.T, offsets, spans):
            grid = self._reference.grid.copy()
            self._grids += [grid] * (stop - first)
            if self._reference.ready:
                _count(values, offsets, first, stop, _small(grid), _small(ties_of(grid)), figures, counted)
        found, n = Figures(len(self.series), ticks), counted.n
        known, size = (n > 0).max(axis=1), np.maximum(n, 1.0)
        spread = np.where(known[:, None], _OF_PLACES / np.sqrt(size), np.nan)
        found.set(slice(0, w), 0.5 + counted.place / size, n, spread)
        found.set(slice(w, 2 * w), counted.middle / size, n, 2 * spread)
        found.share(slice(2 * w, 3 * w), counted.outside, n)
        self._broken(figures, offsets, spans, known, found)
        return found.measured()

    def _broken(self, figures: Float, offsets: Int, spans: Spans, known: Mask, found: Figures) -> None:
        """The mean distance of each tick's rows from the plane."""
        distance = np.log(self._plane.distances(figures, offsets, spans) + 1e-3)
        rows = np.where(known, np.diff(offsets), 0).astype(np.float64)
        total = np.array(totals_of(distance, offsets))
        found.set(3 * self._width, total / np.maximum(rows, 1.0), rows)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The quantiles of the column's past."""
        if series >= 3 * self._width:
            return {}
        after = at % len(self._grids) + 1 if self._grids else 0
        grid = (self._grids[after] if after < len(self._grids) else self._reference.grid)[series % self._width]
        names = ("least", "quarter", "middle", "three quarters", "most")
        return {"past": {
            name: float(value) for name, value in zip(names, grid[[0, 16, 32, 48, 64]], strict=True) if value == value
        }}  # fmt: skip

    def state(self) -> State:
        """All that it remembers."""
        parts = {"reference": self._reference.memory, "plane": self._plane.memory}
        return {f"{name}/{key}": v for name, memory in parts.items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self._reference.memory, part(state, "reference"))
        self._plane.restore(part(state, "plane"))

    def _values(self, whole: Tick, rows: Int) -> NDArray[np.float32]:
        """(columns, m) of the rows that are looked at; infinite ones are absent."""
        values = np.empty((self._width, len(rows)), np.float32)
        fields, computed = np.split(self._kept, [len(self._numbers)])
        take_held(whole.events.numbers, self._numbers[fields], rows, values)
        take_held(whole.features.values, self._computed[computed - len(self._numbers)], rows, values[len(fields) :])
        take_held(whole.risk[:, None], np.zeros(1, np.int64), rows, values[self._events :])
        take_held(whole.scores, np.arange(whole.scores.shape[1]), rows, values[self._events + 1 :])
        return values


class Counted(NamedTuple):
    """Of each tick and column, (k, columns).

    n : values with a place; place, middle : the sums of their places and of the distances from the middle, from 1 / 2
        on; outside : how many lie outside of the past
    """

    n: Float
    place: Float
    middle: Float
    outside: Float


def _small(values: Float) -> NDArray[np.float32]:
    return values.astype(np.float32)


@compiled
def _count(
    values: NDArray[np.float32], offsets: Int, first: int, stop: int, grid: NDArray[np.float32],
    ties: NDArray[np.float32], figures: Float, into: Counted,
) -> None:  # fmt: skip
    """Count the values of ticks from `first` to before `stop`, and write down the figures of the plane.

    A value is outside of the past if it lies beyond its least and most by more than a fiftieth of the span.
    """
    below = np.empty(np.diff(offsets).max(), np.int32)
    for tick in range(first, stop):
        start, end = offsets[tick], offsets[tick + 1]
        for column in range(len(values)):
            of, past, equal = values[column, start:end], grid[column], ties[column]
            n, total, middle, outside = 0, 0.0, 0.0, 0
            low, high = float(past[0]), float(past[-1])
            room = 0.02 * (high - low)
            low, high = low - room, high + room
            count_below(of, past, below)
            for i in range(end - start):
                place = place_of(of[i], below[i], past, equal)
                if place != place:
                    continue
                n += 1
                total += place - 0.5
                middle += abs(2.0 * place - 1.0)
                if column < len(figures):
                    figures[column, start + i] = 2.0 * place - 1.0
                if place <= _EDGE or place >= 1.0 - _EDGE:
                    outside += of[i] < low or of[i] > high
            into.n[tick, column], into.place[tick, column] = n, total
            into.middle[tick, column], into.outside[tick, column] = middle, outside
