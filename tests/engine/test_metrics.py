"""The counts, and what a scraper gets to see."""

import importlib.util
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from homeostat import load
from homeostat.checks.stand_ins import FunctionScorer
from homeostat.decide.meters import SHARE_BOUNDS, TOOK_BOUNDS_US, Meters
from homeostat.decide.panel import Seat
from homeostat.engine.metrics import engine_registry, feature_groups, loop_collector
from homeostat.engine.metrics_endpoint import serve_metrics
from homeostat.engine.readings import FAMILIES, Durations, Readings
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.reasons import Fallback, Reason

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).parents[1] / "decide" / "loop_world.py")
loop_world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loop_world)

ACTIONS, SCORERS, FEATURES = 3, ("first", "second"), ("amount", "count", "mean")
EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


def batch(n: int, seed: int, took_us: float = 200.0) -> DecisionBatch:
    """Decisions in which everything happens."""
    r = np.random.default_rng(seed)
    scores = r.choice([0.0, 0.001, 0.3, 0.5, 0.9, 1.0, np.nan], (n, len(SCORERS)))
    return DecisionBatch(
        EventBatch(np.arange(n), np.arange(n), np.ones((n, 1), np.int64), np.ones((n, 1)), np.ones(n),
                   np.zeros(n, np.uint8)),
        Features(FEATURES, r.random((n, 3)), r.integers(0, 4, (n, 3)).astype(np.uint8)),
        Scores(SCORERS, scores, np.ones((n, 2)), np.zeros(n, np.uint8)),
        Fused(r.choice([0.0, 0.04, 0.7, 1.0, np.nan], n), np.zeros((n, 2))),
        Proposal(np.zeros(n, np.int16), np.ones((n, ACTIONS)), r.integers(0, 2, n).astype(np.uint8),
                 np.zeros(n, np.uint8)),
        Ruling(r.integers(0, ACTIONS, n).astype(np.int16), r.choice([-3, -2, -1, -1, 0, 63], n).astype(np.int16),
               np.zeros(n, np.uint64)),
        r.choice([0, 0, 1, 3, 4, 32, 64, 255], n).astype(np.uint8), "v1", took_us,
    )  # fmt: skip


def naive(batches: list[DecisionBatch]) -> dict:
    """The same counts, one decision at a time."""
    by = {-3: "fallback", -2: "breaker"}
    seen: dict = {}

    def count(*key) -> None:
        seen[key] = seen.get(key, 0) + 1

    for d in batches:
        for row in range(len(d)):
            rule = int(d.ruling.rule[row])
            last = "rule" if rule >= 0 else by.get(rule) or ("chance" if d.proposal.explored[row] else "policy")
            count("by", int(d.ruling.action[row]), last)
            for bit, reason in Fallback.NAMES.items():
                if d.fallback[row] & bit:
                    count("fallback", reason)
            for column, name in enumerate(d.features.names):
                count("fresh", name, int(d.features.freshness[row, column]))
            values = {("risk",): d.fused.risk[row]}
            values |= {("score", name): d.scores.values[row, column] for column, name in enumerate(d.scores.names)}
            for key, value in values.items():
                cell = "missing" if np.isnan(value) else next(k for k, b in enumerate(SHARE_BOUNDS) if value <= b)
                count(*key, cell)
    return seen


def shown(meters: Meters) -> dict:
    reading = meters.reading()
    seen: dict = {("fallback", reason): n for reason, n in reading.fallbacks.items()}
    seen |= {("by", action, last): n for action in range(ACTIONS) for last, n in reading.by(action).items()}
    seen |= {("fresh", name, code): int(n) for name, row in reading.freshness.items() for code, n in enumerate(row)}
    for key, of in [(("risk",), reading.risk), *((("score", name), of) for name, of in reading.scores.items())]:
        seen |= {(*key, cell): int(n) for cell, n in enumerate(of.counts)} | {(*key, "missing"): of.missing}
    return {key: n for key, n in seen.items() if n}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=6), st.integers(0, 1000))
def test_meters_equal_their_naive_twin(sizes: list[int], seed: int) -> None:
    batches = [batch(n, seed + k) for k, n in enumerate(sizes)]
    meters = Meters(ACTIONS)
    for each in batches:
        meters.decided(each)
    assert shown(meters) == naive(batches)
    reading = meters.reading()
    assert reading.took.total == pytest.approx(200.0 * sum(sizes)) and reading.rows.total == sum(sizes)
    assert reading.took.counts[TOOK_BOUNDS_US.index(200.0)] == sum(sizes)
    assert int(reading.rows.counts.sum()) == len(sizes)
    risks = np.concatenate([np.zeros(0), *(each.fused.risk for each in batches)])
    assert reading.risk.total == pytest.approx(np.nansum(risks))


def test_newly_installed_scorers_are_counted_beside_those_before() -> None:
    meters = Meters(ACTIONS)
    old, new = batch(5, 1), batch(7, 2)
    new = replace(new, scores=replace(new.scores, names=("second", "third")))
    for each in (old, new, old):
        meters.decided(each)
    assert shown(meters) == naive([old, new, old])
    assert meters.reading().rows.total == 17


def test_the_loop_counts_its_stages_failures_and_decisions() -> None:
    def broken(values):
        raise RuntimeError("no")

    world = loop_world.World(seats=[
        Seat(FunctionScorer("amounts", loop_world.by_amount)), Seat(FunctionScorer("broken", broken)),
    ])  # fmt: skip
    world.loop.decide(loop_world.stream(30))
    registry = CollectorRegistry()
    registry.register(loop_collector(world.loop, load_access()))
    of = lambda name, **labels: registry.get_sample_value(name, {"app": "access", **labels})  # noqa: E731
    assert of("homeostat_events_total", kind="events") == 30
    assert of("homeostat_errors_total", stage="scorers", part="broken", reason="scorer_failed") == 1
    assert of("homeostat_fallbacks_total", reason="scorer_failed") == 30
    assert of("homeostat_scores_missing_total", scorer="broken") == 30
    assert of("homeostat_stage_seconds_count", stage="scorers") == 1
    assert of("homeostat_stage_seconds_bucket", stage="scorers", le="+Inf") == 1
    assert of("homeostat_risk_count") == of("homeostat_risk_bucket", le="+Inf") == 30
    assert of("homeostat_decision_seconds_count") == 30


def test_what_other_threads_see_to_stands_for_the_loops_stage_and_failures_add_up() -> None:
    world = loop_world.World()
    world.loop.decide(loop_world.stream(30))
    meters = world.loop.meters
    world.loop.fallbacks[Reason.JOURNAL_FAILED] = 2
    for _ in range(3):
        meters.spent_aside("journal", 2_000_000_000)
        meters.failed("journal", "journal", Reason.JOURNAL_FAILED)
    registry = CollectorRegistry()
    registry.register(loop_collector(world.loop, load_access()))
    of = lambda name, **labels: registry.get_sample_value(name, {"app": "access", **labels})  # noqa: E731
    assert of("homeostat_stage_seconds_count", stage="journal") == 3
    assert of("homeostat_stage_seconds_sum", stage="journal") == 6
    assert of("homeostat_errors_total", stage="journal", part="journal", reason="journal_failed") == 5


def test_batches_without_the_feature_store_are_counted_by_what_they_had_instead() -> None:
    meters = Meters(ACTIONS)
    for bits in (0, Fallback.FEATURES_STALE, Fallback.FEATURES_STALE, Fallback.FEATURES_ABSENT):
        each = batch(5, 1)
        meters.decided(replace(each, features=replace(each.features, fallback=bits)))
    key = "windows", "features"
    assert meters.failures == {(*key, Reason.FEATURES_STALE): 2, (*key, Reason.FEATURES_ABSENT): 1}


def load_access():
    from homeostat.config.load import load_app

    return load_app("access")


def test_recovery_counts_nothing_twice() -> None:
    world = loop_world.World()
    world.loop.decide(loop_world.stream(30))
    again = world.restarted(None)
    assert again.loop.meters.reading().rows.total == 0


def test_bad_events_are_counted_by_reason_and_features_by_entity() -> None:
    with load("access") as engine:
        engine.decide([EVENT, 5, {**EVENT, "event_id": "2", "timestamp": "never"}])
        engine.learn([{"event_id": "1", "label": 1}, {"event_id": "nobody", "label": 1}])
        registry = engine_registry(engine)
        bad = lambda reason: registry.get_sample_value(  # noqa: E731
            "homeostat_bad_events_total", {"app": "access", "reason": reason}
        )
        assert (bad("malformed"), bad("bad_time"), bad("missing")) == (1, 1, 0)
        read = registry.get_sample_value("homeostat_stage_seconds_count", {"app": "access", "stage": "intake"})
        assert read == 1  # A value for the batch, of whatever it consists.
        groups = set(feature_groups(engine.app).values())
        fresh = {
            sample.labels["entity"]: sample.value
            for family in registry.collect() if family.name == "homeostat_feature_values"
            for sample in family.samples if sample.labels["freshness"] == Freshness.FRESH.name.lower()
        }  # fmt: skip
        assert set(fresh) <= groups | {"derived"} and sum(fresh.values()) > 0
        assert registry.get_sample_value("homeostat_watermark_timestamp_seconds", {"app": "access"}) == 1_769_774_400


def test_every_feature_of_the_shipped_apps_has_its_group() -> None:
    from homeostat.app import feature_plan
    from homeostat.config.load import load_app

    for name in ("payments", "access", "infra"):
        app = load_app(name)
        assert set(feature_plan(app).names) == set(feature_groups(app))


def everything() -> CollectorRegistry:
    """A registry that shows every family there is."""
    engine = load("access")
    engine.decide(EVENT)
    values = {
        name: {"some": 1.0} if family.label else 1.0 for name, family in FAMILIES.items() if family.kind != "histogram"
    }
    times = [Durations("access", name) for name, family in FAMILIES.items() if family.kind == "histogram"]
    registry = engine_registry(engine, Readings("access", lambda: values), *times)
    engine.close()
    return registry


def test_promtool_finds_nothing_wrong_with_the_names() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run([promtool, "check", "metrics"], input=generate_latest(everything()), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_family_is_described_in_the_operations_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    shown = {family.name for family in everything().collect() if family.name.startswith("homeostat_")}
    missing = {name for name in shown | {n.removesuffix("_total") for n in FAMILIES} if f"`{name}" not in guide}
    assert not missing


def test_durations_fall_into_their_buckets() -> None:
    times = Durations("access", "homeostat_publish_seconds")
    times.observe(0.02)
    times.observe_all(np.array([-1.0, 0.0, 0.025, 1e9]))
    registry = CollectorRegistry()
    registry.register(times)
    at = lambda le: registry.get_sample_value("homeostat_publish_seconds_bucket", {"app": "access", "le": le})  # noqa: E731
    assert [at("0.0005"), at("0.01"), at("0.025"), at("300"), at("+Inf")] == [2, 2, 4, 4, 5]


def test_an_undeclared_reading_is_refused() -> None:
    with pytest.raises(KeyError, match="homeostat_surprise"):
        list(Readings("access", lambda: {"homeostat_surprise": 1.0}).collect())


def test_the_endpoint_tells_metrics_life_and_readiness() -> None:
    registry, trouble = CollectorRegistry(), [""]
    registry.register(Readings("access", lambda: {"homeostat_ready": 1.0}))

    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
        request = urllib.request.Request(endpoint.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return answer.status, answer.read(), answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers["content-type"]

    with serve_metrics(registry, ready=lambda: trouble[0]) as endpoint:
        assert endpoint.url.startswith("http://127.0.0.1:")
        status, body, kind = ask("/metrics")
        assert status == 200 and kind.startswith("text/plain")
        assert [family.name for family in text_string_to_metric_families(body.decode())] == ["homeostat_ready"]
        assert ask("/metrics", accept="application/openmetrics-text")[2].startswith("application/openmetrics-text")
        assert ask("/metrics", "HEAD")[:2] == (200, b"")
        assert ask("/healthz")[:2] == (200, b"ok\n") and ask("/readyz")[:2] == (200, b"ready\n")
        trouble[0] = "the journal's server is away"
        assert ask("/readyz")[:2] == (503, b"the journal's server is away\n") and ask("/healthz")[0] == 200
        trouble[0], endpoint.notes = "", lambda: ["decides without x: it\nhangs"]
        assert ask("/readyz")[:2] == (200, b"ready\ndecides without x: it hangs\n")
        assert ask("/else")[0] == 404 and ask("/metrics", "POST")[0] == 501
        port = int(endpoint.url.rsplit(":", 1)[1])
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
