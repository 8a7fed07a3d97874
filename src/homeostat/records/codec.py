"""Decision and outcome batches as bytes: columnar, self-describing, exact to the last bit, and refused when damaged.

A body is a prefix, a digest and a content::

    prefix   magic, format, kind, content length, took_us, CRC-32 of what stands before it (32 bytes)
    digest   SHA-256 of the content (32 bytes)
    content  rows, sizes, schema (JSON), texts, then each column at a multiple of 8 bytes

The digest stands for the decisions themselves: it leaves out how long they took, so two runs that decide the same
have the same digest. The schema names each column with its type and width; a column whose rows are all alike, in a
batch of many rows, is stored as one row.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features

FORMAT = 1
DECISIONS = 1
OUTCOMES = 2

_MAGIC = b"HMST"
_PREFIX = struct.Struct("<4sBBHQdII")  # magic, format, kind, unused, content length, took_us, unused, CRC-32
_BEFORE_CHECKSUM = struct.Struct("<4sBBHQdI")
_SIZES = struct.Struct("<QQIII")  # rows, columns stored as one row (bits), bytes of schema, texts, their bytes
_SIZES_BYTES = 32  # The sizes, padded to a multiple of 8.
_DIGEST_AT = _PREFIX.size
_CONTENT_AT = _DIGEST_AT + 32
_ALIKE_FROM = 32  # Below this many rows, looking whether they are alike costs more than storing them.
_PIECEWISE_FROM = 256  # From so many rows, the content is hashed piece by piece, which saves a copy of it.

_F8, _I8, _U8, _I2, _U1 = (np.dtype(code) for code in ("<f8", "<i8", "<u8", "<i2", "|u1"))

Column = NDArray[Any]
Layout = tuple[tuple[str, np.dtype[Any]], ...]

# The columns' names and types, in the format's order; the widths of the wide ones are in the schema.
_DECISION_COLUMNS: Layout = (
    ("events.id_code", _I8), ("events.time_ns", _I8), ("events.keys", _I8), ("events.numbers", _F8),
    ("events.label", _F8), ("features.values", _F8), ("scores.values", _F8), ("scores.confidence", _F8),
    ("fused.risk", _F8), ("fused.contributions", _F8), ("proposal.propensity", _F8), ("ruling.hits", _U8),
    ("proposal.action", _I2), ("ruling.action", _I2), ("ruling.rule", _I2), ("events.kind", _U1),
    ("features.freshness", _U1), ("scores.fallback", _U1), ("proposal.explored", _U1), ("proposal.fallback", _U1),
    ("fallback", _U1),
)  # fmt: skip
_OUTCOME_COLUMNS: Layout = (
    ("id_code", _I8), ("label", _F8), ("known_ns", _I8), ("amount", _F8),
    ("time_ns", _I8), ("keys", _I8),
)  # fmt: skip
_WIDE = frozenset({
    "time_ns", "keys", "events.keys", "events.numbers", "features.values", "features.freshness",
    "scores.values", "scores.confidence", "fused.contributions", "proposal.propensity",
})  # fmt: skip
_DECISION_TYPES = [dtype for _, dtype in _DECISION_COLUMNS]
_OUTCOME_TYPES = [dtype for _, dtype in _OUTCOME_COLUMNS]
_UNPADDED = 6  # So many columns at least, in either layout, are of 8 bytes a value; nothing needs to follow them.
_PADDINGS = [b"\0" * (-length % 8) for length in range(8)]

_CATEGORY_END = float(1 << 52)  # Category codes are below this.


@dataclass(frozen=True, slots=True)
class Head:
    """What the start of a body says, read without its columns.

    kind : DECISIONS or OUTCOMES
    digest : SHA-256 of the content, as hexadecimal
    """

    kind: int
    rows: int
    digest: str


def encode(body: DecisionBatch | OutcomeBatch) -> bytes:
    """A batch as bytes.

    Raises ValueError when a column's type or shape is not what the records promise.
    """
    if isinstance(body, DecisionBatch):
        columns, names, took_us = _columns_of(body), (body.features.names, body.scores.names), body.took_us
        kind, layout, texts, about = DECISIONS, _DECISION_COLUMNS, body.events.texts, body.version
    else:
        columns, names, took_us = _outcome_columns_of(body), ((), ()), 0.0
        kind, layout, texts, about = OUTCOMES, _OUTCOME_COLUMNS, body.texts, _about(body)
    rows = len(columns[0])
    if rows < _ALIKE_FROM:
        schema = _small_schema(kind, names, about, tuple([column.shape for column in columns]))
        alike, pieces = 0, _small_pieces(columns, layout, rows)
    else:
        widths = tuple([column.shape[1] if column.ndim == 2 else 0 for column in columns])
        schema = _schema(kind, names, about, widths)
        alike, pieces = _pieces(columns, layout, rows)
    if texts:
        texts = _mentioned(texts, body)
    text_bytes = _encode_texts(texts) if texts else b""
    start = _SIZES.pack(rows, alike, len(schema), len(texts), len(text_bytes)) + b"\0" * 4
    return _sealed(kind, took_us, rows, [start, schema, text_bytes, *pieces])


def head(data: bytes) -> Head:
    """The kind, rows and digest that a body states; `decode` checks them against its columns."""
    kind, _, length = _prefix(data)
    if length < _SIZES_BYTES:
        raise ValueError("the body's content is shorter than its own sizes")
    rows = int.from_bytes(data[_CONTENT_AT : _CONTENT_AT + 8], "little")
    return Head(kind, rows, bytes(data[_DIGEST_AT:_CONTENT_AT]).hex())


def took_us(data: bytes) -> float:
    """How long the batch took, of the first bytes of a body. Raises ValueError where these are damaged."""
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are too few for a body")
    if crc32(bytes(data[: _PREFIX.size - 4])) != int.from_bytes(data[_PREFIX.size - 4 : _PREFIX.size], "little"):
        raise ValueError("the body's first bytes are damaged")
    return float(_PREFIX.unpack_from(data)[5])


def verify(data: bytes) -> Head:
    """The same as `head`, once the content has been found to have the digest that stands before it."""
    found = head(data)
    if sha256(memoryview(data)[_CONTENT_AT:]).hexdigest() != found.digest:
        raise ValueError("the body's content does not have the digest that stands before it")
    return found


def decode(data: bytes) -> DecisionBatch | OutcomeBatch:
    """The batch of a body, with arrays of its own that may be written to.

    Raises ValueError on anything but a whole, unchanged body.
    """
    verify(data)
    kind, took_us, _ = _prefix(data)
    content = memoryview(bytearray(memoryview(data)[_CONTENT_AT:]))
    rows, alike, schema_bytes, text_count, text_bytes = _SIZES.unpack_from(content)
    if _SIZES_BYTES + schema_bytes + text_bytes > len(content):
        raise ValueError("the body's schema and texts are longer than the body")
    schema = _read_schema(bytes(content[_SIZES_BYTES : _SIZES_BYTES + schema_bytes]), kind)
    at = _SIZES_BYTES + schema_bytes
    texts = _decode_texts(bytes(content[at : at + text_bytes]), text_count)
    columns = _read_columns(content, at + text_bytes, rows, alike, schema["widths"], kind)
    if kind == OUTCOMES:
        return _outcomes(columns, schema["version"], texts)
    return _decisions(columns, schema, texts, took_us)


def parts(batch: DecisionBatch, rows_max: int) -> Iterator[DecisionBatch]:
    """The batch in pieces of at most `rows_max` rows, as views; each takes its share of the time taken."""
    total = len(batch)
    if total <= rows_max:
        yield batch
        return
    for start in range(0, total, rows_max):
        yield rows_of(batch, start, min(start + rows_max, total))


def rows_of(batch: DecisionBatch, start: int, stop: int) -> DecisionBatch:
    """Rows `start` to `stop` of a batch as views, with their share of the time taken."""
    at = slice(start, stop)
    scores, fused, proposal, ruling = batch.scores, batch.fused, batch.proposal, batch.ruling
    return DecisionBatch(
        batch.events.slice(start, stop),
        batch.features.slice(start, stop),
        Scores(scores.names, scores.values[at], scores.confidence[at], scores.fallback[at]),
        Fused(fused.risk[at], fused.contributions[at]),
        Proposal(proposal.action[at], proposal.propensity[at], proposal.explored[at], proposal.fallback[at]),
        Ruling(ruling.action[at], ruling.rule[at], ruling.hits[at]),
        batch.fallback[at],
        batch.version,
        batch.took_us * (stop - start) / len(batch) if len(batch) else batch.took_us,
    )


def outcome_parts(batch: OutcomeBatch, rows_max: int) -> Iterator[OutcomeBatch]:
    """The outcomes in pieces of at most `rows_max` rows, as views."""
    for start in range(0, max(len(batch), 1), rows_max):
        at = slice(start, start + rows_max)
        yield OutcomeBatch(
            batch.id_code[at], batch.label[at], batch.known_ns[at], batch.amount[at], batch.texts, batch.scheduled,
            None if batch.time_ns is None else batch.time_ns[at], None if batch.keys is None else batch.keys[at],
        )  # fmt: skip


def _columns_of(body: DecisionBatch) -> tuple[Column, ...]:
    events, scores, proposal, ruling = body.events, body.scores, body.proposal, body.ruling
    return (
        events.id_code, events.time_ns, events.keys, events.numbers,
        events.label, body.features.values, scores.values, scores.confidence,
        body.fused.risk, body.fused.contributions, proposal.propensity, ruling.hits,
        proposal.action, ruling.action, ruling.rule, events.kind,
        body.features.freshness, scores.fallback, proposal.explored, proposal.fallback,
        body.fallback,
    )  # fmt: skip


def _outcome_columns_of(body: OutcomeBatch) -> tuple[Column, ...]:
    """The columns of outcomes; those that may be absent are then of no width."""
    absent = np.empty((len(body), 0), np.int64)
    time_ns = absent if body.time_ns is None else body.time_ns.reshape(-1, 1)
    keys = absent if body.keys is None else body.keys
    return body.id_code, body.label, body.known_ns, body.amount, time_ns, keys


def _about(body: OutcomeBatch) -> str:
    """What an outcome batch says of itself beside its columns, in the place of a version."""
    return ("scheduled " if body.scheduled else "") + ("keys" if body.keys is not None else "")


def _outcomes(columns: list[Column], about: str, texts: dict[int, str]) -> OutcomeBatch:
    id_code, label, known_ns, amount, time_ns, keys = columns
    return OutcomeBatch(
        id_code, label, known_ns, amount, texts, "scheduled" in about,
        time_ns[:, 0] if time_ns.shape[1] else None, keys if "keys" in about else None,
    )  # fmt: skip


def _decisions(columns: list[Column], schema: dict[str, Any], texts: dict[int, str], took_us: float) -> DecisionBatch:
    (id_code, time_ns, keys, numbers, label, values, score, confidence, risk, contributions, propensity, hits,
     proposed, action, rule, kind, freshness, missing, explored, policy_fallback, fallback) = columns  # fmt: skip
    return DecisionBatch(
        EventBatch(id_code, time_ns, keys, numbers, label, kind, texts),
        Features(tuple(schema["features"]), values, freshness),
        Scores(tuple(schema["scorers"]), score, confidence, missing),
        Fused(risk, contributions),
        Proposal(proposed, propensity, explored, policy_fallback),
        Ruling(action, rule, hits),
        fallback,
        schema["version"],
        took_us,
    )


def _padding(length: int) -> int:
    return -length % 8


@lru_cache(maxsize=256)
def _schema(kind: int, names: tuple[tuple[str, ...], tuple[str, ...]], version: str, widths: tuple[int, ...]) -> bytes:
    """The schema as JSON, padded with spaces to a multiple of 8 bytes; checked once for each shape of batch."""
    layout = _DECISION_COLUMNS if kind == DECISIONS else _OUTCOME_COLUMNS
    by_name = {name: width for (name, _), width in zip(layout, widths, strict=True)}
    if kind == DECISIONS:
        features, scorers = len(names[0]), len(names[1])
        for name, width in (("features.values", features), ("features.freshness", features),
                            ("scores.values", scorers), ("scores.confidence", scorers)):  # fmt: skip
            if by_name[name] != width:
                raise ValueError(f"{name} has {by_name[name]} columns for {width} names")
    text = json.dumps({
        "widths": widths, "features": names[0], "scorers": names[1], "version": version,
    }, separators=(",", ":"))  # fmt: skip
    data = text.encode("ascii")
    return data + b" " * _padding(len(data))


@lru_cache(maxsize=256)
def _small_schema(
    kind: int, names: tuple[tuple[str, ...], tuple[str, ...]], version: str, shapes: tuple[tuple[int, ...], ...]
) -> bytes:
    """The schema of a batch of few rows, whose columns' shapes are checked once for each number of rows."""
    layout = _DECISION_COLUMNS if kind == DECISIONS else _OUTCOME_COLUMNS
    for (name, _), shape in zip(layout, shapes, strict=True):
        if len(shape) != (2 if name in _WIDE else 1) or shape[0] != shapes[0][0]:
            raise ValueError(f"{name} has the shape {shape}, not that of {shapes[0][0]} rows")
    return _schema(kind, names, version, tuple([shape[1] if len(shape) == 2 else 0 for shape in shapes]))


def _small_pieces(columns: tuple[Column, ...], layout: Layout, rows: int) -> list[bytes]:
    """The columns of few rows as bytes with their padding; their shapes have been checked."""
    types = _DECISION_TYPES if layout is _DECISION_COLUMNS else _OUTCOME_TYPES
    if [column.dtype for column in columns] != types:
        _pieces(columns, layout, rows)  # It says which.
    pieces = [column.tobytes() for column in columns]
    for index in range(_UNPADDED, len(pieces)):
        piece = pieces[index]
        if len(piece) % 8:
            pieces[index] = piece + _PADDINGS[len(piece) % 8]
    return pieces


def _pieces(columns: tuple[Column, ...], layout: Layout, rows: int) -> tuple[int, list[Any]]:
    """The columns as buffers with their padding, and a bit for each that is stored as one row."""
    alike = 0
    pieces: list[Any] = []
    for index, column in enumerate(columns):
        name, dtype = layout[index]
        if column.dtype != dtype or len(column) != rows or column.ndim != (2 if name in _WIDE else 1):
            raise ValueError(f"{name} is {column.dtype}{column.shape}, not {dtype} of {rows} rows")
        if rows >= _ALIKE_FROM and _all_alike(column):
            alike |= 1 << index
            column = column[:1]
        if not column.flags.c_contiguous:
            column = np.ascontiguousarray(column)
        size = column.nbytes
        if size:
            pieces.append(column)
            if size % 8:
                pieces.append(b"\0" * _padding(size))
    return alike, pieces


def _all_alike(column: Column) -> bool:
    """Whether every row has the first row's bits; mostly answered by the first few rows."""
    bits = column.view(_U8) if column.dtype.itemsize == 8 else column
    few = bits[1:9] == bits[0]
    return bool(few.all()) and bool((bits == bits[0]).all())


def _sealed(kind: int, took_us: float, rows: int, pieces: list[Any]) -> bytes:
    if rows < _PIECEWISE_FROM:
        content = b"".join(pieces)
        length, digest, pieces = len(content), sha256(content), [content]
    else:
        length, digest = 0, sha256()
        for piece in pieces:
            length += len(piece) if isinstance(piece, bytes) else piece.nbytes
            digest.update(piece)
    before = _BEFORE_CHECKSUM.pack(_MAGIC, FORMAT, kind, 0, length, took_us, 0)
    return b"".join((before, crc32(before).to_bytes(4, "little"), digest.digest(), *pieces))


def _prefix(data: bytes) -> tuple[int, float, int]:
    """The kind, took_us and content length of a body."""
    if len(data) < _CONTENT_AT:
        raise ValueError(f"{len(data)} bytes are too few for a body")
    magic, version, kind, unused, length, took_us, also_unused, checksum = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("this is not a body of decisions or outcomes")
    if crc32(bytes(data[: _PREFIX.size - 4])) != checksum:
        raise ValueError("the body's first bytes are damaged")
    if unused or also_unused:
        raise ValueError("the body's first bytes hold what no body of this format does")
    if version != FORMAT:
        raise ValueError(f"the body has format {version}; this version reads format {FORMAT}")
    if kind not in (DECISIONS, OUTCOMES):
        raise ValueError(f"a body of kind {kind} is unknown")
    if length != len(data) - _CONTENT_AT or length < _SIZES_BYTES:
        raise ValueError(f"the body has {len(data) - _CONTENT_AT} bytes of content, not {length}")
    return kind, took_us, length


def _read_schema(data: bytes, kind: int) -> dict[str, Any]:
    layout = _DECISION_COLUMNS if kind == DECISIONS else _OUTCOME_COLUMNS
    try:
        schema = json.loads(data)
        widths = schema["widths"]
        whole = (
            len(widths) == len(layout)
            and all(isinstance(width, int) and 0 <= width < 1 << 20 for width in widths)
            and all(isinstance(name, str) for name in [*schema["features"], *schema["scorers"], schema["version"]])
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the body's schema cannot be read") from error
    if not whole:
        raise ValueError("the body's schema is not one of this format")
    return dict(schema)


def _read_columns(content: memoryview, at: int, rows: int, alike: int, widths: list[int], kind: int) -> list[Column]:
    columns: list[Column] = []
    layout = _DECISION_COLUMNS if kind == DECISIONS else _OUTCOME_COLUMNS
    for index, (name, dtype) in enumerate(layout):
        stored = 1 if alike >> index & 1 else rows
        width = widths[index] if name in _WIDE else 1
        count = stored * width
        if at + count * dtype.itemsize > len(content):
            raise ValueError(f"the body ends within {name}")
        column = np.frombuffer(content, dtype, count, at) if count else np.empty(0, dtype)
        at += count * dtype.itemsize + _padding(count * dtype.itemsize)
        if name in _WIDE:
            column = column.reshape(stored, width)
        columns.append(np.repeat(column, rows, axis=0) if stored != rows else column)
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow the body's last column")
    return columns


def _mentioned(texts: dict[int, str], body: DecisionBatch | OutcomeBatch) -> dict[int, str]:
    """The texts that these rows mention: a piece of a large batch must not carry the texts of all of it."""
    if len(texts) <= len(body) + 8:
        return texts
    if isinstance(body, OutcomeBatch):
        codes = set(body.id_code.tolist())
        codes.update([] if body.keys is None else body.keys.ravel().tolist())
    else:
        events = body.events
        codes = set(events.id_code.tolist()).union(events.keys.ravel().tolist())
        codes.update(map(int, events.numbers[np.abs(events.numbers) < _CATEGORY_END].tolist()))
    return {code: texts[code] for code in sorted(codes) if code in texts}


def _encode_texts(texts: dict[int, str]) -> bytes:
    """Codes, lengths and the texts themselves in UTF-8, one after the other, padded to a multiple of 8 bytes."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts.values()]
    codes = struct.pack(f"<{len(texts)}q", *texts)
    lengths = struct.pack(f"<{len(texts)}I", *map(len, encoded))
    data = b"".join((codes, lengths, *encoded))
    return data + b"\0" * _padding(len(data))


def _decode_texts(data: bytes, count: int) -> dict[int, str]:
    if count * 12 > len(data):
        raise ValueError("the body's texts are cut short")
    codes = struct.unpack_from(f"<{count}q", data)
    lengths = struct.unpack_from(f"<{count}I", data, count * 8)
    texts: dict[int, str] = {}
    at = count * 12
    for code, length in zip(codes, lengths, strict=True):
        if at + length > len(data):
            raise ValueError("the body's texts are cut short")
        texts[code] = data[at : at + length].decode("utf-8", "surrogatepass")
        at += length
    if at + _padding(at) != len(data):
        raise ValueError("bytes follow the body's last text")
    return texts
