"""The space of settings that tuning searches: one dimension for each setting, with the hand-made value in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = int | float | str
Values: TypeAlias = Mapping[str, Value]
GRID_STEPS = 3  # Of a range, on a grid: its ends and its middle.


@dataclass(frozen=True, slots=True)
class Dimension:
    """One setting.

    name : such as `boosted.depth`
    hand : its value in the app file; a choice by its label
    low, high, log, whole : of a range; `whole` for whole numbers
    choices : label -> value, instead of a range
    A range is widened to hold the hand-made value.
    """

    name: str
    hand: Value
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: Mapping[str, Any] | None = None

    def value(self, chosen: Value) -> Any:
        """The setting's value, as the app file would have it."""
        return self.choices[str(chosen)] if self.choices is not None else chosen

    def grid(self) -> tuple[Value, ...]:
        """The values on a grid, the hand-made one among them."""
        if self.choices is not None:
            return tuple(self.choices)
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        found = [ends[0] + (ends[1] - ends[0]) * step / (GRID_STEPS - 1) for step in range(GRID_STEPS)]
        values = [min(max(math.exp(x) if self.log else x, self.low), self.high) for x in found]
        rounded: list[Value] = [round(x) if self.whole else x for x in values]
        return tuple(dict.fromkeys([*rounded, self.hand]))

    def unit(self, chosen: float) -> float:
        """A value of a range as a share of the way from its low to its high end."""
        low, high, at = self.low, self.high, float(chosen)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)

    def at(self, unit: float) -> Value:
        """The value at a share of the way; the other direction of `unit`."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = low + (high - low) * min(max(unit, 0.0), 1.0)
        value = min(max(math.exp(value) if self.log else value, self.low), self.high)
        return round(value) if self.whole else value


def ranged(name: str, hand: float, low: float, high: float, *, log: bool = False, whole: bool = False) -> Dimension:
    """A range, widened to hold the hand-made value where that fits its scale.

    >>> ranged("boosted.depth", 12, 2, 8, whole=True).high
    12
    """
    if hand > 0 or not log:
        low, high = min(low, hand), max(high, hand)
    else:  # A hand-made 0 has no place on a logarithmic scale: the range becomes an even one.
        low, log = min(low, hand), False
    return Dimension(name, int(hand) if whole else float(hand), low, high, log, whole)


def chosen_from(name: str, hand: Any, values: Sequence[Any]) -> Dimension:
    """A choice, the hand-made value first.

    >>> list(chosen_from("network.hidden", (64.0, 64.0), [(32.0,), (64.0, 64.0)]).choices)
    ['64,64', '32']
    """
    labels = {label(value): value for value in (hand, *values)}
    return Dimension(name, label(hand), choices=labels)


def label(value: Any) -> str:
    """A value as a short text."""
    if isinstance(value, (tuple, list)):
        return ",".join(label(part) for part in value)
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def hand_made(space: Sequence[Dimension]) -> dict[str, Value]:
    """The settings of the app file, as a point of the space."""
    return {dimension.name: dimension.hand for dimension in space}


def grid_size(space: Sequence[Dimension]) -> int:
    """The number of points of the grid."""
    return math.prod(len(dimension.grid()) for dimension in space)


def grid_point(space: Sequence[Dimension], number: int, seed: int) -> dict[str, Value]:
    """A point of the grid: those of number 0, 1 and so on are all different, in an order that the seed shuffles.

    The numbers step through the grid by a stride that shares no factor with its size, so no list of points is kept.

    >>> space = [chosen_from("a", 1, [2]), chosen_from("b", 1, [2, 3])]
    >>> len({tuple(grid_point(space, k, 5).items()) for k in range(6)})
    6
    """
    size = grid_size(space)
    stride = max(1, round(size * 0.6180339887)) if size > 2 else 1
    while math.gcd(stride, size) != 1:
        stride += 1
    rest = (seed + number * stride) % size
    point: dict[str, Value] = {}
    for dimension in space:
        values = dimension.grid()
        rest, at = divmod(rest, len(values))
        point[dimension.name] = values[at]
    return point
