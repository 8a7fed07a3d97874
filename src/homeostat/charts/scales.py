"""From values to places along an axis, and the ticks of an axis."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import NamedTuple

from homeostat.charts.spec import Axis, Number, present
from homeostat.charts.text import fit, number, width

TINY = 1e-300  # Below, steps between ticks would be subnormal numbers.
FAR = sys.float_info.max  # The widest that an axis may reach.
FINE = 1e-12  # Of the value itself. Below, ticks look the same.


class Tick(NamedTuple):
    """A place between 0 and 1, and its text."""

    share: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic axis from `low` to `high`, which are finite and far enough apart to draw."""

    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()

    def at(self, value: Number) -> float | None:
        """The place of a value, 0 at `low` and 1 at `high`. None if it is missing, or not above 0 on a log scale.

        >>> Scale(-1e308, 1e308).at(0.0), Scale(1.0, 100.0, log=True).at(10.0), Scale(0.0, 1.0).at(float("nan"))
        (0.5, 0.5, None)
        """
        if value is None or not present(value) or (self.log and value <= 0):
            return None
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # The halves keep 1e308 from overflowing.

    def ticks(self, pixels: float, upright: bool = False) -> list[Tick]:
        """Ticks at round values, so few that their texts fit into `pixels`.

        >>> [tick.text for tick in Scale(0.0, 0.35).ticks(400)]
        ['0.0', '0.1', '0.2', '0.3']
        """
        if self.names:
            return self._named(pixels)
        wanted = max(2, min(6, int(pixels / (32 if upright else 80))))
        values = _powers(self.low, self.high, wanted) if self.log else []
        if len(values) < 2:
            values = _round_values(self.low, self.high, wanted)
        texts = _texts(values)
        return [Tick(at, text) for value, text in zip(values, texts) if (at := self.at(value)) is not None]

    def _named(self, pixels: float) -> list[Tick]:
        last = min(len(self.names) - 1, floor(self.high))
        between = pixels / 2 / max(self.high / 2 - self.low / 2, 0.5)
        step = _stride(self.names, between)
        shown = [n for n in range(0, last + 1, step) if n >= self.low]
        return [Tick(self.at(float(n)) or 0.0, fit(self.names[n], max(between * step, 60))) for n in shown]


@dataclass(frozen=True, slots=True)
class Bands:
    """Categories along an axis, each in a band of the same width."""

    names: tuple[str, ...]

    @property
    def band(self) -> float:
        """The width of a band, of 1."""
        return 1.0 / max(len(self.names), 1)

    def ticks(self, pixels: float, upright: bool = False) -> list[Tick]:
        """The names in the middle of their bands, left out evenly where there are too many.

        >>> len(Bands(tuple(f"category {n}" for n in range(1000))).ticks(560))
        7
        """
        between = pixels * self.band
        step = max(1, ceil(13 / between)) if upright else _stride(self.names, between)
        room = 230.0 if upright else max(between * step, 60)
        return [Tick((n + 0.5) * self.band, fit(self.names[n], room)) for n in range(0, len(self.names), step)]


def scale(axis: Axis, values: Iterable[Number], zero: bool = False, room: float = 0.0) -> Scale:
    """The scale that shows all values, or from 0 to 1 (log: 1 to 10) if there are none.

    zero : the scale reaches to 0, as bars need it. A log scale reaches to half of the lowest value, to show its bar
    room : a share of the scale that is added at both ends of a linear one
    """
    there = [v for v in (*values, axis.low, axis.high) if v is not None and present(v) and not (axis.log and v <= 0)]
    if axis.names:
        there += [0.0, float(len(axis.names) - 1)]
    if zero and there:
        there.append(max(min(there) / 2, 5e-324) if axis.log else 0.0)
    if not there:
        return Scale(1.0, 10.0, True) if axis.log else Scale(0.0, 1.0, names=axis.names)
    low, high = _apart(min(there), max(there), axis.log)
    if room and not axis.log and not axis.names:
        more = (high / 2 - low / 2) * 2 * room
        low, high = max(low - more, -FAR), min(high + more, FAR)
    return Scale(low, high, axis.log, axis.names)


def _apart(low: float, high: float, log: bool) -> tuple[float, float]:
    """The same bounds, or wider ones where nothing could be drawn between them."""
    if high / 2 - low / 2 > max(TINY, FINE * max(abs(low), abs(high)) / 2):
        return low, high
    if log:
        return max(low / 2, 5e-324), min(high * 2, FAR) if high > TINY else 1e-300
    room = max(abs(low), abs(high)) * 0.1
    if room <= TINY:
        return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    return max(low - room, -FAR), min(high + room, FAR)


def _round_values(low: float, high: float, wanted: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    half = high / 2 - low / 2
    raw = half / wanted * 2
    power = 10.0 ** floor(log10(raw))
    step = next((m * power for m in (1.0, 2.0, 5.0) if m * power >= raw * 0.999), 10.0 * power)
    step = min(step, 1e308)  # Twice as much is infinite.
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [min(max(n * step, low), high) for n in range(first, last + 1)]


def _powers(low: float, high: float, wanted: int) -> list[float]:
    """Powers of ten, with 2 and 5 times between them where the scale is short."""
    first, last = floor(log10(low)), ceil(log10(high))
    step = max(1, ceil((last - first) / wanted))
    factors = (1.0, 2.0, 5.0) if last - first <= 2 else (1.0,)
    values = [
        factor * 10.0**power
        for power in range(max(first, -307), min(last, 307) + 1)
        if (power - first) % step == 0
        for factor in factors
    ]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def _texts(values: Sequence[float]) -> list[str]:
    """Texts that tell neighbours apart: as many digits as the smallest step asks for."""
    steps = [abs(b / 2 - a / 2) * 2 for a, b in pairwise(values) if a != b]
    largest = max((abs(value) for value in values), default=0.0)
    if not steps or largest >= 1e7 or min(steps) < 1e-6 or max(steps) > 99 * min(steps):
        return [number(value, 8) for value in values]
    digits = max(0, -floor(log10(min(steps)) + 1e-9))
    return [f"{value + 0.0:,.{digits}f}" for value in values]


def _stride(names: Sequence[str], between: float) -> int:
    """Each how-manieth name is written, so that neighbours do not overlap."""
    longest = min(max((width(name) for name in names), default=0.0), 84.0) + 8
    return 1 if between >= min(longest, 60) else max(1, ceil(longest / max(between, 1e-9)))
