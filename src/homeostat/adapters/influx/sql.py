"""Reads InfluxDB 3.x by SQL over HTTP, whose answers are JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from homeostat.adapters.http.asking import Asking, Unreadable
from homeostat.adapters.influx.line_protocol import Series
from homeostat.adapters.metrics.history import Metric, Span, Value
from homeostat.config.instants import instant_ns
from homeostat.records.times import time_text

_NUMBERS = ("Float64", "Int64", "UInt64")


class _Table(NamedTuple):
    tags: list[str]
    fields: list[str]


class Sql:
    """See `History`.

    measurements : those that are read; all when empty
    """

    def __init__(self, asking: Asking, database: str, measurements: Sequence[str] = ()) -> None:
        self._asking, self._database, self._wanted = asking, database, frozenset(measurements)
        self._known: dict[str, _Table] | None = None

    def metrics(self, span: Span) -> list[Metric]:
        """See `History`."""
        found = []
        for name, table in self._tables().items():
            counts = [f"count({_quoted(field)}) AS {_quoted(field)}" for field in table.fields]
            for row in self._ask(_select(name, counts, table.tags, span, list(map(_quoted, table.tags)))):
                series = _series(name, table.tags, row)
                found += [Metric(series, field) for field in table.fields if row.get(field)]
        return found

    def values(self, span: Span) -> Iterator[Value]:
        """See `History`."""
        for name, table in self._tables().items():
            if span.every_ns:
                # The origin is 1970, as for all buckets here.
                time = f"date_bin(INTERVAL '{span.every_ns} nanoseconds', time, TIMESTAMP '1970-01-01T00:00:00Z')"
                what = [f"avg({_quoted(field)}) AS {_quoted(field)}" for field in table.fields]
                query = _select(name, [f"{time} AS time", *what], table.tags, span, [time, *map(_quoted, table.tags)])
            else:
                query = _select(name, ["time", *map(_quoted, table.fields)], table.tags, span, [])
            for row in self._ask(query):
                series, time_ns = _series(name, table.tags, row), self._time(row)
                for field in table.fields:
                    number = row.get(field)
                    if number is not None:
                        yield Value(Metric(series, field), time_ns, float(number))

    def _tables(self) -> dict[str, _Table]:
        """The tags and the numeric fields of each measurement."""
        if self._known is None:
            known: dict[str, _Table] = {}
            query = (
                "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox'"
            )
            for row in self._ask(query):
                name, column, kind = row.get("table_name", ""), row.get("column_name", ""), row.get("data_type", "")
                if self._wanted and name not in self._wanted:
                    continue
                table = known.setdefault(name, _Table([], []))
                if kind.startswith("Dictionary"):
                    table.tags.append(column)
                elif kind in _NUMBERS:
                    table.fields.append(column)
            self._known = {name: table for name, table in known.items() if table.fields}
        return self._known

    def _ask(self, query: str) -> Iterator[dict[str, Any]]:
        asked = {"db": self._database, "q": query, "format": "jsonl"}
        for line in self._asking.lines("GET", "/api/v3/query_sql", asked):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise Unreadable(f"{self._asking.name} answers what is no JSON line: {error}") from None
                if not isinstance(row, dict) or "error" in row:
                    raise Unreadable(f"{self._asking.name} refuses: {row}"[:500])
                yield row

    def _time(self, row: dict[str, Any]) -> int:
        try:
            return instant_ns(row["time"])
        except (KeyError, TypeError, ValueError):
            raise Unreadable(f"{self._asking.name} answers a row without a time") from None


def _series(name: str, tags: Sequence[str], row: dict[str, Any]) -> Series:
    return Series(name, tuple(sorted((tag, str(row[tag])) for tag in tags if row.get(tag) not in (None, ""))))


def _select(name: str, what: Sequence[str], tags: Sequence[str], span: Span, by: Sequence[str]) -> str:
    start, end = time_text(span.start_ns), time_text(span.end_ns)
    columns = ", ".join([*what, *map(_quoted, tags)])
    within = f"time >= TIMESTAMP '{start}' AND time < TIMESTAMP '{end}'"
    group = f" GROUP BY {', '.join(by)}" if by else ""
    return f"SELECT {columns} FROM {_quoted(name)} WHERE {within}{group}"  # noqa: S608 - names are quoted.


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
