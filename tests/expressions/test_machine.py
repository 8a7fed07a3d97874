"""The stack machine against its naive twin, and against itself in other batches."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.expressions.naive import Key, evaluate, identity, missing

from homeostat.expressions import Membership, Programs, Scope, Type, compile_expression
from homeostat.records.identity import Coding, category_code

COLUMNS = [
    ("x", Type.NUMBER),
    ("y", Type.NUMBER),
    ("flag", Type.BOOLEAN),
    ("kind", Type.CATEGORY),
    ("out", Type.NUMBER),
]
SCOPE = Scope.of(COLUMNS, ["payer", "payee"], {"bad": (0, "payer"), "odd": (1, "kind")})
CATEGORIES = ["a", "b", "online"]
KEYS = ["7", "abc", "-3", "0007"]
CODING = Coding.of_seed(0)
NOBODY = Membership.build(coding=CODING)

numbers = st.one_of(st.integers(-9, 9).map(float), st.floats(-1e6, 1e6), st.just(math.nan))
moments = st.integers(-(10**18), 4 * 10**18)


@st.composite
def rows(draw):
    return {
        "x": draw(numbers),
        "y": draw(numbers),
        "flag": draw(st.sampled_from([0.0, 1.0, math.nan])),
        "kind": draw(st.sampled_from([*CATEGORIES, None])),
        "payer": draw(st.sampled_from([*(Key(k) for k in KEYS), None])),
        "payee": draw(st.sampled_from([*(Key(k) for k in KEYS), None])),
    }


def numeric(depth: int):
    literals = st.one_of(st.integers(0, 20).map(str), st.floats(0, 100).map(repr))
    leaf = st.one_of(literals, st.sampled_from(["x", "y", "hour(time)", "minute(time)", "weekday(time)", "day(time)"]))
    if depth == 0:
        return leaf
    n, c = numeric(depth - 1), condition(depth - 1)
    one = ["abs", "log", "log1p", "exp", "expm1", "sqrt", "floor", "ceil", "sigmoid", "logit"]
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, n, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), n),
        st.builds("-{}".format, n.map(lambda t: f"({t})")),
        st.builds("{}({})".format, st.sampled_from(one), n),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "default"]), n, n),
        st.builds("clip({}, {}, {})".format, n, n, n),
        st.builds("({} if {} else {})".format, n, c, n),
    )


def condition(depth: int):
    texts, keys = st.sampled_from(CATEGORIES).map(repr), st.sampled_from(KEYS).map(repr)
    payers = st.sampled_from(["payer", "payee"])
    leaf = st.one_of(
        st.just("flag"),
        st.builds("kind {} {}".format, st.sampled_from(["==", "!="]), texts),
        st.builds("kind {} ({}, {})".format, st.sampled_from(["in", "not in"]), texts, texts),
        st.builds("{} {} {}".format, payers, st.sampled_from(["==", "!="]), st.one_of(keys, st.just("7"), payers)),
        st.builds("{} {} ({}, {})".format, payers, st.sampled_from(["in", "not in"]), keys, keys),
        st.sampled_from(["payer in bad", "payer not in bad", "kind in odd", "kind not in odd"]),
        st.builds("missing({})".format, st.sampled_from(["x", "y", "flag", "kind", "payer"])),
    )
    if depth == 0:
        return leaf
    n, c = numeric(depth - 1), condition(depth - 1)
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, n, operators, n),
        st.builds("({} {} {} {} {})".format, n, operators, n, operators, n),
        st.builds("({} {} (1, -2, 3.5))".format, n, st.sampled_from(["in", "not in"])),
        st.builds("({} {} {})".format, c, st.sampled_from(["and", "or"]), c),
        st.builds("(not {})".format, c),
    )


def placed(row: dict) -> tuple[list[float], list[int], list[int]]:
    kind = math.nan if row["kind"] is None else category_code(row["kind"])
    codes, checks = zip(identity(row["payer"], CODING), identity(row["payee"], CODING))
    return [row["x"], row["y"], row["flag"], kind, 0.0], list(codes), list(checks)


@st.composite
def stays(draw):
    """Lists as the twin reads them, and as the machine does."""
    bad = draw(st.lists(st.tuples(st.sampled_from(KEYS), moments, moments), max_size=8))
    odd = draw(st.lists(st.tuples(st.sampled_from(CATEGORIES), moments, moments), max_size=8))
    entries = [(0, CODING.identify(k), s, u) for k, s, u in bad]
    entries += [(1, (int(category_code(k)), 0), s, u) for k, s, u in odd]
    return {"bad": [(Key(k), s, u) for k, s, u in bad], "odd": odd}, Membership.build(entries, CODING)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.one_of(numeric(3), condition(3)), st.lists(rows(), min_size=1, max_size=4), moments, stays())
def test_machine_equals_its_naive_twin_on_every_row(text, batch, moment, lists):
    program = compile_expression(text, SCOPE)
    frame, keys, checks = (np.array(part) for part in zip(*map(placed, batch)))
    Programs([program], [4], lists[1]).run(frame, keys, checks, np.full(len(batch), moment))
    for row, got in zip(batch, frame[:, 4]):
        expected = evaluate(text, row, lists[0], moment)
        if program.type == Type.BOOLEAN:
            expected = 0.0 if missing(expected) else expected
        np.testing.assert_array_equal(got, expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(numeric(3), min_size=1, max_size=3), st.lists(rows(), min_size=2, max_size=9), st.integers(1, 8))
def test_a_row_does_not_depend_on_its_batch(texts, batch, cut):
    columns = [*COLUMNS[:4], *((f"out{k}", Type.NUMBER) for k in range(len(texts)))]
    scope = Scope.of(columns, ["payer", "payee"], SCOPE.lists)
    programs = Programs([compile_expression(t, scope) for t in texts], range(4, 4 + len(texts)), NOBODY)
    made = ((p[0][:4] + [0.0] * len(texts), *p[1:]) for p in map(placed, batch))
    frame, keys, checks = (np.array(part) for part in zip(*made))
    time = np.arange(len(batch)) * 10**13
    whole, parts = frame.copy(), frame.copy()
    programs.run(whole, keys, checks, time)
    programs.run(parts[:cut], keys[:cut], checks[:cut], time[:cut])
    programs.run(parts[cut:], keys[cut:], checks[cut:], time[cut:])
    assert whole.tobytes() == parts.tobytes()


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(stays(), moments, st.sampled_from(KEYS))
def test_joined_stays_hold_the_same_members(lists, moment, key):
    naive, membership = lists
    expected = any(m == key and s <= moment < u for m, s, u in naive["bad"])
    assert membership.contains(0, CODING.identify(key), moment) == expected


@settings(max_examples=200, deadline=None)
@given(st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31)))
def test_calendar_agrees_with_the_standard_library_before_and_after_1970(moment):
    time_ns = round((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9
    scope = Scope.of([("a", Type.NUMBER), ("b", Type.NUMBER), ("c", Type.NUMBER), ("d", Type.NUMBER)])
    parts = [compile_expression(f"{f}(time)", scope) for f in ("hour", "minute", "weekday", "day")]
    frame = np.zeros((1, 4))
    Programs(parts, range(4)).run(frame, *[np.empty((1, 0), np.int64)] * 2, np.array([time_ns]))
    exact = datetime(1970, 1, 1) + timedelta(seconds=time_ns // 10**9)
    assert frame[0].tolist() == [exact.hour, exact.minute, exact.weekday(), exact.day]


def run_one(text: str, **values: float) -> float:
    scope = Scope.of([*((name, Type.NUMBER) for name in values), ("result", Type.NUMBER)])
    frame = np.array([[*values.values(), 0.0]])
    Programs([compile_expression(text, scope)], [len(values)]).run(
        frame, *[np.empty((1, 0), np.int64)] * 2, np.zeros(1, np.int64)
    )
    return float(frame[0, -1])


def test_what_has_no_finite_value_is_missing():
    for text in ("x / 0", "x // 0", "x % 0", "log(0)", "sqrt(-x)", "exp(1e9)", "0 ** -1", "(-8) ** 0.5",
                 "1e300 * 1e300", "1e300 * 10 ** 300", "log1p(-1)", "logit(1)"):  # fmt: skip
        assert math.isnan(run_one(text, x=1.0)), text
    assert run_one("missing(x)", x=math.inf) == 1.0


def test_every_comparison_with_a_missing_value_is_false_and_its_denial_true():
    for text in ("x < 1", "x == x", "x != 1", "x in (1, 2)", "x not in (1, 2)"):
        assert run_one(text, x=math.nan) == 0.0, text
        assert run_one(f"not ({text})", x=math.nan) == 1.0, text


def test_later_programs_read_earlier_results():
    scope = Scope.of([("x", Type.NUMBER), ("double", Type.NUMBER), ("large", Type.BOOLEAN)])
    programs = Programs([compile_expression("2 * x", scope), compile_expression("double > 10", scope)], [1, 2])
    frame = np.array([[3.0, 0, 0], [6.0, 0, 0]])
    programs.run(frame, *[np.empty((2, 0), np.int64)] * 2, np.zeros(2, np.int64))
    assert frame[:, 1:].tolist() == [[6.0, 0.0], [12.0, 1.0]]


def test_lists_can_be_replaced_as_a_whole():
    scope = Scope.of([("hit", Type.BOOLEAN)], ["payer"], {"bad": (3, "payer")})
    programs = Programs([compile_expression("payer in bad", scope)], [0])
    frame, keys, time = np.zeros((1, 1)), np.array([[5]]), np.zeros(1, np.int64)
    programs.run(frame, keys, 0 * keys, time)
    assert frame[0, 0] == 0.0
    programs.with_lists(Membership.build([(3, (5, 0), -1, 1)])).run(frame, keys, 0 * keys, time)
    assert frame[0, 0] == 1.0


def test_read_only_and_strided_arrays_give_the_same_result():
    scope = Scope.of([("x", Type.NUMBER), ("y", Type.NUMBER)], ["payer"])
    programs = Programs([compile_expression("x + hour(time) if payer == 1 else 0", scope)], [1])
    wide = np.arange(24.0).reshape(4, 6)
    frame = wide[:, ::3]
    keys = np.ones((8, 2), np.int64)[::2, :1]
    time = np.arange(4) * 3600 * 10**9
    time.flags.writeable = False
    programs.run(frame, keys, np.zeros_like(keys), time)
    assert wide[:, 3].tolist() == [0.0, 7.0, 14.0, 21.0]


def test_no_rows_and_no_programs_are_fine():
    scope = Scope.of([("x", Type.NUMBER)])
    nothing = np.empty((0, 1))
    Programs([compile_expression("x", scope)], [0]).run(
        nothing, *[np.empty((0, 0), np.int64)] * 2, np.empty(0, np.int64)
    )
    Programs([], []).run(np.ones((2, 1)), *[np.empty((2, 0), np.int64)] * 2, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="1 programs cannot write 0 columns"):
        Programs([compile_expression("x", scope)], [])


def test_compiling_does_not_load_the_compiler_of_kernels():
    code = (
        "import sys; from homeostat.expressions import *; "
        "compile_expression('x > 1', Scope.of([('x', Type.NUMBER)])); "
        "import homeostat.decide.windows.features; "
        "assert not {'numba', 'llvmlite', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
