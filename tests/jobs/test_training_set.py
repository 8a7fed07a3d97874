"""Training sets computed in shares, here and by Ray: bit for bit those of a local replay."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.event_files import read_events
from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.adapters.ray.cluster import RayCluster
from homeostat.app import feature_plan
from homeostat.config.load import load_app
from homeostat.config.plans import event_schema, membership
from homeostat.config.tree import App, duration_ns
from homeostat.decide.admission import Watermark
from homeostat.decide.arrivals import Arrivals
from homeostat.decide.lookup import LookUp
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.errors import MissingExtra
from homeostat.jobs.simulated import events_of, world_of
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.jobs.training_set import Executor, PartitionedFeaturizer, ThisProcess, training_features
from homeostat.jobs.training_set_parts import cuts, features_of_part, job_text, plan_of
from homeostat.jobs.training_set_run import InShares, elsewhere
from homeostat.ports import Unavailable
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import ABSENT, Coding
from homeostat.sim.access.traffic import AccessSpec, generate_access
from homeostat.sim.payments.transactions import generate

DAY_NS = 86_400 * 10**9
HOUR_NS = 3_600 * 10**9
PAYMENTS = load_app("payments")
PAIRED = """
homeostat: 1
app: paired
seed: 1
events:
  entities:
    customer: {required: false}
    terminal: {required: false}
    pair: {of: [customer, terminal], required: false}
  fields: {amount: {type: number, required: false}, kind: {type: category, required: false}}
  label: {name: fraud}
  lateness: 2h
features:
  windows:
    - {entity: pair, lengths: [6h, 3d], compute: {"pair_{length}": count, "pair_kinds_{length}": distinct(kind)}}
    - {entity: pair, lengths: [5d], delay: 1d, compute: {pair_since: count_since(fraud), pair_share: mean(fraud)}}
    - {entity: terminal, lengths: [2d], where: amount > 30 and hour(time) > 4, past: true,
       compute: {terminal_std: std(amount), terminal_max: max(amount), terminal_rate: rate}}
    - {entity: terminal, lengths: [4d], delay: 1d, where: fraud == 1, compute: {terminal_frauds: count}}
  derived:
    odd: default(terminal_max / amount, -1)
    doubly: odd + pair_6h
    risky: customer in watched
actions: [allow, block]
guards:
  lists: {watched: {of: customer, entries: [1, 2, 3]}}
  fallback: {scorers_absent: allow}
outcomes: {label: fraud, delay: 1d}
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(features_of_part, processes=2, memory_bytes=2**27) as found:
        yield found


@pytest.fixture(scope="session")
def paired(tmp_path_factory) -> App:
    path = tmp_path_factory.mktemp("apps") / "paired.yaml"
    path.write_text(PAIRED)
    return load_app(path)


def disturbed(events: EventBatch, seed: int, late: float = 0.1, absent: float = 0.05) -> EventBatch:
    """Some events come up to half a day after their time, and some name no entity."""
    rng = np.random.default_rng(seed)
    n = len(events)
    order = np.argsort(events.time_ns + rng.integers(0, 12 * HOUR_NS, n) * (rng.random(n) < late), kind="stable")
    keys = np.where(rng.random(events.keys.shape) < absent, ABSENT, events.keys)
    return replace(
        events, id_code=events.id_code[order], time_ns=events.time_ns[order], keys=keys[order],
        numbers=events.numbers[order], label=events.label[order], id_check=events.id_check[order],
        key_checks=np.where(keys == ABSENT, 0, events.key_checks)[order],
    )  # fmt: skip


def some_payments(customers: int = 60, days: int = 60, seed: int = 5) -> EventBatch:
    return disturbed(events_of(generate(world_of(customers, days), seed)), seed)


def rows_of(events: EventBatch, lateness_ns: int, batch: int = 997, delay_ns: int | None = None) -> list[EventBatch]:
    """Batches as the loop hands them to its windows.

    delay_ns : outcomes are rows of their own, most so long after their events; None to leave labels at the events
    """
    watermark = Watermark(lateness_ns)
    arrivals = Arrivals(LookUp(MemoryJournal(), Coding.of_seed(0)), watermark)
    if delay_ns is not None:
        rng = np.random.default_rng(3)
        known_ns = events.time_ns + (delay_ns * rng.choice([0.1, 1.0, 1.0, 9.0], len(events))).astype(np.int64) + 1
        outcomes = OutcomeBatch(
            events.id_code, events.label, known_ns, np.full(len(events), np.nan), scheduled=True,
            time_ns=events.time_ns, keys=events.keys, texts=events.texts, id_check=events.id_check,
            key_checks=events.key_checks,
        )  # fmt: skip
        arrivals.add(outcomes)
        events = replace(events, label=np.full(len(events), np.nan))
    found = []
    for start in range(0, len(events), batch):
        part = events.slice(start, min(start + batch, len(events)))
        running = watermark.advance(part.time_ns)
        operations, _ = arrivals.among(watermark.mark_late(part, running), running)
        found.append(operations)
    return found


def replayed(app: App, plan: FeaturePlan, rows: list[EventBatch], from_ns: int | None = None) -> Features:
    featurizer = WindowFeaturizer(plan, membership(app, Coding.of_seed(0)))
    values, freshness = [], []
    for batch in rows:
        made = featurizer.features(batch)
        asked = batch.kind != Row.OUTCOME
        if from_ns is not None:
            asked &= batch.time_ns >= from_ns
        values.append(made.values[asked])
        freshness.append(made.freshness[asked])
    return Features(plan.names, np.concatenate(values), np.concatenate(freshness))


def assert_same(found: Features, expected: Features) -> None:
    assert found.names == expected.names
    differ = found.values.view(np.int64) != expected.values.view(np.int64)
    assert not differ.any(), [name for name, any_ in zip(found.names, differ.any(axis=0)) if any_]
    assert np.array_equal(found.freshness, expected.freshness)


def check(app: App, rows: list[EventBatch], executor: Executor | None = None, partitions: int = 3, from_ns=None):
    plan = feature_plan(app)
    found = training_features(
        plan, rows, executor=executor, partitions=partitions, lists=membership(app, Coding.of_seed(0)), from_ns=from_ns
    )
    assert_same(found, replayed(app, plan, rows, from_ns))
    return found


def access_events(tmp_path: Path) -> list[EventBatch]:
    path = tmp_path / "access.jsonl"
    lines = list(generate_access(AccessSpec(people=40, hours=6), seed=2).lines())
    order = np.argsort(np.arange(len(lines)) + np.random.default_rng(1).integers(0, 9, len(lines)), kind="stable")
    path.write_text("\n".join(lines[k] for k in order))
    app = load_app("access")
    return [events for events, _ in read_events(path, event_schema(app, Coding.of_seed(0)), 2 * 10**18)]


def paired_events(n: int = 6000) -> EventBatch:
    rng = np.random.default_rng(8)
    customer, terminal = rng.integers(0, 9, n), rng.integers(0, 7, n)
    amount = np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, 30.0, n))
    kind = np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 4, n))
    return disturbed(
        EventBatch(
            np.arange(n), np.sort(rng.integers(0, 20 * DAY_NS, n)),
            np.stack([customer, terminal, customer * 100 + terminal], axis=1), np.stack([amount, kind], axis=1),
            np.where(rng.random(n) < 0.5, (rng.random(n) < 0.3).astype(float), np.nan), np.zeros(n, np.uint8),
        ), 4,
    )  # fmt: skip


def test_payments_with_late_and_absent_ones_are_as_in_a_local_replay():
    events = some_payments()
    rows = rows_of(events, PAYMENTS.events.lateness)
    assert sum(int((batch.kind == Row.LATE_EVENT).sum()) for batch in rows) > 100
    check(PAYMENTS, rows)


def test_outcomes_that_come_as_rows_of_their_own_reach_the_share_of_their_event():
    rows = rows_of(some_payments(), PAYMENTS.events.lateness, delay_ns=7 * DAY_NS)
    assert sum(int((batch.kind == Row.OUTCOME).sum()) for batch in rows) > 1000
    check(PAYMENTS, rows)


def test_an_outcome_that_is_too_old_is_left_out_in_the_share_as_in_the_replay(paired):
    rows = rows_of(paired_events(), paired.events.lateness, delay_ns=DAY_NS)
    assert any((batch.kind == Row.OUTCOME).any() for batch in rows)
    check(paired, rows)


def test_composite_entities_filters_categories_and_lists_are_as_in_a_local_replay(paired):
    check(paired, rows_of(paired_events(), paired.events.lateness))


def test_access_events_are_as_in_a_local_replay(tmp_path):
    app = load_app("access")
    batches = access_events(tmp_path)
    assert sum(map(len, batches)) > 1000
    watermark = Watermark(duration_ns("1s"))  # Less than the app's, so that many are late.
    check(app, [watermark.mark_late(batch, watermark.advance(batch.time_ns)) for batch in batches])


def test_rows_that_nobody_has_judged_late_yet_are_judged_over_the_whole_stream():
    events = some_payments(30, 40)
    check(PAYMENTS, [events.slice(start, min(start + 501, len(events))) for start in range(0, len(events), 501)])


def test_earlier_events_fill_the_windows_and_are_not_asked_for():
    events = some_payments()
    from_ns = int(events.time_ns.min()) + 40 * DAY_NS
    found = check(PAYMENTS, rows_of(events, PAYMENTS.events.lateness), from_ns=from_ns)
    assert 0 < len(found) < len(events)


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    partitions=st.integers(1, 70),
    batch=st.integers(1, 3000),
    piece=st.integers(1, 4000),
    seed=st.integers(0, 2**32 - 1),
    outcomes=st.booleans(),
)
def test_any_number_of_shares_batches_and_pieces_gives_the_same(paired, partitions, batch, piece, seed, outcomes):
    events = paired_events(1500)
    events = disturbed(events, seed, late=0.3, absent=0.1)
    rows = rows_of(events, paired.events.lateness, max(batch, 20), DAY_NS if outcomes else None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("homeostat.jobs.training_set.PIECE_ROWS", piece)
        check(paired, rows, partitions=partitions)


def test_only_the_rows_that_are_named_are_collected():
    plan, rows = feature_plan(PAYMENTS), rows_of(some_payments(30, 40), PAYMENTS.events.lateness)
    expected = replayed(PAYMENTS, plan, rows)
    featurizer = PartitionedFeaturizer(plan, ThisProcess(), 2)
    numbers = np.concatenate([featurizer.features(batch).values[:, 0] for batch in rows])
    assert np.array_equal(numbers, np.arange(len(expected)))
    chosen = np.flatnonzero(np.random.default_rng(1).random(len(expected)) < 0.2)
    found = featurizer.collected(chosen)
    assert_same(found, Features(expected.names, expected.values[chosen], expected.freshness[chosen]))


def test_a_plan_survives_being_text_and_nothing_else_travels():
    for cut in cuts(feature_plan(PAYMENTS).windows):
        assert plan_of(json.loads(job_text(cut.windows, None, "1"))["windows"]) == cut.windows


def test_a_process_with_another_version_refuses():
    (cut, *_) = cuts(feature_plan(PAYMENTS).windows)
    with pytest.raises(ValueError, match=r"it was asked by 0\.0\.9"):
        features_of_part(job_text(cut.windows, None, "0.0.9"))


def test_columns_that_do_not_fit_the_plan_are_refused():
    events = replace(some_payments(10, 8), numbers=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="the plan has 1 and 2"):
        training_features(feature_plan(PAYMENTS), [events])


# With Ray.


@pytest.mark.long
def test_ray_gives_the_same(cluster, paired):
    check(PAYMENTS, rows_of(some_payments(), PAYMENTS.events.lateness, delay_ns=7 * DAY_NS), cluster)
    check(paired, rows_of(paired_events(), paired.events.lateness), cluster, partitions=5)


def test_a_worker_that_dies_is_replaced_and_the_result_is_the_same(cluster, tmp_path):
    import ray

    folder = str(tmp_path)

    def dying(text, *pieces):
        mark = os.path.join(folder, f"died-{abs(hash(text)) % 3}")
        if not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(1)
        return features_of_part(text, *pieces)

    work, cluster._work = cluster._work, ray.remote(max_retries=3)(dying)
    try:
        check(PAYMENTS, rows_of(some_payments(30, 40), PAYMENTS.events.lateness), cluster, partitions=2)
    finally:
        cluster._work = work
    assert list(tmp_path.iterdir())


def test_what_a_job_raises_is_raised_here(cluster):
    (cut, *_) = cuts(feature_plan(PAYMENTS).windows)
    with pytest.raises(ValueError, match="this process runs homeostat"):
        list(cluster.run([(job_text(cut.windows, None, "0.0.9"), ())]))


def test_a_missing_extra_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'homeostat\[scale\]'"), elsewhere(2, None):
        pass


@pytest.mark.long
def test_a_cluster_that_is_not_there_is_said_at_once():
    with pytest.raises(Unavailable, match=r"no Ray cluster at 127\.0\.0\.1:9"), elsewhere(None, "127.0.0.1:9"):
        pass


@pytest.mark.parametrize("outcomes", [False, True])
def test_a_bundle_trained_in_shares_has_the_digest_of_one_trained_here(cluster, tmp_path, outcomes):
    pytest.importorskip("sklearn")
    forest = PAYMENTS.scorers["forest"].model_copy(update={"settings": {"trees": 10, "rows": 64}, "deadline": None})
    app = PAYMENTS.model_copy(update={"deadline": None, "scorers": {"forest": forest}})
    payments = generate(world_of(120, 45), seed=4)
    file, outcomes_file = tmp_path / "events.parquet", None
    pq.write_table(payments.table(), file)
    start_ns = int(payments.time_s.min()) * 10**9
    if outcomes:
        outcomes_file = tmp_path / "outcomes.parquet"
        table = payments.table()
        when = pa.array((payments.time_s + 5 * 86_400).astype("datetime64[s]").astype("datetime64[us]"))
        pq.write_table(pa.table({"event_id": table[0], "label": payments.fraud, "time": when}), outcomes_file)
    reports = []
    for name, place in (("here", None), ("shares", InShares(cluster, 5))):
        request = TrainingRequest(file, tmp_path / name, start_ns + 42 * DAY_NS, start_ns + 12 * DAY_NS, outcomes_file)
        reports.append(train_on_events(app, request, lambda what, share: None, place))
    here, shares = reports
    assert here | {"bundle": ""} == shares | {"bundle": ""}
    for path in sorted((tmp_path / "here").iterdir()):
        assert path.read_bytes() == (tmp_path / "shares" / path.name).read_bytes(), path.name


def test_a_cluster_that_does_not_start_in_time_is_one_sentence(monkeypatch):
    ray = pytest.importorskip("ray")

    def late(*given, **named):
        raise Exception("The current node timed out during startup.\nMore of it.")  # As Ray raises it.

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(Unavailable, match=r"^no Ray cluster at local: The current node timed out during startup\.$"):
        RayCluster(len)
