"""The trials in `benchmarks` start servers of their own; where the machine can't have them, their tests are skipped."""

import os

import pytest


@pytest.fixture
def real_servers():
    """Skips, or fails in CI, where a server can't be had."""
    from homeostat.checks.servers import CantBeHad, kafka_broker, postgres_server, redis_server

    try:
        for make in (redis_server, postgres_server, kafka_broker):
            make()
    except CantBeHad as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
