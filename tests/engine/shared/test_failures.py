"""Workers as processes on real servers, one of which is away."""

import pytest


@pytest.mark.parametrize("name", ["redis", "redis and postgres"])
def test_while_servers_are_away_the_declared_happens_and_nothing_is_lost(tmp_path, real_servers, name):
    from benchmarks.outages import trial

    (found,) = trial(5.0, tmp_path, 200.0, (name,), lent=real_servers)
    assert found.well, found
    assert found.during > 500 and found.flagged > 500  # Of 1,000 that came meanwhile: nothing waits for a server.
    assert (found.spooled_max > 0) == (name == "redis and postgres")
