"""Reads InfluxDB 2.x by Flux, whose answers are annotated CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from homeostat.adapters.http.asking import Asking, Unreadable
from homeostat.adapters.influx.line_protocol import Series
from homeostat.adapters.metrics.history import Metric, Span, Value
from homeostat.config.instants import instant_ns
from homeostat.records.times import time_text

_NUMBERS = ("double", "long", "unsignedLong")
_OWN = ("", "result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement")


class Flux:
    """See `History`.

    measurements : those that are read; all when empty
    """

    def __init__(self, asking: Asking, bucket: str, org: str, measurements: Sequence[str] = ()) -> None:
        asking = replace(asking, headers={**asking.headers, "Content-Type": "application/json"})
        self._asking, self._bucket, self._org, self._wanted = asking, bucket, org, tuple(measurements)

    def metrics(self, span: Span) -> list[Metric]:
        """See `History`."""
        return list(dict.fromkeys(one.metric for one in self._ask(self._query(span) + " |> last()")))

    def values(self, span: Span) -> Iterator[Value]:
        """See `History`."""
        query = self._query(span)
        if span.every_ns:
            query += f' |> aggregateWindow(every: {span.every_ns}ns, fn: mean, createEmpty: false, timeSrc: "_start")'
        return self._ask(query)

    def _query(self, span: Span) -> str:
        start, stop = time_text(span.start_ns), time_text(span.end_ns)
        query = f"from(bucket: {_quoted(self._bucket)}) |> range(start: {start}, stop: {stop})"
        if self._wanted:
            any_of = " or ".join(f"r._measurement == {_quoted(name)}" for name in self._wanted)
            query += f" |> filter(fn: (r) => {any_of})"
        kinds = " or ".join(f'types.isType(v: r._value, type: "{kind}")' for kind in ("float", "int", "uint"))
        return f'import "types" {query} |> filter(fn: (r) => {kinds})'

    def _ask(self, query: str) -> Iterator[Value]:
        """The numeric values of an answer. Raises Unavailable, Unreadable."""
        dialect = {"annotations": ["datatype"], "delimiter": ",", "header": True}
        body = json.dumps({"query": query, "type": "flux", "dialect": dialect}).encode()
        lines = self._asking.lines("POST", "/api/v2/query", {"org": self._org}, body)
        header: list[str] = []
        kinds: list[str] = []
        for row in csv.reader(line.decode("utf-8", "replace") for line in lines):
            if not row or row == [""]:
                header = []
            elif row[0] == "#datatype":
                header, kinds = [], row
            elif row[0].startswith("#"):
                continue
            elif not header:
                header = row
            else:
                yield from self._value(dict(zip(header, row, strict=False)), dict(zip(header, kinds, strict=False)))

    def _value(self, row: dict[str, str], kinds: dict[str, str]) -> Iterator[Value]:
        if "error" in row:
            raise Unreadable(f"{self._asking.name} refuses: {row['error']}")
        if kinds.get("_value") not in _NUMBERS or not row.get("_value"):
            return
        try:
            tags = tuple(sorted((k, v) for k, v in row.items() if k not in _OWN and v))
            metric = Metric(Series(row["_measurement"], tags), row["_field"])
            yield Value(metric, instant_ns(row["_time"]), float(row["_value"]))
        except (KeyError, ValueError) as error:
            raise Unreadable(f"{self._asking.name} answers what is no table of Flux: {error}") from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'
