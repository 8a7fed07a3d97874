"""Events and outcomes from files: .parquet, .csv and .jsonl (also .ndjson), the latter two also gzipped.

Rows keep the order of the file. A row with a fault becomes its dead letter and costs the others nothing; a file that is
no such file at all raises `EventFileError`, which says what to do.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_csv import delimiter_of, header_of, table_of
from homeostat.adapters.disk.event_lines import EventFileError, blocks
from homeostat.decide.intake.columns import read_columns
from homeostat.decide.intake.lines import read_lines
from homeostat.decide.intake.objects import outcomes_of, outcomes_of_events
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.intake.values import Source, shown
from homeostat.records.arrays import Int
from homeostat.records.arrow import of_numbers
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch

__all__ = ["EventFileError", "read_events", "read_outcomes"]

Chunk: TypeAlias = tuple[EventBatch, list[DeadLetter]]
FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
CHUNK_ROWS = 65_536
ROLES = b"homeostat.roles"  # In the metadata of an export: which columns are id, time and label.


def read_events(path: Path, schema: EventSchema, now_ns: int, chunk_rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """The events of a file, at most `chunk_rows` at a time, each chunk with the dead letters of its stretch.

    Raises EventFileError where the file as a whole can't be used (missing, another format, a required column that it
    hasn't, damaged), Unavailable where the disk fails.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(path, schema, now_ns, chunk_rows)
    if name.endswith((".csv", ".csv.gz")):
        return _read_csv(path, schema, now_ns, chunk_rows)
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
        return _read_jsonl(path, schema, now_ns, chunk_rows)
    raise EventFileError(f"{path}: events are read from {', '.join(FORMATS)}; the name must end in one of these.")


def read_outcomes(
    path: Path, schema: EventSchema, now_ns: int, chunk_rows: int = CHUNK_ROWS
) -> Iterator[tuple[OutcomeBatch, list[DeadLetter]]]:
    """The outcomes of a file (`event_id`, `label`, perhaps `time` and `amount`) for events of this schema."""
    for batch, letters in read_events(path, outcomes_of_events(schema), now_ns, chunk_rows):
        yield outcomes_of(batch), letters


def _require_all_rows(path: Path, footer: pq.FileMetaData) -> None:
    """Raises EventFileError where the footer, which has no checksum, contradicts itself: rows would be left out."""
    held = sum(footer.row_group(part).num_rows for part in range(footer.num_row_groups))
    if held != footer.num_rows:
        raise EventFileError(
            f"{path} is damaged: it has {footer.num_rows:,} rows by its footer, and {held:,} in its parts. "
            "Copy it again."
        )


def _read_parquet(path: Path, schema: EventSchema, now_ns: int, chunk_rows: int) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise EventFileError(f"{path} can't be opened: no such file. Check the path.") from error
    except Exception as error:  # A damaged file is refused by many kinds.
        raise EventFileError(
            f"{path} is no Parquet file, or was cut off while written ({_brief(error)}): write it again."
        ) from error
    row = 0
    with file:
        _require_all_rows(path, file.metadata)
        called = _called(file.schema_arrow, schema)
        names = [called.get(name, name) for name in file.schema_arrow.names]
        _require(path, schema, names)
        wanted = [name for name in schema.names() if name in names]
        twice = [name for name in wanted if names.count(name) > 1]
        if twice:
            raise EventFileError(f"{path} has the column {', '.join(twice)} more than once: rename or drop the others.")
        stored = {new: old for old, new in called.items()}
        parts = file.iter_batches(chunk_rows, columns=[stored.get(name, name) for name in wanted], use_threads=False)
        while True:
            try:
                part = next(parts, None)
                if part is None:
                    return
                part.validate(full=True)  # Else what is damaged inside would be followed to places out of memory.
            except Exception as error:
                raise EventFileError(f"{path} is damaged after row {row} ({_brief(error)}): write it again.") from error
            columns = {
                called.get(name, name): column for name, column in zip(part.schema.names, part.columns, strict=True)
            }
            lines = np.arange(row + 1, row + 1 + len(part))
            read = read_columns(_with_rows(columns, lines, schema), len(part), schema, now_ns, lines)
            row += len(part)
            yield read


def _brief(error: Exception) -> str:
    return shown(str(error).partition("\n")[0]) or type(error).__name__


def _called(stored: pa.Schema, schema: EventSchema) -> dict[str, str]:
    """The names by which this app knows an export's columns of id, time and label, by those that they have there.

    An export says in its metadata which columns they are, since its journal does not know what an app calls them.
    """
    try:
        roles = json.loads((stored.metadata or {}).get(ROLES, b"{}"))
        found = {role: roles[role] for role in ("id", "time", "label") if roles.get(role) in stored.names}
    except (ValueError, AttributeError, TypeError):
        return {}
    wanted = {"id": schema.id, "time": schema.time, "label": schema.label}
    return {
        name: wanted[role][0] for role, name in found.items()
        if wanted[role] and wanted[role][0] not in stored.names and name not in wanted[role]
    }  # fmt: skip


def _require(path: Path, schema: EventSchema, names: Sequence[str]) -> None:
    """Refuse a file without a column that every event must have: its rows would all be dead letters."""
    there = set(names)
    missing = [choices for choices in _needed(schema) if there.isdisjoint(choices)]
    if missing:
        wants = ", and none called ".join(" or ".join(choices) for choices in missing)
        raise EventFileError(
            f"{path} has no column called {wants}. It has {shown(', '.join(names)) or 'none'}. Rename the column, or "
            "add its name to the aliases in the app file."
        )


def _with_rows(columns: dict[str, Any], rows: Int, schema: EventSchema) -> dict[str, Any]:
    """The columns, and the rows' numbers in place of those that are not there and that they may stand in for."""
    for names, asked in ((schema.id, schema.id_from_rows), (schema.time, schema.time_from_rows)):
        if asked and columns.keys().isdisjoint(names):
            columns = {**columns, names[0]: of_numbers(rows).cast(pa.string() if names is schema.id else pa.int64())}
    return columns


def _needed(schema: EventSchema) -> list[tuple[str, ...]]:
    """The names under which each column that every event must have may be found."""
    needed = [] if schema.id_from_rows else [schema.id]
    needed += [schema.time] if schema.time_required and not schema.time_from_rows else []
    needed += [entity.names for entity in schema.entities if entity.required and entity.of is None]
    needed += [field.names for field in schema.fields if field.required]
    needed += [schema.label] if schema.label_required else []
    return needed


def _read_csv(path: Path, schema: EventSchema, now_ns: int, chunk_rows: int) -> Iterator[Chunk]:
    header: list[str] | None = None
    wanted: list[str] = []
    delimiter, top = ",", 0
    for block in blocks(path):
        lines, numbers = block.lines, block.numbers
        if header is None:
            start = next((index for index, line in enumerate(lines) if line.strip()), None)
            if start is None:
                if block.letters:
                    yield _empty(schema), block.letters
                continue
            delimiter = delimiter_of(lines[start], schema.columns())
            try:
                header = header_of(lines[start], delimiter)
            except ValueError as error:
                raise EventFileError(f"{path}: {error}") from error
            _require(path, schema, header)
            wanted = [name for name in schema.names() if name in set(header)]
            top = numbers[start]
            lines, numbers = lines[start + 1 :], numbers[start + 1 :]
        for at, letters in _spans(len(lines), chunk_rows, block.letters, numbers):
            columns, places, bad = table_of(lines[at], numbers[at], header, wanted, delimiter)
            columns = _with_rows(columns, np.array(places, np.int64) - top, schema)
            batch, worse = read_columns(columns, len(places), schema, now_ns, places, Source.TEXT)
            yield batch, _in_order(letters, bad, worse)


def _read_jsonl(path: Path, schema: EventSchema, now_ns: int, chunk_rows: int) -> Iterator[Chunk]:
    for block in blocks(path):
        for at, letters in _spans(len(block.lines), chunk_rows, block.letters, block.numbers):
            batch, bad = read_lines(block.lines[at], schema, now_ns, block.numbers[at])
            yield batch, _in_order(letters, bad)


def _spans(
    n: int, chunk_rows: int, letters: list[DeadLetter], numbers: Sequence[int]
) -> Iterator[tuple[slice, list[DeadLetter]]]:
    """Stretches of at most `chunk_rows` of `n` lines, each with those letters that lie before its end."""
    for start in range(0, n, chunk_rows):
        stop = min(start + chunk_rows, n)
        due = [letter for letter in letters if stop == n or letter.line < numbers[stop]]
        letters = letters[len(due) :]
        yield slice(start, stop), due
    if n == 0 and letters:
        yield slice(0, 0), letters


def _in_order(*parts: list[DeadLetter]) -> list[DeadLetter]:
    return list(heapq.merge(*parts, key=lambda letter: letter.line))


def _empty(schema: EventSchema) -> EventBatch:
    columns: dict[str, Any] = {}
    return read_columns(columns, 0, schema, 0, [])[0]
