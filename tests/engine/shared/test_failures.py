"""Workers as processes on real servers, one of which is away."""

import pytest

pytestmark = pytest.mark.usefixtures("real_servers")


@pytest.mark.parametrize("name", ["redis", "redis and postgres"])
def test_while_servers_are_away_the_declared_happens_and_nothing_is_lost(tmp_path, name):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 200.0, (name,))
    assert found.well, found
    assert found.during > 500 and found.flagged > 500  # Of 1,000 that came meanwhile: nothing waits for a server.
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
