"""Fewer points than there are pixels and readers for, chosen so that the picture stays the same.

>>> from homeostat.charts.spec import Line, Series
>>> y = tuple(float(n % 100 == 50) for n in range(100_000))
>>> thin = thinned(Line("peaks", (Series("a", tuple(map(float, range(100_000))), y),)))
>>> thin.decimated, len(thin.series[0].x) <= POINTS_MAX, max(thin.series[0].y)
(True, True, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from homeostat.charts.spec import Bar, Chart, Dots, HeatMap, Intervals, Line, Number, Scatter, Series, Values, present

POINTS_MAX = 2_000  # Of a series, and of categories.
SIDE_MAX = 100  # Rows, and columns, of a heat map.
T = TypeVar("T")


def thinned(chart: Chart) -> Chart:
    """The chart with POINTS_MAX points of each series at most, and `decimated` set if any were left out.

    A line keeps its ends, and the lowest, the highest and a missing value of each of 666 stretches. A scatter keeps
    evenly spaced points and the extremes. Categories are the first POINTS_MAX, rows and columns the first SIDE_MAX.
    """
    match chart:
        case Line() | Scatter():
            few = tuple(_series(one, isinstance(chart, Line)) for one in chart.series)
            return replace(chart, series=few, decimated=True) if few != chart.series else chart
        case Bar() | Dots() if len(chart.categories) > POINTS_MAX:
            return _categories(chart)
        case HeatMap() if max(len(chart.rows), len(chart.columns)) > SIDE_MAX:
            values = tuple(row[:SIDE_MAX] for row in chart.values[:SIDE_MAX])
            rows, columns = chart.rows[:SIDE_MAX], chart.columns[:SIDE_MAX]
            return replace(chart, rows=rows, columns=columns, values=values, decimated=True)
    return chart


def _categories(chart: Bar | Dots) -> Bar | Dots:
    few = chart.categories[:POINTS_MAX]
    if isinstance(chart, Bar):
        bars = tuple(Values(one.name, one.values[:POINTS_MAX]) for one in chart.series)
        return replace(chart, categories=few, series=bars, decimated=True)
    dots = tuple(
        Intervals(one.name, one.values[:POINTS_MAX], one.low[:POINTS_MAX], one.high[:POINTS_MAX])
        for one in chart.series
    )
    return replace(chart, categories=few, series=dots, decimated=True)


def _series(series: Series, joined: bool) -> Series:
    if len(series.x) <= POINTS_MAX:
        return series
    kept = _of_line(series) if joined else _of_points(series)
    return Series(
        series.name, _at(series.x, kept), _at(series.y, kept), _at(series.low, kept), _at(series.high, kept)
    )  # fmt: skip


def _at(values: Sequence[T], kept: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[n] for n in kept) if values else ()


def _of_line(series: Series) -> list[int]:
    """Rows to keep: both ends, and of each stretch the lowest, the highest and the first that is missing."""
    n, stretches = len(series.x), (POINTS_MAX - 2) // 3
    low, high = series.low or series.y, series.high or series.y
    kept = {0, n - 1}
    for k in range(stretches):
        rows = range(k * n // stretches, (k + 1) * n // stretches)
        there = [row for row in rows if present(series.x[row]) and present(series.y[row])]
        kept |= _extremes(there, low, high)
        kept |= set(next(([row] for row in rows if not (present(series.x[row]) and present(series.y[row]))), []))
    return sorted(kept)


def _of_points(series: Series) -> list[int]:
    n, even = len(series.x), POINTS_MAX - 4
    there = [row for row in range(n) if present(series.x[row]) and present(series.y[row])]
    kept = {k * n // even for k in range(even)}
    return sorted(kept | _extremes(there, series.x, series.x) | _extremes(there, series.y, series.y))


def _extremes(rows: Sequence[int], low: Sequence[Number], high: Sequence[Number]) -> set[int]:
    """The rows of the lowest `low` and the highest `high`."""
    below = [(value, row) for row in rows if (value := low[row]) is not None and present(value)]
    above = [(value, -row) for row in rows if (value := high[row]) is not None and present(value)]
    return {min(below)[1] for _ in below[:1]} | {-max(above)[1] for _ in above[:1]}
