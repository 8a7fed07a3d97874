"""The engine against its naive twin, over plans and streams that Hypothesis makes up."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.plan import (
    ABSENT_KEY,
    LABEL,
    NO_VALUE,
    VALUED,
    Aggregate,
    Kind,
    LabelFilter,
    RowKind,
    Window,
    WindowPlan,
)

from .naive import Row, Twin, as_batch

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

PRICES = [0.0, -0.0, 1.0, 2.5, -3.0, 7.0, 0.1, 99.99, 0.07, 1e6 + 0.1]
ODD = [
    math.nan,
    math.inf,
    5e-324,
    1e-308,
    -1e-160,
    1e18,
    1e35,
    1e200,
    -1e308,
    math.nextafter(1, 2),
    math.nextafter(1, 0),
]
VALUES = st.sampled_from(PRICES) | st.sampled_from(ODD) | st.floats()
LABELS = st.sampled_from([math.nan, 0.0, 1.0])


@st.composite
def windows(draw: st.DrawFn) -> Window:
    delay = draw(st.sampled_from([0, 0, 5, 12]))
    kinds = draw(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=5, unique=True))
    aggregates = []
    for kind in kinds:
        codes = [0, 1] + [LABEL] * (delay > 0) + [NO_VALUE] * (kind not in VALUED)
        if kind != Kind.COUNT_SINCE or delay > 0:
            aggregates.append(Aggregate(kind, draw(st.sampled_from(codes)), 0))
    return Window(
        entity=draw(st.integers(0, 1)),
        length_ns=draw(st.sampled_from([1, 4, 10, 30])),
        delay_ns=delay,
        mask=draw(st.integers(-1, 1)),
        label=draw(st.sampled_from(list(LabelFilter))) if delay > 0 else LabelFilter.ANY,
        past=draw(st.booleans()),
        aggregates=tuple(aggregates),
    )


@st.composite
def plans(draw: st.DrawFn) -> WindowPlan:
    slot, placed = 1, []  # Feature 0 belongs to no window.
    for w in draw(st.lists(windows(), min_size=1, max_size=6)):
        aggregates = tuple(Aggregate(a.kind, a.value, slot + k) for k, a in enumerate(w.aggregates))
        slot += len(aggregates)
        placed.append(Window(w.entity, w.length_ns, w.delay_ns, w.mask, w.label, w.past, aggregates))
    return WindowPlan(2, 2, 2, slot, tuple(placed), draw(st.sampled_from([0, 3, 15])), draw(st.booleans()))


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """Mostly forward in time, with ties, gaps, late and too late events, outcomes of events and of nothing."""
    rows: list[Row] = []
    now = 1000
    for tag in range(draw(st.integers(1, 40))):
        now += draw(st.sampled_from([0, 0, 1, 1, 2, 3, 8, 60, -1, -4, -12, -40]))
        if rows and draw(st.integers(0, 4)) == 0:
            known = draw(st.sampled_from(rows))
            tag = known.tag if draw(st.integers(0, 4)) else -1
            rows.append(Row(known.time, known.keys, (0.0, 0.0), (True, True), draw(LABELS), tag, RowKind.OUTCOME))
            continue
        kind = draw(st.sampled_from([RowKind.EVENT] * 6 + [RowKind.EVENT_NOT_INSERTED]))
        keys = draw(st.tuples(*[st.sampled_from([0, 0, 0, 7, -(2**40), ABSENT_KEY])] * 2))
        values, masks = draw(st.tuples(VALUES, VALUES)), draw(st.tuples(st.booleans(), st.booleans()))
        rows.append(Row(now, keys, values, masks, draw(LABELS), tag, kind))
    return rows


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=5e-324)


@settings(max_examples=200, deadline=None)
@given(plans(), streams(), st.data())
def test_windows_equal_their_naive_twin_however_split_and_restarted(
    plan: WindowPlan, rows: list[Row], data: st.DataObject
) -> None:
    twin = Twin(plan)
    expected = [twin.advance(row) for row in rows]
    whole, freshness = Windows(plan).advance(**as_batch(plan, rows))
    events = np.array([row.kind != RowKind.OUTCOME for row in rows])
    assert_close(whole[events], np.array([x for x, _ in expected]).reshape(len(rows), -1)[events])
    assert (freshness == np.array([f for _, f in expected]).reshape(freshness.shape))[events].all()

    cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)))) | {0, len(rows)})
    engine = Windows(plan)
    parts = []
    for start, stop in pairwise(cuts):
        parts.append(engine.advance(**as_batch(plan, rows[start:stop]))[0])
        between = data.draw(st.sampled_from(["nothing", "restart", "expire"]))
        if between == "restart":
            engine = Windows.from_state(plan, engine.state())
        elif between == "expire":
            engine.expire(0)
    np.testing.assert_array_equal(np.concatenate(parts).view(np.int64), whole.view(np.int64))


@settings(max_examples=60, deadline=None)
@given(plans(), streams())
def test_a_snapshot_taken_twice_is_the_same(plan: WindowPlan, rows: list[Row]) -> None:
    engine = Windows(plan)
    engine.advance(**as_batch(plan, rows))
    first, second = engine.state(), Windows.from_state(plan, engine.state()).state()
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@settings(max_examples=60, deadline=None)
@given(plans(), streams(), streams())
def test_a_snapshot_that_is_put_in_order_later_is_of_the_moment_when_it_was_taken(
    plan: WindowPlan, rows: list[Row], more: list[Row]
) -> None:
    engine = Windows(plan)
    engine.advance(**as_batch(plan, rows))
    expected, taken = Windows.from_state(plan, engine.state()).state(), engine.taken()
    engine.advance(**as_batch(plan, more))
    found = taken()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name])
