"""The border: nothing that a message holds gets past it as an exception, and the work is linear in its length."""

from __future__ import annotations

import json
import re
import sys
import tracemalloc
from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk import event_csv, event_lines
from homeostat.checks.bad_events import NOW_NS, SCHEMA
from homeostat.decide.intake import border, columns, lines, objects, times, values
from homeostat.decide.intake.border import ITEMS_MAX, MESSAGE_MAX, Broken, Unread, body_of, items_of, value_of
from homeostat.decide.intake.lines import FEW, parse_events, read_lines
from homeostat.records.events import DeadLetter

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

GOOD = b'{"event_id": 1, "time": "2026-01-01", "customer": 1, "amount": 1}'
EVENT = b'{"event_id": %b, "time": "2026-01-01", "customer": %b, "amount": %b, "x": %b}'
DIGITS = b"9" * 5000
MODULES = (border, columns, lines, objects, times, values, event_csv, event_lines)


@pytest.mark.parametrize("member", [DIGITS, b"-" + DIGITS, b"1e999", b"1E-9999999999999999999"])
def test_a_bad_event_with_a_huge_number_among_many_is_one_dead_letter(member: bytes) -> None:
    bad = [EVENT % (b'""', b"1", b"1", member), EVENT % (b"2", b"3", member, b"1")]
    count = 2 * FEW
    batch, letters = read_lines([GOOD] * count + bad, SCHEMA, NOW_NS)
    tiny = member.startswith(b"1E-")
    assert len(batch) == count + tiny
    assert [(letter.line, letter.field, letter.reason) for letter in letters] == [
        (count + 1, "event_id", "missing"),
        *([] if tiny else [(count + 2, "amount", "out_of_range")]),
    ]


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("role", range(3))
def test_an_integer_of_thousands_of_digits_is_out_of_range_for_a_key_and_a_number(role: int, few: bool) -> None:
    given_as = [b"1", b"1", b"1"]
    given_as[role] = DIGITS
    line = EVENT % (*given_as, b"1")
    _, letters = read_lines([line] if few else [line] * (FEW + 1), SCHEMA, NOW_NS)
    assert {(letter.field, letter.reason) for letter in letters} == {
        (("event_id", "customer", "amount")[role], "out_of_range")
    }
    assert letters[0].value.startswith("9999") and letters[0].value.endswith("…")


BROKEN = {
    b"": "is empty",
    b" \n": "is empty",
    b"\xef\xbb\xbf{}": "byte order mark",
    b'{"a": 1,}': "trailing comma in an object (byte 8)",
    b'{"a": [1,]}': "trailing comma in an array (byte 9)",
    b'{"a": NaN}': "holds NaN",
    b'{"a": -Infinity}': "holds -Infinity",
    b'{"a": "\\ud800"}': "half a surrogate pair",
    b'{"a": 1} {"a": 2}': "goes on after its end",
    b'{"a": 1': "ends too early",
    b'{"a": "\xff"}': "is no UTF-8 (byte 7)",
    b"\x1f\x8b\x08": "is gzipped",
    '{"a": 1}'.encode("utf-16"): "is UTF-16",
    '{"a": 1}'.encode("utf-16-le"): "is UTF-16",
    b'{"a": ' + b"[" * 65: "nested deeper than 64",
    b'{"a": 01}': "has a number that is none",
    b"{'a': 1}": "a name that is no text",
    b'{"a": "' + b"x" * MESSAGE_MAX + b'"}': "longer than 1 MiB",
}


@pytest.mark.parametrize("raw", BROKEN, ids=lambda raw: repr(raw[:20]))
def test_a_message_that_is_no_json_says_what_the_parser_knows(raw: bytes) -> None:
    found = value_of(raw)
    assert isinstance(found, Unread) and BROKEN[raw] in found.why
    for body in (raw, b"[" + raw):
        _, letters, _ = parse_events(body, SCHEMA, NOW_NS)
        if body == raw and not isinstance(found.value, dict):
            assert [(one.field, one.reason) for one in letters] == [("event", "malformed")]
            assert BROKEN[raw] in letters[0].detail


def test_every_item_of_a_broken_array_is_read_on_its_own() -> None:
    body = b' [%b, {"a": [1,]}, {"b": "],[\\"", "c":}, NaN, %b] ' % (GOOD, GOOD)
    with pytest.raises(Broken):
        body_of(body)
    found = items_of(body)
    assert found[0] == found[-1] == json.loads(GOOD)
    assert [type(one) for one in found[1:-1]] == [Unread] * (len(found) - 2) and len(found) == 5
    for whole in (b"[1,]", b"[,1]", b"[1", b'["', b"[1]]", b"[1] 2", b"{}", b"oops"):
        with pytest.raises(Broken):
            items_of(whole)


def test_a_body_of_too_many_events_is_refused_before_they_are_read() -> None:
    with pytest.raises(border.TooMany):
        body_of(b"[" + b"1," * ITEMS_MAX + b"1]")
    for item in (b"1,", b"oops,"):
        with pytest.raises(border.TooMany):
            items_of(b"[" + item * ITEMS_MAX + b"1]")


def test_a_long_or_deep_event_in_an_array_is_refused_as_it_is_alone() -> None:
    long, deep = b'{"x": "%b"}' % (b"y" * MESSAGE_MAX), b'{"x": %b}' % (b"[" * 64 + b"]" * 64)
    for bad in (long, deep):
        alone = value_of(bad)
        among = body_of(b"[%b, %b]" % (GOOD, bad))
        assert isinstance(alone, Unread) and isinstance(among, list)
        assert among[0] == json.loads(GOOD) and among[1].why == alone.why


pieces = st.sampled_from([
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\u", b"\\ud800", b"\\u0000", b"a", b'"event_id"', b"1",
    b"-", b".5", b"1e999", b"e9", b"NaN", b"Infinity", b"null", b"true", b"\xff", b"\0", b" ", b"\n", b"\xef\xbb\xbf",
    b'"time"', b'"2026-01-01"', b"9" * 400, b"9" * 4301, GOOD,
])  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(pieces, max_size=30).map(b"".join))
def test_whatever_bytes_come_they_are_events_or_dead_letters(raw: bytes) -> None:
    batch, letters, positions = parse_events(raw, SCHEMA, NOW_NS)
    assert len(batch) == len(positions) and all(isinstance(letter, DeadLetter) for letter in letters)
    line = raw.replace(b"\n", b" ")
    one, few = read_lines([line], SCHEMA, NOW_NS)
    many, more = read_lines([line] * (FEW + 1), SCHEMA, NOW_NS)
    assert len(many) == len(one) * (FEW + 1)
    assert [(x.field, x.value, x.reason, x.detail) for x in more] == [
        (x.field, x.value, x.reason, x.detail) for x in few
    ] * (FEW + 1)


def work(call: Callable[[], object]) -> tuple[int, int]:
    """Calls of functions, Python's and C's, and the most memory held, of one call."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    call()
    tracemalloc.start()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return calls, peak


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "quotes in a text never closed": lambda n: b'["' + b'\\"' * n,
    "quotes never closed": lambda n: b"[" + b'"' * (2 * n + 1),
    "backslashes": lambda n: b'["' + b"\\" * (2 * n),
    "brackets": lambda n: b"[" * n,
    "brackets in a text": lambda n: b'{"a": "' + b"[" * n + b'", }',
    "pairs of brackets": lambda n: b"[" + b"[]," * n + b"oops]",
    "commas": lambda n: b"[" + b"1," * n + b"}]",
    "digits": lambda n: b'{"event_id": ' + b"9" * n + b"}",
    "numbers of many digits": lambda n: b"[" + b"9" * 4000 + (b"," + b"9" * 4000) * (n // 4000) + b"]",
    "a fraction of many digits": lambda n: b'{"amount": 0.' + b"9" * n + b"}",
    "an exponent of many digits": lambda n: b'{"amount": 1e-' + b"9" * n + b"}",
    "blanks": lambda n: b'{"a"' + b" " * n,
    "names": lambda n: b"{" + b",".join(b'"%d": NaN' % k for k in range(n // 10)) + b"}",
    "surrogates": lambda n: b'{"a": "' + b"\\ud800" * n + b'"}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_twice_the_input_is_at_most_twice_the_work(kind: str) -> None:
    def reads(n: int) -> list[Callable[[], object]]:
        raw = HOSTILE[kind](n)

        def items() -> object:
            try:
                return items_of(raw)
            except Broken:
                return None

        return [
            items,
            lambda: value_of(raw),
            lambda: read_lines([raw] * (FEW + 1), SCHEMA, NOW_NS),
        ]

    for once, twice in zip(reads(2_000), reads(4_000), strict=True):
        (calls, peak), (more_calls, more_peak) = work(once), work(twice)
        assert more_calls <= 2.1 * calls + 100
        assert more_peak <= 2.1 * peak + 10_000


def _repeats(parsed: Any) -> list[tuple[str, int]]:
    """Every repeat of a pattern, by kind and the most that it takes."""
    found = []
    for name, argument in parsed:
        kind = str(name)
        if kind.endswith("REPEAT"):
            found.append((kind, int(argument[1])))
        for part in argument if isinstance(argument, list | tuple) else [argument]:
            for inner in part if isinstance(part, list) else [part]:
                if isinstance(inner, re._parser.SubPattern):  # type: ignore[attr-defined]
                    found += _repeats(inner)
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_pattern_of_the_border_can_go_back_over_a_long_text(module: ModuleType) -> None:
    """A repeat without a bound that gives back what it took can take time with the square of a text's length."""
    for name, pattern in vars(module).items():
        if isinstance(pattern, re.Pattern):
            repeats = _repeats(re._parser.parse(pattern.pattern))  # type: ignore[attr-defined]
            assert [one for one in repeats if one[0] != "POSSESSIVE_REPEAT" and one[1] > 400] == [], name


def test_the_check_of_patterns_finds_those_that_go_back() -> None:
    for pattern in (r'"(?:[^"\\]|\\.)*"', r"\d+\.?\d*x", r"(?:a|(b+))c"):
        assert any(kind != "POSSESSIVE_REPEAT" and most > 400 for kind, most in _repeats(re._parser.parse(pattern)))  # type: ignore[attr-defined]


def test_leap_seconds_are_the_last_second_on_every_path() -> None:
    moments = {
        "2016-12-31T23:59:60Z": "2016-12-31T23:59:59Z",
        "2016-12-31T23:59:60.25Z": "2016-12-31T23:59:59.25Z",
        "2017-01-01T00:59:60+01:00": "2016-12-31T23:59:59Z",
        "2016-12-31 18:29:60-0530": "2016-12-31T23:59:59Z",
        "2016-12-31T23:59:60": "2016-12-31T23:59:59",
    }
    for text, meant in moments.items():
        assert times.time_of_text(text) == times.time_of_text(meant) is not None
    wrong = ["2016-12-31T23:58:60Z", "2016-12-31T12:00:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z"]
    assert [times.time_of_text(text) for text in wrong] == [None] * 4
    for text, count in product([*moments, *wrong], (1, FEW + 1)):
        line = json.dumps({"event_id": 1, "time": text, "customer": 1, "amount": 1}).encode()
        batch, letters = read_lines([line] * count, SCHEMA, NOW_NS)
        assert set(batch.time_ns.tolist()) == ({times.time_of_text(text)} if text in moments else set())
        assert {letter.reason for letter in letters} == (set() if text in moments else {"bad_time"})
