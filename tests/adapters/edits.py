"""Edits of a table's values, made from the table's schema, so that a column that comes later is edited too."""

from __future__ import annotations

from datetime import date, datetime, timedelta


def edits_of(kind: str, value: object) -> list[object]:
    """Other values of the same type than this one: the least change there is, larger ones, and none at all."""
    made: list[object]
    if value is None:
        made = [
            {
                "integer": 1,
                "bigint": 1,
                "text": "x",
                "json": '{"x": 1}',
                "blob": b"x" * 32,
                "bytea": b"x" * 32,
                "ARRAY": [1],
            }.get(kind, 0.5)
        ]
    elif isinstance(value, bool):
        made = [not value]
    elif isinstance(value, int):
        made = [value + 1, value - 1, 0, value + 1000]
    elif isinstance(value, float):
        made = [value + 1e-9, -value, 0.0]
    elif isinstance(value, str):
        made = [value + "x", value[:-1], value.swapcase(), "", "0" + value]
    elif isinstance(value, bytes):
        places = sorted({0, 1, 5, len(value) // 3, len(value) // 2, len(value) - 1})
        made = [flipped(value, at) for at in places if 0 <= at < len(value)]
        made += [value + b"\0", value[:-1], b""]
    elif isinstance(value, datetime):
        made = [value + timedelta(microseconds=1), value - timedelta(microseconds=1), value - timedelta(hours=1)]
    elif isinstance(value, date):
        made = [value + timedelta(days=1), value - timedelta(days=1)]
    elif isinstance(value, list):
        made = [[*value[:k], value[k] + 1, *value[k + 1 :]] for k in range(len(value))] + [[*value, 0], value[:-1]]
        made += [value[::-1]]
    else:
        raise TypeError(f"how is a {type(value).__name__} edited?")
    return [other for other in made if other != value]


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit turned."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
