from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import after, changed, early, raised, with_numbers

from homeostat.checks.ticks import HOUR_NS, with_events
from homeostat.records.rows import joined_events


@pytest.mark.long
def test_the_past_and_quiet_days_after_it_raise_nothing():
    assert early("behaviour") == () and raised("behaviour", after(72, seed=9)) == {}


@pytest.mark.long
@pytest.mark.parametrize("cut", [0.1, 0.07, 0.03])
def test_a_threshold_that_was_pushed_is_raised_at_the_settings(cut):
    def fault(tick, rng):
        action = np.searchsorted([cut, 0.5], tick.risk, "right").astype(np.int16)
        return replace(tick, action=action, proposed=action)

    found = raised("behaviour", changed(fault))
    assert found["settings configuration avoidable cost"] <= 12


def test_larger_amounts_move_the_mix_but_no_cost_was_avoidable():
    def shift(tick, rng):
        numbers = tick.events.numbers.copy()
        numbers[:, 0] = np.round(numbers[:, 0] * 3, 2)
        return with_numbers(tick, numbers)

    found = raised("behaviour", changed(shift))
    assert any("actions mix" in one for one in found)
    assert "settings configuration avoidable cost" not in found


@pytest.mark.parametrize("times", [5, 10, 50])
def test_a_flood_of_few_entities_is_raised_there_and_named(times):
    def fault(tick, rng):
        n = len(tick) * times
        rows = rng.integers(0, len(tick), 8)[rng.integers(0, 8, n)]
        bots = tick.events.rows(rows)
        keys = bots.keys.copy()
        keys[:, 0] = 10**6 + rows
        times_ns = tick.start_ns + 1 + rng.integers(0, HOUR_NS - 1, n)
        bots = replace(bots, keys=keys, time_ns=times_ns, id_code=bots.id_code + 20_000 + np.arange(n))
        return with_events(tick, joined_events(tick.events, bots))

    found = raised("behaviour", changed(fault, hours=6))
    assert found["entity:customer flood crowding"] <= 4


def test_few_copies_are_no_flood():
    def fault(tick, rng):
        rows = np.flatnonzero(rng.random(len(tick)) < 0.15)
        again = replace(tick.events.rows(rows), id_code=tick.events.id_code[rows] + 50_000)
        return with_events(tick, joined_events(tick.events, again))

    assert not any("flood" in one for one in raised("behaviour", changed(fault)))


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_keys_that_are_new_are_raised(share):
    def fault(tick, rng):
        keys = tick.events.keys.copy()
        new = rng.random(len(tick)) < share
        keys[new, 0] = 10**7 + rng.integers(0, 10**6, int(new.sum()))
        return with_events(tick, replace(tick.events, keys=keys))

    assert raised("behaviour", changed(fault))["entity:customer distribution new keys"] <= 12


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_events_just_below_a_threshold_are_raised_as_probing(share):
    def fault(tick, rng):
        near = rng.random(len(tick)) < share
        risk = np.where(near, rng.uniform(0.13, 0.149, len(tick)), tick.risk)
        action = np.searchsorted([0.15, 0.5], risk, "right").astype(np.int16)
        return replace(tick, risk=risk, action=action, proposed=action)

    assert raised("behaviour", changed(fault))["policy probing just below a threshold"] <= 20
