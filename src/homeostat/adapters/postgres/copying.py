"""Rows in PostgreSQL's binary COPY format, put together from columns.

A column is one buffer with a start and a length for each row; a number is 8 (or 4, 2) big-endian bytes. One pass then
lays all columns of all rows out, at some 0.1 us a row, where a value after the other costs several.
Source: PostgreSQL's manual, COPY, "Binary Format".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Int
from homeostat.records.compiled import compiled

_SIGNATURE = np.frombuffer(b"PGCOPY\n\xff\r\n\0" + bytes(8), np.uint8)
EPOCH_US = 946_684_800_000_000  # PostgreSQL counts microseconds, or days, since 2000.
_EPOCH_DAYS = 10_957
_INT8_OID = 20
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # The character that the type text can't hold.
TEXT_BYTES_MAX = 1000  # An index takes values of 2,700 bytes at the most.


@dataclass(frozen=True, slots=True)
class CopyColumn:
    """One column's bytes.

    data : (bytes,)
    start, length : (n,) where each row's value lies; a length of -1 is NULL
    """

    data: Bytes
    start: Int
    length: Int


def numbers(values: NDArray[Any], code: str) -> CopyColumn:
    """(n,) numbers as a numpy type in network order: ">i8", ">i4", ">i2", ">f8". NaN stays NaN."""
    data = np.ascontiguousarray(values.astype(code)).view(np.uint8)
    size = np.dtype(code).itemsize
    return CopyColumn(data, np.arange(len(values), dtype=np.int64) * size, np.full(len(values), size, np.int64))


def numbers_or_null(values: NDArray[np.float64]) -> CopyColumn:
    """(n,) double precision, NULL where NaN."""
    column = numbers(values, ">f8")
    column.length[np.isnan(values)] = -1
    return column


def times(time_ns: Int) -> CopyColumn:
    """(n,) timestamptz of nanoseconds since 1970 UTC; microseconds are kept."""
    return numbers(time_ns // 1000 - EPOCH_US, ">i8")


def days(day: Int) -> CopyColumn:
    """(n,) date of days since 1970."""
    return numbers(day - _EPOCH_DAYS, ">i4")


def arrays(values: Int) -> CopyColumn:
    """(n,) bigint[] of values (n, m)."""
    n, m = values.shape
    if m == 0:
        empty = np.frombuffer(b"\0" * 8 + _INT8_OID.to_bytes(4, "big"), np.uint8)  # An empty array has no dimension.
        return CopyColumn(empty, np.zeros(n, np.int64), np.full(n, 12, np.int64))
    out = np.zeros(n, np.dtype([("head", ">i4", 5), ("items", [("size", ">i4"), ("value", ">i8")], m)]))
    out["head"] = (1, 0, _INT8_OID, m, 1)  # Dimensions, no NULLs, type, length, first index.
    out["items"]["size"] = 8
    out["items"]["value"] = values
    size = out.dtype.itemsize
    return CopyColumn(out.view(np.uint8), np.arange(n, dtype=np.int64) * size, np.full(n, size, np.int64))


def texts(values: Sequence[str]) -> CopyColumn:
    """(n,) text."""
    return blobs([storable(value) for value in values])


def blobs(values: Sequence[bytes]) -> CopyColumn:
    """(n,) bytea."""
    length = np.fromiter(map(len, values), np.int64, len(values))
    return CopyColumn(np.frombuffer(b"".join(values), np.uint8), np.cumsum(length) - length, length)


def named(code: NDArray[Any], names: CopyColumn) -> CopyColumn:
    """(n,) text by its index (n,) into a column of names."""
    at = code.astype(np.int64)
    return CopyColumn(names.data, names.start[at], names.length[at])


def storable(text: str) -> bytes:
    """A text as PostgreSQL can keep it.

    NUL and lone surrogates are written as JSON escapes them; what is too long for an index is cut and ends in its hash.

    >>> storable("a\\0b")
    b'a\\\\u0000b'
    """
    if text.isascii() and "\0" not in text:
        data = text.encode("ascii")
    else:
        data = _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
    if len(data) <= TEXT_BYTES_MAX:
        return data
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    kept = data[: TEXT_BYTES_MAX - 40].decode("utf-8", "ignore")
    return f"{kept}...{digest}".encode()


def rows(columns: Sequence[CopyColumn]) -> bytes:
    """The columns' rows as COPY ... WITH (FORMAT binary) takes them."""
    starts = np.stack([column.start for column in columns])
    lengths = np.stack([column.length for column in columns])
    count, n = lengths.shape
    offsets = np.cumsum([0, *(len(column.data) for column in columns)])
    starts += offsets[:-1, None]
    data = np.concatenate([column.data for column in columns])
    size = len(_SIGNATURE) + n * (2 + 4 * count) + int(np.maximum(lengths, 0).sum()) + 2
    out = np.empty(size, np.uint8)
    out[: len(_SIGNATURE)] = _SIGNATURE
    end = _lay_out(out, len(_SIGNATURE), data, starts, lengths)
    assert end == size - 2
    out[end:] = 255  # The trailer is a field count of -1.
    return out.tobytes()


@compiled
def _lay_out(out: Bytes, at: int, data: Bytes, starts: Int, lengths: Int) -> int:
    fields, n = lengths.shape
    for row in range(n):
        out[at] = fields >> 8
        out[at + 1] = fields & 255
        at += 2
        for k in range(fields):
            length = lengths[k, row]
            for shift in range(4):
                out[at + shift] = (length >> (24 - 8 * shift)) & 255
            at += 4
            start = starts[k, row]
            for i in range(length):
                out[at + i] = data[start + i]
            at += max(length, 0)
    return at
