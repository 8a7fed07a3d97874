"""Raised where groups are treated otherwise, at three severities; silent on look-alikes; equal to a naive twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import after, changed, early, raised, with_numbers
from tests.support.outcome_ticks import World
from tests.support.outcome_ticks import ticks as ticks_with_outcomes

from homeostat.checks.ticks import NAMES
from homeostat.maintain.blocks import block_of
from homeostat.maintain.monitor.fairness import Bound, FairnessMonitor, Groups
from homeostat.maintain.monitor.outcomes import chance_of

RATE = "field:channel fairness 1: selection_rate"


def harsher(share, group):
    """A fault: so many of a group are sent to review, whatever their risk."""

    def fault(tick, rng):
        chosen = (tick.events.numbers[:, 2] == group) & (rng.random(len(tick)) < share)
        action = np.where(chosen, 1, tick.action).astype(np.int16)
        return replace(tick, action=action)

    return fault


def test_the_past_and_quiet_days_of_every_weekday_after_it_raise_nothing():
    assert early("fairness") == () and raised("fairness", after(24 * 7, seed=9)) == {}


@pytest.mark.parametrize("share", [0.5, 0.7, 1.0])
def test_a_group_that_is_treated_more_harshly_is_raised_within_a_few_days(share):
    assert raised("fairness", changed(harsher(share, 12.0), hours=24 * 6))[RATE] <= 24 * 6


def test_a_small_difference_within_the_bound_raises_nothing():
    assert raised("fairness", changed(harsher(0.03, 12.0), hours=24 * 4)) == {}


@pytest.mark.parametrize("per_hour", [110.0, 400.0])
def test_growth_and_a_campaign_raise_nothing(per_hour):
    assert raised("fairness", after(24 * 3, seed=11, per_hour=per_hour)) == {}


def test_harsher_actions_for_all_groups_alike_raise_nothing():
    def fault(tick, rng):
        return replace(tick, action=np.where(rng.random(len(tick)) < 0.5, 1, tick.action).astype(np.int16))

    assert raised("fairness", changed(fault, hours=24 * 4)) == {}


def test_a_group_under_a_new_name_raises_nothing():
    def rename(tick, rng):
        numbers = tick.events.numbers.copy()
        numbers[numbers[:, 2] == 12.0, 2] = 14.0
        return with_numbers(tick, numbers)

    assert raised("fairness", changed(rename, hours=24 * 4)) == {}


def test_a_handful_of_people_of_a_group_proves_nothing():
    def few(tick, rng):
        numbers = tick.events.numbers.copy()
        numbers[:1, 2] = 15.0
        made = with_numbers(tick, numbers)
        return replace(made, action=np.where(numbers[:, 2] == 15.0, 2, made.action).astype(np.int16))

    assert raised("fairness", changed(few, hours=40)) == {}


def test_sums_and_excess_are_those_of_a_naive_twin():
    bounds = [Bound("selection_rate", difference_max=0.0), Bound("calibration", ratio_min=0.5)]
    monitor = FairnessMonitor(NAMES, Groups(2, (1, 2)), bounds)
    ticks, decided, mature = [], [], []
    for hour, tick in enumerate(ticks_with_outcomes(World(n=30.0), 24 * 9)):
        rng = np.random.default_rng(hour)
        numbers = tick.events.numbers.copy()
        numbers[:, 2] = rng.integers(1, 4, len(tick))
        action = (rng.random(len(tick)) < numbers[:, 2] / 5).astype(np.int16)
        ticks.append(replace(tick, events=replace(tick.events, numbers=numbers), action=action))
        day = int(tick.end_ns // (86_400 * 10**9))
        decided += [(day, group, chosen) for group, chosen in zip(numbers[:, 2], action, strict=True)]
        at = tick.known.mature == 1
        rest = tick.known.label[at] - chance_of(tick.known.risk[at])
        mature += [(day, one) for one in rest.tolist()]
    found = monitor.measure_block(block_of(ticks))
    today = int(ticks[-1].end_ns // (86_400 * 10**9))
    looks = np.flatnonzero(~np.isnan(found.value[:, 0]))
    first_of_today = [int(tick.end_ns // (86_400 * 10**9)) for tick in ticks].index(today)
    assert looks[-1] == first_of_today
    rates = {
        group: np.array([chosen for day, one, chosen in decided if one == group and today - 7 <= day < today])
        for group in (1, 2, 3)
    }  # fmt: skip
    excess = {
        (a, b): abs(rates[a].mean() - rates[b].mean()) for a in rates for b in rates
        if abs(rates[a].mean() - rates[b].mean())
        > 5 * np.sqrt(sum(rates[k].mean() * (1 - rates[k].mean()) / len(rates[k]) for k in (a, b)))
    }  # fmt: skip
    assert found.value[first_of_today, 0] == pytest.approx(max(excess.values()))
    of_mature = monitor.state()["sums"][:, 3].sum(axis=(0, 1))
    lately = [rest for day, rest in mature if day > today - 7]
    assert of_mature[0] == len(lately) and of_mature[1] == pytest.approx(sum(lately))
