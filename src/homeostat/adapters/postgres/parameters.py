"""Columns as parameters of statements: arrays in the server's binary form, so that a thousand values cost as one.

Source: PostgreSQL's manual, "Formats and Format Codes"; its array_send for how an array is laid out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from homeostat.adapters.postgres.copying import EPOCH_US, CopyColumn, arrays, storable
from homeostat.records.arrays import Bytes, Int
from homeostat.records.compiled import compiled

_HEAD = struct.Struct(">iiiii")  # Dimensions, whether there are NULLs, type of the elements, how many, first index.


class _Binary(bytes):
    """A value as the server sends and takes it."""


class BigintArray(_Binary):
    """A bigint[]."""


class IntegerArray(_Binary):
    """An integer[]."""


class FloatArray(_Binary):
    """A float8[]."""


class TextArray(_Binary):
    """A text[]."""


class TimeArray(_Binary):
    """A timestamptz[]."""


class Moment(_Binary):
    """A timestamptz."""

    @classmethod
    def of(cls, time_ns: int) -> Moment:
        """Nanoseconds since 1970 UTC; microseconds are kept."""
        return cls(struct.pack(">q", time_ns // 1000 - EPOCH_US))


_TYPES: dict[type[_Binary], str] = {
    BigintArray: "int8", IntegerArray: "int4", FloatArray: "float8", TextArray: "text", TimeArray: "timestamptz",
}  # fmt: skip


def _register(kind: type[_Binary], oid: int) -> None:
    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return obj

    AsItIs.oid = oid
    psycopg.adapters.register_dumper(kind, AsItIs)


for _kind, _name in _TYPES.items():
    _register(_kind, psycopg.postgres.types[_name].array_oid)
_register(Moment, psycopg.postgres.types["timestamptz"].oid)


def codes_parameter(codes: Int) -> BigintArray:
    """(n,) integers."""
    return BigintArray(arrays(codes.reshape(1, -1)).data.tobytes())


def texts_parameter(values: Sequence[str]) -> list[str]:
    """Texts, as they are stored."""
    return [storable(value).decode() for value in values]


def array_parameter(column: CopyColumn, kind: type[_Binary]) -> _Binary:
    """(n,) values of a column, NULLs included."""
    n = len(column.start)
    oid = psycopg.postgres.types[_TYPES[kind]].oid
    if n == 0:
        return kind(_HEAD.pack(0, 0, oid, 0, 0)[:12])
    out = np.empty(_HEAD.size + 4 * n + int(np.maximum(column.length, 0).sum()), np.uint8)
    has_null = bool((column.length < 0).any())
    out[: _HEAD.size] = np.frombuffer(_HEAD.pack(1, has_null, oid, n, 1), np.uint8)
    _lay_out(out, _HEAD.size, column.data, column.start, column.length)
    return kind(out.tobytes())


@compiled
def _lay_out(out: Bytes, at: int, data: Bytes, starts: Int, lengths: Int) -> None:
    for row in range(len(starts)):
        length = lengths[row]
        for shift in range(4):
            out[at + shift] = (length >> (24 - 8 * shift)) & 255
        at += 4
        for i in range(length):
            out[at + i] = data[starts[row] + i]
        at += max(length, 0)
