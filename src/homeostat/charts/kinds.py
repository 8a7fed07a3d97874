"""How each kind of chart is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from homeostat.charts.frame import PLOT_HEIGHT, Picture, pattern
from homeostat.charts.scales import Bands, Scale, scale
from homeostat.charts.shapes import Box, Point, area, colour, dash, dot, path, rect, segment, text
from homeostat.charts.spec import Bar, Chart, Dots, HeatMap, Histogram, Line, Mark, Number, Scatter, Series
from homeostat.charts.text import number, width

TIPS_MAX = 500  # Marks with a text under the pointer; more would weigh more than they help.
ROOM = 0.03  # Beside the outermost dots, of the scale.
ROW, CELL = 18.0, 24.0  # Pixels of a row of dots, and of a heat map.


def picture(chart: Chart) -> Picture:
    """The parts of a chart."""
    match chart:
        case Line():
            return _lines(chart)
        case Scatter():
            return _scatter(chart)
        case Bar():
            return _bars(chart)
        case Histogram():
            return _histogram(chart)
        case HeatMap():
            return _heat_map(chart)
        case Dots():
            return _dots(chart)


def _at(marks: Iterable[Mark], axis: str) -> list[Number]:
    return [mark.at for mark in marks if mark.axis == axis]


def _scales(chart: Line | Scatter, room: float = 0.0) -> tuple[Scale, Scale]:
    x = chain(_at(chart.marks, "x"), *(one.x for one in chart.series))
    y = chain(_at(chart.marks, "y"), *((*one.y, *one.low, *one.high) for one in chart.series))
    return scale(chart.x, x, room=room), scale(chart.y, y, room=room)


def _lines(chart: Line) -> Picture:
    x, y = _scales(chart)

    def draw(box: Box) -> list[str]:
        bands, lines = [], []
        for k, one in enumerate(chart.series):
            for low, high in _bands(one, x, y, box):
                ring = _stepped(low)[::-1] if chart.kind == "step" else low[::-1]
                bands.append(area([*(_stepped(high) if chart.kind == "step" else high), *ring], k))
            for run in _runs(zip(one.x, one.y), x, y, box):
                points = _stepped(run) if chart.kind == "step" else run
                # A point between two gaps has no line to be seen by.
                lines.append(path(points, k, dash(k)) if len(run) > 1 else dot(*run[0], k))
        return bands + lines

    names = tuple(one.name for one in chart.series)
    return Picture(x, y, draw, chart.x, chart.y, chart.marks, names, "line")


def _runs(pairs: Iterable[tuple[Number, Number]], x: Scale, y: Scale, box: Box) -> Iterator[list[Point]]:
    """Stretches of points without a gap, in pixels."""
    run: list[Point] = []
    for across, up in pairs:
        px, py = x.at(across), y.at(up)
        if px is not None and py is not None:
            run.append((box.x(px), box.y(py)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _bands(one: Series, x: Scale, y: Scale, box: Box) -> Iterator[tuple[list[Point], list[Point]]]:
    """Stretches of lower and upper bounds without a gap, in pixels."""
    low: list[Point] = []
    high: list[Point] = []
    for across, down, up in zip(one.x, one.low, one.high):
        px, below, above = x.at(across), y.at(down), y.at(up)
        if px is not None and below is not None and above is not None:
            low.append((box.x(px), box.y(below)))
            high.append((box.x(px), box.y(above)))
        elif low:
            yield low, high
            low, high = [], []
    if low:
        yield low, high


def _stepped(points: list[Point]) -> list[Point]:
    """The corners of a line that holds each height until the next point.

    >>> _stepped([(0, 1), (2, 3)])
    [(0, 1), (2, 1), (2, 3)]
    """
    corners = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        corners += [(x, before), (x, y)]
    return corners


def _scatter(chart: Scatter) -> Picture:
    x, y = _scales(chart, ROOM)
    tips = sum(len(one.x) for one in chart.series) <= TIPS_MAX

    def draw(box: Box) -> list[str]:
        parts = []
        for k, one in enumerate(chart.series):
            bounds = zip(one.low, one.high) if one.low else ((None, None) for _ in one.x)
            for across, up, (low, high) in zip(one.x, one.y, bounds):
                px, py = x.at(across), y.at(up)
                if px is None or py is None:
                    continue
                below, above = y.at(low), y.at(high)
                if below is not None and above is not None:
                    parts.append(segment(box.x(px), box.y(below), box.x(px), box.y(above), f"s{colour(k)}"))
                tip = f"{one.name}: {number(across)}, {number(up)}" if tips else ""
                parts.append(dot(box.x(px), box.y(py), k, tip))
        return parts

    names = tuple(one.name for one in chart.series)
    return Picture(x, y, draw, chart.x, chart.y, chart.marks, names, "dot")


def _bars(chart: Bar) -> Picture:
    x = Bands(chart.categories)
    values = chain(_at(chart.marks, "y"), *(one.values for one in chart.series))
    y = scale(chart.y, values, zero=True)
    each = x.band * 0.8 / max(len(chart.series), 1)
    tips = len(chart.categories) * len(chart.series) <= TIPS_MAX

    def draw(box: Box) -> list[str]:
        parts = []
        for k, one in enumerate(chart.series):
            drawn = []
            for n, value in enumerate(one.values):
                left = n * x.band + x.band * 0.1 + k * each
                found = _upright(box, left, left + each, value, y)
                if found is not None:
                    drawn.append(found)
                    tip = f"{chart.categories[n]}, {one.name}: {number(value)}" if tips else ""
                    parts.append(rect(found, f"f{colour(k)}", tip))
            if each * box.width >= 4:
                parts.append(pattern(drawn, k))
        return parts

    names = tuple(one.name for one in chart.series)
    return Picture(x, y, draw, chart.x, chart.y, chart.marks, names, "box")


def _upright(box: Box, left: float, right: float, value: Number, y: Scale) -> Box | None:
    """The bar from 0, or from the bottom of a log scale, to a value. None if it is missing."""
    at = y.at(value)
    if at is None:
        return None
    zero = y.at(0.0) or 0.0
    top, bottom = box.y(max(at, zero)), box.y(min(at, zero))
    return Box(box.x(left), top, max((right - left) * box.width, 0.5), bottom - top)


def _histogram(chart: Histogram) -> Picture:
    x = scale(chart.x, chain(_at(chart.marks, "x"), chart.edges))
    y = scale(chart.y, chain(_at(chart.marks, "y"), *(one.values for one in chart.series)), zero=True)
    alone = len(chart.series) == 1

    def draw(box: Box) -> list[str]:
        parts = []
        for k, one in enumerate(chart.series):
            outline: list[Point] = []
            for (low, high), value in zip(pairwise(chart.edges), one.values):
                left, right = x.at(low), x.at(high)
                found = None if left is None or right is None else _upright(box, left, right, value, y)
                if found is None:
                    continue
                tip = f"{number(low)} to {number(high)}, {one.name}: {number(value)}"
                if alone:
                    gap = 1.0 if found.width > 4 else 0.0
                    parts.append(rect(found._replace(width=found.width - gap), f"f{colour(k)}", tip))
                at = box.y(y.at(value) or 0.0)
                outline += [(found.left, at), (found.left + found.width, at)]
            # Bars of several series would hide each other; their outlines do not.
            if outline and not alone:
                parts.append(path(outline, k, dash(k)))
        return parts

    names = tuple(one.name for one in chart.series)
    return Picture(x, y, draw, chart.x, chart.y, chart.marks, names, "line")


def _heat_map(chart: HeatMap) -> Picture:
    values = scale(chart.value, chain.from_iterable(chart.values))
    x, y = Bands(chart.columns), Bands(chart.rows)
    height = max(CELL, min(CELL * len(chart.rows), 1_200.0))
    tips = len(chart.rows) * len(chart.columns) <= TIPS_MAX

    def draw(box: Box) -> list[str]:
        parts, wide, high = [], box.width * x.band, box.height * y.band
        written = all(width(number(v, 3)) + 4 < wide for row in chart.values for v in row) and high >= 14
        for r, row in enumerate(chart.values):
            for c, value in enumerate(row):
                cell = Box(box.left + c * wide, box.top + r * high, wide, high)
                tip = f"{chart.rows[r]}, {chart.columns[c]}: {number(value)}" if tips else ""
                parts.append(_cell(cell, value, values, written, tip))
        return parts

    said = " ".join(part for part in (chart.value.label, chart.value.unit) if part)
    low, high = number(values.low, 4), number(values.high, 4)
    steps = (f"{said}: {low}" if said else low, high)
    return Picture(x, y, draw, chart.x, chart.y, height=height, steps=steps, down=True)


def _cell(cell: Box, value: Number, values: Scale, written: bool, tip: str) -> str:
    """A cell with its value where all fit. It is struck out if the value is missing."""
    at = values.at(value)
    if at is None:
        right, bottom = cell.left + cell.width, cell.top + cell.height
        return segment(cell.left, bottom, right, cell.top, "axis")
    step = min(int(at * 7), 6)
    words = ""
    if written:
        words = text(cell.left + cell.width / 2, cell.top + cell.height / 2 + 4, number(value, 3), f"t{step}", "middle")
    return rect(cell, f"h{step}", tip) + words


def _between(low: Number, high: Number) -> str:
    """The bounds of a value in words.

    >>> _between(0.1, 0.2), _between(0.1, None), _between(None, 0.2), _between(None, None)
    ('0.1 to 0.2', 'at least 0.1', 'at most 0.2', 'without bounds')
    """
    if low is None and high is None:
        return "without bounds"
    if low is None or high is None:
        return f"at most {number(high)}" if low is None else f"at least {number(low)}"
    return f"{number(low)} to {number(high)}"


def _dots(chart: Dots) -> Picture:
    bounds = ((*one.values, *one.low, *one.high) for one in chart.series)
    x = scale(chart.x, chain(_at(chart.marks, "x"), *bounds), room=ROOM)
    y = Bands(chart.categories)
    row = max(ROW, 8.0 * len(chart.series) + 4)
    height = max(PLOT_HEIGHT / 4, row * len(chart.categories))
    tips = len(chart.categories) * len(chart.series) <= TIPS_MAX

    def draw(box: Box) -> list[str]:
        parts = []
        for k, one in enumerate(chart.series):
            for n, (value, low, high) in enumerate(zip(one.values, one.low, one.high)):
                at = x.at(value)
                if at is None:
                    continue
                middle = box.top + box.height * y.band * (n + (k + 1) / (len(chart.series) + 1))
                left, right = x.at(low), x.at(high)
                if left is not None or right is not None:  # A bound on one side is drawn up to the dot.
                    ends = box.x(at if left is None else left), box.x(at if right is None else right)
                    parts.append(segment(ends[0], middle, ends[1], middle, f"s{colour(k)}", ' stroke-width="1.8"'))
                tip = f"{chart.categories[n]}, {one.name}: {number(value)}, {_between(low, high)}" * tips
                parts.append(dot(box.x(at), middle, k, tip))
        return parts

    names = tuple(one.name for one in chart.series)
    return Picture(x, y, draw, chart.x, marks=chart.marks, legend=names, swatch="dot", height=height, down=True)
