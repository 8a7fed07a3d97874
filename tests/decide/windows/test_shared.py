"""Windows over shared logs against those of one process, whatever happens to workers, answers and logs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.decide.windows.features import FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.plan import SPAN_NS_MAX
from homeostat.decide.windows.shared import MARGIN_NS, SharedFeaturizer, log_version
from homeostat.expressions import Type
from homeostat.ports import Unavailable
from homeostat.ports.shared import LogsLost
from homeostat.records.events import EventBatch, Row
from homeostat.records.features import Freshness
from homeostat.records.identity import ABSENT, Coding, category_code
from homeostat.records.reasons import Fallback

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

HOUR = 3_600 * 10**9
DAY = 24 * HOUR
START = 1_600_000_000 * 10**9
ENTITIES = ("customer", "terminal", "visit")
CODING = Coding.of_seed(0)
ALICE, ALICE_CHECK = CODING.identify("alice")
BOB = ALICE + 2**56  # Stands for a text of the same code as Alice's, with a check of its own.
TEXTS = {(ALICE, ALICE_CHECK): "alice", (ALICE, 7): "bob"}
LATE_NS = HOUR

PLAIN = (
    "count", "rate", "sum(amount)", "mean(amount)", "std(amount)", "min(amount)", "max(2 * amount)", "last(amount)",
    "distinct(channel)", "distinct(terminal)", "since_last", "since_first(amount)", "count(amount)",
)  # fmt: skip
LABELLED = (
    "mean(fraud)",
    "count(fraud)",
    "sum(fraud)",
    "max(fraud)",
    "last(fraud)",
    "count_since(fraud)",
    "distinct(fraud)",
)


@st.composite
def plans(draw):
    groups = []
    for number in range(draw(st.integers(1, 4))):
        delay = draw(st.sampled_from([0, 0, 2 * HOUR]))
        kinds = draw(st.lists(st.sampled_from(PLAIN + LABELLED * (delay > 0)), min_size=1, max_size=5, unique=True))
        lengths = draw(
            st.lists(st.sampled_from([("1h", HOUR), ("6h", 6 * HOUR), ("1d", DAY)]), min_size=1, unique=True)
        )
        where = draw(
            st.sampled_from([None, "amount > 5", "channel == 'web'"] + ["fraud == 1", "fraud == 0"] * (delay > 0))
        )
        compute = {f"w{number}_{k}_{{length}}": kind for k, kind in enumerate(kinds)}
        entity = draw(st.sampled_from(ENTITIES))
        groups.append(WindowGroup(entity, tuple(lengths), compute, delay, draw(st.booleans()), where))
    spec = FeatureSpec(
        entities=ENTITIES,
        fields=(("amount", Type.NUMBER), ("channel", Type.CATEGORY)),
        windows=tuple(groups),
        derived={"double": "amount * 2"},
        label="fraud",
        label_delay_ns=2 * HOUR,
        lateness_ns=LATE_NS,
        unknown_is_negative=draw(st.booleans()),
    )
    plan, faults = plan_features(spec)
    assert plan is not None and not faults
    return plan


@st.composite
def streams(draw, late_ns=LATE_NS, size=40):
    """Events with ties and out of order by up to `late_ns`, late events, outcomes of known and unknown events."""
    rows, newest, events = [], START, []
    for number in range(draw(st.integers(1, size))):
        newest += draw(st.sampled_from([0, 0, 1, HOUR // 3, HOUR, 6 * HOUR, 3 * DAY]))
        if events and draw(st.integers(0, 4)) == 0:
            known = draw(st.sampled_from(events))
            label = draw(st.sampled_from([0.0, 1.0, math.nan]))
            rows.append(
                (known[0] if draw(st.integers(0, 5)) else 10**6, *known[1:4], math.nan, None, label, Row.OUTCOME)
            )
            continue
        late = draw(st.integers(0, 9)) == 0
        back = (
            draw(st.integers(late_ns + 1, 2 * DAY))
            if late
            else draw(st.sampled_from([0, 0, 0, 1, late_ns // 2, late_ns]))
        )
        keys = draw(st.sampled_from([1, 2, ALICE, BOB, ABSENT])), draw(st.sampled_from([1, 9, -(2**40), ABSENT]))
        amount = draw(st.sampled_from([0.0, -0.0, 5.0, 0.1, 19.99, 1e6 + 0.1, math.nan, math.inf]))
        label = draw(st.sampled_from([math.nan, 0.0, 1.0]))
        row = (number, newest - back, *keys, amount, draw(st.sampled_from(["web", "shop", None])), label,
               Row.LATE_EVENT if late else Row.EVENT)  # fmt: skip
        rows.append(row)
        events.append(row)
    return batch_of(rows)


def batch_of(rows) -> EventBatch:
    """Rows (id, time, customer, terminal, amount, channel, label, kind)."""
    keys = np.array([[c, t, 0] for _, _, c, t, *_ in rows], np.int64).reshape(-1, 3)
    checks = np.where(keys == ALICE, ALICE_CHECK, np.where(keys == BOB, 7, 0))
    keys[keys == BOB] = ALICE
    CODING.fill_pair(keys, checks, (0, 1), 2)
    return EventBatch(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        keys,
        np.array([[row[4], category_code(row[5]) if row[5] else math.nan] for row in rows], np.float64).reshape(-1, 2),
        np.array([row[6] for row in rows], np.float64),
        np.array([row[7] for row in rows], np.uint8),
        TEXTS,
        key_checks=checks,
    )


class Lossy:
    """A store whose answers are lost at times, after it has done what was asked."""

    def __init__(self, store):
        self._store = store
        self.lose_next = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def exchange(self, asked, through=None):
        found = self._store.exchange(asked, through)
        if self.lose_next:
            self.lose_next = False
            raise Unavailable("the answer was lost")
        return found


def shared(plan, store, **how) -> SharedFeaturizer:
    return SharedFeaturizer(plan, store, ENTITIES, **how)


def assert_equal(plan, rows, found, expected, where=None) -> None:
    """Bit for bit, but where the reference says itself that it has forgotten a part."""
    where = np.ones(len(rows), bool) if where is None else where
    compared = (expected.freshness != Freshness.STALE) & (where & (rows.kind != Row.OUTCOME))[:, None]
    np.testing.assert_array_equal(found.values.view(np.int64)[compared], expected.values.view(np.int64)[compared])
    np.testing.assert_array_equal(found.freshness[compared], expected.freshness[compared])


def expire(plan, store, rows, stop) -> None:
    """Logs of entities that have been silent for longer than windows look back, and an hour, are gone."""
    seen = rows.slice(0, stop)
    events = seen.kind == Row.EVENT
    if not events.any():
        return
    newest = seen.time_ns[events].max()
    reach = max((w.delay_ns + w.length_ns for w in plan.windows.windows), default=0)
    for (entity, one), log in list(store._memory.logs.items()):
        times = [int.from_bytes(row[:8], "little", signed=True) for row in log.rows]
        if max(times, default=0) < newest - reach - LATE_NS - MARGIN_NS - DAY:
            store.drop(entity, one)


@settings(max_examples=120, deadline=None)
@given(plans(), streams(), st.data())
def test_features_equal_those_of_one_process_whoever_decides_and_whatever_is_forgotten(plan, rows, data):
    expected = WindowFeaturizer(plan).features(rows)
    store = MemoryFeatures()
    stores = [Lossy(store) for _ in range(data.draw(st.integers(1, 3)))]
    workers = [shared(plan, one) for one in stores]
    found, exact, at = [], [], 0
    while at < len(rows):
        stop = data.draw(st.integers(at + 1, len(rows)))
        k = data.draw(st.integers(0, len(workers) - 1))
        part, worker = rows.slice(at, stop), workers[k]
        event = data.draw(st.sampled_from(["", "", "", "", "lost", "twice", "forget", "drop", "silent"]))
        repeated = event in ("lost", "twice")
        if event == "lost":
            stores[k].lose_next = True
            assert worker.features(part).fallback == Fallback.FEATURES_STALE and worker.behind
            worker.rejoin()
        elif event == "twice":  # Decided by one that fell before anyone saw it.
            worker.features(part)
            worker = workers[data.draw(st.integers(0, len(workers) - 1))]
            if data.draw(st.booleans()):
                for one in workers:
                    one.forget()
            middle = data.draw(st.integers(at, stop))
            if at < middle < stop:  # Its first batch meets, in the logs, rows of the next one.
                found.append(worker.features(rows.slice(at, middle)))
                exact.append(rows.kind[at:middle] != Row.LATE_EVENT)
                at, part = middle, rows.slice(middle, stop)
        elif event == "forget":
            worker.forget()
        elif event == "drop":
            worker.windows.expire(int(part.time_ns.max()))
        elif event == "silent":
            expire(plan, store, rows, at)
        made = worker.features(part)
        assert made.fallback == 0
        found.append(made)
        exact.append(~(repeated & (part.kind == Row.LATE_EVENT)))
        at = stop
    values, freshness = (np.concatenate([getattr(one, name) for one in found]) for name in ("values", "freshness"))
    assert_equal(plan, rows, replace(expected, values=values, freshness=freshness), expected, np.concatenate(exact))
    assert found[0].names == expected.names


@settings(max_examples=100, deadline=None)
@given(plans(), streams(late_ns=4 * HOUR), st.data())
def test_what_the_logs_hold_may_be_written_again_without_a_trace(plan, rows, data):
    """An outage: the journal's events are written by whoever comes back, some of them again."""
    expected = WindowFeaturizer(replaced_lateness(plan, 4 * HOUR)).features(rows)
    store = MemoryFeatures()
    first, second = shared(plan, store, skew_ns=3 * HOUR), shared(plan, store, skew_ns=3 * HOUR)
    half, end = len(rows) // 2, len(rows)
    known = data.draw(st.integers(0, half))
    first.features(rows.slice(0, known))
    for _ in range(2):
        start = data.draw(st.integers(0, known))
        second.write(rows.slice(start, half))
    first.forget()
    found = first.features(rows.slice(half, end))
    assert_equal(plan, rows.slice(half, end), found, replace(
        expected, values=expected.values[half:], freshness=expected.freshness[half:]
    ))  # fmt: skip


def replaced_lateness(plan, lateness_ns):
    return replace(plan, windows=replace(plan.windows, lateness_ns=lateness_ns))


@settings(max_examples=100, deadline=None)
@given(plans(), streams(late_ns=4 * HOUR))
def test_events_out_of_order_by_up_to_the_skew_count_as_in_one_process_that_allows_as_much(plan, rows):
    expected = WindowFeaturizer(replaced_lateness(plan, 4 * HOUR)).features(rows)
    store = MemoryFeatures()
    workers = [shared(plan, store, skew_ns=3 * HOUR) for _ in range(2)]
    for row in range(len(rows)):
        found = workers[row % 2].features(rows.slice(row, row + 1))
        one = replace(expected, values=expected.values[row : row + 1], freshness=expected.freshness[row : row + 1])
        assert_equal(plan, rows.slice(row, row + 1), found, one)


@settings(max_examples=60, deadline=None)
@given(plans(), streams(), st.randoms())
def test_in_whatever_order_events_reach_the_logs_later_events_see_the_same(plan, rows, random):
    """A log that was lost, and to which one has written before its past was written again."""
    order = list(range(len(rows)))
    random.shuffle(order)
    events = rows.kind == Row.EVENT
    order = [row for row in order if events[row]]
    if not order:
        return
    newest = int(rows.time_ns[events].max())
    last = batch_of([(99, newest, 1, 9, 1.0, "web", math.nan, Row.EVENT)])
    found = []
    for rewritten in (sorted(order), order):
        store = MemoryFeatures()
        for row in rewritten:
            shared(plan, store).write(rows.slice(row, row + 1))
        found.append(shared(plan, store).features(last))
    if len({int(rows.time_ns[row]) for row in order}) == len(order):  # Those of one time lie in the order of coming.
        assert_equal(plan, last, found[1], found[0])


AMOUNTS = FeatureSpec(
    entities=ENTITIES, fields=(("amount", Type.NUMBER), ("channel", Type.CATEGORY)),
    windows=(
        WindowGroup("customer", (("1h", HOUR), ("1d", DAY)), {"sum_{length}": "sum(amount)"}),
        WindowGroup("terminal", (("1d", DAY),), {"frauds": "sum(fraud)"}, delay_ns=HOUR),
    ),
    derived={}, label="fraud", label_delay_ns=HOUR, lateness_ns=HOUR, unknown_is_negative=True,
)  # fmt: skip


def planned():
    plan, _ = plan_features(AMOUNTS)
    assert plan is not None
    return plan


def event(number, time=START, customer=1, terminal=9, amount=5.0, kind=Row.EVENT, label=math.nan):
    return batch_of([(number, time, customer, terminal, amount, "web", label, kind)])


class Away:
    """A store that can be taken away."""

    def __init__(self, store):
        self.store, self.away, self.error = store, False, Unavailable("the store is away")

    def __getattr__(self, name):
        return getattr(self.store, name)

    def exchange(self, asked, through=None):
        if self.away:
            raise self.error
        return self.store.exchange(asked, through)


@pytest.mark.parametrize("when_down", ["stale", "absent"])
@pytest.mark.parametrize("error", [Unavailable("away"), LogsLost("lost")], ids=["away", "lost"])
def test_while_the_store_is_away_features_are_of_what_is_remembered_or_absent_and_say_so(when_down, error):
    plan, store = planned(), Away(MemoryFeatures())
    worker = shared(plan, store, when_down=when_down)
    at = plan.names.index("sum_1d")
    worker.features(event(1))
    store.away, store.error = True, error
    known = worker.features(event(2, START + 1))
    unknown = worker.features(event(3, START + 2, customer=2))
    assert worker.behind and worker.trouble == str(error)
    if when_down == "stale":
        assert known.fallback == Fallback.FEATURES_STALE and known.freshness[0, at] == Freshness.STALE
        assert known.values[0, at] == 10.0
    else:
        assert known.fallback == Fallback.FEATURES_ABSENT and known.freshness[0, at] == Freshness.ABSENT
        assert known.values[0, at] == 0.0
    assert unknown.freshness[0, at] == Freshness.ABSENT and unknown.values[0, at] == 0.0
    store.away = False
    assert worker.features(event(4, START + 3)).fallback != 0  # Until it learns that nothing is missing.
    for missed in (event(2, START + 1), event(3, START + 2, customer=2), event(4, START + 3)):
        worker.write(missed)
    worker.rejoin()
    again = worker.features(event(5, START + 4))
    assert again.fallback == 0 and again.values[0, at] == 20.0 and again.freshness[0, at] == Freshness.FRESH


def test_an_outcome_of_a_text_key_finds_its_log_without_the_text():
    plan, store = planned(), MemoryFeatures()
    worker = shared(plan, store)
    worker.features(event(1, terminal=ALICE))
    outcome = event(1, terminal=ALICE, label=1.0, kind=Row.OUTCOME)
    worker.features(replace(outcome, texts={}))
    found = worker.features(event(2, START + 2 * HOUR, terminal=ALICE))
    assert found.values[0, plan.names.index("frauds")] == 1.0
    assert store.shown["terminal:alice"]["frauds"] == 1.0


def test_an_outcome_written_twice_does_not_undo_its_correction():
    plan, store = planned(), MemoryFeatures()
    worker = shared(plan, store)
    first, corrected = event(1, label=1.0, kind=Row.OUTCOME), event(1, label=0.0, kind=Row.OUTCOME)
    for rows in (event(1), first, corrected):
        worker.features(rows)
    shared(plan, store).write(first)
    found = worker.features(event(2, START + 2 * HOUR))
    assert found.values[0, plan.names.index("frauds")] == 0.0


def test_an_outcome_that_came_before_its_event_is_written_again_after_it():
    plan, store = planned(), MemoryFeatures()
    outcome = event(1, label=1.0, kind=Row.OUTCOME)
    shared(plan, store).features(outcome)
    for rows in (event(1), outcome):
        shared(plan, store).write(rows)
    found = shared(plan, store).features(event(2, START + 2 * HOUR))
    assert found.values[0, plan.names.index("frauds")] == 1.0


def test_an_entity_that_is_only_looked_at_leaves_no_log():
    plan, store = planned(), MemoryFeatures()
    worker = shared(plan, store)
    for number in range(3):
        assert worker.features(event(number, kind=Row.LATE_EVENT)).fallback == 0
    assert not store._memory.logs


def test_logs_of_other_fields_or_windows_have_another_version():
    plan = planned()
    assert log_version(plan) == log_version(planned())
    assert log_version(replaced_lateness(plan, 0)) != log_version(plan)
    assert log_version(replace(plan, names=("price", *plan.names[1:]))) != log_version(plan)


@settings(deadline=None)
@given(plans(), streams())
def test_a_worker_that_may_remember_little_forgets_and_reads_again(plan, events):
    small = SharedFeaturizer(plan, MemoryFeatures(), ENTITIES, memory_bytes=1)
    large = SharedFeaturizer(plan, MemoryFeatures(), ENTITIES)
    for start in range(0, len(events), 7):
        one, other = (worker.features(events.slice(start, start + 7)) for worker in (small, large))
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.freshness, other.freshness)


def test_the_longest_lateness_and_skew_together_are_no_fault():
    group = WindowGroup("customer", (("1d", DAY),), {"count": "count"}, delay_ns=SPAN_NS_MAX)
    plan, faults = plan_features(FeatureSpec(ENTITIES, windows=(group,), lateness_ns=SPAN_NS_MAX))
    assert plan is not None and not faults
    made = SharedFeaturizer(plan, MemoryFeatures(), ENTITIES, skew_ns=SPAN_NS_MAX)
    assert made.windows.plan.lateness_ns == 2 * SPAN_NS_MAX
