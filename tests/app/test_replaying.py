"""Features that are replayed from a journal are those that were served, and a feature that was not is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homeostat.app import feature_plan, fingerprint
from homeostat.app.maintaining import names_of, tick_form
from homeostat.app.replaying import WindowReplayer, rests_of
from homeostat.config import plans
from homeostat.config.load import load_app
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.maintain.blocks import block_of
from homeostat.maintain.monitor.serving import ServingMonitor
from homeostat.maintain.ticks import TickReader
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, Row
from homeostat.records.identity import Coding

HOUR_NS = 3600 * 10**9
START_NS = 1_767_571_200_000_000_000


@pytest.fixture(scope="module")
def app():
    return load_app("payments")


@pytest.fixture(scope="module")
def plan(app):
    return feature_plan(app)


def served(app, plan, coding, days: int, seed: int = 0) -> list[DecisionBatch]:
    """Entries of uneven size, some events out of order or late, with features as the windows serve them."""
    rng = np.random.default_rng(seed)
    windows = WindowFeaturizer(plan, plans.membership(app, coding), coding.places)
    n = days * 240
    time_ns = START_NS + np.sort(rng.integers(0, days * 24 * HOUR_NS, n))
    late = rng.random(n) < 0.03
    time_ns[late] -= rng.integers(0, HOUR_NS // 2, int(late.sum()))
    keys = np.stack([rng.integers(0, 40, n), 100 + rng.integers(0, 30, n)], axis=1)
    kind = np.where(rng.random(n) < 0.01, np.uint8(Row.LATE_EVENT), np.uint8(Row.EVENT))
    events = EventBatch(
        np.arange(n), time_ns, keys, np.round(np.exp(rng.normal(3, 1, (n, 1))), 2), np.full(n, np.nan), kind
    )
    found, start = [], 0
    while start < n:
        stop = min(n, start + int(rng.integers(1, 60)))
        found.append(_entry(app, windows, events.slice(start, stop)))
        start = stop
    return found


def _entry(app, windows, events) -> DecisionBatch:
    n = len(events)
    zero, octets = np.zeros(n, np.int16), np.zeros(n, np.uint8)
    scorers = tuple(app.scorers)
    scores = Scores(scorers, np.full((n, len(scorers)), 0.1), np.ones((n, len(scorers))), octets)
    return DecisionBatch(
        events, windows.features(events), scores, Fused(np.full(n, 0.1), np.zeros((n, len(scorers)))),
        Proposal(zero, np.tile([1.0, 0.0, 0.0], (n, 1)), octets, octets),
        Ruling(zero, zero - 1, np.zeros(n, np.uint64)),
        octets, f"{app.app}-{fingerprint(app)}+b1", 10.0 * n, plans.vocabulary(app),
    )  # fmt: skip


def watch(app, plan, coding, entries, share, restart_at=None):
    """How many values were compared, and the nodes at which some differ."""
    maker = f"{app.app}-{fingerprint(app)}"
    replayer = WindowReplayer(app, plan, coding, maker, share)
    monitor = ServingMonitor(names_of(app, plan), replayer)
    reader = TickReader(tick_form(app, plan, coding))
    compared, wrong = np.zeros(len(monitor.series)), set()
    for number, body in enumerate(entries):
        if number == restart_at:
            state = replayer.state()
            replayer = WindowReplayer(app, plan, coding, maker, share)
            replayer.restore(state)
            monitor = ServingMonitor(names_of(app, plan), replayer)
        replayer.take(body)
        for tick in reader.add(body):
            found = monitor.measure(tick)
            compared += found.n
            wrong |= {one.node for one, value in zip(monitor.series, found.value) if one.kind == "skew" and value > 0}
    skew = [k for k, one in enumerate(monitor.series) if one.kind == "skew"]
    return {monitor.series[k].node: int(compared[k]) for k in skew}, wrong


@pytest.mark.parametrize("restart_at", [None, 40])
def test_replayed_features_are_the_served_ones_to_the_last_bit(app, plan, restart_at):
    coding = Coding.of_seed(3)
    compared, wrong = watch(app, plan, coding, served(app, plan, coding, 9), 0.3, restart_at)
    assert wrong == set()
    assert compared["field:amount"] > 300 and compared["feature:customer_count_7d"] > 30
    assert compared["feature:customer_count_30d"] == 0  # Nobody knows thirty days yet.
    assert compared["feature:terminal_frauds_mean_1d"] == 0  # Labels are left out.


def test_a_feature_that_was_served_otherwise_is_found_at_its_node(app, plan):
    coding = Coding.of_seed(3)
    entries = served(app, plan, coding, 4)
    at = plan.names.index("customer_mean_amount_1d")
    for k in range(len(entries) // 2, len(entries)):
        values = entries[k].features.values.copy()
        values[:, at] *= 1.3
        entries[k] = replace(entries[k], features=replace(entries[k].features, values=values))
    assert watch(app, plan, coding, entries, 0.5)[1] == {"feature:customer_mean_amount_1d"}


def test_decisions_of_another_app_file_are_not_compared(app, plan):
    coding = Coding.of_seed(3)
    entries = [replace(one, version="payments-0badf00d+b1") for one in served(app, plan, coding, 2)]
    compared, wrong = watch(app, plan, coding, entries, 0.5)
    assert not any(compared.values()) and not wrong


def test_a_derived_feature_rests_on_all_that_its_sources_rest_on(plan):
    rests = rests_of(plan)
    at = {name: k for k, name in enumerate(plan.names)}
    assert rests.entities[at["ratio"]].tolist() == [True, False] and rests.never[at["ratio"]]
    assert rests.never[at["terminal_risk_7d"]] and not rests.never[at["customer_count_1d"]]
    assert not rests.entities[at["night"]].any() and rests.back_ns[at["night"]] == 0
    assert rests.back_ns[at["customer_past_max_14d"]] == 14 * 24 * HOUR_NS


def test_a_busy_app_is_sampled_more_thinly_and_what_stays_is_compared_as_before(app, plan):
    coding, maker = Coding.of_seed(3), f"{app.app}-{fingerprint(app)}"
    entries = served(app, plan, coding, 6)
    replayer = WindowReplayer(app, plan, coding, maker, 1.0, daily_max=100)
    monitor, reader = ServingMonitor(names_of(app, plan), replayer), TickReader(tick_form(app, plan, coding))
    compared = 0
    for body in entries:
        replayer.take(body)
        for tick in reader.add(body):
            found = monitor.measure(tick)
            skew = [k for k, one in enumerate(monitor.series) if one.kind == "skew"]
            compared += int(found.n[skew].sum()) if replayer.share < 1.0 else 0
            assert not np.nan_to_num(found.value[4:]).any()
    assert replayer.share <= 0.5 and compared


def test_what_is_sampled_does_not_depend_on_when_entries_are_replayed(app, plan):
    coding, maker = Coding.of_seed(3), f"{app.app}-{fingerprint(app)}"
    entries = served(app, plan, coding, 5)
    one = WindowReplayer(app, plan, coding, maker, 1.0, daily_max=150)
    two = WindowReplayer(app, plan, coding, maker, 1.0, daily_max=150)
    for body in entries:
        one.take(body)
        two.take(body)
        two.state()  # It replays all that waits.
    first, second = one.state(), two.state()
    for name in ("code", "values", "known", "begun", "share"):
        np.testing.assert_array_equal(first[name], second[name])


def test_a_block_is_compared_as_its_ticks_are_also_where_events_were_decided_twice(app, plan):
    coding, maker = Coding.of_seed(3), f"{app.app}-{fingerprint(app)}"
    entries = served(app, plan, coding, 2)
    again = replace(entries[6].events, time_ns=entries[10].events.time_ns.max() + np.arange(len(entries[6])))
    entries.insert(11, replace(entries[6], events=again))
    found = []
    for cuts in (1, 1000):
        replayer = WindowReplayer(app, plan, coding, maker, 1.0)
        monitor, reader = ServingMonitor(names_of(app, plan), replayer), TickReader(tick_form(app, plan, coding))
        ticks = []
        for body in entries:
            replayer.take(body)
            ticks += reader.add(body)
        some = [monitor.measure_block(block_of(ticks[k : k + cuts])) for k in range(0, len(ticks), cuts)]
        found.append([np.concatenate([getattr(one, name) for one in some]) for name in ("value", "n")])
    assert np.nansum(found[0][0][:, -len(plan.names) :]) > 0 and found[0][1][:, -len(plan.names) :].sum() > 500
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
