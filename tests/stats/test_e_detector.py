"""The detector equals its naive twin, and its mean stays below the time that has passed."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.records.arrays import Float
from homeostat.stats import e_detector
from homeostat.stats.e_detector import BOTH, FACTOR_MAX, STRENGTHS, UP, bettors, set_prices, step
from homeostat.stats.seasonal import MEAN, nothing_known


def known(k: int) -> e_detector.Ordinary:
    """Series whose level is 0 and whose standard deviation is 1 where the spread is 1."""
    ordinary = nothing_known(k)
    ordinary.known[:] = 1000.0
    return ordinary


def run(u: Float, side: int = BOTH) -> Float:
    """The evidence after each measurement of one series."""
    ordinary, of, one = known(1), bettors(1), np.ones(1)
    found = []
    for value in u:
        now = step(
            ordinary, of, np.ones(1, np.uint8), np.array([MEAN]), np.array([side]), np.array([value]), one, one, 0, 0
        )  # fmt: skip
        found.append(now.evidence[0])
    return np.array(found)


def naive(u: Float, side: int = BOTH) -> Float:
    """The same, by adding up the products of factors since every start."""
    found = []
    for t in range(1, len(u) + 1):
        total = 0.0
        for sign in (1.0, -1.0) if side == BOTH else (1.0,):
            for s in STRENGTHS:
                factors = np.minimum(np.exp(sign * s * u[:t] - s**2 / 2), FACTOR_MAX)
                capital = sum(float(np.prod(factors[start:])) for start in range(t))
                total += capital / len(STRENGTHS) * (0.5 if side == BOTH else 1.0)
        found.append(total)
    return np.array(found)


@pytest.mark.long
@pytest.mark.parametrize("side", [BOTH, UP])
def test_the_detector_equals_its_naive_twin(side: int) -> None:
    u = np.random.default_rng(1).normal(0.3, 1.2, 40)
    assert run(u, side) == pytest.approx(naive(u, side), rel=1e-9)


@pytest.mark.long
def test_while_nothing_changes_its_mean_is_the_time_at_most() -> None:
    rng = np.random.default_rng(2)
    k, ticks = 4000, 60
    ordinary, of, one = known(k), bettors(k), np.ones(k)
    for _ in range(ticks):
        found = step(
            ordinary, of, np.ones(k, np.uint8), np.full(k, MEAN), np.full(k, BOTH), rng.normal(size=k), one, one, 0, 0
        )  # fmt: skip
    assert found.evidence.mean() < 1.5 * ticks


@pytest.mark.long
def test_a_wild_past_makes_bets_dearer() -> None:
    rng = np.random.default_rng(3)
    u = np.vstack([rng.normal(size=600), rng.standard_t(2, size=600)])
    ordinary, of = known(2), bettors(2)
    set_prices(
        ordinary, of, np.ones(2, np.uint8), np.zeros(2, np.uint8), u, np.ones((2, 600), np.uint8), np.arange(600)
    )
    assert (of.price[1, :, -1] < of.price[0, :, -1] / 10).all()


@pytest.mark.long
def test_bets_on_rare_hits_cost_their_mean_payoff_and_no_more() -> None:
    rng = np.random.default_rng(4)
    hit, none = 2.0, -0.3
    u = np.where(rng.random((2, 600)) < 0.06, hit, none)
    ordinary, of = known(2), bettors(2)
    set_prices(
        ordinary, of, np.ones(2, np.uint8), np.array([0, 1], np.uint8), u, np.ones_like(u, np.uint8), np.arange(600)
    )
    payoff = 0.06 * np.exp(STRENGTHS * hit) + 0.94 * np.exp(STRENGTHS * none)
    assert (of.price[0, 0] * payoff < 1.0).all() and (of.price[0, 0] * payoff > 0.5)[:4].all()
    assert (of.price[1, 0] <= np.exp(-0.5 * STRENGTHS**2)).all() and (of.price[1, 0] <= of.price[0, 0]).all()


def test_a_missing_measurement_changes_nothing() -> None:
    u = np.array([0.5, np.nan, 1.0])
    assert run(u)[2] == run(np.array([0.5, 1.0]))[1]
