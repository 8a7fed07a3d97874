"""A table file -> columns of numbers and texts, with the cells that are not what their column is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from homeostat.adapters.disk.table_files import TableError, TableFile
from homeostat.config.tree import FieldType
from homeostat.jobs.table_monitor.columns import TIMES, numbers, texts_of
from homeostat.jobs.table_monitor.times import seconds_of
from homeostat.records.arrays import Float, Int, Mask

ENTITIES = ("host", "hostname", "service", "entity", "node", "pod", "container", "instance", "device", "series")
_NUMBERS_LEAST = 0.5  # A column of texts is one of numbers if so many of its cells are.
_INFINITE = r"^\s*[+-]?inf(inity)?\s*$"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The values that a column has to hold.

    low, high : bounds of its numbers
    values : the texts that it may hold, None for any
    needed : whether a table without it is faulty
    """

    number: bool = True
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None
    needed: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(slots=True)
class Loaded:
    """A whole table.

    whole : the columns as they were read
    times : nanoseconds since 1970 (n,), with -1 where one is missing or unreadable; None for a table without times
    entity : codes (n,); all 0 for a table without entities
    metrics : the numbers by column, NaN where there is none; texts : the columns of texts
    odd : by column, cells with a value that is not of its type
    absent : columns that are needed and not there
    """

    path: Path
    whole: pa.Table
    rows: int
    time: str | None
    entities: tuple[str, ...]
    times: Int | None
    entity: Int
    metrics: dict[str, Float] = field(default_factory=dict)
    texts: dict[str, pa.Array] = field(default_factory=dict)
    odd: dict[str, Mask] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)

    def cell(self, name: str, row: int) -> object:
        """A value as it stands in the table."""
        value = self.whole.column(name)[row].as_py()
        return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def wanted_of(fields: Mapping[str, FieldType]) -> dict[str, Wanted]:
    """The fields of an app as columns."""
    return {
        name: Wanted(
            one.type in ("number", "integer"), one.min, one.max,
            None if one.values is None else tuple(map(str, one.values)), one.required, tuple(one.aliases),
        )
        for name, one in fields.items()
    }  # fmt: skip


def load(
    path: Path, time: str | None, entities: tuple[str, ...], wanted: Mapping[str, Wanted],
    progress: Callable[[str, float], None],
) -> Loaded:  # fmt: skip
    """Read a table into memory. Raises TableError."""
    file = TableFile(path)
    for name in (*entities, *([time] if time else [])):
        if name not in file.names:
            raise TableError(f"{path} has no column {name}, but {', '.join(file.names)}")
    entities = entities or tuple(name for name in file.names if name.lower() in ENTITIES)
    time = time or next((name for name in file.names if name.lower() in TIMES), None)
    blocks = []
    for block, share in file.blocks(file.names):
        blocks.append(block)
        progress("reading", share)
    if not sum(block.num_rows for block in blocks):
        raise TableError(f"{path} has no row: there is nothing to check")
    whole = pa.Table.from_batches(blocks).combine_chunks()
    known = {name: column for name in file.names for column in [whole.column(name).combine_chunks()]}
    found = Loaded(
        path,
        whole,
        whole.num_rows,
        time,
        entities,
        None,
        _codes([texts_of(known[one]) for one in entities], len(whole)),
    )
    found.wanted = _by_column(file.names, wanted, found.absent)
    for name, column in known.items():
        if name == time:
            found.times, found.odd[name] = _times(column)
        elif name in entities:
            found.texts[name] = texts_of(column)
        else:
            _column(found, name, column)
    return found


def _by_column(names: list[str], wanted: Mapping[str, Wanted], absent: list[str]) -> dict[str, Wanted]:
    """By the table's own names. Names that are needed and not there are added to `absent`."""
    found: dict[str, Wanted] = {}
    for name, one in wanted.items():
        here = next((also for also in (name, *one.aliases) if also in names), None)
        if here is not None:
            found[here] = one
        elif one.needed:
            absent.append(name)
    return found


def _column(found: Loaded, name: str, column: pa.Array) -> None:
    """A column of numbers if it is wanted as one, or if most of its cells are numbers."""
    wanted = found.wanted.get(name)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    values = numbers(column)
    if is_text:
        texts = texts_of(column)
        endless = pc.fill_null(pc.match_substring_regex(texts, _INFINITE, ignore_case=True), False)
        values = np.where(endless.to_numpy(zero_copy_only=False), np.inf, values)
        odd = there & np.isnan(values)
    else:
        odd = np.zeros(found.rows, np.bool_)
    if wanted.number if wanted else not is_text or (there.any() and 1 - odd.sum() / there.sum() >= _NUMBERS_LEAST):
        found.metrics[name] = values
        found.odd[name] = odd
    else:
        found.texts[name] = texts_of(column)


def _times(column: pa.Array) -> tuple[Int, Mask]:
    """Times in nanoseconds, -1 for none, and which cells have one that can't be read. A step counts as a second."""
    values = seconds_of(column, steps=True) * 1e9
    there = column.is_valid().to_numpy(zero_copy_only=False)
    usable = np.isfinite(values)
    return np.where(usable, values, -1).astype(np.int64), there & ~usable


def _codes(columns: list[pa.Array], rows: int) -> Int:
    """One number for each combination of texts, (n,)."""
    codes = np.zeros(rows, np.int64)
    for column in columns:
        coded = pc.fill_null(column, "").dictionary_encode()
        codes = np.unique(
            codes * (len(coded.dictionary) + 1) + coded.indices.to_numpy(zero_copy_only=False), return_inverse=True
        )[1].astype(np.int64)
    return codes
