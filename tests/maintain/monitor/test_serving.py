from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import Again, after, changed, early, raised

from homeostat.checks.ticks import NAMES
from homeostat.maintain.monitor.serving import Replayed, ServingMonitor
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.reasons import Fallback

DEPLOY = Change(ChangeKind.DEPLOY, "champion", {"version": "b"}, "ann", "better", number=1)


def test_the_past_and_quiet_days_after_it_raise_nothing():
    assert early("serving") == () and raised("serving", after(72, seed=9)) == {}


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_slow_decisions_are_raised(share):
    def fault(tick, rng):
        return replace(tick, took_us=tick.took_us * np.where(rng.random(len(tick)) < share, 6.0, 1.0))

    found = raised("serving", changed(fault))
    assert found and all(one.startswith("serving latency") for one in found) and min(found.values()) <= 8


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
@pytest.mark.parametrize(
    ("bit", "series"),
    [(Fallback.FEATURES_ABSENT, "dependency:feature_store outage features absent"),
     (Fallback.DEADLINE, "serving latency deadline passed"), (Fallback.POLICY_FAILED, "policy outage policy failed")],
)  # fmt: skip
def test_fallbacks_are_raised_by_their_cause(share, bit, series):
    def fault(tick, rng):
        return replace(tick, fallback=np.where(rng.random(len(tick)) < share, np.uint8(bit), np.uint8(0)))

    found = raised("serving", changed(fault))
    assert set(found) - {series.replace("outage ", "outage mostly ").replace("latency ", "latency mostly ")} == {series}
    assert min(found.values()) <= (0 if share == 1.0 else 15)


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_a_scorer_that_is_missing_is_raised(share):
    def fault(tick, rng):
        scores = tick.scores.copy()
        scores[rng.random(len(tick)) < share, 0] = np.nan
        return replace(tick, scores=scores)

    found = set(raised("serving", changed(fault))) - {"scorer:forest outage mostly missing scores"}
    assert found == {"scorer:forest outage missing scores"}


def test_a_change_of_the_settings_that_all_follow_raises_nothing():
    ticks = list(after())
    change = replace(DEPLOY, kind=ChangeKind.LEARNING, scope="policy", body={"on": False})
    ticks[3] = replace(ticks[3], changes=(change,), settings=np.arange(len(ticks[3])) // 10 % 2)
    for k in range(4, len(ticks)):
        ticks[k] = replace(ticks[k], settings=np.ones(len(ticks[k]), np.int64))
    assert raised("serving", ticks) == {}


def test_decisions_under_settings_that_no_change_put_in_force_are_a_fact():
    ticks = changed(lambda tick, rng: replace(tick, settings=(rng.random(len(tick)) < 0.3).astype(np.int64) * 9))
    monitor = ServingMonitor(NAMES, Again())
    assert raised("serving", ticks, monitor) == {"settings configuration other settings": 0}
    assert monitor.notes(2) == {"settings": [9]}


def test_versions_that_alternate_are_a_fact_unless_a_canary_is_tried():
    def mixed(tick, rng):
        return replace(tick, version=rng.integers(0, 2, len(tick)), versions=("a", "b"))

    ticks = changed(mixed)
    assert set(raised("serving", ticks)) == {"version version alternating versions"}
    canary = replace(DEPLOY, scope="canary", body={"version": "b", "share": 0.5})
    started = [replace(ticks[0], changes=(canary,), settings=np.ones(len(ticks[0]), np.int64))]
    later = [replace(tick, settings=np.ones(len(tick), np.int64)) for tick in ticks[1:]]
    assert raised("serving", started + later) == {}


def test_a_deploy_in_the_middle_of_a_tick_is_no_alternating():
    ticks = list(after())
    n = len(ticks[2])
    ticks[2] = replace(
        ticks[2], changes=(DEPLOY,), versions=("a", "b"), version=(np.arange(n) > n // 2).astype(np.int64),
        settings=(np.arange(n) > n // 2).astype(np.int64),
    )  # fmt: skip
    ticks[3:] = [replace(one, versions=("b",), settings=np.ones(len(one), np.int64)) for one in ticks[3:]]
    assert raised("serving", ticks) == {}


@pytest.mark.parametrize("factor", [1.0 + 1e-6, 1.3, 5.0])
def test_a_feature_that_was_served_otherwise_is_a_fact_at_that_feature(factor):
    again = Again()
    monitor = ServingMonitor(NAMES, again)
    tick = after()[0]
    values = tick.features.values.copy()
    rows = np.arange(0, len(tick), 3)
    again.answer = Replayed(rows, values[rows], np.ones((len(rows), 5), bool))
    assert raised("serving", [tick], monitor) == {}
    values[:, 3] *= factor
    again.answer = Replayed(rows, values[rows], np.ones((len(rows), 5), bool))
    assert raised("serving", [tick], monitor) == {"feature:count_1d skew served otherwise": 0}
    assert set(monitor.notes(len(monitor.series) - 2)["example"]) == {"served", "replayed"}
    again.answer = Replayed(rows, values[rows], np.arange(5)[None, :].repeat(len(rows), 0) != 3)
    assert raised("serving", [tick], monitor) == {}
