"""Distances of columns: naive twins, bounds that hold, and verdicts on size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.stats.drift.codes import MISSING, NEW, categories_of, counts, edges_of, encode
from homeostat.stats.drift.distance import Distance, kuiper_quantile, of_categories, of_numbers, own_variation
from homeostat.stats.drift.verdicts import DriftVerdict, judge

numbers = st.lists(st.one_of(st.integers(-5, 5).map(float), st.just(float("nan")), st.floats(-1e9, 1e9)), max_size=40)


@settings(deadline=None)  # The first call compiles the search.
@given(numbers, numbers)
def test_codes_are_those_of_a_naive_search(sample: list[float], values: list[float]) -> None:
    edges = edges_of(np.array(sample, np.float64))
    naive = [MISSING if np.isnan(v) else sum(edge < v for edge in edges) for v in values]
    assert encode(np.array(values, np.float64), edges).tolist() == naive


@settings(deadline=None)
@given(numbers)
def test_only_values_outside_of_the_sample_have_the_first_or_the_last_code(sample: list[float]) -> None:
    edges = edges_of(np.array(sample, np.float64))
    codes = encode(np.array(sample, np.float64), edges)
    held = codes[codes != MISSING]
    assert np.all(np.diff(edges) > 0) and len(edges) <= 254
    assert np.all((held > 0) & (held < len(edges)))


def test_infinite_values_lie_at_the_ends() -> None:
    edges = edges_of(np.array([-np.inf, 0.0, 1.0, np.inf]))
    assert encode(np.array([np.inf, -np.inf, 2.0, 0.5]), edges).tolist() == [3, 0, 3, 2]


def test_rare_categories_share_the_code_of_new_ones() -> None:
    found = categories_of(["a", "b", "c"], np.array([9, 4, 20]))
    assert found.names == ("c", "a")
    assert found.code(np.array([0, 1, -1, -2])).tolist() == [0, 1, NEW, MISSING]
    many = categories_of([f"{k:04}" for k in range(1000)], np.full(1000, 9))
    assert len(many.names) == NEW


histograms = st.dictionaries(st.sampled_from([0, 1, 2, 7, 254, 255]), st.integers(0, 9), max_size=6)


def histogram(rows: dict[int, int]) -> np.ndarray:
    out = np.zeros(256, np.int64)
    for code, many in rows.items():
        out[code] = many
    return out


@settings(deadline=None)
@given(histograms, histograms)
def test_distances_are_the_largest_difference_over_intervals_or_sets(
    left: dict[int, int], right: dict[int, int]
) -> None:
    a, b = histogram(left), histogram(right)
    if not a.sum() or not b.sum():
        assert np.isnan(of_numbers(a, b).value) and of_categories(a, b).noise == 1.0
        return
    p, q = a / a.sum(), b / b.sum()
    ends = [0, 1, 2, 3, 7, 8, 254, 255]
    intervals = [abs(p[i:j].sum() - q[i:j].sum()) for i in ends for j in ends if i < j]
    assert of_numbers(a, b).value == pytest.approx(max(*intervals, abs(p[255] - q[255])), abs=1e-12)
    codes = [0, 1, 2, 7, 254, 255]
    sets = [[c for k, c in enumerate(codes) if mask >> k & 1] for mask in range(64)]
    assert of_categories(a, b).value == pytest.approx(max(abs(p[s].sum() - q[s].sum()) for s in sets), abs=1e-12)


def test_bounds_of_a_hundred_columns_hold_together() -> None:
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(60):
        for measure, codes in ((of_numbers, 200), (of_categories, 12)):
            columns = [measure(*(counts(rng.integers(0, codes, 400).astype(np.uint8)) for _ in "ab"), 100)
                       for _ in range(20)]  # fmt: skip
            wrong += any(one.low > 0.0 for one in columns)
    assert wrong <= 4  # 20 of 100 columns: 1 % of 120 tables are expected.


def test_the_size_of_no_change_is_small_and_that_of_a_change_is_about_right() -> None:
    rng = np.random.default_rng(9)
    for measure in (of_numbers, of_categories):
        none, some = [], []
        for _ in range(200):
            a, b = (counts(rng.integers(0, 6, 1000).astype(np.uint8)) for _ in "ab")
            none.append(measure(a, b))
            moved = np.where(rng.random(1000) < 0.2, 0, rng.integers(0, 6, 1000)).astype(np.uint8)
            some.append(measure(a, counts(moved)))
        assert np.mean([one.size for one in none]) < 0.55 * np.mean([one.value for one in none])
        assert np.mean([one.size for one in some]) == pytest.approx(0.2 * 5 / 6, abs=0.015)
        assert np.mean([one.low <= 0.2 * 5 / 6 <= one.high for one in some]) > 0.93
        assert np.mean([judge(one).verdict is DriftVerdict.NO_DRIFT for one in none]) > 0.9


def test_the_quantile_is_that_of_published_tables() -> None:
    assert kuiper_quantile(0.10) == pytest.approx(1.620, abs=1e-3)  # Stephens (1970).
    assert kuiper_quantile(0.01) == pytest.approx(2.001, abs=1e-3)


def test_a_reference_that_wanders_by_itself_has_an_own_variation() -> None:
    rng = np.random.default_rng(1)
    same = np.stack([counts(rng.integers(0, 250, 2000).astype(np.uint8)) for _ in range(12)])
    moving = np.stack([counts(rng.integers(9 * k, 9 * k + 100, 2000).astype(np.uint8)) for k in range(12)])
    for numeric in (True, False):
        assert own_variation(same, numeric) < 0.01
        assert own_variation(moving, numeric) > 0.2
        assert own_variation(same[:3], numeric) == 0.0


def test_a_large_sample_makes_no_drift_of_a_small_shift() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=1_000_000)
    edges = edges_of(values[:5000])
    here, there = counts(encode(values + 0.03, edges)), counts(encode(values, edges))
    found = of_numbers(there, here)
    assert found.low > 0.005 and judge(found).verdict is DriftVerdict.NO_DRIFT


@pytest.mark.parametrize(
    ("found", "own", "verdict"),
    [
        (Distance(0.2, 0.2, 0.1, 0.25, 0.1, 1000, 1000), 0.0, DriftVerdict.DRIFT),
        (Distance(0.2, 0.2, 0.1, 0.25, 0.1, 1000, 1000), 0.1, DriftVerdict.NO_DRIFT),
        (Distance(1.0, 1.0, 0.9, 1.0, 0.1, 1000, 1000), 0.5, DriftVerdict.NOT_ENOUGH_DATA),
        (Distance(0.2, 0.2, 0.0, 0.45, 0.3, 20, 1000), 0.0, DriftVerdict.NOT_ENOUGH_DATA),
        (Distance(0.02, 0.02, 0.0, 0.27, 0.3, 20, 1000), 0.0, DriftVerdict.NOT_ENOUGH_DATA),
        (Distance(0.06, 0.06, 0.0, 0.1, 0.08, 900, 900), 0.0, DriftVerdict.NOT_ENOUGH_DATA),
        (Distance(0.03, 0.03, 0.0, 0.07, 0.08, 900, 900), 0.0, DriftVerdict.NO_DRIFT),
        (Distance(float("nan"), float("nan"), 0.0, 1.0, 1.0, 0, 9), 0.0, DriftVerdict.NOT_ENOUGH_DATA),
    ],
)
def test_a_verdict_needs_a_size_and_more_than_chance(found: Distance, own: float, verdict: DriftVerdict) -> None:
    assert judge(found, own).verdict is verdict
    assert judge(found, own).why
