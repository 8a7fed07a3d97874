"""Generated events, good and bad, for whatever takes events in: files, HTTP, plug-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from homeostat.decide.intake.schema import EntityColumn, EventSchema, FieldColumn
from homeostat.records.identity import Coding

T = TypeVar("T")
NOW_NS = 1_800_000_000 * 10**9

SCHEMA = EventSchema(
    coding=Coding.of_seed(0),
    id=("event_id", "TRANSACTION_ID"),
    time=("time", "TX_DATETIME"),
    entities=(
        EntityColumn("customer", ("customer", "CUSTOMER_ID")),
        EntityColumn("terminal", ("terminal", "TERMINAL_ID"), required=False),
        EntityColumn("pair", (), of=(0, 1)),
    ),
    fields=(
        FieldColumn("amount", ("amount", "TX_AMOUNT"), "number", min=0, max=1e7),
        FieldColumn("items", ("items",), "integer", required=False, max=1000),
        FieldColumn("online", ("online",), "boolean", required=False),
        FieldColumn("channel", ("channel",), "category", required=False, values=("web", "app", "shop")),
    ),
    label=("fraud", "TX_FRAUD"),
)

_BAD_VALUES: dict[str, tuple[object, ...]] = {
    "event_id": (None, "", True, 1.5, [1], {"a": 1}, "x" * 300, "a\0b", 10**300, 1e999, "\ud800"),
    "time": (None, "", "yesterday", "2026-02-30", "2026-01-01T25:00:00", 1.8e12, True, [], "2261-01-01", float("nan")),
    "customer": (None, "", False, 0.5, [[]], {}, "y" * 257, float("nan")),
    "terminal": (True, 2.5, [], {"id": 1}, "z" * 999),
    "amount": (None, "12", "", True, -1, 1e8, float("nan"), float("inf"), -float("inf"), 10**400, [], {}),
    "items": (1.5, "3", 1001, 2**60, float("nan"), []),
    "online": ("true", 2, -1, 0.5, []),
    "channel": ("fax", 1, True, [], "w" * 300, "\ud800"),
    "fraud": (2, "1", "yes", -1, 0.5, []),
}
_NO_OBJECTS = (b"[1]", b"null", b"7", b'"text"', b"[]", b"true", b"{}", b"\x00", b"\xef\xbb\xbf{}", b"{} {}")


def _below(rng: np.random.Generator, stop: int) -> int:
    return int(rng.integers(stop))


def _one_of(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[_below(rng, len(choices))]


def good_event(number: int, rng: np.random.Generator) -> dict[str, object]:
    """A valid event of `SCHEMA`; some with text ids, zones, fractions and missing optional values."""
    month, day, hour, second = (int(rng.integers(low, high)) for low, high in ((1, 10), (10, 29), (10, 24), (10, 60)))
    customer = _below(rng, 500)
    event: dict[str, object] = {
        "event_id": number if number % 3 else f"tx-{number}",
        "time": f"2026-0{month}-{day}T{hour}:00:{second}" + ("", "Z", "+02:00", ".25Z")[number % 4],
        "customer": _one_of((customer, str(customer), f"c{customer}"), rng),
        "amount": _one_of((_below(rng, 1000), round(float(rng.uniform(0, 900)), 2)), rng),
    }
    if number % 2:
        event |= {"terminal": _below(rng, 1000), "items": _below(rng, 9), "online": number % 4 == 1}
    if number % 5 == 0:
        label = _one_of((0, 1, True, None), rng)
        event |= {"channel": _one_of(("web", "app"), rng), "fraud": label, "extra": [1]}
    return event


def bad_line(number: int, rng: np.random.Generator) -> bytes:
    """A line that is no event of `SCHEMA`, whatever is wrong with it."""
    event = good_event(number, rng)
    kind = _below(rng, 10)
    if kind == 0:
        return _broken(json.dumps(event).encode(), rng)
    if kind == 1:
        return _one_of(_NO_OBJECTS, rng)
    if kind == 2:
        return json.dumps(event).encode()[:-1] + b', "deep": ' + _deep(rng) + b"}"
    field = _one_of(tuple(_BAD_VALUES), rng)
    event[field] = _one_of(_BAD_VALUES[field], rng)
    return json.dumps(event).encode()


def _deep(rng: np.random.Generator) -> bytes:
    depth = _one_of((65, 200, 5000), rng)
    return _one_of((b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth), rng)


def _broken(line: bytes, rng: np.random.Generator) -> bytes:
    kind = _below(rng, 4)
    if kind == 0:
        return line[: 1 + _below(rng, len(line) - 1)]
    if kind == 1:
        return line[:-1]
    if kind == 2:
        return line.replace(b"customer", b"custom\xff\xfeer", 1)
    return line.replace(b":", b";", 1)


def bad_lines(count: int, seed: int) -> Iterator[bytes]:
    """`count` bad lines, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return (bad_line(number, rng) for number in range(count))
