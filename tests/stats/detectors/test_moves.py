"""Changes of mean and spread of numbers: found on all kinds of values, silent on those that only look so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from homeostat import Detector, detect
from homeostat.stats.detectors.cells import cells_of, edges_of, odds_of
from homeostat.stats.detectors.moves import KEPT_MAX, LEARN_MIN, SHIFTS, STRETCHES


def correlated(rng, n, weight):
    values = rng.normal(size=n)
    for i in range(1, n):
        values[i] += weight * values[i - 1]
    return values


INNOCENT = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "skew": lambda rng, n: rng.lognormal(0, 2, n),
    "counts": lambda rng, n: rng.poisson(3, n) * 1.0,
    "many zeros": lambda rng, n: (rng.random(n) < 0.3) * rng.exponential(size=n),
    "autocorrelated": lambda rng, n: correlated(rng, n, 0.6),
    "constant": lambda rng, n: np.full(n, 7.5),
    "huge": lambda rng, n: rng.normal(size=n) * 1e149,
    "tiny": lambda rng, n: rng.normal(size=n) * 1e-300,
}


@pytest.mark.parametrize("name", INNOCENT)
def test_innocent_streams_are_silent(name):
    count = sum(
        len(detect(INNOCENT[name](np.random.default_rng([1, seed]), 20_000), kind="number")) for seed in range(8)
    )
    assert count <= 4  # The default is 1 in 100,000, so 1.6 at most on average.


@pytest.mark.parametrize(
    ("change", "moved", "within"),
    [
        ("rise", lambda v: v + 1, 80), ("fall", lambda v: v - 3, 20), ("wider", lambda v: v * 3, 40),
        ("narrower", lambda v: v / 4, 80), ("narrower", lambda v: v * 0, 40),
    ],
)  # fmt: skip
def test_each_change_is_found_and_named(change, moved, within):
    named = 0
    for seed in range(10):
        rng = np.random.default_rng([2, seed])
        values = np.concatenate([rng.normal(size=3000), moved(rng.normal(size=within))])
        (found,) = detect(values, kind="number")
        assert 3000 <= found.row and abs(found.since - 3000) <= 60
        assert (found.after > found.before) == (found.change in ("rise", "wider"))
        named += found.change == change
    assert named >= 8  # A few values far out may look like the one or the other.


def test_a_lone_outlier_is_no_change():
    rng = np.random.default_rng(3)
    values = rng.normal(size=4000)
    values[2000] = 1e100
    assert detect(values, kind="number") == []


def test_means_and_spreads_are_those_of_the_values():
    rng = np.random.default_rng(4)
    values = 1e6 + np.concatenate([rng.normal(size=2000), rng.normal(2, 1, size=50)])
    (found,) = detect(values, kind="number")
    assert found.before == pytest.approx(values[: found.since].mean())
    assert found.after == pytest.approx(values[found.since : found.row + 1].mean())
    values = np.concatenate([rng.normal(size=2000), rng.normal(0, 4, size=50)])
    (found,) = detect(values, kind="number")
    assert found.before == pytest.approx(values[: found.since].std())
    assert found.after == pytest.approx(values[found.since : found.row + 1].std())


def naive(values, rows, limit):
    """The row of the alarm by the definition: each start of each lane has a wealth of its own."""
    wealth = None
    edges = odds = None
    due = LEARN_MIN
    for row in range(rows):
        total = 0.0
        if odds is not None:
            factors = odds[:, int(cells_of(values[row : row + 1], edges)[0])]
            coin = np.full((len(factors), 1), 1.0 / len(factors))
            wealth = np.hstack([wealth, coin]) * factors[:, None]
            total = wealth.sum()
        if total > limit:
            return row
        if row + 1 >= due and total <= limit**0.5:
            due = int(np.ceil((row + 1) * 1.5))
            seen = values[: row + 1]
            edges = edges_of(seen)
            counts = np.bincount(cells_of(seen, edges), minlength=2 * len(edges) + 1) * 1.0
            odds = odds_of(seen, edges, counts, SHIFTS, STRETCHES)
            wealth = np.zeros((len(odds), 0)) if wealth is None else wealth
    return None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(-3, 3), st.sampled_from([1.0, 0.1]))
def test_wealth_equals_its_naive_twin(seed, shift, grid):
    rng = np.random.default_rng(seed)
    values = np.round(np.concatenate([rng.normal(size=200), rng.normal(shift, 1, size=40)]) / grid) * grid
    found = detect(values, kind="number", false_alarms_per=500)
    assert (found[0].row if found else None) == naive(values, len(values), 0.85 * 500)


@pytest.mark.long
@given(
    arrays(
        np.float64,
        st.integers(LEARN_MIN, 300),
        elements=st.sampled_from([0.0, 1.0, 1.5, -2.0, 1e9]) | st.floats(-10, 10),
    )
)
def test_the_odds_of_a_lane_have_a_mean_of_at_most_one(values):
    edges = edges_of(values)
    counts = np.bincount(cells_of(values, edges), minlength=2 * len(edges) + 1) * 1.0
    odds = odds_of(values, edges, counts, SHIFTS, STRETCHES)
    assert np.isfinite(odds).all() and (odds > 0).all()
    assert (odds @ (counts / counts.sum()) <= 1.0 + 1e-9).all()


def test_memory_does_not_grow_and_a_long_past_is_learned_from():
    detector = Detector("number")
    rng = np.random.default_rng(5)
    detector.add_all(rng.normal(size=5 * KEPT_MAX))
    size = sum(part.size for part in detector.state().values())
    detector.add_all(rng.normal(size=40 * KEPT_MAX))
    state = detector.state()
    assert sum(part.size for part in state.values()) == size and state["counts"].sum() > 20 * KEPT_MAX
