"""Tails: large values are as surprising as they are seldom, and a few anomalies among them change little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.stats.tails import episode_length, fit_tail, surprise, value_at

SAMPLES = {
    "exponential": lambda rng: rng.exponential(size=20_000),
    "normal": lambda rng: rng.normal(size=20_000),
    "long": lambda rng: rng.pareto(3.0, size=20_000),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_surprise_is_the_negative_logarithm_of_the_share_above(kind: str) -> None:
    tail, held_out = fit_tail(SAMPLES[kind](np.random.default_rng(0))), SAMPLES[kind](np.random.default_rng(1))
    for share in (0.5, 0.1, 0.01, 0.002):
        value = float(np.quantile(held_out, 1 - share))
        assert surprise(value, tail) == pytest.approx(-np.log(share), abs=0.6)


@pytest.mark.parametrize("kind", SAMPLES)
def test_anomalies_of_any_size_hardly_move_the_tail(kind: str) -> None:
    clean = SAMPLES[kind](np.random.default_rng(0))
    spoiled = np.concatenate([clean[:19_900], np.full(100, 1e6)])
    value = float(np.quantile(clean, 0.999))
    assert surprise(value, fit_tail(spoiled, 0.01)) == pytest.approx(surprise(value, fit_tail(clean, 0.01)), abs=1.0)
    assert surprise(1e6, fit_tail(spoiled, 0.01)) > 10


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=8),
    st.floats(0, 0.2),
)
def test_a_larger_value_is_never_less_surprising(sample: list[float], asked: list[float], outlying: float) -> None:
    tail = fit_tail(np.array(sample), outlying)
    found = [surprise(value, tail) for value in sorted(asked)]
    assert found == sorted(found) and found[0] >= 0.0


def test_the_value_of_a_surprise_is_its_inverse() -> None:
    tail = fit_tail(np.random.default_rng(0).normal(size=5_000))
    for wanted in (0.2, 1.0, 2.9, 4.0, 9.0, 90.0):
        assert surprise(value_at(wanted, tail), tail) == pytest.approx(wanted, abs=1e-6)


def test_a_sample_and_a_share_are_needed() -> None:
    with pytest.raises(ValueError, match="needs values"):
        fit_tail(np.empty(0))
    with pytest.raises(ValueError, match="outlying"):
        fit_tail(np.ones(5), 0.5)


def test_an_episode_is_one_excursion_of_one_series() -> None:
    values = np.zeros(400)
    values[[10, 11, 12, 13, 100, 101, 102, 103]] = 1.0
    one, two = np.zeros(400, np.int64), np.repeat([0, 1], 200)
    assert episode_length(values, one, np.arange(400), 0.02) == 4.0
    assert episode_length(values, np.arange(400) % 2, np.arange(400), 0.02) == 2.0
    assert episode_length(values, two, np.arange(400), 0.02) == 4.0
