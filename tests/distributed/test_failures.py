"""Workers as processes on real servers: killed, without a server, and beside one process that decides alone."""

from collections import Counter

import confluent_kafka as kafka
import pytest

from homeostat.adapters.kafka import publisher as publishing
from homeostat.adapters.kafka.publisher import Publisher

pytestmark = pytest.mark.usefixtures("real_servers")


def test_nothing_is_lost_doubled_or_wrong_whoever_is_killed_under_load(tmp_path):
    from benchmarks.crash import trial

    report = trial(4, tmp_path, rate=200.0, customers=100, days=55, sample=3000, seed=3)
    assert report.well, report.rows()
    assert sum(report.rounds.values()) == 4 and report.found.events > 500


def test_decisions_are_those_of_one_process_and_every_difference_is_explained(tmp_path):
    from benchmarks.equivalence import simulated_payments, trial

    events = simulated_payments(3000)
    (result,) = trial(events, tmp_path, ("workers that come and go, keyed by customer",))
    assert result.unexplained == []
    assert result.same + sum(result.rules.values()) == result.events == 3000
    assert result.same > 2000


@pytest.mark.parametrize("name", ["redis", "redis and postgres"])
def test_while_servers_are_away_the_declared_happens_and_nothing_is_lost(tmp_path, name):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 200.0, (name,))
    assert found.well, found
    assert found.during > 100 and found.flagged > 100
    assert (found.spooled_max > 0) == (name == "redis and postgres")


def test_without_a_broker_a_worker_says_so_and_goes_on_afterwards(tmp_path):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 200.0, ("kafka",))
    assert found.well, found
    assert "Kafka" in found.said


def test_a_full_disk_stops_decisions_with_a_reason_and_loses_none(tmp_path):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 400.0, ("disk full",))
    assert found.well, found
    assert "spool" in found.said


def test_a_producer_whose_step_never_returns_is_left_behind(monkeypatch):
    import threading

    monkeypatch.setattr(publishing, "_STUCK_S", 0.05)
    publisher = Publisher({"bootstrap.servers": "127.0.0.1:1"}, None, "decisions", None, threading.Event())
    never, calls = threading.Event(), Counter()

    def step():
        calls["step"] += 1
        never.wait(60)

    with pytest.raises(kafka.KafkaException, match="went away"):
        publisher._bounded(step)
    never.set()
    assert calls["step"] == 1 and publisher._producer is None
