"""The simulated data centre."""

from dataclasses import replace

import numpy as np
import pytest

from homeostat.sim.infra.centre import BELOW_FIRST, CALLS, METRICS, SERVICES, service_of
from homeostat.sim.infra.faults import KINDS, Fault
from homeostat.sim.infra.world import Infra, InfraSpec, generate_infra, some_days

DAY = InfraSpec(days=1, faults=0, missing=0.0, dropped=0.0)
NOON = 12 * 60


def one(kind: str, strength: float = 0.5, place: int = 5) -> tuple[Fault, ...]:
    """A fault of an hour at noon; by default of a database."""
    service = service_of(place)
    hosts = tuple(h for h in range(12) if service_of(h) == service) if KINDS[kind].of_service else (place,)
    return (Fault(kind, SERVICES[service].name, hosts, NOON, NOON + 60, strength),)


def metric(infra: Infra, name: str, host: int) -> np.ndarray:
    return infra.values[infra.host == host, METRICS.index(name)]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    a, b, c = (generate_infra(some_days(2), seed) for seed in (4, 4, 5))
    for name in ("time_s", "host", "values", "deploying", "fault", "number"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert a.faults == b.faults and len(a.faults) == 2
    assert a.values.tobytes() != c.values.tobytes()


def test_callees_come_before_their_callers_and_every_call_has_two_services() -> None:
    names = {service.name for service in SERVICES}
    assert set(BELOW_FIRST) == names and all({*pair} <= names for pair in CALLS)
    assert all(BELOW_FIRST.index(callee) < BELOW_FIRST.index(caller) for caller, callee in CALLS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_moves_its_own_metric_on_its_own_hosts_and_ends(kind: str) -> None:
    usual, faulty = generate_infra(DAY, 3, ()), generate_infra(DAY, 3, one(kind))
    (fault,) = faulty.faults
    for host in fault.hosts:
        change = np.abs(metric(faulty, fault.metric, host) - metric(usual, fault.metric, host))
        assert change[: fault.start].max() == change[fault.end :].max() == 0
        assert change[fault.start : fault.end].max() > 0.2
    rows = (faulty.number == 0) & np.isin(faulty.host, fault.hosts)
    assert rows.sum() == 60 * len(fault.hosts)
    assert set(faulty.fault[faulty.number == -1].tolist()) == {0}


def test_a_slow_database_makes_its_callers_slow_and_payment_is_left_alone() -> None:
    usual, faulty = generate_infra(DAY, 3, ()), generate_infra(DAY, 3, one("slow dependency", 1.0))
    during = slice(NOON, NOON + 60)
    for host in range(6):
        before, seen = (metric(infra, "latency", host)[during].mean() for infra in (usual, faulty))
        reached = SERVICES[host].name != "payment" and seen > 1.25 * before
        assert (faulty.number[(faulty.host == host) & (faulty.number >= 0)].size > 30) == reached, SERVICES[host].name
    catalog, payment = (next(h for h in range(6) if SERVICES[h].name == name) for name in ("catalog", "payment"))
    assert metric(faulty, "latency", catalog)[during].mean() > 1.25 * metric(usual, "latency", catalog)[during].mean()
    assert np.array_equal(metric(faulty, "latency", payment), metric(usual, "latency", payment))


def test_nights_are_quiet_and_the_nightly_job_runs_once() -> None:
    infra = generate_infra(DAY, 6, ())
    requests, cpu = metric(infra, "requests", 0), metric(infra, "cpu", 0)
    assert requests[:180].mean() < 0.6 * requests[NOON : NOON + 180].mean()
    busy = np.flatnonzero(cpu[:240] > 30)
    assert 10 <= len(busy) <= 14 and np.ptp(busy) < 15


def test_values_and_events_go_missing_at_their_shares() -> None:
    infra = generate_infra(replace(DAY, missing=0.01, dropped=0.01), 7)
    assert 0.008 < np.isnan(infra.values).mean() < 0.012
    assert 0.98 < len(infra) / (12 * 1440) < 0.995


def test_more_faults_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer, or more days"):
        generate_infra(InfraSpec(days=2, faults=20, quiet_days=1), 1)
