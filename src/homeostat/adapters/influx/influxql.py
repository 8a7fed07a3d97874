"""Reads InfluxDB 1.x by InfluxQL, in chunks of 10,000 points."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from homeostat.adapters.http.asking import Asking, Unreadable
from homeostat.adapters.influx.line_protocol import Series
from homeostat.adapters.metrics.history import Metric, Span, Value

_NUMBERS = ("float", "integer", "unsigned")


class InfluxQl:
    """See `History`.

    measurements : those that are read; all when empty
    """

    def __init__(self, asking: Asking, database: str, measurements: Sequence[str] = ()) -> None:
        self._asking, self._database, self._wanted = asking, database, frozenset(measurements)
        self._fields: dict[str, list[str]] | None = None

    def metrics(self, span: Span) -> list[Metric]:
        """See `History`."""
        found = []
        for measurement, fields in self._numeric().items():
            last = ", ".join(f"last({_quoted(field)}) AS {_quoted(field)}" for field in fields)
            query = _select(last, measurement, span, "GROUP BY *")
            for series, columns, rows in self._ask(query):
                for row in rows:
                    found += [
                        Metric(series, name) for name, n in zip(columns[1:], row[1:], strict=True) if n is not None
                    ]
        return found

    def values(self, span: Span) -> Iterator[Value]:
        """See `History`."""
        for measurement, fields in self._numeric().items():
            if span.every_ns:
                what = ", ".join(f"mean({_quoted(field)}) AS {_quoted(field)}" for field in fields)
                by = f"GROUP BY time({span.every_ns}ns), * fill(none)"
            else:
                what, by = ", ".join(map(_quoted, fields)), "GROUP BY *"
            for series, columns, rows in self._ask(_select(what, measurement, span, by)):
                metrics = [Metric(series, name) for name in columns[1:]]
                for time_ns, *numbers in rows:
                    for metric, number in zip(metrics, numbers, strict=True):
                        if number is not None:
                            yield Value(metric, time_ns, float(number))

    def _numeric(self) -> dict[str, list[str]]:
        """The numeric fields of each measurement."""
        if self._fields is None:
            self._fields = {
                series.measurement: [name for name, kind in rows if kind in _NUMBERS]
                for series, _, rows in self._ask("SHOW FIELD KEYS")
                if not self._wanted or series.measurement in self._wanted
            }
            self._fields = {name: fields for name, fields in self._fields.items() if fields}
        return self._fields

    def _ask(self, query: str) -> Iterator[tuple[Series, list[str], list[list[Any]]]]:
        """The series of an answer, in parts: name and tags, columns, rows. Raises Unavailable, Unreadable."""
        asked = {"db": self._database, "q": query, "epoch": "ns", "chunked": "true", "chunk_size": "10000"}
        for line in self._asking.lines("GET", "/query", asked):
            try:
                document = json.loads(line)
                fault = document.get("error")
                for result in document.get("results", ()):
                    fault = fault or result.get("error")
                    for one in result.get("series", ()) if not fault else ():
                        tags = tuple(sorted((k, v) for k, v in one.get("tags", {}).items() if v))
                        yield Series(one["name"], tags), one["columns"], one["values"]
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise Unreadable(f"{self._asking.name} answers what is no InfluxQL result: {error}") from None
            if fault:
                raise Unreadable(f"{self._asking.name} refuses: {fault}")


def _quoted(name: str) -> str:
    """A name as InfluxQL takes it.

    >>> _quoted('my "cpu"')
    '"my \\\\"cpu\\\\""'
    """
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _select(what: str, measurement: str, span: Span, by: str) -> str:
    within = f"time >= {span.start_ns}ns AND time < {span.end_ns}ns"
    return f"SELECT {what} FROM {_quoted(measurement)} WHERE {within} {by}"  # noqa: S608 - names are quoted.
