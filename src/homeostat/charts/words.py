"""A chart in words and as a table, for readers who do not see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from homeostat.charts.spec import (
    Axis,
    Bar,
    Chart,
    Dots,
    HeatMap,
    Histogram,
    Intervals,
    Line,
    Number,
    Scatter,
    Series,
    Values,
    present,
)  # fmt: skip
from homeostat.charts.text import number, safe

SUMMARIES_MAX = 12


class Table(NamedTuple):
    """Column names, and rows. The first `heads` cells of a row are its name."""

    columns: list[str]
    rows: list[list[str]]
    heads: int


def summary(chart: Chart) -> str:
    """The lowest, highest and last value of each series.

    >>> from homeostat.charts.spec import Values
    >>> summary(Bar("Decisions", ("allow", "block"), (Values("today", (90.0, 10.0)),)))
    'today: 2 values, from 10 to 90, last 10.'
    """
    if isinstance(chart, HeatMap):
        return _spread("cells", list(chain.from_iterable(chart.values)))
    columns = [_spread(one.name, one.y if isinstance(one, Series) else one.values) for one in chart.series]
    more = [f"And {len(columns) - SUMMARIES_MAX:,} more series."] if len(columns) > SUMMARIES_MAX else []
    return " ".join(columns[:SUMMARIES_MAX] + more) or "No data."


def _spread(name: str, values: Sequence[Number]) -> str:
    there = [value for value in values if value is not None and present(value)]
    if not there:
        return f"{name}: no data."
    last = f", last {number(there[-1])}" if len(there) > 1 else ""
    ends = f"from {number(min(there))} to {number(max(there))}" if len(there) > 1 else number(there[0])
    return f"{name}: {len(there):,} value{'s' * (len(there) > 1)}, {ends}{last}."


def notes(chart: Chart, whole: Chart) -> list[str]:
    """Sentences on the values that the picture leaves out.

    chart : as it is drawn
    whole : as it was given
    """
    found = []
    if chart.kind != "histogram" and chart.decimated:
        drawn, all_ = _size(chart), _size(whole)
        found.append(f"{drawn:,} of {all_:,} values are drawn." if drawn < all_ else "Not every value is drawn.")
    pairs = list(_shown(whole))
    missing = sum(any(not present(value) for value, _ in row) for row in pairs)
    low = sum(
        all(present(value) for value, _ in row) and any(axis.log and (value or 0) <= 0 for value, axis in row)
        for row in pairs
    )
    if not pairs:
        found.append("No data.")
    if missing:
        found.append(f"{missing:,} of {len(pairs):,} values are missing.")
    if low:
        found.append(f"{low:,} of {len(pairs):,} values are not above 0: a logarithmic axis has no place for them.")
    return found


def _size(chart: Chart) -> int:
    return sum(1 for _ in _shown(chart))


def _shown(chart: Chart) -> Iterable[list[tuple[Number, Axis]]]:
    """The numbers that give each mark its place, with their axes."""
    match chart:
        case Line() | Scatter():
            return ([(x, chart.x), (y, chart.y)] for one in chart.series for x, y in zip(one.x, one.y))
        case HeatMap():
            return ([(value, chart.value)] for value in chain.from_iterable(chart.values))
        case Histogram():
            lows = chart.edges[:-1]
            return ([(value, chart.y), (low, chart.x)] for one in chart.series for low, value in zip(lows, one.values))
        case Dots():
            return ([(value, chart.x)] for one in chart.series for value in one.values)
        case Bar():
            return ([(value, chart.y)] for one in chart.series for value in one.values)


def table(chart: Chart) -> Table:
    """Everything that is drawn, as a table."""
    match chart:
        case Line() | Scatter():
            return _of_series(chart.series, chart.x, chart.y)
        case Bar():
            return _of_values(["category"], [[name] for name in chart.categories], chart.series)
        case Histogram():
            bins = [[number(low), number(high)] for low, high in pairwise(chart.edges)]
            return _of_values(["from", "to"], bins, chart.series)
        case HeatMap():
            rows = [[name, *map(number, row)] for name, row in zip(chart.rows, chart.values)]
            return Table([chart.y.label or "row", *chart.columns], rows, 1)
        case Dots():
            return _of_intervals(chart.categories, chart.series)


def _of_series(series: Sequence[Series], x: Axis, y: Axis) -> Table:
    banded = any(one.low for one in series)
    rows = []
    for one in series:
        bounds: Iterable[tuple[Number, Number]] = zip(one.low, one.high) if one.low else ((None, None) for _ in one.x)
        for across, up, (low, high) in zip(one.x, one.y, bounds):
            ends = ([number(low), number(high)] if one.low else ["", ""]) if banded else []
            rows.append([one.name, _named(across, x), number(up), *ends])
    return Table(["series", x.label or "x", y.label or "y", *(["low", "high"] if banded else [])], rows, 1)


def _named(value: Number, axis: Axis) -> str:
    """The name of a place on an axis with names, else its number."""
    if value is not None and present(value) and value == int(value) and 0 <= value < len(axis.names):
        return axis.names[int(value)]
    return number(value)


def _of_values(columns: list[str], heads: list[list[str]], series: Sequence[Values]) -> Table:
    rows = [head + [number(one.values[n]) for one in series] for n, head in enumerate(heads)]
    return Table([*columns, *(one.name for one in series)], rows, len(columns))


def _of_intervals(categories: Sequence[str], series: Sequence[Intervals]) -> Table:
    rows = [
        [name, one.name, number(one.values[n]), number(one.low[n]), number(one.high[n])]
        for n, name in enumerate(categories)
        for one in series
    ]
    return Table(["category", "series", "value", "low", "high"], rows, 2)


def html(content: Table, caption: str) -> str:
    """A table as HTML."""
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in content.columns)
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{safe(cell)}</th>' for cell in row[: content.heads])
        + "".join(f"<td>{safe(cell)}</td>" for cell in row[content.heads :])
        + "</tr>"
        for row in content.rows
    )
    return f"<table><caption>{safe(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
