"""The past of metrics in a store: which series there are, and their values in a span of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from homeostat.adapters.influx.line_protocol import Series


class Metric(NamedTuple):
    """One field of a series: one value at a time."""

    series: Series
    field: str


class Value(NamedTuple):
    """A number of a metric; `time_ns` is when it was measured, or when its bucket begins."""

    metric: Metric
    time_ns: int
    number: float


class Span(NamedTuple):
    """From `start_ns` on and before `end_ns`; in buckets of `every_ns`, or as it was measured where that is 0."""

    start_ns: int
    end_ns: int
    every_ns: int = 0


class History(Protocol):
    """A store of metrics, for reading. Its methods raise Unavailable where it is away, and Unreadable if it refuses."""

    def metrics(self, span: Span) -> Sequence[Metric]:
        """Every numeric metric that has values in the span."""
        ...

    def values(self, span: Span) -> Iterator[Value]:
        """The values in the span, in any order; in buckets each is the mean of those in its bucket.

        A bucket without values has none.
        """
        ...
