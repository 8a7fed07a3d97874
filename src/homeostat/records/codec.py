"""Batches of decisions, of outcomes and of changes as bytes: columnar, exact to the last bit, and refused when damaged.

A body is a prefix, a digest and a content::

    prefix   magic, format, kind, content length, took_us, CRC-32 of what stands before it (32 bytes)
    digest   SHA-256 of the content (32 bytes)
    content  rows, sizes, the settings number, the hash of the schema, version, texts, then each column at a multiple of
             8 bytes

The digest stands for the decisions themselves: it leaves out how long they took, so two runs that decide the same
have the same digest. The schema (`records.schemas`) says which columns follow and names what is in them: entities,
fields, features, scorers, actions and rules. It is kept once beside the bodies that it is of, and read by name, so that
a body means the same whatever the app has become since. A column whose rows are all alike, in a batch of many rows, is
stored as one row. Changes have their numbers and times as columns, and all else as JSON in the place of the version.

Bodies of format 1, which held no names of entities, fields, actions and rules, are read too (`records.format1`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np

from homeostat.records import format1
from homeostat.records.arrays import AnyArray
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.changes import changes_text, read_changes
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import Came, EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import IdTexts
from homeostat.records.legacy import rekeyed
from homeostat.records.schemas import (
    CHANGES,
    DECISIONS,
    DIGEST_BYTES,
    KINDS,
    OUTCOMES,
    Schema,
    Schemas,
    change_schema,
    decision_schema,
    outcome_schema,
    spoken,
)
from homeostat.records.texts import decode_texts, encode_texts, mentioned, padding

__all__ = [
    "CHANGES", "DECISIONS", "FORMAT", "OUTCOMES", "Head", "Schema", "Schemas", "decode", "encode", "head", "schema_of",
    "verify",
]  # fmt: skip

FORMAT = 2

_MAGIC = b"HMST"
_PREFIX = struct.Struct("<4sBBHQdII")  # magic, format, kind, unused, content length, took_us, unused, CRC-32
_BEFORE_CHECKSUM = struct.Struct("<4sBBHQdI")
_SIZES = struct.Struct(
    "<QQIIII"
)  # rows, columns stored as one row (bits), bytes of version, texts, their bytes, settings number
_DIGEST_AT = _PREFIX.size
_CONTENT_AT = _DIGEST_AT + DIGEST_BYTES
_SCHEMA_AT = _SIZES.size
_ABOUT_AT = _SCHEMA_AT + DIGEST_BYTES
_ALIKE_FROM = 32  # Below this many rows, looking whether they are alike costs more than storing them.
_PIECEWISE_FROM = 256  # From so many rows, the content is hashed piece by piece, which saves a copy of it.
_SCHEDULED = "scheduled"
_NO_TEXTS: IdTexts = {}

_U8 = np.dtype("<u8")

_PADDINGS = [b"\0" * (-length % 8) for length in range(8)]


@dataclass(frozen=True, slots=True)
class Head:
    """The facts at the start of a body, read without its columns.

    kind : DECISIONS, OUTCOMES or CHANGES
    digest : SHA-256 of the content, as hexadecimal
    schema : hash of its schema, as hexadecimal; empty in format 1
    format : of the body
    """

    kind: int
    rows: int
    digest: str
    schema: str
    format: int


def schema_of(body: Body) -> Schema:
    """The schema that `encode` names in the body of a batch. Raises ValueError where names don't fit columns."""
    if isinstance(body, DecisionBatch):
        events = body.events
        return decision_schema(
            body.words, body.features.names, body.scores.names, events.keys.shape[1], events.numbers.shape[1],
            body.proposal.propensity.shape[1], events.reach_ns is not None, body.arm is not None,
            events.came is not None,
        )  # fmt: skip
    if isinstance(body, ChangeBatch):
        return change_schema()
    width = None if body.keys is None else body.keys.shape[1]
    return outcome_schema(body.entities, body.time_ns is not None, width)


def encode(body: Body, schema: Schema | None = None) -> bytes:
    """A batch as bytes, which name its schema by hash.

    schema : of `schema_of`, where the caller has it
    Raises ValueError when a column's type or shape is not what the records promise.
    """
    schema = schema_of(body) if schema is None else schema
    took_us, settings, texts = 0.0, 0, _NO_TEXTS
    if isinstance(body, DecisionBatch):
        columns, texts, about, took_us = _columns_of(body), body.events.texts, _versions(body), body.took_us
        settings = body.settings
    elif isinstance(body, ChangeBatch):
        columns, about, settings = _change_columns_of(body), changes_text(body.changes), body.number
    else:
        columns, texts, about = _outcome_columns_of(body), body.texts, _SCHEDULED if body.scheduled else ""
    rows = len(columns[0])
    if rows < _ALIKE_FROM:
        alike, pieces = 0, _small_pieces(schema, columns, rows)
    else:
        alike, pieces = _pieces(schema, columns, rows)
    if texts and not isinstance(body, ChangeBatch):
        texts = mentioned(texts, body)
    text_bytes = encode_texts(texts) if texts else b""
    length, about_bytes = _encoded(about)
    start = _SIZES.pack(rows, alike, length, len(texts), len(text_bytes), settings) + schema.digest
    return _sealed(schema.kind, took_us, rows, [start, about_bytes, text_bytes, *pieces])


def encode_beside(body: Body, schemas: Schemas) -> bytes:
    """The same, once its schema is among those that are kept in this process's memory."""
    schema = schema_of(body)
    schemas.add(schema)
    return encode(body, schema)


def head(data: bytes | memoryview) -> Head:
    """The kind, rows and digest that a body states; `decode` checks them against its columns."""
    form, kind, _, _ = _prefix(data)
    rows = int.from_bytes(data[_CONTENT_AT : _CONTENT_AT + 8], "little")
    start = _CONTENT_AT + _SCHEMA_AT
    schema = bytes(data[start : start + DIGEST_BYTES]).hex() if form == FORMAT else ""
    return Head(kind, rows, bytes(data[_DIGEST_AT:_CONTENT_AT]).hex(), schema, form)


def took_us(data: bytes) -> float:
    """How long the batch took, of the first bytes of a body. Raises ValueError where these are damaged."""
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are too few for a body")
    if crc32(bytes(data[: _PREFIX.size - 4])) != int.from_bytes(data[_PREFIX.size - 4 : _PREFIX.size], "little"):
        raise ValueError("the body's first bytes are damaged")
    return float(_PREFIX.unpack_from(data)[5])


def verify(data: bytes | memoryview) -> Head:
    """The same as `head`, once the content has been found to have the digest that stands before it."""
    found = head(data)
    if sha256(memoryview(data)[_CONTENT_AT:]).hexdigest() != found.digest:
        raise ValueError("the body's content does not have the digest that stands before it")
    return found


def decode(data: bytes | memoryview, schemas: Schemas | None = None, checked: bool = True) -> Body:
    """The batch of a body, with arrays of its own that may be written to.

    data : where it can be written to, the arrays lie in it
    schemas : those that are kept beside the body; a body of format 1 needs none
    checked : False where the digest is not looked at, which takes most of the time
    Raises ValueError on anything but a whole body whose schema is known; where it is checked, on a changed one, too.
    """
    if checked:
        verify(data)
    form, kind, took_us, _ = _prefix(data)
    content = memoryview(data)[_CONTENT_AT:]
    content = memoryview(bytearray(content)) if content.readonly else content
    known = Schemas() if schemas is None else schemas
    if form == format1.FORMAT:
        old = format1.decode(content, kind, took_us, known.legacy)
        return old if known.coding is None else rekeyed(old, known.coding)
    rows, alike, about_bytes, text_count, text_bytes, settings = _SIZES.unpack_from(content)
    schema = known.find(bytes(content[_SCHEMA_AT:_ABOUT_AT]))
    if schema.kind != kind:
        raise ValueError("the body names the schema of another kind of body")
    at = _ABOUT_AT + about_bytes + padding(about_bytes)
    if at + text_bytes > len(content):
        raise ValueError("the body's version and texts are longer than the body")
    about = bytes(content[_ABOUT_AT : _ABOUT_AT + about_bytes]).decode("utf-8", "surrogatepass")
    texts = decode_texts(bytes(content[at : at + text_bytes]), text_count)
    columns = _read_columns(content, at + text_bytes, rows, alike, schema)
    if kind == OUTCOMES:
        return _outcomes(columns, schema, about, texts)
    if kind == CHANGES:
        return _changes(columns, about, settings)
    return _decisions(columns, schema, about, texts, took_us, settings)


def _columns_of(body: DecisionBatch) -> tuple[AnyArray, ...]:
    events, scores, proposal, ruling = body.events, body.scores, body.proposal, body.ruling
    columns: tuple[AnyArray, ...] = (
        events.id_code, events.time_ns, events.keys, events.numbers,
        events.label, body.features.values, scores.values, scores.confidence,
        body.fused.risk, body.fused.contributions, proposal.propensity, ruling.hits,
        events.id_check, events.key_checks,
        proposal.action, ruling.action, ruling.rule, events.kind,
        body.features.freshness, scores.fallback, proposal.explored, proposal.fallback,
        body.fallback,
    )  # fmt: skip
    columns = columns if events.reach_ns is None else (*columns, events.reach_ns)
    came = events.came
    columns = columns if came is None else (*columns, came.time_ns, came.numbers, came.copy)
    return columns if body.arm is None else (*columns, body.arm)


def _versions(body: DecisionBatch) -> str:
    """The version, and in a line of its own that of the canary."""
    return body.version if body.arm is None else f"{body.version}\n{body.canary}"


def _outcome_columns_of(body: OutcomeBatch) -> tuple[AnyArray, ...]:
    columns: tuple[AnyArray, ...] = (body.id_code, body.label, body.known_ns, body.amount, body.id_check)
    if body.time_ns is not None:
        columns += (body.time_ns,)
    return columns if body.keys is None or body.key_checks is None else (*columns, body.keys, body.key_checks)


def _change_columns_of(body: ChangeBatch) -> tuple[AnyArray, ...]:
    return (
        np.array([change.number for change in body.changes], np.int64),
        np.array([change.at_ns for change in body.changes], np.int64),
    )


def _changes(columns: dict[str, AnyArray], about: str, settings: int) -> ChangeBatch:
    body = ChangeBatch(read_changes(about))
    stated = (columns["change.number"].tolist(), columns["change.at_ns"].tolist(), settings)
    if stated != (*(one.tolist() for one in _change_columns_of(body)), body.number):
        raise ValueError("the changes are not those that their columns name")
    return body


def _outcomes(columns: dict[str, AnyArray], schema: Schema, about: str, texts: IdTexts) -> OutcomeBatch:
    return OutcomeBatch(
        columns["id_code"], columns["label"], columns["known_ns"], columns["amount"], texts, about == _SCHEDULED,
        columns.get("time_ns"), columns.get("keys"), spoken(schema.words).entities, columns["id_check"],
        columns.get("key_checks"),
    )  # fmt: skip


def _decisions(
    columns: dict[str, AnyArray], schema: Schema, version: str, texts: IdTexts, took_us: float, settings: int
) -> DecisionBatch:
    c, canary = columns, ""
    if "arm" in c:
        version, _, canary = version.partition("\n")
    return DecisionBatch(
        EventBatch(
            c["events.id_code"], c["events.time_ns"], c["events.keys"], c["events.numbers"], c["events.label"],
            c["events.kind"], texts, c["events.id_check"], c["events.key_checks"], c.get("events.reach_ns"),
            Came(c["came.time_ns"], c["came.numbers"], c["came.copy"]) if "came.copy" in c else None,
        ),
        Features(schema.features, c["features.values"], c["features.freshness"]),
        Scores(schema.scorers, c["scores.values"], c["scores.confidence"], c["scores.fallback"]),
        Fused(c["fused.risk"], c["fused.contributions"]),
        Proposal(
            c["proposal.action"], c["proposal.propensity"], c["proposal.explored"], c["proposal.fallback"]
        ),
        Ruling(c["ruling.action"], c["ruling.rule"], c["ruling.hits"]),
        c["fallback"],
        version,
        took_us,
        spoken(schema.words),
        settings,
        canary,
        c.get("arm"),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _encoded(text: str) -> tuple[int, bytes]:
    """The length of a text in UTF-8, and its bytes with their padding."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data), data + b"\0" * padding(len(data))


@lru_cache(maxsize=256)
def _fitting(schema: Schema, shapes: tuple[tuple[int, ...], ...], rows: int) -> None:
    """Raises ValueError where columns of these shapes are not those of a schema; looked at once for each shape."""
    for (name, _, of), width, shape in zip(schema.columns, schema.widths, shapes, strict=True):
        if shape != ((rows, width) if of else (rows,)):
            raise ValueError(f"{name} has the shape {shape}, not that of {rows} rows" + f" of {width} {of}" * bool(of))


def _small_pieces(schema: Schema, columns: tuple[AnyArray, ...], rows: int) -> list[bytes]:
    """The columns of few rows as bytes with their padding."""
    shapes = tuple([column.shape for column in columns])
    if rows != 1 or shapes != schema.one_row:
        _fitting(schema, shapes, rows)
    if tuple([column.dtype for column in columns]) != schema.dtypes:
        _pieces(schema, columns, rows)  # It says which.
    pieces = [column.tobytes() for column in columns]
    for index in schema.narrow:
        piece = pieces[index]
        if len(piece) % 8:
            pieces[index] = piece + _PADDINGS[len(piece) % 8]
    return pieces


def _pieces(schema: Schema, columns: tuple[AnyArray, ...], rows: int) -> tuple[int, list[Any]]:
    """The columns as buffers with their padding, and a bit for each that is stored as one row."""
    _fitting(schema, tuple([column.shape for column in columns]), rows)
    alike = 0
    pieces: list[Any] = []
    for index, (column, dtype) in enumerate(zip(columns, schema.dtypes)):
        if column.dtype != dtype:
            raise ValueError(f"{schema.columns[index][0]} is {column.dtype}, not {dtype}")
        if rows >= _ALIKE_FROM and _all_alike(column):
            alike |= 1 << index
            column = column[:1]
        if not column.flags.c_contiguous:
            column = np.ascontiguousarray(column)
        size = column.nbytes
        if size:
            pieces.append(column)
            if size % 8:
                pieces.append(_PADDINGS[size % 8])
    return alike, pieces


def _all_alike(column: AnyArray) -> bool:
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


def _prefix(data: bytes | memoryview) -> tuple[int, int, float, int]:
    """The format, kind, took_us and content length of a body."""
    if len(data) < _CONTENT_AT:
        raise ValueError(f"{len(data)} bytes are too few for a body")
    magic, version, kind, unused, length, took_us, also_unused, checksum = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("this is not a body of decisions, outcomes or changes")
    if crc32(bytes(data[: _PREFIX.size - 4])) != checksum:
        raise ValueError("the body's first bytes are damaged")
    if unused or also_unused:
        raise ValueError("the body's first bytes hold what no body of this format does")
    if version not in (format1.FORMAT, FORMAT):
        raise ValueError(f"the body has format {version}; this version reads formats {format1.FORMAT} to {FORMAT}")
    if kind not in KINDS or (kind == CHANGES and version == format1.FORMAT):
        raise ValueError(f"a body of kind {kind} is unknown")
    if length != len(data) - _CONTENT_AT or length < (_ABOUT_AT if version == FORMAT else _SIZES.size):
        raise ValueError(f"the body has {len(data) - _CONTENT_AT} bytes of content, not {length}")
    return version, kind, took_us, length


def _read_columns(content: memoryview, at: int, rows: int, alike: int, schema: Schema) -> dict[str, AnyArray]:
    columns: dict[str, AnyArray] = {}
    for index, ((name, _, of), dtype, width) in enumerate(zip(schema.columns, schema.dtypes, schema.widths)):
        stored = 1 if alike >> index & 1 else rows
        count = stored * (width if of else 1)
        if at + count * dtype.itemsize > len(content):
            raise ValueError(f"the body ends within {name}")
        column = np.frombuffer(content, dtype, count, at) if count else np.empty(0, dtype)
        at += count * dtype.itemsize + padding(count * dtype.itemsize)
        if of:
            column = column.reshape(stored, width)
        columns[name] = np.repeat(column, rows, axis=0) if stored != rows else column
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow the body's last column")
    return columns
