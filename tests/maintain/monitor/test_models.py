from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import after, changed, early, past, raised, with_numbers

from homeostat.checks.ticks import NAMES
from homeostat.maintain.blocks import block_of
from homeostat.maintain.monitor.models import ModelsMonitor
from homeostat.maintain.monitor.reference import SAMPLE

FACT = "version version effect of a version"


def test_the_past_and_quiet_days_after_it_raise_nothing():
    assert early("models") == () and raised("models", after(72, seed=9)) == {}


@pytest.mark.parametrize("noise", [0.25, 0.45, 0.7])
def test_a_worse_version_is_a_fact_at_the_version(noise):
    def fault(tick, rng):
        mixed = np.where(rng.random(len(tick)) < noise, rng.permutation(tick.risk), tick.risk)
        return replace(tick, risk=mixed, versions=("app-1+b",))

    assert raised("models", changed(fault))[FACT] <= 24


def test_a_version_that_answers_alike_is_none():
    assert raised("models", changed(lambda tick, rng: replace(tick, versions=("app-1+b",)))) == {}


@pytest.mark.parametrize("shift", [0.3, 0.6, 1.2])
def test_another_library_under_the_same_version_is_raised_at_risk_and_scorer(shift):
    def moved(p):
        return 1 / (1 + np.exp(-(np.log(p / (1 - p)) - shift)))

    def fault(tick, rng):
        scores = tick.scores.copy()
        scores[:, 0] = moved(scores[:, 0])
        return replace(tick, risk=moved(tick.risk), scores=scores)

    found = raised("models", changed(fault))
    assert found["fusion distribution unexplained mean"] <= 12
    assert found["scorer:forest distribution unexplained mean"] <= 12 and FACT not in found


def test_a_drift_of_inputs_at_the_time_of_a_harmless_deploy_is_not_the_versions_fault():
    def fault(tick, rng):
        numbers = tick.events.numbers.copy()
        numbers[:, 0] = np.round(numbers[:, 0] * 1.3, 2)
        return replace(with_numbers(tick, numbers), versions=("app-1+b",))

    assert FACT not in raised("models", changed(fault))


def test_of_a_busy_tick_a_sample_is_looked_at():
    monitor = ModelsMonitor(NAMES)
    monitor.measure_block(block_of(past()[: 24 * 12]))
    busy = after(1, seed=3, per_hour=4000.0)[0]
    assert len(np.unique(busy.events.keys[:, 0])) > SAMPLE and monitor.measure(busy).n[0] == SAMPLE
