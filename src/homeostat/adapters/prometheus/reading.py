"""Reads Prometheus by its HTTP API: in buckets by range queries, else the samples themselves.

A range query answers at most 11,000 points of a series, so a long span is asked for in parts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from homeostat.adapters.http.asking import Asking, Unreadable
from homeostat.adapters.influx.line_protocol import Series
from homeostat.adapters.metrics.history import Metric, Span, Value

POINTS_MAX = 11_000
_FIELD = "value"
_NAME = "__name__"
_MS_NS = 10**6


class PrometheusApi:
    """See `History`.

    measurements : names of metrics
    queries : expressions of PromQL instead, which are evaluated at the start of each bucket
    prefix : of the paths, where a proxy has one
    """

    def __init__(
        self, asking: Asking, measurements: Sequence[str] = (), queries: Sequence[str] = (), prefix: str = ""
    ) -> None:
        self._asking, self._names, self._queries, self._prefix = asking, tuple(measurements), tuple(queries), prefix

    def metrics(self, span: Span) -> list[Metric]:
        """See `History`."""
        found: dict[Metric, None] = {}
        if self._queries:
            return list(dict.fromkeys(value.metric for value in self.values(span)))
        for name in self._names:
            asked = {"match[]": _selector(name), "start": _seconds(span.start_ns), "end": _seconds(span.end_ns)}
            for labels in self._ask("series", asked):
                found[_metric(labels, name)] = None
        return list(found)

    def values(self, span: Span) -> Iterator[Value]:
        """See `History`."""
        for query in self._queries:
            yield from self._ranges(query, query, span, 0)
        for name in self._names:
            if span.every_ns:
                # A range ends at the moment of its evaluation, which belongs to it: a bucket's end does not.
                shift_ns = span.every_ns - _MS_NS
                of_bucket = f"avg_over_time({_selector(name)}[{span.every_ns // _MS_NS}ms])"
                yield from self._ranges(of_bucket, name, span, shift_ns)
            else:
                yield from self._samples(name, span)

    def _ranges(self, query: str, name: str, span: Span, shift_ns: int) -> Iterator[Value]:
        """The values of a query at each bucket, asked for as late in it as `shift_ns`."""
        start_ns, part_ns = span.start_ns, POINTS_MAX * span.every_ns
        while start_ns < span.end_ns:
            end_ns = min(span.end_ns, start_ns + part_ns) - span.every_ns
            asked = {
                "query": query, "start": _seconds(start_ns + shift_ns), "end": _seconds(end_ns + shift_ns),
                "step": _seconds(span.every_ns),
            }  # fmt: skip
            for one in self._ask("query_range", asked)["result"]:
                metric = _metric(one["metric"], name)
                for at_s, text in one["values"]:
                    number = float(text)
                    if math.isfinite(number):
                        yield Value(metric, round(at_s * 1000) * _MS_NS - shift_ns, number)
            start_ns = end_ns + span.every_ns

    def _samples(self, name: str, span: Span) -> Iterator[Value]:
        """The samples of a metric, as it was scraped."""
        length_ms = (span.end_ns - span.start_ns) // _MS_NS
        asked = {"query": f"{_selector(name)}[{length_ms}ms]", "time": _seconds(span.end_ns - _MS_NS)}
        for one in self._ask("query", asked)["result"]:
            metric = _metric(one["metric"], name)
            for at_s, text in one["values"]:
                time_ns, number = round(at_s * 1000) * _MS_NS, float(text)
                if math.isfinite(number) and span.start_ns <= time_ns < span.end_ns:
                    yield Value(metric, time_ns, number)

    def _ask(self, what: str, asked: dict[str, str]) -> Any:
        """The data of an answer. Raises Unavailable, Unreadable."""
        text = b"".join(self._asking.lines("GET", f"{self._prefix}/api/v1/{what}", asked))
        try:
            document = json.loads(text)
            if document["status"] == "success":
                return document["data"]
            said = document["error"]
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"{self._asking.name} answers what is no result: {error}") from None
        raise Unreadable(f"{self._asking.name} refuses: {said}")


def _metric(labels: dict[str, str], name: str) -> Metric:
    """The metric of some labels; `name` where they have none, as those of an expression."""
    tags = tuple(sorted((key, text) for key, text in labels.items() if key != _NAME and text))
    return Metric(Series(labels.get(_NAME, name), tags), _FIELD)


def _selector(name: str) -> str:
    return "{" + _NAME + "=" + json.dumps(name) + "}"


def _seconds(time_ns: int) -> str:
    """Nanoseconds as seconds with three digits, which is as fine as Prometheus is.

    >>> _seconds(1_500_000_000)
    '1.500'
    """
    return f"{time_ns // 10**9}.{time_ns % 10**9 // _MS_NS:03d}"
