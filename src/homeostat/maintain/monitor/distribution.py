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

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.plane import Plane
from homeostat.maintain.monitor.reference import Reference
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.signals import Kind, Measured, Scale, Series, Side

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

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, k = Figures(len(self.series)), self._width
        at = Reference.looked_at(len(tick))
        values = self._values(tick, at)
        place = self._reference.places(values)
        known = ~np.isnan(place)
        n = known.sum(axis=0).astype(np.float64)
        if n.any():
            filled = np.where(known, place, 0.5)
            middle = np.abs(2.0 * filled - 1.0)
            outside = known & ((place <= _EDGE) | (place >= 1.0 - _EDGE)) & self._beyond(values)
            size = np.maximum(n, 1.0)
            spread = _OF_PLACES / np.sqrt(size)
            found.set(slice(0, k), 0.5 + (filled - 0.5).sum(axis=0) / size, n, spread)
            found.set(slice(k, 2 * k), np.where(known, middle, 0.0).sum(axis=0) / size, n, 2 * spread)
            found.share(slice(2 * k, 3 * k), outside.sum(axis=0), n)
            distance = self._plane.distance(place[:, : self._events])
            if len(distance):
                found.set(3 * k, float(np.log(distance + 1e-3).mean()), float(len(distance)))
        self._plane.add(place[:, : self._events], tick.start_ns, tick.end_ns)
        self._reference.add(values, tick.start_ns, tick.end_ns)
        return found.measured()

    def notes(self, series: int) -> dict[str, object]:
        """The quantiles of the column's past."""
        if series >= 3 * self._width:
            return {}
        grid = self._reference.grid[series % self._width]
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
        memories: dict[str, Memory] = {"reference": self._reference.memory, "plane": self._plane.memory}
        for name, memory in memories.items():
            taken(memory, part(state, name))

    def _values(self, tick: Tick, at: Int) -> Float:
        """(m, columns) of the rows that are looked at; infinite ones are absent."""
        events = np.concatenate(
            [tick.events.numbers[at][:, self._numbers], tick.features.values[at][:, self._computed]], axis=1
        )
        values = np.concatenate([events[:, self._kept], tick.risk[at][:, None], tick.scores[at]], axis=1)
        values[~np.isfinite(values)] = np.nan
        held: Float = np.clip(values, -1e30, 1e30)
        return held

    def _beyond(self, values: Float) -> Mask:
        """Whether values lie outside of the least and the most of the past, by more than a fiftieth of the span."""
        grid = self._reference.grid
        low, high = grid[:, 0], grid[:, -1]
        room = 0.02 * (high - low)
        found: Mask = (values < low - room) | (values > high + room)
        return found
