"""One column of numbers from a file, a piece at a time: CSV (also gzipped), Parquet, or one number a line.

An empty value, NaN or null is a missing one, NaN. True and false are 1 and 0. Memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_csv import delimiter_of, header_of
from homeostat.adapters.disk.event_lines import EventFileError, open_events
from homeostat.decide.intake.values import shown
from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float

_BLOCK = 1 << 20
_ROWS = 65_536
_HEAD_MAX = 1 << 20
_MISSING = ["", "na", "nan", "null", "none", "NA", "NaN", "NAN", "Null", "NULL", "None"]
_TRUTH = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}
Piece = tuple[Float, float]


class NumberFileError(HomeostatError, ValueError):
    """A file whose column can't be read as numbers, and what to do about it."""

    why = "a stream is read from a column of numbers in a CSV or Parquet file, or from one number a line"
    remedy = "Name such a column, or correct the row that the text names"


def read_numbers(path: Path, column: str | None) -> Iterator[Piece]:
    """Pieces of the column, (n,) each, with the share of the file that was read by then.

    column : may be left out where the file has only one column; any name is right for one number a line, which has none
    Raises NumberFileError, which names the row, counted from 0 without the header.
    """
    if path.name.lower().endswith(".parquet"):
        return _parquet(path, column)
    return _text(path, column)


def _text(path: Path, column: str | None) -> Iterator[Piece]:
    try:
        with open_events(path) as stream:
            head, skip = b"", 0
            while not head and (line := stream.readline(_HEAD_MAX)):
                head, skip = line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n"), skip + 1
    except EventFileError as error:
        raise NumberFileError(str(error)) from error
    except (OSError, EOFError) as error:
        raise NumberFileError(f"{path} can't be read ({shown(str(error))}): check the path") from error
    if not skip:
        raise NumberFileError(f"{path} is empty: a table begins with the names of its columns")
    if not head:
        return
    if _is_number(head):
        yield from _csv(path, ["number"], "number", ",", 0)
        return
    wanted = [] if column is None else [[column]]
    delimiter = delimiter_of(head, wanted)
    try:
        names = header_of(head, delimiter)
    except ValueError as error:
        raise NumberFileError(f"{path}: {error}") from error
    yield from _csv(path, names, _chosen(path, names, column), delimiter, skip)


def _is_number(line: bytes) -> bool:
    text = line.decode("utf-8", "replace").strip()
    try:
        float(text)
    except ValueError:
        return False
    return True


def _chosen(path: Path, names: list[str], column: str | None) -> str:
    """The column to read. Raises NumberFileError where it is absent, there twice, or not named."""
    listed = shown(", ".join(names)) or "none"
    if column is None:
        if len(names) == 1:
            return names[0]
        raise NumberFileError(f"{path} has several columns: choose one of {listed} by --column")
    if names.count(column) != 1:
        fault = "no column" if column not in names else "more than one column"
        raise NumberFileError(f"{path} has {fault} {shown(column)!r}. It has {listed}. Choose one by --column")
    return column


def _csv(path: Path, names: list[str], column: str, delimiter: str, skip: int) -> Iterator[Piece]:
    size = max(1, path.stat().st_size)
    place = names.index(column)
    plain = [f"{k}" for k in range(len(names))]  # Names that differ, whatever the file calls its other columns.
    reading = pcsv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=plain, skip_rows=skip)
    parsing = pcsv.ParseOptions(delimiter=delimiter, ignore_empty_lines=len(names) > 1)
    converting = pcsv.ConvertOptions(
        include_columns=[plain[place]], column_types={plain[place]: pa.string()}, strings_can_be_null=False
    )
    row = 0
    with path.open("rb") as file, _unpacked(path, file) as stream:
        try:
            with pcsv.open_csv(stream, reading, parsing, converting) as reader:
                for batch in reader:
                    yield _numbers(path, batch.column(0), row), min(1.0, file.tell() / size)
                    row += len(batch)
        except pa.ArrowException as error:
            raise NumberFileError(f"{path}, after row {row}: it is no CSV ({_brief(error)}); correct it") from error
        except OSError as error:
            raise NumberFileError(f"{path} is damaged, or was cut off ({_brief(error)}): write it again") from error


def _unpacked(path: Path, file: BinaryIO) -> pa.NativeFile:
    plain = pa.PythonFile(file, mode="r")
    return pa.CompressedInputStream(plain, "gzip") if path.suffix == ".gz" else plain


def _parquet(path: Path, column: str | None) -> Iterator[Piece]:
    done = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            chosen = _chosen(path, file.schema_arrow.names, column)
            rows = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(_ROWS, columns=[chosen], use_threads=False):
                batch.validate(full=True)
                piece = _numbers(path, batch.column(0), done)
                done += len(piece)
                yield piece, done / rows
    except FileNotFoundError as error:
        raise NumberFileError(f"{path} can't be opened: no such file. Check the path") from error
    except NumberFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise NumberFileError(
            f"{path} is no Parquet file, or was cut off while written ({_brief(error)}): write it again"
        ) from error


def _numbers(path: Path, values: pa.Array, row: int) -> Float:
    """(n,) float64, NaN where one is missing."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed(path, values, row)
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or
            pa.types.is_decimal(kind) or pa.types.is_null(kind)):  # fmt: skip
        raise NumberFileError(f"{path} holds values of the type {kind} in that column: choose one of numbers")
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64)


def _parsed(path: Path, texts: pa.Array, row: int) -> Float:
    """Texts as numbers: at once where all are, else one by one, to find the row."""
    trimmed = pc.utf8_trim_whitespace(texts)
    known = pc.if_else(pc.is_in(trimmed, pa.array(_MISSING, trimmed.type)), None, trimmed)
    try:
        return np.asarray(known.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowException:
        numbers = [_number(path, text, row + k) for k, text in enumerate(known.to_pylist())]
        return np.array(numbers, np.float64)


def _number(path: Path, text: str | None, row: int) -> float:
    if text is None:
        return float("nan")
    try:
        if "_" in text:
            raise ValueError(text)
        return float(_TRUTH.get(text, text))
    except ValueError as error:
        raise NumberFileError(
            f"{path}, row {row}: {shown(text)!r} is no number; leave the value empty if it is missing"
        ) from error


def _brief(error: Exception) -> str:
    return shown(str(error).partition("\n")[0]) or type(error).__name__
