"""History of metrics from a store into one wide table: a row for each entity and time, a column for each metric.

A span is read in parts of some 200,000 values, so that memory does not grow with the span. In buckets, each entity has
a row in every bucket, and a gap is a row without values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from homeostat.adapters.disk.wide_files import Row, WideWriter
from homeostat.adapters.influx.line_protocol import Series
from homeostat.adapters.metrics.history import History, Metric, Span, Value
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.errors import HomeostatError, Unavailable

COLUMNS_MAX = 5_000
ROWS_MAX = 1_000_000  # Of one part, entities times buckets.
_VALUES = 200_000  # Of one part.
_FIRST_NS, _LONGEST_NS = 60 * 10**9, 86_400 * 10**9
_TRIES = 5
T = TypeVar("T")
Progress = Callable[[str, float], None]


class NothingToCollect(HomeostatError):
    """A store has no metrics in the span, or too many; the text says which."""

    why = "a table has at least one metric, and at most 5,000"
    remedy = "Choose another span, or measurements with --measurement"


@dataclass(frozen=True, slots=True)
class Collected:
    """The result.

    rows, entities, metrics : of the table; gaps : rows without any value
    """

    rows: int
    entities: int
    metrics: int
    values: int
    gaps: int


class _Layout:
    """Which column and which entity a metric belongs to."""

    def __init__(self, metrics: Sequence[Metric], tags: Sequence[str]) -> None:
        self.tags = tuple(tags) or _entity_tags(metrics)
        named = {metric: (self._entity(metric.series), self._column(metric)) for metric in metrics}
        self.columns = sorted({column for _, column in named.values()})
        self.entities = sorted({entity for entity, _ in named.values()})
        at = {column: place for place, column in enumerate(self.columns)}
        self.places = {metric: (entity, at[column]) for metric, (entity, column) in named.items()}

    def _entity(self, series: Series) -> tuple[str, ...]:
        own = dict(series.tags)
        return tuple(own.get(tag, "") for tag in self.tags)

    def _column(self, metric: Metric) -> str:
        name = metric.series.measurement if metric.field == "value" else f"{metric.series.measurement}.{metric.field}"
        rest = [f"{tag}={text}" for tag, text in metric.series.tags if tag not in self.tags]
        return f"{name}{{{','.join(rest)}}}" if rest else name


def collect(
    history: History, span: Span, tags: Sequence[str], out: Path, progress: Progress, pause: Callable[[float], object]
) -> Collected:
    """Write the history of a span.

    tags : whose values name an entity; the first of host, instance and service that there is when empty
    pause : waits so many seconds before a part is tried again
    Raises NothingToCollect, Unavailable, Unreadable, UnknownFormat.
    """
    metrics = _tried(lambda: list(history.metrics(span)), pause)
    if not metrics:
        raise NothingToCollect("the store has no numeric metrics in this span")
    layout = _Layout(metrics, tags)
    if len(layout.columns) > COLUMNS_MAX:
        raise NothingToCollect(
            f"the table would have {len(layout.columns):,} columns: name the tags of an entity with --tag, or choose "
            "measurements with --measurement"
        )
    rows = values = gaps = 0
    with WideWriter(out, layout.tags, layout.columns) as writer:
        start_ns, length_ns = span.start_ns, _first_length(span, layout)
        while start_ns < span.end_ns:
            part = Span(start_ns, min(span.end_ns, start_ns + length_ns), span.every_ns)
            found = _tried(partial(_values, history, part), pause)
            made, empty = _rows(found, part, layout)
            writer.write(made)
            rows, values, gaps = rows + len(made), values + len(found), gaps + empty
            start_ns = part.end_ns
            progress("collecting", (start_ns - span.start_ns) / (span.end_ns - span.start_ns))
            length_ns = _next_length(span, length_ns, len(found))
    return Collected(rows, len(layout.entities), len(layout.columns), values, gaps)


def _values(history: History, part: Span) -> list[Value]:
    return list(history.values(part))


def _rows(found: Sequence[Value], part: Span, layout: _Layout) -> tuple[list[Row], int]:
    """The rows of a part, by time and entity, and how many of them are gaps."""
    cells: dict[tuple[int, tuple[str, ...]], list[float | None]] = {}
    width = len(layout.columns)
    if part.every_ns:
        for at in range(part.start_ns, part.end_ns, part.every_ns):
            cells.update({(at, entity): [None] * width for entity in layout.entities})
    for metric, time_ns, number in found:
        place = layout.places.get(metric)
        if place is None or not part.start_ns <= time_ns < part.end_ns:
            continue  # A series that began after the columns were chosen.
        entity, column = place
        row = cells.get((time_ns, entity))
        if row is None:
            row = cells[time_ns, entity] = [None] * width
        row[column] = number
    rows: list[Row] = [(at, entity, cells[at, entity]) for at, entity in sorted(cells)]
    return rows, sum(all(value is None for value in row) for row in cells.values())


def _tried(read: Callable[[], list[T]], pause: Callable[[float], object]) -> list[T]:
    """The result of a reading that is tried some times. Raises Unavailable."""
    pauses = Pauses(Backoff(0.5, 10.0))
    for _ in range(_TRIES - 1):
        try:
            return read()
        except Unavailable:
            pause(pauses.next_s())
    return read()


def _first_length(span: Span, layout: _Layout) -> int:
    """The length of the first part: in buckets, the number of values is known."""
    if not span.every_ns:
        return _FIRST_NS
    buckets = min(_VALUES // len(layout.places), ROWS_MAX // len(layout.entities))
    return max(1, buckets) * span.every_ns


def _next_length(span: Span, length_ns: int, values: int) -> int:
    """The length of the next part: of so many values as are wanted, but at most four times as long as the last one."""
    if span.every_ns:
        return length_ns
    return min(_LONGEST_NS, max(10**9, int(length_ns * min(4.0, _VALUES / max(values, 1)))))


def _entity_tags(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The tag that names entities, where nobody says which."""
    known = {tag for metric in metrics for tag, _ in metric.series.tags}
    return tuple(tag for tag in ("host", "instance", "service") if tag in known)[:1]
