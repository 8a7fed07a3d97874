"""Features of whole apps against a naive twin, and every fault of a wrong one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.windows import first_start
from homeostat.decide.windows.features import FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.expressions import Type
from homeostat.records.events import EventBatch, Row
from homeostat.records.features import Freshness
from homeostat.records.identity import ABSENT, Coding, category_code

DAY = 86_400_000_000_000
HOUR = DAY // 24

SPEC = FeatureSpec(
    entities=("customer", "terminal", "visit"),
    fields=(("amount", Type.NUMBER), ("channel", Type.CATEGORY), ("foreign", Type.BOOLEAN)),
    windows=(
        WindowGroup(
            "customer", (("1h", HOUR), ("1d", DAY)),
            {
                "customer_count_{length}": "count",
                "customer_sum_{length}": "sum(amount)",
                "customer_doubled_{length}": "sum(2 * amount)",
                "customer_foreign_{length}": "mean(foreign)",
                "customer_terminals_{length}": "distinct(terminal)",
            },
        ),
        WindowGroup("customer", (("1d", DAY),), {"web_count": "count"}, where="channel == 'web' and amount > 5"),
        WindowGroup("visit", (("1d", DAY),), {"visit_count": "count"}, past=True),
        WindowGroup("terminal", (("1d", DAY),), {"risk": "mean(fraud)", "known": "count(fraud)"}, delay_ns=2 * DAY),
        WindowGroup("terminal", (("1d", DAY),), {"frauds": "count"}, delay_ns=2 * DAY, where="fraud == 1"),
    ),
    derived={
        "ratio": "amount / customer_sum_1d",
        "night": "hour(time) <= 6",
        "first_visit": "visit_count == 0",
        "strange": "ratio > 0.5 and first_visit",
        "same": "customer == terminal",
    },
    label="fraud",
    label_delay_ns=2 * DAY,
    lateness_ns=HOUR,
    unknown_is_negative=True,
)  # fmt: skip


CODING = Coding.of_seed(0)


def planned(spec: FeatureSpec = SPEC):
    plan, faults = plan_features(spec)
    assert not faults and plan is not None
    return plan


def batch_of(events) -> EventBatch:
    """Events (time, customer, terminal, amount, channel, foreign, label, kind); ids count from 0."""
    keys = np.array([[c, t, 0] for _, c, t, *_ in events], np.int64).reshape(-1, 3)
    checks = np.zeros_like(keys)
    CODING.fill_pair(keys, checks, (0, 1), 2)
    numbers = [[a, category_code(ch) if ch else math.nan, f] for _, _, _, a, ch, f, _, _ in events]
    return EventBatch(
        id_code=np.arange(len(events)),
        time_ns=np.array([e[0] for e in events], np.int64),
        keys=keys,
        key_checks=checks,
        numbers=np.array(numbers, np.float64).reshape(-1, 3),
        label=np.array([e[6] for e in events], np.float64),
        kind=np.array([e[7] for e in events], np.uint8),
    )


def naive(events, row: int) -> dict[str, float]:
    """The features of one event of an ordered stream, from the definition."""
    time, customer, terminal, amount, channel, foreign, *_ = events[row]

    def seen(length, delay=0, past=False, **which):
        last = row if past else row + 1
        return [
            e for e in events[:last]
            if time - delay - length < e[0] <= time - delay
            and ("customer" not in which or (e[1] == which["customer"] != ABSENT))
            and ("terminal" not in which or (e[2] == which["terminal"] != ABSENT))
        ]  # fmt: skip

    found = {"amount": amount, "channel": category_code(channel) if channel else math.nan, "foreign": foreign}
    for name, length in (("1h", HOUR), ("1d", DAY)):
        mine = seen(length, customer=customer)
        amounts = [e[3] for e in mine if not math.isnan(e[3])]
        abroad = [e[5] for e in mine if not math.isnan(e[5])]
        found[f"customer_count_{name}"] = len(mine)
        found[f"customer_sum_{name}"] = sum(amounts)
        found[f"customer_doubled_{name}"] = 2 * sum(amounts)
        found[f"customer_foreign_{name}"] = sum(abroad) / len(abroad) if abroad else math.nan
        found[f"customer_terminals_{name}"] = len({e[2] for e in mine if e[2] != ABSENT})
    found["web_count"] = sum(e[4] == "web" and e[3] > 5 for e in seen(DAY, customer=customer))
    found["visit_count"] = len(seen(DAY, past=True, customer=customer, terminal=terminal))
    labelled = seen(DAY, delay=2 * DAY, terminal=terminal)
    found["risk"] = sum(e[6] == 1 for e in labelled) / len(labelled) if labelled else math.nan
    found["known"] = len(labelled)
    found["frauds"] = sum(e[6] == 1 for e in labelled)
    total = found["customer_sum_1d"]
    found["ratio"] = amount / total if total != 0 else math.nan
    found["night"] = (time // HOUR) % 24 <= 6
    found["first_visit"] = found["visit_count"] == 0
    found["strange"] = found["ratio"] > 0.5 and found["first_visit"]
    found["same"] = customer == terminal != ABSENT
    return found


@st.composite
def streams(draw, size=12):
    time = draw(st.integers(0, 10**18))
    events = []
    for _ in range(draw(st.integers(1, size))):
        time += draw(st.sampled_from([0, 1, HOUR, DAY, 2 * DAY]))
        customer, terminal = draw(st.sampled_from([1, 2, ABSENT])), draw(st.sampled_from([1, 9, ABSENT]))
        amount = draw(st.sampled_from([0.0, 5.0, 10.0, math.nan]))
        channel = draw(st.sampled_from(["web", "shop", None]))
        foreign, label = draw(st.sampled_from([0.0, 1.0, math.nan])), draw(st.sampled_from([0.0, 1.0, math.nan]))
        events.append((time, customer, terminal, amount, channel, foreign, label, Row.EVENT))
    return events


@pytest.mark.long
@settings(max_examples=80, deadline=None)
@given(streams())
def test_features_equal_their_naive_twin(events):
    plan = planned()
    features = WindowFeaturizer(plan).features(batch_of(events))
    for row, event in enumerate(events):
        expected = naive(events, row)
        assert set(expected) == set(plan.names)
        for column, name in enumerate(plan.names):
            label_windows = name in ("risk", "known", "frauds")
            if event[2] == ABSENT and label_windows:
                continue  # The windows define their values for no entity.
            np.testing.assert_allclose(features.values[row, column], expected[name], rtol=1e-12, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(streams(), st.integers(0, 12))
def test_features_do_not_depend_on_batches_nor_on_a_restart(events, cut):
    plan, batch = planned(), batch_of(events)
    whole = WindowFeaturizer(plan).features(batch)
    first, second = WindowFeaturizer(plan), WindowFeaturizer(plan)
    cut = min(cut, len(batch))
    parts = [first.features(batch.slice(0, cut))]
    second.restore(first.state())
    parts.append(second.features(batch.slice(cut, len(batch))))
    assert np.vstack([p.values for p in parts]).tobytes() == whole.values.tobytes()
    assert np.vstack([p.freshness for p in parts]).tobytes() == whole.freshness.tobytes()


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(streams(), st.data())
def test_events_ahead_of_the_clock_change_no_feature_of_others(events, data):
    """They lie in the future of all others, of the same entities, too, and reach no further than these."""
    ahead = [data.draw(st.sampled_from([0, 0, 1, HOUR, 22 * HOUR, 40 * DAY])) for _ in events]
    mixed, reach, honest = [], [], []
    for event, far in zip(events, ahead):
        if far:
            mixed.append((events[-1][0] + far, *event[1:]))
            reach.append(event[0] - DAY)
        honest.append(len(mixed))
        mixed.append(event)
        reach.append(event[0])
    batch = replace(batch_of(mixed), reach_ns=np.array(reach, np.int64))
    expected = WindowFeaturizer(planned()).features(batch_of(events))
    found = WindowFeaturizer(planned()).features(batch)
    assert found.values[honest].tobytes() == expected.values.tobytes()
    assert found.freshness[honest].tobytes() == expected.freshness.tobytes()
    cut, first = len(mixed) // 2, WindowFeaturizer(planned())
    parts = [first.features(batch.slice(0, cut)), first.features(batch.slice(cut, len(mixed)))]
    assert np.vstack([p.values for p in parts]).tobytes() == found.values.tobytes()


def test_names_are_fields_then_windows_then_derived():
    plan = planned()
    assert plan.names[:4] == ("amount", "channel", "foreign", "customer_count_1h")
    assert plan.names[-5:] == ("ratio", "night", "first_visit", "strange", "same")
    assert dict(zip(plan.names, plan.types))["night"] == Type.BOOLEAN
    assert plan.scope().symbols["night"].slot == plan.names.index("night")


def test_an_outcome_row_gives_its_event_a_label_and_a_late_row_is_not_counted():
    event = (0, 1, 9, 5.0, "web", 0.0, math.nan, Row.EVENT)
    late = (0, 1, 9, 5.0, "web", 0.0, math.nan, Row.LATE_EVENT)
    later = (2 * DAY, 1, 9, 5.0, "web", 0.0, math.nan, Row.EVENT)
    batch = batch_of([event, late, (0, 1, 9, math.nan, None, math.nan, 1.0, Row.OUTCOME), later])
    batch.id_code[2] = 0
    features = WindowFeaturizer(planned()).features(batch)
    at = planned().names.index
    assert features.values[3, at("risk")] == 1.0
    assert features.values[3, at("known")] == 1.0
    assert features.values[3, at("frauds")] == 1.0


def test_a_derived_feature_is_as_fresh_as_the_worst_it_rests_on():
    events = [(0, ABSENT, 9, 5.0, None, 0.0, math.nan, Row.EVENT), (1, 1, 9, math.nan, "web", 0.0, math.nan, Row.EVENT)]
    features = WindowFeaturizer(planned()).features(batch_of(events))
    found = [dict(zip(features.names, row.tolist())) for row in features.freshness]
    assert found[0]["amount"] == Freshness.FRESH and found[0]["channel"] == Freshness.ABSENT
    assert found[0]["ratio"] == found[0]["strange"] == Freshness.ABSENT
    assert found[0]["night"] == Freshness.FRESH
    assert found[1]["amount"] == found[1]["ratio"] == found[1]["strange"] == Freshness.ABSENT
    assert found[1]["first_visit"] == Freshness.FRESH


def test_read_only_columns_are_taken():
    batch = batch_of([(0, 1, 9, 5.0, "web", 0.0, math.nan, Row.EVENT)] * 2)
    expected = WindowFeaturizer(planned()).features(batch)
    for array in (batch.id_code, batch.time_ns, batch.keys, batch.numbers, batch.label, batch.kind):
        array.flags.writeable = False
    found = WindowFeaturizer(planned()).features(batch)
    assert found.values.tobytes() == expected.values.tobytes()


def test_an_app_without_windows_or_derived_features_has_its_fields():
    plan = planned(FeatureSpec(entities=("customer",), fields=(("amount", Type.NUMBER),)))
    one = np.ones(2, np.int64)
    batch = EventBatch(one, one, one.reshape(2, 1), np.array([[3.0], [np.nan]]), one * np.nan, np.zeros(2, np.uint8))
    features = WindowFeaturizer(plan).features(batch)
    assert features.freshness[:, 0].tolist() == [Freshness.FRESH, Freshness.ABSENT]
    assert len(WindowFeaturizer(plan).features(batch.slice(0, 0))) == 0


def test_other_columns_and_other_snapshots_are_refused():
    featurizer = WindowFeaturizer(planned())
    batch = batch_of([(0, 1, 9, 5.0, "web", 0.0, math.nan, Row.EVENT)])
    with pytest.raises(ValueError, match="the plan has 3 and 3"):
        featurizer.features(replace(batch, keys=batch.keys[:, :2]))
    windows = (
        replace(SPEC.windows[0], compute={**SPEC.windows[0].compute, "customer_doubled_{length}": "sum(3 * amount)"}),
    )
    other = WindowFeaturizer(planned(replace(SPEC, windows=windows + SPEC.windows[1:])))
    with pytest.raises(ValueError, match="other fields or filters"):
        other.restore(featurizer.state())


def faults_of(**changes):
    plan, faults = plan_features(replace(SPEC, derived={}, **{"windows": (), **changes}))
    assert plan is None
    return [(fault.path, fault.nearest) for fault in faults]


DAYS = (("1d", DAY),)


@pytest.mark.parametrize(
    ("group", "path", "nearest"),
    [
        (WindowGroup("custmer", DAYS, {"a": "count"}), ("windows", 0, "entity"), "customer"),
        (WindowGroup("customer", DAYS, {"a": "cuont"}), ("windows", 0, "compute", "a"), "count"),
        (WindowGroup("customer", DAYS, {"a": "mean"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(amuont)"}), ("windows", 0, "compute", "a"), "amount"),
        (WindowGroup("customer", DAYS, {"a": "mean(channel)"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"b": "1 + count"}), ("windows", 0, "compute", "b"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(amount"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(amount, 2)"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "count_since"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"amount": "count"}), ("windows", 0, "compute", "amount"), None),
        (WindowGroup("customer", DAYS, {"terminal": "count"}), ("windows", 0, "compute", "terminal"), None),
        (WindowGroup("customer", DAYS, {"a{": "count"}), ("windows", 0, "compute", "a{"), None),
        (WindowGroup("customer", (("1d", DAY), ("2d", 2 * DAY)), {"a": "count"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", (("0d", 0),), {"a": "count"}), ("windows", 0, "lengths"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(fraud)"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(fraud)"}, delay_ns=DAY), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "count_since(fraud)"}), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "mean(-fraud)"}, 2 * DAY), ("windows", 0, "compute", "a"), None),
        (WindowGroup("customer", DAYS, {"a": "count"}, where="fraud == 1"), ("windows", 0, "where"), None),
        (WindowGroup("customer", DAYS, {"a": "count"}, where="amount"), ("windows", 0, "where"), None),
        (WindowGroup("customer", DAYS, {"a": "count"}, where="amuont > 1"), ("windows", 0, "where"), "amount"),
        (WindowGroup("customer", DAYS, {"a": "count"}, 2 * DAY, where="fraud > 1"), ("windows", 0, "where"), None),
    ],
)  # fmt: skip
def test_each_fault_names_its_place(group, path, nearest):
    assert (path, nearest) in faults_of(windows=(group,))


def test_all_faults_are_named_at_once():
    wrong = WindowGroup("custmer", DAYS, {"a": "mean(amuont)", "b": "cuont"}, where="chanel == 'web'")
    found = plan_features(replace(SPEC, windows=(wrong, wrong), derived={"c": "ratoi", "d": "1 +", "fraud": "amount"}))
    assert found[0] is None
    places = [fault.path for fault in found[1]]
    for number in (0, 1):
        for path in (("entity",), ("where",), ("compute", "a"), ("compute", "b")):
            assert ("windows", number, *path) in places
    assert places[-3:] == [("derived", "c"), ("derived", "d"), ("derived", "fraud")]


def test_a_derived_feature_sees_only_those_before_it():
    plan, faults = plan_features(replace(SPEC, derived={"a": "b + 1", "b": "amount"}))
    assert plan is None
    assert faults[0].path == ("derived", "a")


def test_equal_filters_and_values_are_computed_once():
    twice = WindowGroup("customer", DAYS, {"a": "sum(2 * amount)", "b": "mean(2 * amount)"}, where="amount > 1")
    plan = planned(
        replace(SPEC, windows=(twice, replace(twice, entity="terminal", compute={"c": "count"})), derived={})
    )
    assert (len(plan.inputs), plan.masks) == (2, 1)


def test_without_its_kernel_features_have_all_but_the_windows_and_nothing_is_remembered():
    events = [(9 * DAY + k, 5, 7, 2.5, "web", 1.0, math.nan, Row.EVENT) for k in range(3)]
    plan = planned()
    trial, whole = first_start.Unwindowed(plan), WindowFeaturizer(plan)
    trial.move()
    found, right = trial.features(batch_of(events)), whole.features(batch_of(events))
    own = [plan.names.index(name) for name in ("amount", "channel", "foreign", "night", "same")]
    assert found.names == right.names
    np.testing.assert_array_equal(found.values[:, own], right.values[:, own])
    assert np.isnan(found.values[:, [plan.names.index(name) for name in ("web_count", "risk")]]).all()
    assert trial.windows.entities == 0 and whole.windows.entities == 3


def test_the_kernel_of_the_windows_is_made_ready_by_a_row_of_no_entity():
    first_start.make_ready()
    assert first_start.is_ready()
