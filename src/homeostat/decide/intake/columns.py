"""Whole Arrow columns into a batch.

Each column is checked at once. A row that the whole-column checks do not pass is read again by `objects.read_event`,
which decides whether it is an event after all and otherwise words its dead letter: so there is one authority, and
these checks need only never pass a value that it refuses, nor read one otherwise than it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from homeostat.decide.intake.objects import NAN, Event, field_checks, fill_composites, read_event
from homeostat.decide.intake.schema import EventSchema, FieldColumn
from homeostat.decide.intake.times import TIME_MAX, TIME_MIN, times_of_seconds, times_of_texts
from homeostat.decide.intake.values import INTEGER_MAX, SPACE, TEXT_MAX, Fault, Source, key
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.arrow import of_numbers, scalar, to_numpy
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.identity import ABSENT, CODE_MAX, Coding, IdTexts

Array: TypeAlias = Any  # pyarrow ships no types.
Columns: TypeAlias = Mapping[str, Array]
Fetch: TypeAlias = Callable[[int], object]

_PLAIN_INTEGER = r"^(?:0|-?[1-9][0-9]{0,17})$"
_NOT_HASHED = r"\x00|^-?[0-9]{19}$"  # No text that may be a key, or one that may be an integer's after all.
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
# Beyond these, a narrow column has rounded an id, and another may look the same.
_WHOLE_MAX = {pa.float16(): 2**11 - 1, pa.float32(): 2**24 - 1}
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def read_columns(
    columns: Columns,
    n: int,
    schema: EventSchema,
    now_ns: int,
    lines: Sequence[int] | Int,
    source: Source = Source.COLUMNS,
    fetch: Fetch | None = None,
) -> tuple[EventBatch, list[DeadLetter]]:
    """`n` rows as one batch, and a dead letter for each row that is no event.

    columns : Arrow arrays (not chunked) by name; names that the schema does not know are ignored
    lines : (n,) where each row came from
    fetch : a row's object for reading it again; the columns' own values when absent
    """
    columns = {name: _simple(column, source) for name, column in columns.items()}
    texts: IdTexts = {}
    codes, id_check, absent, ok = _keys(_merged(columns, schema.id, n), schema.coding, texts, source)
    ok &= ~absent
    time_ns, absent, fine = _times(_merged(columns, schema.time, n), source)
    if schema.time_required:
        ok &= fine & ~absent
    else:
        time_ns = np.where(absent, now_ns, time_ns)
        ok &= fine | absent
    ok &= time_ns <= now_ns + schema.ahead_max_ns
    keys, key_checks = (
        np.full((n, len(schema.entities)), ABSENT, np.int64),
        np.zeros((n, len(schema.entities)), np.int64),
    )
    for position, entity in enumerate(schema.entities):
        if entity.of is None:
            column = _merged(columns, entity.names, n)
            keys[:, position], key_checks[:, position], absent, fine = _keys(column, schema.coding, texts, source)
            ok &= fine & ~absent if entity.required else fine | absent
    fill_composites(keys, key_checks, schema)
    numbers = np.full((n, len(schema.fields)), NAN)
    for position, field in enumerate(schema.fields):
        column = _merged(columns, field.names, n)
        if field.kind == "category":
            numbers[:, position], absent, fine = _categories(column, schema, position, texts, source)
        else:
            numbers[:, position], absent, fine = _field(column, field, source)
        ok &= fine & ~absent if field.required else fine | absent
    label = np.full(n, NAN)
    if schema.label:
        label, absent, fine = _booleans(_merged(columns, schema.label, n), source)
        ok &= fine & ~absent if schema.label_required else fine | absent
    batch = EventBatch(codes, time_ns, keys, numbers, label, np.zeros(n, np.uint8), texts, id_check, key_checks)
    if ok.all():
        return batch, []
    return _read_again(batch, ok, columns, schema, now_ns, lines, source, fetch)


def _read_again(
    batch: EventBatch, ok: Mask, columns: Columns, schema: EventSchema, now_ns: int, lines: Sequence[int] | Int,
    source: Source, fetch: Fetch | None,
) -> tuple[EventBatch, list[DeadLetter]]:  # fmt: skip
    """The rows that are not `ok` one by one; those that are events after all are put in their places."""
    rows = np.flatnonzero(~ok)
    fetch = _fetcher(columns, schema, rows) if fetch is None else fetch
    letters = []
    for row in rows.tolist():
        event = read_event(fetch(row), schema, now_ns, batch.texts, int(lines[row]), source)
        if isinstance(event, DeadLetter):
            letters.append(event)
            continue
        _put(batch, row, event)
        ok[row] = True
    fill_composites(batch.keys, batch.key_checks, schema)
    return batch.rows(ok) if letters else batch, letters


def _put(batch: EventBatch, row: int, event: Event) -> None:
    batch.id_code[row], batch.id_check[row] = event.code, event.check
    batch.time_ns[row] = event.time_ns
    batch.keys[row], batch.key_checks[row] = event.keys, event.key_checks
    batch.numbers[row] = event.numbers
    batch.label[row] = event.label


def _fetcher(columns: Columns, schema: EventSchema, rows: Int) -> Fetch:
    """Objects of the chosen rows, made of the columns' values all at once."""
    taken = {name: _objects(columns[name].take(of_numbers(rows))) for name in schema.names() if name in columns}
    for name in {*schema.id, *(name for entity in schema.entities for name in entity.names)} & taken.keys():
        limit = _WHOLE_MAX.get(columns[name].type)
        if limit is not None:
            taken[name] = [
                _Other(f"{one}, rounded by its column") if _above(one, limit) else one for one in taken[name]
            ]
    place = {row: index for index, row in enumerate(rows.tolist())}
    return lambda row: {name: column[place[row]] for name, column in taken.items()}


def _above(value: object, limit: int) -> bool:
    return isinstance(value, float) and abs(value) > limit


class _Other:
    """A value that no column may hold; what is inside is not looked at, since it may be deep, huge or both."""

    __slots__ = ("kind",)

    def __init__(self, kind: object) -> None:
        self.kind = str(kind)

    def __str__(self) -> str:
        return self.kind


def _objects(column: Array) -> list[object]:
    """A column's values as Python's. Times become text, since Python's have no nanoseconds and end with year 9999."""
    kind = column.type
    if pa.types.is_date64(kind):
        column, kind = column.view(pa.timestamp("ms")), pa.timestamp("ms")
    if pa.types.is_timestamp(kind):
        column, kind = column.cast(pa.timestamp(kind.unit)).cast(pa.string()), pa.string()
    elif pa.types.is_date32(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_union(kind):
        return list(map(_of_union, column))
    if not _is_readable(kind):
        return [None if gone else _Other(kind) for gone in _nulls(column)]
    values: list[object] = column.to_pylist()
    return values


def _of_union(value: Any) -> object:
    try:
        return value.as_py()
    except Exception:  # Some types have no values of Python.
        return _Other(value.type)


def _is_readable(kind: Array) -> bool:
    """Whether values of a type can be a key, a time, a number or a text."""
    types = pa.types
    tests = (
        types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_string,
        types.is_large_string, types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _simple(column: Array, source: Source) -> Array:
    """Fewer types: what is packed unpacked, binary and views as text where they are text, CSV's text without blanks."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = _unpacked(column)
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        try:
            column = column.cast(pa.large_string() if pa.types.is_large_binary(kind) else pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return column  # Row by row, so that only the broken ones are refused.
    if source is Source.TEXT and _is_text(column):
        column = pc.ascii_trim(column, SPACE)
    return column


def _unpacked(column: Array) -> Array:
    """Extensions as what they are stored as, dictionaries and runs as their values, views as copies."""
    kind = column.type
    while not _is_readable(kind):
        if isinstance(column, pa.ExtensionArray):
            if kind == pa.uuid():
                return _uuid_texts(column.storage)
            column = column.storage.cast(pa.bool_()) if kind == pa.bool8() else column.storage
        elif pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        elif pa.types.is_run_end_encoded(kind):
            column = pc.run_end_decode(column)
        elif kind == pa.string_view():
            column = column.cast(pa.string())
        elif kind == pa.binary_view():
            column = column.cast(pa.binary())
        else:
            break
        kind = column.type
    return column


def _uuid_texts(stored: Array) -> Array:
    """Sixteen bytes each as text of 36 characters."""
    raw = np.array([value or bytes(16) for value in stored.to_pylist()], "V16").view(np.uint8).reshape(-1, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((len(raw), 36), ord("-"), np.uint8)
    places = np.array([k for k in range(36) if k not in (8, 13, 18, 23)])
    text[:, places[0::2]], text[:, places[1::2]] = digits[raw >> 4], digits[raw & 15]
    offsets = pa.py_buffer(np.arange(0, 36 * len(raw) + 1, 36, dtype=np.int32))
    whole = pa.StringArray.from_buffers(len(raw), offsets, pa.py_buffer(text.tobytes()))
    return pc.if_else(stored.is_valid(), whole, scalar(None, pa.string()))


def _is_text(column: Array) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _merged(columns: Columns, names: tuple[str, ...], n: int) -> Array:
    """The column of these names: of several, each row's first value that is present."""
    found = [columns[name] for name in names if name in columns]
    found = [_emptied(column) for column in found] if len(found) > 1 else found
    if not found:
        return pa.nulls(n)
    column = found[0]
    for other in found[1:]:
        if column.null_count == 0:
            break
        if column.null_count == n:
            column = other
        elif column.type == other.type:
            column = pc.coalesce(column, other)
        else:
            return _Mixed(n)
    return column


class _Mixed:
    """A column of several types: its rows are read one by one."""

    type = pa.list_(pa.null())
    null_count = 0

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n


def _emptied(column: Array) -> Array:
    """The column with null in place of each value that counts as missing."""
    if _is_text(column):
        return pc.if_else(pc.equal(pc.binary_length(column), scalar(0, pa.int32())), scalar(None, column.type), column)
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), scalar(None, column.type), column)
    return column


def _refused(n: int) -> tuple[Int, Mask, Mask]:
    return np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros(n, np.bool_)


def _nulls(column: Array) -> Mask:
    if column.null_count == 0:
        return np.zeros(len(column), np.bool_)
    return to_numpy(column.is_null())


def _empty(column: Array) -> Mask:
    """(n,) whether a text is empty or null; may be written to."""
    empty = pc.equal(pc.binary_length(column), scalar(0, pa.int32()))
    return np.array(to_numpy(pc.fill_null(empty, scalar(True, pa.bool_()))))


def _filled(column: Array, value: bool | int | float, kind: Array, dtype: type[Any]) -> NDArray[Any]:
    """As a NumPy array, with `value` for nulls; always a copy that may be written to."""
    column = column.cast(kind)
    if column.null_count:
        column = pc.fill_null(column, scalar(value, kind))
    return np.array(to_numpy(column), dtype)


def _keys(column: Array, coding: Coding, texts: IdTexts, source: Source) -> tuple[Int, Int, Mask, Mask]:
    """Codes, checks, which rows have none, and which passed."""
    kind, n = column.type, len(column)
    checks = np.zeros(n, np.int64)
    absent = _nulls(column) if not isinstance(column, _Mixed) else np.zeros(n, np.bool_)
    if pa.types.is_integer(kind):
        if kind == pa.uint64():
            column = pc.if_else(
                pc.greater(column, scalar(CODE_MAX, pa.uint64())),
                scalar(-(1 << 62), pa.int64()),
                column.cast(pa.int64(), safe=False),
            )
        codes = _filled(column, ABSENT, pa.int64(), np.int64)
        return codes, checks, absent, absent | ((codes >= -CODE_MAX) & (codes <= CODE_MAX))
    if pa.types.is_floating(kind) and source is Source.COLUMNS:
        values = _filled(column, NAN, pa.float64(), np.float64)
        absent = np.isnan(values)
        whole = (np.abs(values) <= _WHOLE_MAX.get(kind, INTEGER_MAX)) & (np.floor(values) == values)
        return np.where(whole, values, ABSENT).astype(np.int64), checks, absent, absent | whole
    if _is_text(column):
        return _text_keys(column, absent, checks, coding, texts)
    if pa.types.is_null(kind):
        return np.full(n, ABSENT, np.int64), checks, ~np.zeros(n, np.bool_), ~np.zeros(n, np.bool_)
    return np.zeros(n, np.int64), checks, np.zeros(n, np.bool_), np.zeros(n, np.bool_)


def _text_keys(column: Array, absent: Mask, checks: Int, coding: Coding, texts: IdTexts) -> tuple[Int, Int, Mask, Mask]:
    plain = pc.fill_null(pc.match_substring_regex(column, _PLAIN_INTEGER), scalar(False, pa.bool_()))
    if pc.all(plain).as_py():
        return _filled(column, ABSENT, pa.int64(), np.int64), checks, absent, ~absent
    integers = pc.if_else(plain, column, scalar(None, column.type))
    codes = _filled(integers, ABSENT, pa.int64(), np.int64)
    passed = np.array(to_numpy(plain))
    empty = _empty(column)
    rows = np.flatnonzero(~passed & ~empty)
    if len(rows):
        encoded = column.take(of_numbers(rows)).dictionary_encode()
        known = _identities(encoded.dictionary, coding, texts)
        at = to_numpy(encoded.indices)
        codes[rows], checks[rows] = known[at, 0], known[at, 1]
        passed[rows] = codes[rows] != ABSENT
    return codes, checks, absent | empty, passed | empty


def _identities(column: Array, coding: Coding, texts: IdTexts) -> Int:
    """(n, 2) codes and checks of distinct texts, which go to `texts`; ABSENT where one is refused."""
    distinct = column.to_pylist()
    known = coding.of_texts(distinct)
    long = pc.greater(pc.binary_length(column), scalar(TEXT_MAX, pa.int32()))
    odd = pc.or_(long, pc.match_substring_regex(column, _NOT_HASHED))
    strange = to_numpy(odd)
    for k, (one, text) in enumerate(zip(zip(*known.T.tolist()), distinct)):
        if strange[k] or texts.setdefault(one, text) != text:
            known[k] = _identity(text, coding, texts)
    return known


def _identity(text: str, coding: Coding, texts: IdTexts) -> tuple[int, int]:
    try:
        return key(text, coding, texts, Source.COLUMNS)
    except Fault:
        return ABSENT, 0


def _times(column: Array, source: Source) -> tuple[Int, Mask, Mask]:
    kind, n = column.type, len(column)
    if pa.types.is_null(kind):
        return np.zeros(n, np.int64), ~np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    if isinstance(column, _Mixed):
        return _refused(n)
    absent = _nulls(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        unit = 86_400 * 10**9 if pa.types.is_date32(kind) else 10**6 if pa.types.is_date64(kind) else _UNITS[kind.unit]
        whole = column.view(pa.int32()) if pa.types.is_date32(kind) else column.view(pa.int64())
        values = _filled(whole, 0, pa.int64(), np.int64)
        ok = (values >= TIME_MIN // unit) & (values < TIME_MAX // unit)
        return np.where(ok, values, 0) * unit, absent, ok & ~absent
    if pa.types.is_integer(kind) and kind != pa.uint64():
        values = _filled(column, 0, pa.int64(), np.int64)
        ok = (values >= TIME_MIN // 10**9) & (values < TIME_MAX // 10**9)
        return np.where(ok, values, 0) * 10**9, absent, ok & ~absent
    if pa.types.is_floating(kind):
        seconds = _filled(column, NAN, pa.float64(), np.float64)
        if source is Source.COLUMNS:
            absent = np.isnan(seconds)
        ns, mask = times_of_seconds(seconds)
        return ns, absent, mask.astype(np.bool_) & ~absent
    if _is_text(column):
        return _text_times(column, absent, source)
    return _refused(n)


def _text_times(column: Array, absent: Mask, source: Source) -> tuple[Int, Mask, Mask]:
    n = len(column)
    wide = np.int64 if pa.types.is_large_string(column.type) else np.int32
    filled = pc.fill_null(column, scalar("", column.type))
    _, where, data = filled.buffers()
    offsets = np.frombuffer(where, wide)[filled.offset : filled.offset + n + 1].astype(np.int64)
    empty = np.diff(offsets) == 0
    ns, mask = times_of_texts(np.frombuffer(data or b"", np.uint8), offsets)
    ok = mask.astype(np.bool_)
    if source is Source.TEXT and not (ok | empty).all():
        plain = pc.match_substring_regex(filled, _PLAIN_INTEGER)
        seconds, _, fine = _times(pc.if_else(plain, filled, scalar(None, filled.type)).cast(pa.int64()), source)
        ns, ok = np.where(fine, seconds, ns), ok | fine
    return ns, empty, ok & ~empty


def _field(column: Array, field: FieldColumn, source: Source) -> tuple[Float, Mask, Mask]:
    if field.kind == "boolean":
        return _booleans(column, source)
    values, absent, ok = _numbers(column, source)
    if field.min is not None:
        ok &= values >= field.min
    if field.max is not None:
        ok &= values <= field.max
    if field.kind == "integer":
        ok &= (np.floor(values) == values) & (np.abs(values) <= INTEGER_MAX)
    return values, absent, ok


def _numbers(column: Array, source: Source) -> tuple[Float, Mask, Mask]:
    """Values with NaN where there is none, which rows are absent, and which hold a finite number."""
    kind, n = column.type, len(column)
    if pa.types.is_null(kind):
        return np.full(n, NAN), ~np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    if isinstance(column, _Mixed):
        return np.full(n, NAN), *_refused(n)[1:]
    absent = _nulls(column)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string())  # Rounded once, as Python would.
    elif _is_text(column) and source is Source.TEXT:
        absent = _empty(column)
        column = _number_text(column)
    elif pa.types.is_integer(kind):
        column = column.cast(pa.float64(), safe=False)
    elif not pa.types.is_floating(kind):
        return np.full(n, NAN), absent, np.zeros(n, np.bool_)
    values = _filled(column, NAN, pa.float64(), np.float64) + 0.0
    if pa.types.is_floating(kind) and source is Source.COLUMNS:
        absent = np.isnan(values)
    ok = np.isfinite(values)
    return np.where(ok, values, NAN), absent, ok


def _number_text(column: Array) -> Array:
    """Text as float64, null where it is no number."""
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        plain = pc.match_substring_regex(column, _NUMBER)
        signed = pc.if_else(plain, pc.replace_substring_regex(column, r"^\+", ""), scalar(None, column.type))
        return signed.cast(pa.float64())


def _booleans(column: Array, source: Source) -> tuple[Float, Mask, Mask]:
    if pa.types.is_boolean(column.type):
        absent = _nulls(column)
        return np.where(absent, NAN, _filled(column, False, pa.bool_(), np.float64)), absent, ~absent
    if _is_text(column) and source is Source.TEXT:
        lower = pc.ascii_lower(column)
        true, false, one, zero = (scalar(text, lower.type) for text in ("true", "false", "1", "0"))
        named = pc.if_else(pc.equal(lower, true), one, pc.if_else(pc.equal(lower, false), zero, lower))
        column = named.cast(column.type)
    values, absent, ok = _numbers(column, source)
    return values, absent, ok & ((values == 0) | (values == 1))


def _categories(
    column: Array, schema: EventSchema, position: int, texts: IdTexts, source: Source
) -> tuple[Float, Mask, Mask]:
    n = len(column)
    if pa.types.is_null(column.type):
        return np.full(n, NAN), ~np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    if isinstance(column, _Mixed) or not _is_text(column):
        absent = np.zeros(n, np.bool_) if isinstance(column, _Mixed) else _nulls(column)
        return np.full(n, NAN), absent, np.zeros(n, np.bool_)
    check = field_checks(schema)[position]

    def code(text: str) -> float:
        try:
            return check(text, source)
        except Fault:
            return NAN

    encoded = pc.fill_null(column, scalar("", column.type)).dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    known = np.array([code(text) if text else NAN for text in distinct], np.float64)
    texts.update({(int(number), 0): text for text, number in zip(distinct, known.tolist()) if number == number})
    empty = np.array([not text for text in distinct], np.bool_)
    rows = to_numpy(encoded.indices)
    return known[rows], empty[rows], ~np.isnan(known[rows])
