"""The values of an experiment from a file with the columns `arm` and `value`, one row a value, in order of arrival.

CSV and JSON lines (also gzipped) and Parquet. Other columns are left aside. An empty value is a missing one.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_csv import delimiter_of, header_of
from homeostat.adapters.disk.event_lines import EventFileError, open_events
from homeostat.decide.intake.values import shown
from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float

COLUMNS = ("arm", "value")
FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
_NOTHING = ("", "na", "nan", "null", "none")
_TRUTH = {"true": 1.0, "false": 0.0}
_LINE_MAX = 1 << 20  # Without a bound, one file without line ends fills memory.


class MeasurementFileError(HomeostatError, ValueError):
    """A file of values that can't be compared, and what to do about it."""

    why = "a comparison is read from a whole file with the columns arm and value"
    remedy = "Correct the row that the text names, or write the file again"


def read_measurements(path: Path) -> tuple[list[str], Float]:
    """The arms and values of a file's rows, (n,) each; NaN where a value is missing.

    Raises MeasurementFileError, which names the row (counted from 1, without the header) and what is wrong with it.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(FORMATS):
        raise MeasurementFileError(
            f"{path}: values are read from {', '.join(FORMATS)}; the name must end in one of these"
        )
    try:
        if name.endswith(".parquet"):
            return _parquet(path)
        rows = _csv_rows(path) if ".csv" in name[-7:] else _json_rows(path)
        return _columns(path, rows)
    except EventFileError as error:
        raise MeasurementFileError(str(error)) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MeasurementFileError(
            f"{path} is damaged, or was cut off ({shown(str(error))}): write it again"
        ) from error


def _columns(path: Path, rows: Iterator[tuple[Any, Any]]) -> tuple[list[str], Float]:
    arms: list[str] = []
    values: list[float] = []
    for row, (arm, value) in enumerate(rows, start=1):
        if arm not in ("control", "treatment"):
            raise MeasurementFileError(f"{path}, row {row}: the arm is {shown(arm)!r}, not control or treatment")
        try:
            values.append(_number(value))
        except (ValueError, TypeError, OverflowError) as error:
            raise MeasurementFileError(
                f"{path}, row {row}: {shown(value)!r} is no number; leave the value empty if it is missing"
            ) from error
        arms.append(arm)
    return arms, np.array(values, np.float64)


def _number(value: Any) -> float:
    """A finite number or NaN.

    >>> _number("2.5"), _number(True), _number(" false "), _number(None)
    (2.5, 1.0, 0.0, nan)
    """
    if value is None:
        return float("nan")
    if isinstance(value, str):
        text = value.strip().lower()
        if text in _NOTHING:
            return float("nan")
        if "_" in text:
            raise ValueError(text)
        number = _TRUTH[text] if text in _TRUTH else float(text)
    elif isinstance(value, bool | int | float):
        number = float(value)
    else:
        raise TypeError(type(value).__name__)
    if np.isinf(number):
        raise OverflowError(value)
    return number


def _lines(path: Path) -> Iterator[bytes]:
    """The lines with something in them, without a byte order mark."""
    with open_events(path) as stream:
        first = True
        while line := stream.readline(_LINE_MAX):
            if len(line) == _LINE_MAX:
                raise MeasurementFileError(f"{path} has a line of more than {_LINE_MAX:,} bytes: is it the right file?")
            line = (line.removeprefix(b"\xef\xbb\xbf") if first else line).strip(b" \t\r\n")
            first = False
            if line:
                yield line


def _csv_rows(path: Path) -> Iterator[tuple[Any, Any]]:
    lines = _lines(path)
    head = next(lines, None)
    if head is None:
        return
    delimiter = delimiter_of(head, [[name] for name in COLUMNS])
    try:
        header = header_of(head, delimiter)
    except ValueError as error:
        raise MeasurementFileError(f"{path}: {error}") from error
    _require(path, header)
    arm, value = (header.index(name) for name in COLUMNS)
    for row, line in enumerate(lines, start=1):
        try:
            cells = next(csv.reader([line.decode()], strict=True, delimiter=delimiter))
        except (csv.Error, UnicodeDecodeError) as error:
            raise MeasurementFileError(f"{path}, row {row}: it is no line of CSV ({shown(str(error))})") from error
        if len(cells) > len(header) or len(cells) <= max(arm, value):
            raise MeasurementFileError(f"{path}, row {row}: {len(cells)} values under {len(header)} column names")
        yield cells[arm].strip(), cells[value]


def _json_rows(path: Path) -> Iterator[tuple[Any, Any]]:
    decode = msgspec.json.Decoder().decode
    for row, line in enumerate(_lines(path), start=1):
        try:
            found = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MeasurementFileError(f"{path}, row {row}: it is no JSON ({shown(str(error))})") from error
        if not isinstance(found, dict):
            raise MeasurementFileError(f'{path}, row {row}: write an object, such as {{"arm": "control", "value": 0}}')
        if "arm" not in found or "value" not in found:
            missing = [name for name in COLUMNS if name not in found]
            raise MeasurementFileError(f"{path}, row {row}: there is no {' and no '.join(missing)}")
        yield found["arm"] if isinstance(found["arm"], str) else shown(found["arm"]), found["value"]


def _require(path: Path, names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise MeasurementFileError(
            f"{path} has no column {' and no column '.join(missing)}. It has {shown(', '.join(names)) or 'none'}. "
            "Name the columns arm (control, treatment) and value"
        )


def _parquet(path: Path) -> tuple[list[str], Float]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            _require(path, names)
            twice = [name for name in COLUMNS if names.count(name) > 1]
            if twice:
                raise MeasurementFileError(f"{path} has the column {', '.join(twice)} more than once: drop the others")
            table = file.read(columns=list(COLUMNS), use_threads=False)
            table.validate(full=True)  # Else what is damaged inside would be followed to places out of memory.
            held = sum(file.metadata.row_group(part).num_rows for part in range(file.metadata.num_row_groups))
    except FileNotFoundError as error:
        raise MeasurementFileError(f"{path} can't be opened: no such file. Check the path") from error
    except MeasurementFileError:
        raise
    except Exception as error:  # A damaged file is refused by many kinds.
        brief = shown(str(error).partition("\n")[0]) or type(error).__name__
        raise MeasurementFileError(
            f"{path} is no Parquet file, or was cut off while written ({brief}): write it again"
        ) from error
    if not table.num_rows == held == file.metadata.num_rows:
        raise MeasurementFileError(f"{path} is damaged: its parts hold other numbers of rows than its footer says")
    return _columns(path, zip(*(_plain(path, table[name]) for name in COLUMNS), strict=True))


def _plain(path: Path, column: pa.ChunkedArray) -> list[Any]:
    """A column as Python values; decimals become floats."""
    try:
        if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
            column = column.cast(pa.float64())
        return list(column.to_pylist())
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise MeasurementFileError(f"{path} holds values that can't be read ({shown(str(error))})") from error
