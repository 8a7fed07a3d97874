"""Sums and firsts by tick against naive twins, and learning parts that must not see where blocks are cut."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.maintain.monitor.plane import Plane
from homeostat.maintain.monitor.products import add_products, dot
from homeostat.maintain.monitor.reference import SAMPLE, Reference, Spans, looked_at
from homeostat.maintain.monitor.rows_of_ticks import counts_of, firsts, offsets_among, pairs_of, sums_of, totals_of
from homeostat.maintain.monitor.surrogate import Surrogate
from homeostat.maintain.monitor.switches import Switches
from homeostat.maintain.monitor.youth import DAY_NS, Youth

SMALL = settings(max_examples=30, deadline=None)
HOUR_NS = DAY_NS // 24
TICKS = st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=8)


def packed(ticks):
    """The values of all ticks in one array, with their offsets."""
    offsets = np.cumsum([0, *map(len, ticks)])
    return np.array([value for tick in ticks for value in tick], np.int64), offsets


@SMALL
@given(TICKS)
def test_firsts_pairs_and_sums_are_those_of_each_tick_alone(ticks):
    values, offsets = packed(ticks)
    first = firsts(values, offsets)
    expected = [start + tick.index(value) for start, tick in zip(offsets, ticks, strict=False) for value in tick]
    assert first.tolist() == expected
    pairs = [sum(a == b for a, b in combinations(tick, 2)) for tick in ticks]
    assert pairs_of(first, offsets).tolist() == pairs
    assert sums_of(values[:, None].astype(float), offsets)[:, 0].tolist() == [sum(tick) for tick in ticks]
    assert totals_of(values.astype(float), offsets) == [sum(tick) for tick in ticks]
    assert counts_of(offsets, values > 3).tolist() == [sum(value > 3 for value in tick) for tick in ticks]
    among = offsets_among(offsets, values > 3)
    assert [values[values > 3][a:b].tolist() for a, b in pairwise(among)] == [[v for v in t if v > 3] for t in ticks]


def test_firsts_of_equal_places_in_the_table_are_told_apart():
    values = np.arange(5000, dtype=np.int64) << 40
    assert firsts(np.concatenate([values, values]), np.array([0, 10_000])).tolist() == [*range(5000), *range(5000)]


@pytest.mark.parametrize("sizes", [[3, 0, SAMPLE], [0, SAMPLE + 1, 5, 4000, 0]])
def test_the_rows_looked_at_are_spread_evenly_over_each_tick(sizes):
    offsets = np.cumsum([0, *sizes])
    rows, of = looked_at(offsets)
    for k, n in enumerate(sizes):
        found = rows[of[k] : of[k + 1]] - offsets[k]
        even = np.arange(n) if n <= SAMPLE else np.linspace(0, n - 1, SAMPLE).astype(np.int64)
        assert found.tolist() == even.tolist()


def cuts(k, rng):
    """Random cuts of k ticks into blocks."""
    inner = np.flatnonzero(rng.random(k - 1) < rng.choice([0.03, 0.5])) + 1
    return list(pairwise([0, *inner.tolist(), k]))


def world(hours=24 * 17, columns=4):
    """Rows of hourly ticks with gaps, their offsets and spans; columns depend on each other."""
    rng = np.random.default_rng(5)
    offsets = np.cumsum([0, *rng.poisson(6.0, hours)])
    rows = np.round(rng.lognormal(size=(offsets[-1], columns)), 2)
    rows[:, -1] = rows[:, 0] * (1 + 0.1 * rng.normal(size=len(rows)))
    rows[rng.random(rows.shape) < 0.03] = np.nan
    end_ns = 20_000 * DAY_NS + (np.arange(hours) + 1) * HOUR_NS
    return rows, offsets, Spans(end_ns - HOUR_NS, end_ns)


def bits(memory):
    return {name: column.tobytes() for name, column in memory.items()}


def some(spans, first, stop):
    return Spans(spans.start_ns[first:stop], spans.end_ns[first:stop])


def test_the_places_of_rows_do_not_depend_on_the_cuts():
    rows, offsets, spans = world()

    def run(pieces):
        reference, found = Reference(rows.shape[1]), []
        for first, stop in pieces:
            of, at = rows[offsets[first] : offsets[stop]], offsets[first : stop + 1] - offsets[first]
            for begin, end in reference.stretches(of, at, some(spans, first, stop)):
                found.append(reference.places(of[at[begin] : at[end]]))
        return np.concatenate(found).tobytes(), bits(reference.memory)

    rng, alone = np.random.default_rng(6), run(pairwise(range(len(offsets))))
    assert not np.isnan(np.frombuffer(alone[0])).all()
    for _ in range(3):
        assert run(cuts(len(offsets) - 1, rng)) == alone


def test_distances_from_the_plane_do_not_depend_on_the_cuts_and_rows_off_the_plane_are_far():
    rows, offsets, spans = world()
    figures = np.nan_to_num(np.tanh(np.log(rows)))
    figures[offsets[-24] :, -1] *= -1.0  # The last day breaks the relation of two columns.

    def run(pieces):
        plane, found = Plane(figures.shape[1]), []
        for first, stop in pieces:
            of, at = figures[offsets[first] : offsets[stop]], offsets[first : stop + 1] - offsets[first]
            found.append(plane.distances(np.ascontiguousarray(of.T), at, some(spans, first, stop)))
            state = {name: column.copy() for name, column in plane.memory.items()}
            plane = Plane(figures.shape[1])
            plane.restore(state)
        return np.concatenate(found), bits(plane.memory)

    rng, (alone, end) = np.random.default_rng(7), run(pairwise(range(len(offsets))))
    for _ in range(2):
        found, memory = run(cuts(len(offsets) - 1, rng))
        assert found.tobytes() == alone.tobytes() and memory == end
    before, after = alone[offsets[-200] : offsets[-24]], alone[offsets[-24] :]
    assert after.mean() > 3 * before.mean()


def test_distances_are_those_of_a_matrix_product():
    rng = np.random.default_rng(8)
    for left in (2, 7):  # Directions that are left: few, and most.
        plane = Plane(8)
        directions = np.linalg.qr(rng.normal(size=(8, left)))[0]
        plane.memory["away"][...] = directions @ directions.T
        plane.memory["day"][0], plane.memory["left"][0] = 20_000, 0
        figures = rng.normal(size=(50, 8))
        found = plane.distances(np.ascontiguousarray(figures.T), np.array([0, 20, 50]), Spans(np.zeros(2), np.zeros(2)))
        assert found == pytest.approx(((figures @ plane.memory["away"]) ** 2).mean(axis=1))


def test_products_are_those_of_matrices():
    rng = np.random.default_rng(9)
    rows, into = rng.normal(size=(30, 7)), np.zeros((7, 7))
    add_products(rows, into)
    assert into == pytest.approx(rows.T @ rows)
    assert dot(rows[0], rows[1]) == pytest.approx(float(rows[0] @ rows[1]))


def test_the_stand_in_learns_the_same_of_any_pieces_of_a_day():
    rng = np.random.default_rng(10)
    features, answers = rng.lognormal(size=(1500, 5)), rng.normal(size=(1500, 2))
    features[:, 3], features[0, 0], answers[7, 1] = 60.0, 1e300, np.nan

    def run(step):
        surrogate, found = Surrogate(5, 2), []
        for day in range(0, 1500, 150):
            for start in range(day, day + 150, step):
                stop = min(start + step, day + 150)
                found.append(surrogate.residuals(features[start:stop], answers[start:stop]))
            surrogate.end_day()
        return np.concatenate(found).tobytes(), bits(surrogate.memory)

    assert run(1) == run(7) == run(150)


def test_a_feature_that_never_moved_has_no_scale_of_its_own():
    surrogate = Surrogate(2, 1)
    for start in range(0, 9000, 100):
        x = np.column_stack([np.full(100, 60.0), np.arange(start, start + 100)])
        surrogate.residuals(x, np.zeros((100, 1)))
    surrogate.end_day()
    assert surrogate.memory["scale"][0] == 1.0 and surrogate.memory["scale"][1] > 0.5


@SMALL
@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(0, 10))
def test_effects_of_switches_are_those_of_one_tick_after_the_other(codes, seed):
    rng = np.random.default_rng(seed)
    codes = np.repeat(codes, 10)
    values = rng.normal(size=(len(codes), 2)) + 9.0 * (codes == 2)[:, None]
    alone, blocks = Switches(2), Switches(2)
    expected = [alone.effect(value, int(code)) for value, code in zip(values, codes, strict=True)]
    found = [blocks.effects(values[a:b], codes[a:b]) for a, b in cuts(len(codes), rng)]
    assert np.concatenate(found).tolist() == expected and bits(blocks.memory) == bits(alone.memory)


@SMALL
@given(TICKS)
def test_new_values_of_a_block_are_those_of_its_ticks(ticks):
    values, offsets = packed(ticks)
    now_ns = (1 + np.arange(len(ticks))) * 5 * DAY_NS
    alone, block = Youth(4), Youth(4)
    expected = [alone.new(np.array(tick, np.int64), int(now)) for tick, now in zip(ticks, now_ns, strict=True)]
    new, known = block.new_of_ticks(values, offsets, now_ns)
    assert known.tolist() == [one is not None for one in expected]
    counted = Counter(np.flatnonzero(new).tolist())
    assert counted == Counter(
        int(start) + k for start, one in zip(offsets, expected, strict=False) if one is not None
        for k in np.flatnonzero(one).tolist()
    )  # fmt: skip
    assert bits(block.memory) == bits(alone.memory)
