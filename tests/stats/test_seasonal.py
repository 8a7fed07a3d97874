"""The ordinary course of series: profiles, noise and waves are found, and only where they are."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.records.arrays import Float
from homeostat.stats import seasonal
from homeostat.stats.seasonal import COUNT, MEAN, SHARE, Ordinary, learn, nothing_known

WEEKS = 4
TICKS = WEEKS * seasonal.WEEK_HOURS


def learned(scale: int, value: Float, n: Float, spread: Float | None = None) -> Ordinary:
    """The ordinary course of one series of hourly values that began on a Monday."""
    m = len(value)
    ordinary = nothing_known(1)
    rest = np.full((2, 1, m), np.nan)
    learn(
        ordinary, np.ones(1, np.uint8), np.array([scale]), value[None], n[None],
        np.full((1, m), np.nan) if spread is None else spread[None], np.ones((1, m), np.uint8), rest[0], rest[1],
        np.arange(m) % seasonal.WEEK_HOURS, np.arange(1, m + 1) * 3600e9, np.arange(m),
    )  # fmt: skip
    return ordinary


@pytest.mark.long
def test_a_daily_season_is_learned_and_a_series_without_one_keeps_none() -> None:
    rng = np.random.default_rng(1)
    day = np.sin(2 * np.pi * np.arange(TICKS) / 24)
    n = np.full(TICKS, 100.0)
    moved = learned(MEAN, 5.0 + day + rng.normal(0, 0.2, TICKS), n)
    assert np.abs(moved.profile[0] - np.tile(np.sin(2 * np.pi * np.arange(24) / 24), 7)).max() < 0.2
    still = learned(MEAN, 5.0 + rng.normal(0, 0.2, TICKS), n)
    assert np.abs(still.profile[0]).max() < 0.1
    assert still.level[0] == pytest.approx(5.0, abs=0.03)


@pytest.mark.long
def test_a_weekend_of_its_own_shape_is_learned() -> None:
    rng = np.random.default_rng(2)
    hour = np.arange(TICKS)
    shape = np.where(hour // 24 % 7 >= 5, np.cos(2 * np.pi * hour / 24), 0.0)
    found = learned(MEAN, shape + rng.normal(0, 0.1, TICKS), np.full(TICKS, 50.0))
    assert np.abs(found.profile[0] + found.level[0] - shape[:168]).max() < 0.25


@pytest.mark.long
def test_the_variance_of_shares_is_that_of_chance_where_nothing_else_moves_them() -> None:
    rng = np.random.default_rng(3)
    n = rng.poisson(80, TICKS).astype(float)
    found = learned(SHARE, rng.binomial(n.astype(int), 0.2) / n, n)
    assert found.of_sampling[0] + found.beyond[0] * 80 == pytest.approx(1.0, abs=0.25)
    assert found.wave[0] < 0.2


def test_growth_of_counts_is_learned() -> None:
    rng = np.random.default_rng(4)
    level = 200 * (1 + 0.01 * np.arange(TICKS) / 24)
    found = learned(COUNT, rng.poisson(level).astype(float), np.ones(TICKS))
    later = seasonal.expected(found, 0, COUNT, 0, (TICKS + 7 * 24) * 3600e9)
    assert later == pytest.approx(200 * (1 + 0.01 * 35), rel=0.04)


def test_a_slow_wave_under_noise_is_found_and_its_innovations_are_white() -> None:
    rng = np.random.default_rng(5)
    wave = np.zeros(TICKS)
    for t in range(1, TICKS):
        wave[t] = 0.9 * wave[t - 1] + rng.normal(0, 0.4)
    found = learned(MEAN, wave + rng.normal(0, 1.0, TICKS), np.full(TICKS, 100.0))
    assert 0.25 < found.wave[0] < 0.75
    assert 0.8 <= found.persistence[0] <= 0.97


def test_one_wild_measurement_hardly_moves_what_is_learned() -> None:
    rng = np.random.default_rng(6)
    value = rng.normal(10.0, 1.0, TICKS)
    calm = learned(MEAN, value, np.full(TICKS, 100.0))
    value[100] = 1e6
    wild = learned(MEAN, value, np.full(TICKS, 100.0))
    assert wild.level[0] == pytest.approx(calm.level[0], abs=0.5)
