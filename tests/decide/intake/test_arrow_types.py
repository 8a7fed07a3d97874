"""Every type of Arrow in every role of a column: the value that it stands for, or a dead letter with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from homeostat.checks.bad_events import NOW_NS, SCHEMA
from homeostat.decide.intake.columns import read_columns
from homeostat.decide.intake.objects import read_objects
from homeostat.decide.intake.values import Source

ROLES = ("event_id", "time", "customer", "terminal", "amount", "items", "online", "channel", "fraud")
SOUND: dict[str, list[Any]] = {
    "event_id": [1, 2], "time": ["2026-01-01"] * 2, "customer": [1, 2], "terminal": [1, 2], "amount": [1.0, 2.0],
    "items": [1, 2], "online": [True, False], "channel": ["web", "app"], "fraud": [0, 1],
}  # fmt: skip
NOTHING = {"other": 1}  # Stands for what no column may hold: refused as any mapping is.


class Own(pa.ExtensionType):  # type: ignore[misc]
    """A type that only its author knows."""

    def __init__(self, storage: Any) -> None:
        super().__init__(storage, "tests.own")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""


def packed(kind: Any, values: list[Any]) -> Any:
    return pa.array(values, pa.int64()).view(kind)


def numbers() -> Iterator[tuple[Any, list[Any]]]:
    whole = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
    for kind in whole:
        yield pa.array([1, 0], kind), [1, 0]
        yield pa.array([1, None], kind), [1, None]
    yield pa.array([2**64 - 1, 2**63], pa.uint64()), [2**64 - 1, 2**63]
    yield pa.array([2**63 - 1, -(2**63)]), [2**63 - 1, -(2**63)]
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        yield pa.array(np.array([1.0, 0.5]).astype(kind.to_pandas_dtype()), kind), [1.0, 0.5]
    yield pa.array([float("nan"), float("inf")]), [None, float("inf")]
    for kind in (pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(60, 2)):
        yield pa.array([Decimal("1.00"), Decimal("2.50")], kind), [1, 2.5]
    yield pa.array([Decimal(10) ** 70, Decimal("0.1")], pa.decimal256(76, 2)), [10**70, 0.1]
    yield pa.array([Decimal(100), Decimal(200)], pa.decimal128(5, -2)), [100, 200]
    yield pa.nulls(2), [None, None]
    yield pa.array([True, False]), [True, False]


def texts() -> Iterator[tuple[Any, list[Any]]]:
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        yield pa.array(["web", "1"], kind), ["web", "1"]
        yield pa.array(["", None], kind), [None, None]
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)):
        yield pa.array([b"ab", b"12"], kind), ["ab", "12"]
        yield pa.array([b"\xff\xfe", b"12"], kind), [b"\xff\xfe", "12"]


def times() -> Iterator[tuple[Any, list[Any]]]:
    yield pa.array([date(2026, 1, 1), date(9999, 1, 1)], pa.date32()), ["2026-01-01", "9999-01-01"]
    yield pa.array([2**31 - 1, 0], pa.int32()).view(pa.date32()), ["<value out of range: 2147483647>", "1970-01-01"]
    yield packed(pa.date64(), [86_400_000, 0]), ["1970-01-02 00:00:00.000", "1970-01-01 00:00:00.000"]
    for unit, one in (("s", ""), ("ms", ".000"), ("us", ".000000"), ("ns", ".000000000")):
        for zone in (None, "UTC", "Europe/Paris", "+05:30", "Nowhere/Such"):
            kind = pa.timestamp(unit, zone)
            yield packed(kind, [0, 0]), [f"1970-01-01 00:00:00{one}"] * 2
        yield packed(pa.duration(unit), [1, 2**62]), [NOTHING] * 2
    yield packed(pa.timestamp("s"), [2**62, 0]), [f"<value out of range: {2**62}>", "1970-01-01 00:00:00"]
    yield packed(pa.time64("ns"), [1, 2**62]), [NOTHING] * 2
    yield pa.array([1, 2**31 - 1], pa.int32()).view(pa.time32("ms")), [NOTHING] * 2
    yield pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), [NOTHING, None]


def nested() -> Iterator[tuple[Any, list[Any]]]:
    kinds = (
        pa.list_(pa.int64()), pa.large_list(pa.int64()), pa.list_view(pa.int64()), pa.large_list_view(pa.int64()),
    )  # fmt: skip
    for kind in kinds:
        yield pa.array([[1], None], kind), [NOTHING, None]
    yield pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), [NOTHING] * 2
    yield pa.array([{"a": 1}, None]), [NOTHING, None]
    yield pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())), [NOTHING] * 2
    yield pa.ListArray.from_arrays([0, 1, 2], packed(pa.timestamp("ns"), [2**62 + 1, 7])), [NOTHING] * 2
    types = pa.array([0, 1], pa.int8())
    yield pa.UnionArray.from_sparse(types, [pa.array([1, 2]), pa.array(["a", "b"])]), [1, "b"]
    yield pa.UnionArray.from_dense(types, pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["web"])]), [1, "web"]


def wrapped() -> Iterator[tuple[Any, list[Any]]]:
    for values in (["1", "web"], [1, 2], [1.0, 2.5], [None, "1"], [True, False]):
        yield pa.array(values).dictionary_encode(), values
        yield (
            pa.chunked_array([pa.array(values[:1]), pa.array(values[1:], pa.array(values).type)])
            if values[0] is not None
            else pa.array(values),
            values,
        )
    yield pa.array([2**63, 1], pa.uint64()).dictionary_encode(), [2**63, 1]
    yield pa.array([Decimal(1), Decimal(2)]).dictionary_encode(), [1, 2]
    yield pa.DictionaryArray.from_arrays(pa.array([0, 1]), packed(pa.duration("s"), [1, 2])), [NOTHING] * 2
    twice = pa.array(["1", "web"]).dictionary_encode()
    yield pa.DictionaryArray.from_arrays(pa.array([1, 0]), twice), ["web", "1"]
    yield pa.RunEndEncodedArray.from_arrays([1, 2], ["1", "web"]), ["1", "web"]
    yield pa.RunEndEncodedArray.from_arrays([2], [5]), [5, 5]
    ids = [uuid.UUID(int=1), uuid.UUID("550e8400-e29b-41d4-a716-446655440000")]
    stored = pa.array([one.bytes for one in ids], pa.binary(16))
    yield pa.ExtensionArray.from_storage(pa.uuid(), stored), [str(one) for one in ids]
    gaps = pa.array([ids[1].bytes, None], pa.binary(16))
    yield pa.ExtensionArray.from_storage(pa.uuid(), gaps), [str(ids[1]), None]
    yield pa.ExtensionArray.from_storage(pa.json_(), pa.array(["web", "1"])), ["web", "1"]
    yield pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False]
    yield pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "x", "y"), pa.array([1, 2])), [1, 2]
    tensor = pa.fixed_shape_tensor(pa.int32(), [2])
    shape = pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))
    yield pa.ExtensionArray.from_storage(tensor, shape), [NOTHING] * 2
    yield pa.ExtensionArray.from_storage(Own(pa.int64()), pa.array([1, 2])), [1, 2]
    own = pa.array(["web", "1"]).dictionary_encode()
    yield pa.ExtensionArray.from_storage(Own(own.type), own), ["web", "1"]


CASES = [case for made in (numbers, texts, times, nested, wrapped) for case in made()]


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("column", "meant"), CASES, ids=[f"{at}-{one[0].type}"[:60] for at, one in enumerate(CASES)])
def test_a_column_of_any_type_is_what_its_values_stand_for(column: Any, meant: list[Any], role: str) -> None:
    columns = {name: pa.array(values) for name, values in SOUND.items()} | {role: column}
    batch, letters = read_columns(columns, 2, SCHEMA, NOW_NS, [1, 2])
    objects = [{name: (meant if name == role else values)[row] for name, values in SOUND.items()} for row in (0, 1)]
    expected, refused, _ = read_objects(objects, SCHEMA, NOW_NS, source=Source.COLUMNS)
    assert [(one.line, one.field, one.reason) for one in letters] == [(x.line, x.field, x.reason) for x in refused]
    assert batch.id_code.tolist() == expected.id_code.tolist()
    assert batch.time_ns.tolist() == expected.time_ns.tolist()
    assert batch.keys.tolist() == expected.keys.tolist()
    assert batch.numbers.tobytes() == expected.numbers.tobytes()
    assert batch.label.tobytes() == expected.label.tobytes()


def test_every_type_that_arrow_has_is_among_the_cases() -> None:
    """A type that a later Arrow brings has to be put here."""
    names = {name for name in dir(pa.lib) if name.startswith("Type_")}
    tested = {str(column.type.id) for column, _ in CASES}
    known = {str(getattr(pa.lib, name)): name for name in names}
    missing = {known[one] for one in known if one not in tested}
    assert missing <= {"Type_INTERVAL_MONTHS", "Type_INTERVAL_DAY_TIME", "Type_MAX_ID"}, missing
