"""Raised on values that moved at three severities, silent on what resembles them, and equal to a naive twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import after, changed, early, past, raised, with_numbers

from homeostat.checks.ticks import NAMES
from homeostat.maintain.blocks import block_of
from homeostat.maintain.monitor.distribution import DistributionMonitor
from homeostat.maintain.monitor.reference import SAMPLE


def test_the_past_and_quiet_days_of_every_weekday_after_it_raise_nothing():
    assert early("distribution") == () and raised("distribution", after(24 * 7, seed=9)) == {}


@pytest.mark.parametrize("times", [1.5, 2.0, 4.0])
def test_larger_amounts_are_raised_at_the_field_and_nowhere_else(times):
    def fault(tick, rng):
        numbers = tick.events.numbers.copy()
        numbers[:, 0] = np.round(numbers[:, 0] * times, 2)
        return with_numbers(tick, numbers)

    found = raised("distribution", changed(fault))
    assert found["field:amount distribution mean place"] <= 12
    assert not any(one.startswith(("field:items", "feature:")) for one in found)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.4])
def test_values_outside_of_the_past_are_raised(share):
    def fault(tick, rng):
        numbers = tick.events.numbers.copy()
        far = rng.random(len(tick)) < share
        numbers[far, 0] = 5000.0 + rng.integers(0, 9000, int(far.sum()))
        return with_numbers(tick, numbers)

    assert raised("distribution", changed(fault))["field:amount distribution share outside of the past"] <= 24


@pytest.mark.parametrize("noise", [0.3, 0.6, 1.0])
def test_a_wider_spread_of_a_feature_is_raised_there(noise):
    def fault(tick, rng):
        values = tick.features.values.copy()
        values[:, 4] *= np.exp(noise * rng.normal(size=len(tick)))
        return replace(tick, features=replace(tick.features, values=values))

    found = raised("distribution", changed(fault))
    assert found["feature:mean_7d distribution mean distance from the middle"] <= 24


@pytest.mark.parametrize("per_hour", [110.0, 400.0])
def test_growth_and_a_campaign_of_the_same_people_raise_nothing(per_hour):
    assert raised("distribution", after(36, seed=11, per_hour=per_hour)) == {}


def test_figures_are_those_of_a_naive_twin():
    monitor, ticks = DistributionMonitor(NAMES), past()
    monitor.measure_block(block_of(ticks[:300]))
    for tick in (ticks[300], after(1, seed=12, per_hour=900.0)[0]):
        grid = monitor.state()["reference/grid"]
        at = np.arange(len(tick))
        at = at if len(at) <= SAMPLE else np.linspace(0, len(at) - 1, SAMPLE).astype(int)
        columns = np.column_stack([tick.events.numbers[:, :2], tick.features.values[:, 3:], tick.risk, tick.scores])[at]
        found = monitor.measure(tick)
        for k, column in enumerate(columns.astype(np.float32).astype(float).T):
            places = [naive_place(value, grid[k]) for value in column]
            assert found.value[k] == pytest.approx(np.mean(places))
            assert found.value[len(grid) + k] == pytest.approx(np.mean([abs(2 * one - 1) for one in places]))
            assert found.n[k] == len(at)


def naive_place(value, grid):
    """The share of the quantiles' steps that lies below, ties by half."""
    below, equal = int((grid < value).sum()), int((grid == value).sum())
    if equal:
        return (below + (equal - 1) / 2) / (len(grid) - 1)
    if below in (0, len(grid)):
        return float(below > 0)
    return (below - 1 + (value - grid[below - 1]) / (grid[below] - grid[below - 1])) / (len(grid) - 1)
