"""Writes a wide table of metrics, part by part: a time, the tags of the entity, and a column for each metric.

A metric without a value is empty. The file appears under its name only when it is complete.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.errors import HomeostatError, Unavailable
from homeostat.records.times import time_text

FORMATS = (".parquet", ".pq", ".csv")
Row = tuple[int, tuple[str, ...], Sequence[float | None]]
"""A time in nanoseconds, the values of the tags, and those of the metrics."""


class UnknownFormat(HomeostatError, ValueError):
    """A name of a file whose ending is none that is written."""

    why = "the format is chosen by the ending of the name"
    remedy = "Name a file that ends with .parquet, .pq or .csv"


class WideWriter:
    """See the module. A context manager: where the block fails, no file is left."""

    def __init__(self, path: Path, tags: Sequence[str], metrics: Sequence[str]) -> None:
        """Raises UnknownFormat; Unavailable if the file can't be created."""
        if path.suffix not in FORMATS:
            raise UnknownFormat(f"{path.name} does not end with one of {', '.join(FORMATS)}")
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._tags, self._metrics = tuple(tags), tuple(metrics)
        self._names = ("time", *tags, *metrics)
        self._parquet: pq.ParquetWriter | None = None
        try:
            self._file = open(self._part, "wb")  # noqa: SIM115 - closed by __exit__.
        except OSError as error:
            raise Unavailable(f"{path} can't be written: {error.strerror}") from error
        if path.suffix != ".csv":
            types = [pa.timestamp("ns", "UTC"), *[pa.string()] * len(tags), *[pa.float64()] * len(metrics)]
            self._schema = pa.schema(list(zip(self._names, types, strict=True)))
            self._parquet = pq.ParquetWriter(self._file, self._schema, compression="snappy")
        else:
            self._guarded(lambda: self._lines([self._names]))

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows. Raises Unavailable where the disk fails."""
        parquet = self._parquet
        if not rows:
            return
        if parquet is None:
            lines = [
                (time_text(at), *tags, *("" if value is None else repr(value) for value in values))
                for at, tags, values in rows
            ]
            self._guarded(lambda: self._lines(lines))
            return
        times, tags, values = zip(*rows, strict=True)
        columns = [times, *zip(*tags, strict=True), *zip(*values, strict=True)]
        arrays = [pa.array(column, one.type) for column, one in zip(columns, self._schema, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._guarded(lambda: parquet.write_table(table))

    def __enter__(self) -> WideWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if self._parquet is not None:
                self._guarded(self._parquet.close)
            self._guarded(self._file.close)
            if kind is None:
                self._guarded(lambda: os.replace(self._part, self._path))
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def _lines(self, lines: Sequence[Sequence[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            raise Unavailable(f"{self._path} can't be written: {error.strerror or error}") from error
