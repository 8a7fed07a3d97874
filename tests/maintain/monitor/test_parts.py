"""The incremental parts of the monitors against naive twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.maintain.monitor.coincidences import coincidences
from homeostat.maintain.monitor.copies import WITHIN_NS, Copies
from homeostat.maintain.monitor.figures import hashed
from homeostat.maintain.monitor.magnitudes import Magnitudes, bin_of
from homeostat.maintain.monitor.repeats import Repeats
from homeostat.maintain.monitor.sources import Sources
from homeostat.maintain.monitor.surrogate import Surrogate
from homeostat.maintain.monitor.switches import Switches
from homeostat.maintain.monitor.youth import DAY_NS, Youth

SMALL = settings(max_examples=30, deadline=None)


@SMALL
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=20))
def test_pairs_are_those_of_counting_every_pair(rows):
    values, owners = np.array([float(v) for v, _ in rows]), np.array([o for _, o in rows])
    strange = [a[0] == b[0] for a, b in combinations(rows, 2) if a[1] != b[1]]
    found = coincidences(np.tile(values, 2), np.tile(owners, 2), np.array([0, len(rows), 2 * len(rows)]), 100)
    assert found.n.tolist() == [len(rows)] * 2
    for share in found.share:
        assert np.isnan(share) if not strange else share == pytest.approx(np.mean(strange))


@SMALL
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1.0, 2.0, np.nan])), max_size=8), max_size=6))
def test_repeats_are_those_of_remembering_every_entity(batches):
    repeats, last, now = Repeats(1), {}, 0
    for batch in batches:
        hits = asked = 0
        times = []
        for owner, value in batch:
            now += 120 * 10**9
            times.append(now)
            before = last.get(owner, np.nan)
            if not (np.isnan(before) or np.isnan(value)):
                asked, hits = asked + 1, hits + (before == value)
            last[owner] = value
        owners = np.array([owner for owner, _ in batch], np.int64)
        found = repeats.count(owners, np.array(times, np.int64), np.array([v for _, v in batch], float)[:, None])
        assert (found[0].tolist(), found[1].tolist()) == ([hits], [asked])


@SMALL
@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 900)), max_size=8), max_size=5))
def test_copies_are_those_of_comparing_with_every_event_before(batches):
    copies, begin = Copies(), 0
    before: list[tuple[int, int]] = []
    for batch in batches:
        rows = sorted(((key, begin + second * 10**9) for key, second in batch), key=lambda row: row[1])
        begin += 900 * 10**9
        marked: dict[int, int] = {}
        for key, time in rows:
            same = [t for k, t in before if k == key]
            if same and abs(time - same[-1]) <= WITHIN_NS:
                marked[key] = marked.get(key, 0) + 1
            before.append((key, time))
        counted = sum(min(5, n) for n in marked.values())
        keys = np.array([key for key, _ in rows], np.int64)[:, None]
        n = len(rows)
        times = np.array([t for _, t in rows], np.int64)
        found = copies.count(hashed(keys), times, np.array([0, n]))
        assert (found[0].tolist(), found[1].tolist()) == ([counted], [n - sum(marked.values()) + counted])


@SMALL
@given(st.lists(st.lists(st.integers(0, 30), max_size=10), min_size=1, max_size=20))
def test_values_are_new_for_a_week_since_they_were_seen_first(days):
    youth, first = Youth(12), {}
    begun = None
    for day, codes in enumerate(days):
        now = (day + 1) * 2 * DAY_NS
        begun = now if begun is None and codes else begun
        for code in codes:
            first.setdefault(code, now)
        found = youth.new(np.array(codes, np.int64), now)
        if not codes or now - begun < 14 * DAY_NS:
            assert found is None
        else:
            assert found.tolist() == [now - first[code] < 7 * DAY_NS for code in codes]


def test_a_table_that_is_too_small_forgets_what_was_seen_least_lately():
    youth = Youth(4, young_ns=10)
    codes = np.arange(200)
    for now in range(1, 50):
        found = youth.new(codes, now)
    assert found is not None and 0.5 < found.mean() <= 1.0


def test_sizes_are_those_of_the_past_and_not_of_the_last_days():
    magnitudes, whole = Magnitudes(1), np.array([0, 100])
    rng = np.random.default_rng(0)
    for _ in range(10):
        magnitudes.add(np.exp(rng.normal(3, 0.5, (100, 1))), whole)
        magnitudes.end_day()
    before = magnitudes.quantiles.copy()
    low, middle, high = before[0]
    assert abs(middle - bin_of(float(np.exp(3.0)))) <= 1
    assert low < middle < high
    for _ in range(2):
        magnitudes.add(np.full((100, 1), 1e6), whole)
        magnitudes.end_day()
    assert np.array_equal(magnitudes.quantiles, before)
    for _ in range(4):
        magnitudes.add(np.full((100, 1), 1e6), whole)
        magnitudes.end_day()
    assert magnitudes.quantiles[0, 2] > high


def test_a_source_is_known_after_some_days_and_a_visitor_is_never_missed():
    sources, rng = Sources(), np.random.default_rng(1)
    for hour in range(24 * 8):
        keys = rng.integers(0, 20, 100)
        keys = np.concatenate([keys, np.full(300, 99)]) if hour < 5 else keys
        share, gone = sources.silent(keys, hour * DAY_NS // 24)
    assert share == 0 and not len(gone)
    for hour in range(24 * 8, 24 * 8 + 10):
        share, gone = sources.silent(rng.integers(0, 19, 100), hour * DAY_NS // 24)
    assert gone.tolist() == [19] and 0.03 < share < 0.07


def test_the_stand_in_is_ridge_regression_on_the_faded_past():
    rng = np.random.default_rng(2)
    surrogate = Surrogate(3, 2)
    for _ in range(30):
        for _ in range(24):
            x = rng.normal(size=(20, 3))
            y = np.arcsinh(x) @ np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, 0.0]]) + 0.1 * rng.normal(size=(20, 2))
            residual = surrogate.residuals(x, y)
        surrogate.end_day()
    assert np.abs(residual.mean(axis=0)).max() < 0.1 and 0.05 < residual.std() < 0.2
    gap = x.copy()
    gap[3, 1] = np.nan
    assert np.isfinite(surrogate.residuals(gap, y)).all()
    y[4, 0] = np.nan
    assert np.isnan(surrogate.residuals(x, y)[4]).tolist() == [True, False]


def test_a_switch_has_an_effect_only_if_figures_move_with_it():
    def run(shift_at, switch_at, size):
        rng, switches = np.random.default_rng(3), Switches(1)
        effects = []
        for k in range(260):
            value = rng.normal() + (size if k >= shift_at else 0.0)
            effects.append(switches.effect(np.array([value]), 1 if k < switch_at else 2))
        return max(effects)

    assert run(200, 200, 6.0) >= 8 and run(200, 200, 0.0) == 0
    assert run(999, 200, 6.0) == 0 and run(170, 200, 6.0) == 0


def test_equal_rows_and_no_others_have_equal_hashes():
    rows = np.array([[1, 2], [2, 1], [1, 2], [0, 0]])
    found = hashed(rows)
    assert found[0] == found[2] and len(set(found.tolist())) == 3
    assert hashed(rows.astype(float), rows[:, 0]).shape == (4,) and len(hashed(rows[:0])) == 0
