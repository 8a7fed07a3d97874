"""Sums, means and deviations are those of exact arithmetic, whatever the values are and in whatever order they come."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.windows import deviations, exact
from homeostat.decide.windows import layout as at
from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.plan import NO_VALUE, Aggregate, Kind, LabelFilter, Window, WindowPlan

from .naive import Row, Twin, as_batch, rounded, rounded_root, total, variance

LENGTH = 100
LARGEST = 1.7976931348623157e308
LEAST = 5e-324

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PRICES = st.integers(1, 10_000_000).map(lambda cents: cents / 100)
ENDS = st.sampled_from([LARGEST, -LARGEST, LEAST, -LEAST, 1e308, 1e-308, 1.0, 2.0**-1022, math.nextafter(1, 2), 0.0])
VALUES = st.lists(FINITE | PRICES | ENDS, min_size=1, max_size=30)


def plan(length: int = LENGTH, kinds: tuple[Kind, ...] = (Kind.SUM, Kind.MEAN, Kind.STD)) -> WindowPlan:
    aggregates = tuple(Aggregate(kind, 0, slot) for slot, kind in enumerate(kinds))
    window = Window(0, length, 0, -1, LabelFilter.ANY, False, aggregates)
    return WindowPlan(1, 1, 0, len(kinds), (window,), 0, False)


def rows_of(values: list[float], times: list[int], keys: list[int] | None = None) -> list[Row]:
    keys = keys or [7] * len(values)
    return [Row(t, (k,), (x,), (), math.nan, tag) for tag, (x, t, k) in enumerate(zip(values, times, keys))]


def features(engine: Windows, rows: list[Row]) -> np.ndarray:
    return engine.advance(**as_batch(engine.plan, rows))[0]


def naive(values: list[float]) -> list[float]:
    deviation = rounded_root(variance(values)) if len(values) > 1 else math.nan
    return [rounded(total(values)), rounded(total(values) / len(values)), deviation]


def test_the_deviation_of_equal_prices_is_0_once_another_price_has_left() -> None:
    found = features(Windows(plan()), rows_of([99.99, 0.07, 0.07, 0.07], [0, 50, 60, 120]))
    assert found[3].tolist() == [rounded(3 * Fraction(0.07)), 0.07, 0.0]


def test_sums_are_right_again_once_huge_values_have_left() -> None:
    found = features(Windows(plan()), rows_of([1e35, 1e18, *[10.0] * 5], [0, 1, 99, 100, 101, 102, 103]))
    assert found[2].tolist() == naive([1e35, 1e18, 10.0])
    assert found[4:, 0].tolist() == [30.0, 40.0, 50.0]
    assert found[4:, 1].tolist() == [10.0] * 3
    assert found[4:, 2].tolist() == [0.0] * 3


def test_a_sum_too_large_for_a_float_is_missing_while_mean_and_deviation_are_not() -> None:
    found = features(Windows(plan()), rows_of([LARGEST, LARGEST, -LARGEST, -LARGEST], [0, 1, 2, 3]))
    assert math.isnan(found[1, 0])
    assert found[1, 1:].tolist() == [LARGEST, 0.0]
    assert found[2, :2].tolist() == [LARGEST, rounded(Fraction(LARGEST) / 3)]
    assert math.isnan(found[3, 2]), "the deviation is larger than the largest float"
    assert found[3, :2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [1e140, 1e141, 1e200, LARGEST, LEAST, -1e-200])
def test_a_value_of_any_size_counts(value: float) -> None:
    kinds = (Kind.COUNT, Kind.MIN, Kind.MAX, Kind.LAST, Kind.DISTINCT, Kind.SUM, Kind.MEAN, Kind.STD)
    found = features(Windows(plan(kinds=kinds)), rows_of([value, value], [0, 1]))
    assert found[1].tolist() == [2.0, value, value, value, 1.0, rounded(2 * Fraction(value)), value, 0.0] or (
        value == LARGEST and math.isnan(found[1, 5]) and found[1, 6:].tolist() == [value, 0.0]
    )


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_aggregates_are_the_exact_ones_rounded(values: list[float]) -> None:
    found = features(Windows(plan()), rows_of(values, list(range(len(values)))))
    for place in range(len(values)):
        expected = naive(values[: place + 1])
        assert found[place, 0] == expected[0] or (math.isnan(found[place, 0]) and math.isnan(expected[0]))
        np.testing.assert_allclose(found[place], expected, rtol=1e-15, atol=LEAST)


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4), VALUES, st.randoms(use_true_random=False))
def test_what_has_left_leaves_no_trace(gone: list[list[float]], held: list[float], random: object) -> None:
    engine = Windows(plan())
    for part, values in enumerate(gone):
        features(engine, rows_of(values, [part * 1000] * len(values)))
    found = features(engine, rows_of(held, [10_000] * len(held)))
    alone = features(Windows(plan()), rows_of(held, [10_000] * len(held)))
    np.testing.assert_array_equal(found.view(np.int64), alone.view(np.int64))
    random.shuffle(held)  # type: ignore[attr-defined]
    again = features(Windows(plan()), rows_of(held, [10_000] * len(held)))
    np.testing.assert_array_equal(again[-1].view(np.int64), alone[-1].view(np.int64))


@pytest.mark.long
def test_values_that_pass_through_while_others_stay_leave_no_trace() -> None:
    rng = np.random.default_rng(3)
    apart = np.ldexp(rng.uniform(-1, 1, 400), rng.integers(-1070, 1020, 400)).tolist()
    prices = rng.integers(1, 10_000, 400) / 100
    values = [x for pair in zip(apart, prices.tolist()) for x in pair]
    rows = rows_of([*values, *prices.tolist()], [*range(800), *range(1000, 1400)])
    engine = Windows(plan(length=50))
    twin = Twin(engine.plan)
    expected = np.array([twin.advance(row)[0] for row in rows])
    found = features(engine, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    np.testing.assert_array_equal(found[-300:, 0], expected[-300:, 0])


def test_many_entities_may_need_all_limbs_in_one_batch_and_give_them_back() -> None:
    keys = [k for k in range(300) for _ in range(4)]
    rows = rows_of([1e300, 1.0, 1e-300, 3.0] * 300, [0, 1, 2, 3] * 300, keys)
    rows += [Row(10, row.keys, row.values, (), math.nan, row.tag) for row in rows]
    made = Windows(WindowPlan(1, 1, 0, 3, plan().windows, 100, False))
    found = features(made, rows)
    assert found[3::4, 0].tolist()[:300] == [1e300] * 300
    np.testing.assert_array_equal(found[:4], found[1196:1200])
    np.testing.assert_array_equal(found[3], naive([1e300, 1.0, 1e-300, 3.0]))
    np.testing.assert_array_equal(Windows.from_state(made.plan, made.state()).state()["log"], made.state()["log"])
    words = made.state()["log"].nbytes
    features(made, [Row(10_000, (k,), (1.0,), (), math.nan, 0) for k in range(300)])
    assert made.state()["log"].nbytes < words / 3


def test_an_event_that_is_not_inserted_leaves_no_trace() -> None:
    engine = Windows(plan())
    first = features(engine, rows_of([0.1, 0.2], [0, 1]))
    guests = [Row(1, (7,), (x,), (), math.nan, 9, kind=1) for x in (1e300, LEAST, 5.0)]
    seen = features(engine, guests)
    np.testing.assert_allclose(seen, [naive([0.1, 0.2, x]) for x in (1e300, LEAST, 5.0)], rtol=1e-15)
    after = features(engine, rows_of([0.3], [2]))
    np.testing.assert_allclose(after[0], naive([0.1, 0.2, 0.3]), rtol=1e-15)
    assert first[0, 0] == 0.1


def test_limbs_hold_the_largest_and_the_least_of_floats() -> None:
    """The words that one value touches lie within its block."""
    highest = 2046 - exact.BIAS
    assert (highest - exact.SUM_UNIT) // 64 + 3 <= exact.SUM_LIMBS
    assert (2 * highest - exact.SQUARE_UNIT) // 64 + 3 <= exact.SQUARE_LIMBS
    assert 1 - exact.BIAS >= exact.SUM_UNIT
    assert deviations.NARROW_PLACE_MAX // 64 + 3 <= deviations.NARROW_LIMBS
    assert deviations.NARROW_UNIT % 2 == 0


def test_a_snapshot_of_another_layout_is_refused() -> None:
    state = Windows(plan()).state()
    with pytest.raises(ValueError, match="another version"):
        Windows.from_state(plan(), {name: array for name, array in state.items() if name != "layout"})
    with pytest.raises(ValueError, match="another version"):
        Windows.from_state(plan(), {**state, "layout": np.array([at.LAYOUT + 1])})


def test_a_count_of_events_needs_no_value() -> None:
    aggregates = (Aggregate(Kind.COUNT, NO_VALUE, 0), Aggregate(Kind.COUNT, 0, 1))
    both = WindowPlan(1, 1, 0, 2, (Window(0, LENGTH, 0, -1, LabelFilter.ANY, False, aggregates),), 0, False)
    found = features(Windows(both), rows_of([1.0, math.nan, math.inf, -math.inf, 1e308], [0, 1, 2, 3, 4]))
    assert found[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found[:, 1].tolist() == [1.0, 1.0, 1.0, 1.0, 2.0]
