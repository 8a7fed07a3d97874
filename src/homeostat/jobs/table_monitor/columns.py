"""Columns of Arrow -> numbers or categories -> codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from homeostat.decide.intake.times import time_of_text, times_of_texts
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.stats.drift.codes import Categories, categories_of, edges_of, encode

TIMES = ("time", "timestamp", "date", "datetime", "ts")
"""Names of columns, in small letters, that hold times where nobody says which one does."""
Kind = Literal["number", "category"]
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_TIME = r"^\s*\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d(:?\d\d)?)?)?\s*$"
_EDGE_ROWS = 16_384  # Edges may be any grid that both tables share. More rows would not make it finer.


@dataclass(frozen=True, slots=True)
class Coder:
    """How the values of one column become codes, as the reference has it. Only one of the two is there."""

    name: str
    edges: Float | None = None
    categories: Categories | None = None

    @property
    def kind(self) -> Kind:
        """Whether the order of codes means something."""
        return "number" if self.categories is None else "category"

    def codes(self, column: pa.Array) -> Bytes:
        """The codes of a block's column, (n,)."""
        if self.edges is not None:
            return encode(numbers(column), self.edges)
        assert self.categories is not None
        texts = texts_of(column)
        found = pc.index_in(texts, value_set=pa.array(self.categories.names, pa.string()))
        index = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        index[pc.is_null(texts).to_numpy(zero_copy_only=False)] = -2
        return self.categories.code(index)


def coder_of(name: str, column: pa.Array, untyped: bool) -> Coder | None:
    """The coder of a column by a sample of the reference. None for lists, structures and the like."""
    kind = kind_of(column, untyped)
    if kind is None:
        return None
    if kind == "number":
        values = numbers(column)
        return Coder(name, edges=edges_of(values[:: max(1, len(values) // _EDGE_ROWS)]))
    counted = pc.value_counts(texts_of(column).drop_null())
    rows = counted.field("counts").to_numpy(zero_copy_only=False).astype(np.int64)
    return Coder(name, categories=categories_of(counted.field("values").to_pylist(), rows))


def kind_of(column: pa.Array, untyped: bool) -> Kind | None:
    """Numbers and times are numbers; texts, truth values and dictionaries are categories.

    untyped : texts that all read as numbers, or all as ISO 8601 times, are numbers
    """
    kind = _plain(column).type
    if pa.types.is_null(kind):
        return "number"
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            or pa.types.is_temporal(kind)) and not pa.types.is_interval(kind):  # fmt: skip
        return "number"
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        return None
    if untyped and _is_text(kind):
        ordered = any(
            bool(pc.all(pc.match_substring_regex(column, form), min_count=0).as_py()) for form in (_NUMBER, _TIME)
        )
        return "number" if ordered else "category"
    return "category"


def numbers(column: pa.Array) -> Float:
    """Values as numbers (n,), NaN for a missing one and for a text that is neither number nor time.

    Times are in microseconds since 1970, UTC where a text names no zone.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers(column.dictionary_decode())
    if pa.types.is_null(kind) or pa.types.is_nested(kind) or pa.types.is_interval(kind) or _is_bytes(kind):
        return np.full(len(column), np.nan)
    if _is_text(kind):
        column = _parsed(column)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("us"), safe=False).cast(pa.int64())
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    values = column.cast(pa.float64(), safe=False)
    if values.null_count:
        values = pc.fill_null(values, float("nan"))
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def texts_of(column: pa.Array) -> pa.Array:
    """Values as texts, null where one is missing."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts_of(column.dictionary_decode())
    if pa.types.is_string(kind):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if one is None else repr(one) for one in column.to_pylist()], pa.string())


def labels(column: pa.Array) -> Float:
    """Labels (n,): 0 or 1, NaN for a missing one. Truth values and their names count.

    Raises ValueError where there is another value.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type):
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        column = pc.replace_substring_regex(lower, r"^(true|yes)$", "1")
        column = pc.replace_substring_regex(column, r"^(false|no)$", "0")
        strange = pc.any(pc.invert(pc.match_substring_regex(column, _NUMBER)), min_count=0).as_py()
        if strange:
            raise ValueError("texts")
    found = numbers(column)
    held = found[~np.isnan(found)]
    if not np.isin(held, (0.0, 1.0)).all():
        raise ValueError("other numbers")
    return found


def distinct(column: pa.Array) -> tuple[list[str], Int]:
    """The distinct values of a column as texts, and for each row which of them it has, -1 if missing."""
    texts = texts_of(column)
    encoded = texts.dictionary_encode()
    index = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.to_pylist(), index


def _plain(column: pa.Array) -> pa.Array:
    """A column of an extension type, such as the intervals of pandas, as the type that it is stored in."""
    return column.storage if isinstance(column.type, pa.BaseExtensionType) else column


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _parsed(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        nothing = pa.scalar(None, pa.string())
        good, when = (pc.match_substring_regex(column, form) for form in (_NUMBER, _TIME))
        found = pc.if_else(good, column, nothing).cast(pa.float64())
        if not pc.any(when).as_py():
            return found
        return pc.coalesce(found, _microseconds(pc.if_else(when, column, nothing)))


def _microseconds(texts: pa.Array) -> pa.Array:
    """Microseconds since 1970 of times as texts, null for one that no calendar has."""
    whole = pa.concat_arrays([pc.fill_null(texts, "").cast(pa.string())])
    _, places, held = whole.buffers()
    offsets = np.frombuffer(places, np.int32)[whole.offset : whole.offset + len(whole) + 1].astype(np.int64)
    data = np.frombuffer(held, np.uint8) if held is not None else np.zeros(0, np.uint8)
    ns, found = times_of_texts(data[offsets[0] :], offsets - offsets[0])
    values = np.where(found, ns / 1000, np.nan)
    for row in np.flatnonzero((found == 0) & (np.diff(offsets) > 0)):  # In a layout that is rare here.
        rare = time_of_text(texts[int(row)].as_py())
        values[row] = np.nan if rare is None else rare / 1000
    return pa.array(values, from_pandas=True)
