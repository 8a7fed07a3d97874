"""Every path into intake against a naive validator, written from the rules in docs/events.md and from nothing else."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.checks.bad_events import NOW_NS, SCHEMA, bad_lines, good_event
from homeostat.decide.intake.columns import read_columns
from homeostat.decide.intake.lines import FEW, parse_events, parse_outcome_body, read_lines
from homeostat.decide.intake.objects import parse_outcomes, read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.intake.values import Source
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.identity import ABSENT, Coding, category_code, text_of
from homeostat.records.reasons import Reason

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

LEAST, MOST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1900, 2262))


def first(event: dict[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        if event.get(name) not in (None, ""):
            return event[name]
    return None


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text_fault(value: str) -> str | None:
    if len(value) > 256:
        return "out_of_range"
    if "\0" in value or any(0xD800 <= ord(c) < 0xE000 for c in value):
        return "malformed"
    return None


def key_fault(value: object) -> str | None:
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return "out_of_range" if abs(value) >= 10**255 and len(str(value)) > 256 else None
    return "wrong_type"


def instant(value: object) -> Fraction | None:
    """Seconds since 1970, None if it names no time."""
    if is_number(value):
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return Fraction(value)  # type: ignore[arg-type]
    assert isinstance(value, str)
    text = value.replace("t", "T").replace(" ", "T").replace(",", ".").replace("z", "Z")
    head, _, tail = text.partition("T")
    fraction = Fraction(0)
    if len(head) != 10 or head[4] != "-" or head[7] != "-" or "W" in head:
        return None
    if "." in tail:
        clock, _, rest = tail.partition(".")
        digits = rest.rstrip("Z")
        for sign in "+-":
            digits = digits.partition(sign)[0]
        if len(clock) != 8 or not digits.isdecimal() or len(digits) > 9:
            return None
        fraction = Fraction(int(digits), 10 ** len(digits))
        tail = clock + rest[len(digits) :]
    elif tail and (len(tail) < 5 or tail[2] != ":"):
        return None
    try:
        moment = datetime.fromisoformat(head + ("T" + tail if tail else ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(delta.days * 86400 + delta.seconds) + fraction


def time_fault(value: object, latest_ns: int) -> str | None:
    if not isinstance(value, str) and not is_number(value):
        return "wrong_type"
    seconds = instant(value)
    if seconds is None or not LEAST.timestamp() <= seconds < MOST.timestamp():
        return "bad_time"
    return "too_early" if round(seconds * 10**9) > latest_ns else None


def number_fault(value: object, low: float | None, high: float | None, whole: bool) -> str | None:
    if not is_number(value):
        return "wrong_type"
    if not -1.8e308 < value < 1.8e308:  # type: ignore[operator]
        return "out_of_range"
    if whole and value != int(value):  # type: ignore[call-overload]
        return "wrong_type"
    if whole and abs(value) > 2**53:  # type: ignore[arg-type]
        return "out_of_range"
    below, above = low is not None and value < low, high is not None and value > high  # type: ignore[operator]
    return "out_of_range" if below or above else None


def boolean_fault(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return number_fault(value, None, None, False) or (None if value in (0, 1) else "out_of_range")


def category_fault(value: object, allowed: tuple[str, ...] | None) -> str | None:
    if not isinstance(value, str):
        return "wrong_type"
    return text_fault(value) or (None if allowed is None or value in allowed else "out_of_range")


def fault(event: object, schema: EventSchema, now_ns: int) -> tuple[str, str] | None:
    """The first fault as field and reason; None if the event is valid."""
    if not isinstance(event, dict):
        return "event", "malformed"
    checks: list[tuple[str, tuple[str, ...], bool, object]] = [
        (schema.id[0], schema.id, True, key_fault),
        (schema.time[0], schema.time, True, lambda v: time_fault(v, now_ns + schema.ahead_max_ns)),
    ]
    checks += [(e.name, e.names, e.required, key_fault) for e in schema.entities if e.of is None]
    for f in schema.fields:
        if f.kind == "category":
            check = lambda v, f=f: category_fault(v, f.values)  # noqa: E731
        elif f.kind == "boolean":
            check = boolean_fault
        else:
            check = lambda v, f=f: number_fault(v, f.min, f.max, f.kind == "integer")  # noqa: E731
        checks.append((f.name, f.names, f.required, check))
    checks.append((schema.label[0], schema.label, False, boolean_fault))
    for name, names, required, check in checks:
        value = first(event, names)
        if value is None:
            if required:
                return name, "missing"
            continue
        reason = check(value)  # type: ignore[operator]
        if reason is not None:
            return name, reason
    return None


def texts_around(*good: str) -> st.SearchStrategy[str]:
    return st.sampled_from(good) | st.text(max_size=8) | st.sampled_from(["", "x" * 256, "x" * 257, "a\0", "\ud800"])


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-2, 3), st.floats(),
    st.sampled_from([2**53 + 1, 10**300, 10**400, -0.0]),
)  # fmt: skip
odd = st.one_of(
    scalars,
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), scalars, max_size=1),
)
dates = r"(1[67]|20|22)[0-9][0-9]-[01][0-9]-[0-3][0-9]"
clocks = r"[Tt ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{1,10})?)?([Zz]|[+-][0-2][0-9](:?[0-6][0-9])?)?"
times = st.datetimes(datetime(1600, 1, 1), datetime(2400, 1, 1)).map(str) | st.from_regex(
    f"{dates}({clocks})?", fullmatch=True
)
keys = texts_around("123", "-5", "0123", "-0", str(2**61), str(2**63), "c1") | st.integers()
likely: dict[str, st.SearchStrategy[object]] = {
    "event_id": keys,
    "TRANSACTION_ID": keys,
    "time": times,
    "TX_DATETIME": times | st.integers(0, 2 * 10**9) | st.floats(-1e10, 1e10),
    "customer": keys,
    "CUSTOMER_ID": keys,
    "terminal": keys,
    "amount": st.floats(0, 1e7) | st.integers(0, 10**7),
    "items": st.integers(-5, 1000),
    "online": st.sampled_from([True, False, 0, 1, 1.0]),
    "channel": texts_around("web", "app", "shop"),
    "fraud": st.sampled_from([0, 1, True, None]),
    "other": odd,
}
SOUND: dict[str, object] = {"event_id": 1, "time": "2026-01-01T00:00:00", "customer": 2, "amount": 3.5}


@st.composite
def events(draw: st.DrawFn) -> dict[str, object]:
    """A sound event with up to three things changed."""
    event = dict(SOUND)
    for name in draw(st.lists(st.sampled_from(sorted(likely)), max_size=3, unique=True)):
        event[name] = draw(likely[name] if draw(st.integers(0, 2)) else odd)
    for name in draw(st.lists(st.sampled_from(sorted(SOUND)), max_size=1)):
        if draw(st.booleans()):
            event.pop(name, None)
    return event


def pair_of(first: tuple[int, int], second: tuple[int, int], coding: Coding) -> tuple[int, int]:
    """The identity of a composite, one at a time."""
    table = np.array([[[first[0], second[0], 0]], [[first[1], second[1], 0]]], np.int64)
    coding.fill_pair(table[0], table[1], (0, 1), 2)
    return int(table[0, 0, 2]), int(table[1, 0, 2])


def same(left: EventBatch, right: EventBatch) -> None:
    assert left.id_code.tolist() == right.id_code.tolist()
    assert left.time_ns.tolist() == right.time_ns.tolist()
    assert left.keys.tolist() == right.keys.tolist()
    assert left.id_check.tolist() == right.id_check.tolist()
    assert left.key_checks.tolist() == right.key_checks.tolist()
    assert left.numbers.tobytes() == right.numbers.tobytes()
    assert left.label.tobytes() == right.label.tobytes()
    assert left.kind.tolist() == right.kind.tolist()
    for row in range(len(left)):
        assert left.id_text(row) == right.id_text(row)
        for one in zip(left.keys[row, :2].tolist(), left.key_checks[row, :2].tolist(), strict=True):
            assert text_of(*one, left.texts) == text_of(*one, right.texts)
    for channel in set(left.numbers[~np.isnan(left.numbers[:, 3]), 3].tolist()):
        assert left.category_texts[channel] == right.category_texts[channel]


@settings(deadline=None)
@given(st.lists(events(), max_size=8))
def test_an_event_is_valid_if_and_only_if_the_naive_validator_says_so(objects: list[dict[str, Any]]) -> None:
    batch, letters, positions = read_objects(objects, SCHEMA, NOW_NS)
    expected = [fault(event, SCHEMA, NOW_NS) for event in objects]
    assert positions == [position for position, reason in enumerate(expected) if reason is None]
    assert len(batch) == len(positions)
    assert [(letter.line, letter.field, letter.reason) for letter in letters] == [
        (position + 1, *reason) for position, reason in enumerate(expected) if reason is not None
    ]
    for row, position in enumerate(positions):
        event = objects[position]
        at: Any = first(event, SCHEMA.time)
        key: Any = first(event, SCHEMA.id)
        assert batch.ids.at(row) == SCHEMA.coding.identify(key)
        assert isinstance(at, float) or batch.time_ns[row] == (instant(at) or 0) * 10**9
        customer: Any = first(event, ("customer", "CUSTOMER_ID"))
        terminal: Any = first(event, ("terminal", "TERMINAL_ID"))
        own = [SCHEMA.coding.identify(customer), (ABSENT, 0) if terminal is None else SCHEMA.coding.identify(terminal)]
        found = list(zip(batch.keys[row].tolist(), batch.key_checks[row].tolist(), strict=True))
        assert found == [*own, pair_of(*own, SCHEMA.coding)]
        amount: Any = first(event, ("amount", "TX_AMOUNT"))
        assert batch.numbers[row, 0] == float(amount)
        channel: Any = first(event, ("channel",))
        code = batch.numbers[row, 3]
        assert math.isnan(code) if channel is None else code == category_code(channel)
        assert channel is None or batch.category_texts[code.item()] == channel


def encodable(event: dict[str, object]) -> bool:
    """Whether strict JSON can carry it: no NaN, infinity or lone surrogate anywhere."""
    try:
        json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@settings(deadline=None)
@given(st.lists(events().filter(encodable), min_size=1, max_size=6), st.integers(0, 3))
def test_many_lines_read_as_columns_equal_the_same_objects_one_by_one(objects: list[dict[str, Any]], more: int) -> None:
    many = (objects * FEW)[: FEW + len(objects) + 1] + [SOUND] * more
    batch, letters = read_lines([json.dumps(event).encode() for event in many], SCHEMA, NOW_NS)
    expected, expected_letters, _ = read_objects(many, SCHEMA, NOW_NS)
    same(batch, expected)
    assert letters == expected_letters


def as_text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


names = ("event_id", "time", "customer", "terminal", "amount", "items", "online", "channel", "fraud")


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Columns of one type each, some of their values bad."""
    n = draw(st.integers(1, 5))
    kinds: dict[str, list[st.SearchStrategy[Any]]] = {
        "event_id": [st.integers(-(2**63), 2**63 - 1), texts_around("12", "c1").filter(str.isprintable), st.floats()],
        "time": [times, st.integers(-(10**10), 10**10), st.floats(-1e10, 1e10)],
        "customer": [st.integers(-(2**62), 2**62), texts_around("7").filter(str.isprintable), st.booleans()],
        "terminal": [st.integers(0, 9), st.just(None)],
        "amount": [st.floats(-1, 1e8), st.integers(-1, 10**8), st.text("1", max_size=2)],
        "items": [st.integers(-1, 1001), st.sampled_from([1.0, 1.5, 1e17])],
        "online": [st.booleans(), st.integers(-1, 2), st.sampled_from([0.0, 1.0, 0.5])],
        "channel": [texts_around("web", "shop").filter(str.isprintable), st.integers(0, 1)],
        "fraud": [st.booleans(), st.integers(0, 2)],
    }
    columns = {}
    for name, choices in kinds.items():
        values = draw(st.sampled_from(choices))
        columns[name] = draw(st.lists(values | st.none(), min_size=n, max_size=n))
    return columns


@settings(deadline=None)
@given(tables())
def test_columns_equal_the_same_objects_one_by_one(columns: dict[str, list[Any]]) -> None:
    n = len(columns["time"])
    arrays = {name: pa.array(column) for name, column in columns.items()}
    batch, letters = read_columns(arrays, n, SCHEMA, NOW_NS, range(1, n + 1))
    objects = [{name: columns[name][row] for name in names} for row in range(n)]
    expected, expected_letters, _ = read_objects(objects, SCHEMA, NOW_NS, source=Source.COLUMNS)
    same(batch, expected)
    assert letters == expected_letters


texts_of_numbers = st.from_regex(r"[ +-]?[0-9]{0,3}(\.[0-9]{0,2})?([eE][+-]?[0-9]{1,3})?[ a]?", fullmatch=True)


@settings(deadline=None)
@given(st.lists(st.tuples(events(), texts_of_numbers, texts_of_numbers), min_size=1, max_size=5))
def test_columns_of_text_equal_the_same_texts_one_by_one(rows: list[tuple[dict[str, Any], str, str]]) -> None:
    records = []
    for event, amount, at in rows:
        record = {name: as_text(event.get(name)).replace("\ud800", "?") for name in names}
        if event.get("items") is not None:
            record |= {"amount": amount, "time": at, "online": amount}
        records.append(record)
    n = len(records)
    columns = {name: pa.array([record[name] for record in records], pa.string()) for name in names}
    batch, letters = read_columns(columns, n, SCHEMA, NOW_NS, range(1, n + 1), Source.TEXT)
    expected, expected_letters, _ = read_objects(records, SCHEMA, NOW_NS, source=Source.TEXT)
    same(batch, expected)
    assert letters == expected_letters


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.weekly)])
def test_each_generated_bad_line_becomes_a_dead_letter_and_good_ones_among_them_stay(count: int) -> None:
    rng = np.random.default_rng(11)
    good = [msgspec.json.encode(good_event(number, rng)) for number in range(count // 20)]
    lines = list(bad_lines(count, seed=3))
    lines = [line for n, bad in enumerate(lines) for line in ([good[n // 20], bad] if n % 20 == 0 else [bad])]
    read, letters = 0, []
    for start in range(0, len(lines), 8192):
        part = lines[start : start + 8192]
        batch, bad = read_lines(part, SCHEMA, NOW_NS, range(start + 1, start + 1 + len(part)))
        read += len(batch)
        letters += bad
    assert read == len(good)
    assert [letter.line for letter in letters] == [n for n in range(1, len(lines) + 1) if (n - 1) % 21]
    assert all(letter.field and Reason(letter.reason) for letter in letters)
    reasons = {"malformed", "missing", "wrong_type", "out_of_range", "bad_time", "too_early"}
    assert {letter.reason for letter in letters} == reasons
    assert max(len(letter.value) for letter in letters) <= 120


EVENT = b'{"event_id": 1, "time": "2026-01-01", "customer": 1, "amount": %b}'


@pytest.mark.parametrize("count", [1, FEW + 1])
@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (EVENT % b"NaN", "amount", "out_of_range"),
        (EVENT % b"1e999", "amount", "out_of_range"),
        (EVENT % (b"9" * 9000), "amount", "out_of_range"),
        (EVENT % b'1, "x": NaN', "event", "malformed"),
        (EVENT % b'1, "x": 1e999', None, None),
        (EVENT % (b'1, "x": ' + b"9" * 9000), None, None),
        (EVENT % b'1, "x": "\xff"', "event", "malformed"),
        (EVENT % b'1, "x": "\\ud800"', "event", "malformed"),
        (EVENT % (b'1, "x": ' + b"[" * 64 + b"]" * 64), "event", "malformed"),
        (EVENT % (b'1, "x": ' + b"[" * 63 + b"]" * 63), None, None),
        (EVENT % (b'1, "x": "' + b"[" * 900 + b'"'), None, None),
        (EVENT % b'1, "amount": "a"', "amount", "wrong_type"),
        (EVENT % b'"a", "amount": 1', None, None),
        (EVENT % b'"a", "TX_AMOUNT": 1', "amount", "wrong_type"),
        (EVENT % b'null, "TX_AMOUNT": 1', None, None),
        (EVENT % b'1, "event_id": 123.0', "event_id", "wrong_type"),
        (EVENT % b'1, "event_id": 123.5', "event_id", "wrong_type"),
        (EVENT % b'1, "event_id": 1e17', "event_id", "wrong_type"),
        (EVENT % b'1, "event_id": 1e999', "event_id", "wrong_type"),
        (EVENT % b'1, "time": 1767225600000', "time", "bad_time"),
        (b"\xef\xbb\xbf" + EVENT % b"1", "event", "malformed"),
        (b"  \r", "blank", None),
    ],
)
def test_one_line_and_many_lines_agree_on_odd_json(
    line: bytes, field: str | None, reason: str | None, count: int
) -> None:
    batch, letters = read_lines([line] * count, SCHEMA, NOW_NS)
    if field == "blank":
        assert len(batch) == 0 and letters == []
    elif field is None:
        assert len(batch) == count and letters == []
    else:
        assert len(batch) == 0 and [(letter.field, letter.reason) for letter in letters] == [(field, reason)] * count


def test_a_body_is_one_event_or_an_array_and_a_bad_element_spoils_no_other() -> None:
    good = msgspec.json.encode(SOUND)
    batch, letters, positions = parse_events(good, SCHEMA, NOW_NS)
    assert (len(batch), letters, positions) == (1, [], [0])
    batch, letters, positions = parse_events(b"[%b, {}, 1e999, %b]" % (good, good), SCHEMA, NOW_NS)
    assert len(batch) == 2 and positions == [0, 3]
    assert [(letter.line, letter.field, letter.reason) for letter in letters] == [
        (2, "event_id", "missing"),
        (3, "event", "malformed"),
    ]
    for broken in (b"", b"  ", b"[%b" % good, b"[" * 100_000, b"\xff", b"[%b,]" % good, good + good):
        batch, letters, positions = parse_events(broken, SCHEMA, NOW_NS)
        assert (len(batch), positions) == (0, [])
        assert [(letter.field, letter.reason) for letter in letters] == [("event", "malformed")]
    batch, letters, positions = parse_events(b"[]", SCHEMA, NOW_NS)
    assert (len(batch), letters, positions) == (0, [], [])


def test_outcomes_have_an_id_a_label_and_perhaps_a_time_and_an_amount() -> None:
    objects: list[object] = [
        {"event_id": "7", "label": 1},
        {"TRANSACTION_ID": 8, "fraud": False, "time": "2026-01-01", "amount": 12.5},
        {"event_id": 9},
        {"event_id": 9, "label": "1"},
        {"event_id": 9, "label": 1, "time": "2261-01-01"},
        {"event_id": 9, "label": 1, "amount": "much"},
    ]
    batch, letters, positions = parse_outcomes(objects, SCHEMA, NOW_NS)
    assert batch.id_code.tolist() == [7, 8]
    assert batch.label.tolist() == [1, 0]
    assert batch.known_ns.tolist() == [NOW_NS, 1767225600 * 10**9]
    assert math.isnan(batch.amount[0]) and batch.amount[1] == 12.5
    assert positions == [0, 1]
    assert [(letter.line, letter.field, letter.reason) for letter in letters] == [
        (3, "fraud", "missing"),
        (4, "fraud", "wrong_type"),
        (5, "time", "too_early"),
        (6, "amount", "wrong_type"),
    ]
    again, _, _ = parse_outcome_body(json.dumps(objects).encode(), SCHEMA, NOW_NS)
    assert again.id_code.tolist() == [7, 8]


def test_a_dead_letter_never_shows_control_characters() -> None:
    _, letters, _ = read_objects([{"event_id": "\x1b[31m\0" + "x" * 500}], SCHEMA, NOW_NS)
    assert letters == [DeadLetter(1, "event_id", letters[0].value, "out_of_range")]
    assert letters[0].value.isprintable() and len(letters[0].value) == 120
