"""Around the marks of a chart: title, legend, axes, ticks, notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeostat.charts.scales import Bands, Scale, Tick
from homeostat.charts.shapes import Box, colour, dash, dot, rect, segment, text
from homeostat.charts.spec import Axis, Mark
from homeostat.charts.text import fit, width

WIDTH, PLOT_HEIGHT, EDGE = 640.0, 220.0, 12.0
ENTRIES_MAX = 24  # Of a legend.
PLAIN = Axis()
Marks = Callable[[Box], list[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """The parts of a chart before they have their places.

    x, y : the scales
    draw : the marks of the chart, inside a box
    legend : names of series, drawn if there are two or more
    swatch : how a legend shows series k: `line`, `dot` or `box`
    steps : texts of the lowest and the highest colour of a heat map
    """

    x: Scale | Bands
    y: Scale | Bands
    draw: Marks
    x_axis: Axis = PLAIN
    y_axis: Axis = PLAIN
    marks: tuple[Mark, ...] = ()
    legend: tuple[str, ...] = ()
    swatch: str = "line"
    height: float = PLOT_HEIGHT
    steps: tuple[str, str] | None = None
    down: bool = False  # Categories of y run from the top.


def assemble(picture: Picture, title: str, notes: Sequence[str]) -> tuple[str, float]:
    """The elements of a chart, and its height in pixels. It is WIDTH wide."""
    parts = [text(EDGE, 22, fit(title, (WIDTH - 2 * EDGE) / 1.45), "title")]
    legend, below = _legend(picture, 42.0)
    parts += legend
    said = _said(picture.y_axis)
    if said:
        parts.append(text(EDGE, below, fit(said, WIDTH - 2 * EDGE)))
        below += 12
    if isinstance(picture.y, Bands) and any(mark.axis == "x" for mark in picture.marks):
        below += 14  # Their labels stand above the plot, and must not touch the title.
    y_ticks = picture.y.ticks(picture.height, upright=True)
    left = EDGE + max((width(tick.text) for tick in y_ticks), default=0.0) + 8
    box = Box(left, below, WIDTH - EDGE - 8 - left, picture.height)
    parts += _axes(picture, box, y_ticks)
    parts += picture.draw(box)
    parts += _references(picture, box)
    height = _beneath(picture, box, notes, parts)
    return "".join(parts), height


def _said(axis: Axis) -> str:
    """The text of an axis.

    >>> _said(Axis("cost", "EUR", log=True))
    'cost (EUR), logarithmic'
    """
    words = f"{axis.label} ({axis.unit})" if axis.label and axis.unit else axis.label or axis.unit
    return ", ".join(part for part in (words, "logarithmic" if axis.log else "") if part)


def _beneath(picture: Picture, box: Box, notes: Sequence[str], parts: list[str]) -> float:
    """Add the text below the plot. Returns the height of the chart."""
    y = box.top + box.height + 16
    said = _said(picture.x_axis)
    if said:
        y += 16
        parts.append(text(box.left + box.width, y, fit(said, box.width), anchor="end"))
    for note in notes:
        y += 16
        parts.append(text(EDGE, y, fit(note, WIDTH - 2 * EDGE)))
    return y + EDGE


def _axes(picture: Picture, box: Box, y_ticks: Sequence[Tick]) -> list[str]:
    parts, right, bottom = [], box.left + box.width, box.top + box.height
    for share, words in y_ticks:
        y = box.top + share * box.height if picture.down else box.y(share)
        if isinstance(picture.y, Scale):
            parts.append(segment(box.left, y, right, y, "grid"))
        parts.append(text(box.left - 6, y + 4, words, anchor="end"))
    free = 0.0
    for share, words in picture.x.ticks(box.width):
        x = box.x(share)
        if isinstance(picture.x, Scale) and isinstance(picture.y, Bands):
            parts.append(segment(x, box.top, x, bottom, "grid"))
        half = width(words) / 2
        middle = min(max(x, half + 2), WIDTH - half - 2)
        if middle - half >= free:  # A text that was moved inside the frame may reach its neighbour.
            parts.append(text(middle, bottom + 15, words, anchor="middle"))
            free = middle + half + 4
    zero = picture.y.at(0.0) if isinstance(picture.y, Scale) and isinstance(picture.x, Bands) else None
    parts.append(segment(box.left, bottom, right, bottom, "axis" if not zero else "grid"))
    if zero:
        parts.append(segment(box.left, box.y(zero), right, box.y(zero), "axis"))
    return parts


def _legend(picture: Picture, y: float) -> tuple[list[str], float]:
    """Names with their swatches in rows, and where the plot may begin."""
    if picture.steps is not None:
        return _colours(picture.steps, y)
    if len(picture.legend) < 2:
        return [], y - 6
    parts, x = [], EDGE
    for k, name in enumerate(picture.legend[:ENTRIES_MAX]):
        words = fit(name, 180)
        if x > EDGE and x + 28 + width(words) > WIDTH - EDGE:
            x, y = EDGE, y + 17
        parts += [_swatch(picture.swatch, k, x, y), text(x + 24, y, words, "name")]
        x += 24 + width(words) + 16
    if len(picture.legend) > ENTRIES_MAX:
        y += 17
        parts.append(text(EDGE, y, f"and {len(picture.legend) - ENTRIES_MAX:,} more"))
    return parts, y + 18


def _swatch(kind: str, k: int, x: float, y: float) -> str:
    if kind == "line":
        return segment(x, y - 4, x + 20, y - 4, f"s{colour(k)}", f' stroke-width="1.8"{dash(k)}')
    if kind == "dot":
        return dot(x + 12, y - 4, k)
    box = Box(x + 4, y - 10, 14, 12)
    return rect(box, f"f{colour(k)}") + pattern([box], k)


def pattern(boxes: Sequence[Box], k: int) -> str:
    """Lines on the bars of series k, so that bars differ without colours: none, level, upright or both."""
    kind, parts = (k + k // 6) % 4, []
    for box in boxes:
        if kind in (1, 3):
            rows = range(1, min(int(box.height // 5), 60) + 1)
            parts += [f"M{box.left:.1f},{box.top + 5 * n - 2:.1f}h{box.width:.1f}" for n in rows]
        if kind in (2, 3) and box.height > 0:
            parts.append(f"M{box.left + box.width / 2:.1f},{box.top:.1f}v{box.height:.1f}")
    return f'<path class="paper" d="{"".join(parts)}" fill="none"/>' if parts else ""


def _colours(steps: tuple[str, str], y: float) -> tuple[list[str], float]:
    """The scale of colours of a heat map."""
    low, high = steps
    x = EDGE + width(low) + 6
    parts = [text(EDGE, y, low)] + [rect(Box(x + 18 * k, y - 10, 18, 12), f"h{k}") for k in range(7)]
    return [*parts, text(x + 7 * 18 + 6, y, high)], y + 14


def _references(picture: Picture, box: Box) -> list[str]:
    """The straight lines across the chart, and their labels at their ends."""
    parts = []
    for mark in picture.marks:
        on = picture.x if mark.axis == "x" else picture.y
        at = on.at(mark.at) if isinstance(on, Scale) else None
        if at is None:
            continue
        if mark.axis == "x":
            x = box.x(at)
            end = "end" if at > 0.5 else "start"
            parts.append(segment(x, box.top, x, box.top + box.height, "mark"))
            # Rows of categories begin at the top, so that the label would cover the first.
            y = box.top - 4 if isinstance(picture.y, Bands) else box.top + 10
            parts.append(text(x - 4 if at > 0.5 else x + 4, y, fit(mark.label, 200), "name", end))
        else:
            y = box.y(at)
            parts.append(segment(box.left, y, box.left + box.width, y, "mark"))
            above = y - 4 if at < 0.9 else y + 12
            parts.append(text(box.left + box.width, above, fit(mark.label, 200), "name", "end"))
    return parts
