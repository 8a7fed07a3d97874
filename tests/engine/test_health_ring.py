"""The ring of health figures: rates, quantiles and parts by the metrics, an hour of looks and a day of minutes."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from homeostat.engine.health_ring import COARSE, FINE, HealthRing, quantile

SECOND_NS = 10**9


@pytest.fixture
def metrics():
    registry = CollectorRegistry()
    return {
        "registry": registry,
        "decisions": Counter("homeostat_decisions", "x", ("app", "action", "decided_by"), registry=registry),
        "errors": Counter("homeostat_errors", "x", ("app",), registry=registry),
        "took": Histogram("homeostat_decision_seconds", "x", ("app",), buckets=(0.001, 0.01, 0.1), registry=registry),
        "up": Gauge("homeostat_part_up", "x", ("app", "part"), registry=registry),
        "circuit": Gauge("homeostat_circuit_open", "x", ("app", "part"), registry=registry),
        "lag": Gauge("homeostat_stream_lag_messages", "x", ("app", "lane"), registry=registry),
    }


def test_counters_become_rates_and_histograms_quantiles_of_what_came_since(metrics) -> None:
    ring = HealthRing(metrics["registry"], lambda: 7)
    metrics["decisions"].labels("a", "allow", "policy").inc(1000)
    metrics["took"].labels("a").observe(0.5)
    assert ring.look(0) is None and ring.last is None and ring.minute() is None
    metrics["decisions"].labels("a", "allow", "policy").inc(30)
    metrics["decisions"].labels("a", "allow", "rule").inc(10)
    metrics["decisions"].labels("a", "block", "rule").inc(10)
    metrics["errors"].labels("a").inc(5)
    for _ in range(100):
        metrics["took"].labels("a").observe(0.005)
    metrics["up"].labels("a", "journal").set(1)
    metrics["up"].labels("a", "features").set(1)
    metrics["circuit"].labels("a", "features").set(1)
    for lane, count in (("0", 3), ("1", 9)):
        metrics["lag"].labels("a", lane).set(count)
    point = ring.look(10 * SECOND_NS)
    assert point is not None and point.figures["decisions_per_s"] == 5 and point.figures["errors_per_s"] == 0.5
    assert point.actions == {"allow": 40, "block": 10} and point.parts == {"journal": True, "features": False}
    assert point.figures["p50_ms"] == pytest.approx(5.5) and point.figures["lag_messages"] == 9
    assert point.figures["connections"] == 7 and "memory_bytes" not in point.figures


def test_a_day_is_kept_in_minutes_and_an_hour_in_ten_seconds(metrics) -> None:
    ring = HealthRing(metrics["registry"])
    looks = 6 * COARSE + 3 * FINE
    for k in range(looks + 1):
        metrics["decisions"].labels("a", "allow", "policy").inc(k % 6)
        ring.look(10 * k * SECOND_NS)
    points = ring.between(-(1 << 62), 1 << 62)
    times = [one.at_ns for one in points]
    assert times == sorted(set(times)) and len(points) <= COARSE + FINE
    assert times[-1] - times[-FINE] == 10 * (FINE - 1) * SECOND_NS and times[1] - times[0] == 60 * SECOND_NS
    assert points[0].actions == {"allow": 15} and points[0].figures["decisions_per_s"] == pytest.approx(0.25)
    assert [one.at_ns for one in ring.between(times[-2], times[-1])] == [times[-2]]


def test_a_counter_that_began_again_is_no_negative_rate_and_a_clock_set_back_no_point(metrics) -> None:
    ring = HealthRing(metrics["registry"])
    metrics["errors"].labels("a").inc(9)
    ring.look(10 * SECOND_NS)
    metrics["errors"].labels("a").reset()
    point = ring.look(20 * SECOND_NS)
    assert point is not None and point.figures["errors_per_s"] == 0
    assert ring.look(20 * SECOND_NS) is None and ring.look(5 * SECOND_NS) is None


def test_quantiles_of_nothing_and_beyond_the_last_bound() -> None:
    assert quantile({}, 0.5) is None and quantile({1.0: 0.0, math.inf: 0.0}, 0.5) is None
    assert quantile({1.0: 0.0, math.inf: 4.0}, 0.99) == 1.0
