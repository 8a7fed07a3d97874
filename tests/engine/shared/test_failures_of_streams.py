"""A worker as a process on real servers: without its broker, and with a full disk."""


def test_without_a_broker_a_worker_says_so_and_goes_on_afterwards(tmp_path, real_servers):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 200.0, ("kafka",), lent=real_servers)
    assert found.well, found
    assert "Kafka" in found.said


def test_a_full_disk_stops_decisions_with_a_reason_and_loses_none(tmp_path, real_servers):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 400.0, ("disk full",), lent=real_servers)
    assert found.well, found
    assert "spool" in found.said
