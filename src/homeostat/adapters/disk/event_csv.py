"""Lines of CSV as Arrow columns of text.

A record is one line: a quoted value may hold commas and quotes, but no line end.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from homeostat.decide.intake.border import MESSAGE_MAX
from homeostat.decide.intake.values import EVENT, shown
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

_SPACE = b" \t\r"


DELIMITERS = (",", ";", "\t", "|")
csv.field_size_limit(MESSAGE_MAX)  # Lines are bounded by as much; a smaller bound would hold on one path only.


def header_of(line: bytes, delimiter: str = ",") -> list[str]:
    """The column names. Raises ValueError if the line is no CSV or names a column twice."""
    try:
        names = [name.strip() for name in _record(line, delimiter)]
    except (csv.Error, UnicodeDecodeError, StopIteration) as error:
        raise ValueError(f"the first line is no CSV header: {error}") from error
    twice = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if twice:
        raise ValueError(f"the header names {', '.join(twice)} more than once: rename or drop the others")
    return names


def delimiter_of(line: bytes, choices: Sequence[Sequence[str]]) -> str:
    """The delimiter by which the header has most of the columns that are looked for.

    choices : the names under which each column may be found
    """

    def found(delimiter: str) -> int:
        try:
            names = {name.strip() for name in _record(line, delimiter)}
        except (csv.Error, UnicodeDecodeError, StopIteration):
            return 0
        return sum(not names.isdisjoint(column) for column in choices)

    return max(DELIMITERS, key=found)  # Of several the first: a comma.


def _record(line: bytes, delimiter: str) -> list[str]:
    return next(csv.reader([line.decode().rstrip("\r")], strict=True, delimiter=delimiter))


def table_of(
    lines: Sequence[bytes], numbers: Sequence[int], header: Sequence[str], wanted: Sequence[str], delimiter: str = ","
) -> tuple[dict[str, Any], list[int], list[DeadLetter]]:
    """Records as columns of text.

    wanted : the names of the columns to return
    Returns the columns, their rows' line numbers, and a dead letter for each line that is no such record.
    """
    letters: list[DeadLetter] = []
    good: list[int] = []
    for index, line in enumerate(lines):
        if line.strip(_SPACE):
            good.append(index)
    lines, numbers = [lines[index] for index in good], [numbers[index] for index in good]
    whole = b"\n".join(lines)
    if not whole.isascii():
        try:
            whole.decode()
        except UnicodeDecodeError:
            return _one_by_one(lines, numbers, header, wanted, delimiter)
    if not lines:
        return {name: pa.array([], pa.string()) for name in wanted}, [], letters
    table = _fast(whole, len(lines), header, wanted, delimiter)
    if table is None:
        return _one_by_one(lines, numbers, header, wanted, delimiter)
    return table, list(numbers), letters


def _fast(whole: bytes, n: int, header: Sequence[str], wanted: Sequence[str], delimiter: str) -> dict[str, Any] | None:
    """All at once; None if any line is ragged, or a stray quote has swallowed a line end.

    Arrow takes a byte order mark in front for the file's own, though here it is a value's.
    """
    if whole.startswith(codecs.BOM_UTF8) or b"\0" in whole or b"\r" in whole.replace(b"\r\n", b"").removesuffix(b"\r"):
        return None
    names = [f"c{position}" for position in range(len(header))]
    use = {name: names[list(header).index(name)] for name in wanted}
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(whole),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=max(len(whole), 1)),
            parse_options=arrow_csv.ParseOptions(ignore_empty_lines=False, delimiter=delimiter),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False, strings_can_be_null=False, include_columns=list(use.values()),
                column_types=dict.fromkeys(names, pa.string()),
            ),
        )  # fmt: skip
    except pa.ArrowException:
        return None
    if table.num_rows != n:
        return None
    return {name: table[short].combine_chunks() for name, short in use.items()}


def _one_by_one(
    lines: Sequence[bytes], numbers: Sequence[int], header: Sequence[str], wanted: Sequence[str], delimiter: str = ","
) -> tuple[dict[str, Any], list[int], list[DeadLetter]]:
    """Line by line, where something is wrong with some of them."""
    letters: list[DeadLetter] = []
    records: list[list[str]] = []
    kept: list[int] = []
    for line, number in zip(lines, numbers, strict=True):
        try:
            record = _record(line, delimiter)
            why = f"it has {len(record)} values, where the header has {len(header)}"
        except (csv.Error, StopIteration) as error:
            record, why = [], f"it is no record of CSV: {error}"
        except UnicodeDecodeError as error:
            record, why = [], f"it is no UTF-8 (byte {error.start})"
        if len(record) == len(header):
            records.append(record)
            kept.append(number)
        else:
            letters.append(DeadLetter(number, EVENT, shown(line), Reason.MALFORMED.value, why))
    places = {name: list(header).index(name) for name in wanted}
    columns = {name: pa.array([record[at] for record in records], pa.string()) for name, at in places.items()}
    return columns, kept, letters
