"""The contents of a chart, as frozen facts that fit into JSON. Nothing here knows how a chart is drawn.

A value is missing if it is None, not a number or infinite. Every field is a tuple, so that a spec can't change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal

Number = float | None
BINS_MAX = 2_000


def _same(what: str, expected: int, **columns: Sequence[object]) -> None:
    """Raise ValueError if a column has neither `expected` values nor, where it may be left out, none."""
    for name, column in columns.items():
        if len(column) != expected:
            raise ValueError(f"{what}: {name} has {len(column)} values, not {expected}")


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    label, unit : text beside the axis. An empty one is not drawn
    log : a logarithmic scale. Values that are not above 0 are then left out, and the chart says how many
    low, high : the axis reaches at least as far. Values beyond them are still drawn
    names : the names of x = 0, 1, 2 and so on, written instead of numbers. Only for the x axis of lines and points
    Raises ValueError if a logarithmic axis has names.
    """

    label: str = ""
    unit: str = ""
    log: bool = False
    low: Number = None
    high: Number = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.log and self.names:
            raise ValueError("an axis has names or a logarithmic scale, not both")


@dataclass(frozen=True, slots=True)
class Mark:
    """A straight line across the chart: a target, a threshold, the time of a deployment.

    at : where, in the unit of the axis
    axis : the axis that `at` is on. The line crosses that axis
    """

    at: float
    label: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True, slots=True)
class Series:
    """Points by x and y, in the order in which a line joins them.

    x, y : (n,)
    low, high : (n,) bounds of a band around y, or both empty
    Raises ValueError if the lengths differ.
    """

    name: str
    x: tuple[Number, ...]
    y: tuple[Number, ...]
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        _same(f"series {self.name!r}", len(self.x), y=self.y)
        if self.low or self.high:
            _same(f"series {self.name!r}", len(self.x), low=self.low, high=self.high)


@dataclass(frozen=True, slots=True)
class Values:
    """A value for each category or bin."""

    name: str
    values: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Intervals:
    """An estimate with its bounds for each category.

    values, low, high : (n,). A missing bound draws the dot alone
    Raises ValueError if the lengths differ.
    """

    name: str
    values: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]

    def __post_init__(self) -> None:
        _same(f"intervals {self.name!r}", len(self.values), low=self.low, high=self.high)


@dataclass(frozen=True, slots=True)
class Line:
    """Lines, each with a band if its series has bounds. A missing value interrupts its line.

    kind : `step` holds each y until the next x
    decimated : these are not all points, see `thinned`
    """

    title: str
    series: tuple[Series, ...]
    description: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    decimated: bool = False
    kind: Literal["line", "step"] = "line"


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points. Bounds of a series are drawn as whiskers.

    decimated : these are not all points, see `thinned`
    """

    title: str
    series: tuple[Series, ...]
    description: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    decimated: bool = False
    kind: Literal["scatter"] = "scatter"


@dataclass(frozen=True, slots=True)
class Bar:
    """Upright bars from 0, side by side within a category.

    categories : (n,) names. Each of `series` has n values
    Raises ValueError if the lengths differ.
    """

    title: str
    categories: tuple[str, ...]
    series: tuple[Values, ...]
    description: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    decimated: bool = False
    kind: Literal["bar"] = "bar"

    def __post_init__(self) -> None:
        for one in self.series:
            _same(f"bars {one.name!r}", len(self.categories), values=one.values)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts, or densities, between edges.

    edges : (n + 1,) finite, each above the one before, n <= BINS_MAX. Each of `series` has n values. May be empty
    Raises ValueError otherwise.
    """

    title: str
    edges: tuple[float, ...]
    series: tuple[Values, ...]
    description: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    kind: Literal["histogram"] = "histogram"

    def __post_init__(self) -> None:
        bins = max(len(self.edges) - 1, 0)
        if bins > BINS_MAX:
            raise ValueError(f"a histogram has {BINS_MAX:,} bins at most, not {bins:,}")
        if not all(isfinite(edge) for edge in self.edges) or any(left >= right for left, right in pairwise(self.edges)):
            raise ValueError("the edges of a histogram are finite, and each is above the one before")
        for one in self.series:
            _same(f"histogram {one.name!r}", bins, values=one.values)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A colour for each row and column. The scale of colours reaches from the lowest to the highest value.

    values : (rows, columns)
    value : label and unit of the values, and whether their scale of colours is logarithmic
    Raises ValueError if the lengths differ.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[Number, ...], ...]
    description: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    value: Axis = Axis()
    decimated: bool = False
    kind: Literal["heat map"] = "heat map"

    def __post_init__(self) -> None:
        _same("heat map", len(self.rows), values=self.values)
        for name, row in zip(self.rows, self.values, strict=True):
            _same(f"row {name!r}", len(self.columns), values=row)


@dataclass(frozen=True, slots=True)
class Dots:
    """A dot with its interval for each category, one category below the other.

    categories : (n,) names. Each of `series` has n values
    x : the axis of the values
    Raises ValueError if the lengths differ.
    """

    title: str
    categories: tuple[str, ...]
    series: tuple[Intervals, ...]
    description: str = ""
    x: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    decimated: bool = False
    kind: Literal["dots"] = "dots"

    def __post_init__(self) -> None:
        for one in self.series:
            _same(f"dots {one.name!r}", len(self.categories), values=one.values)


Chart = Line | Scatter | Bar | Histogram | HeatMap | Dots


def present(value: Number) -> bool:
    """Whether a value is there.

    >>> present(0.0), present(None), present(float("nan")), present(float("inf"))
    (True, False, False, False)
    """
    return value is not None and isfinite(value)
