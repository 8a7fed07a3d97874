"""Servers for what several processes share. Trials start their own; without them, their tests are skipped."""

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


@pytest.fixture
def servers(redis, database, tmp_path):
    """Real servers, with a database of the test's own; its journal keeps it apart in Redis."""
    from homeostat.config.servers import read_servers

    return read_servers(None, {
        "HOMEOSTAT_SERVERS__FEATURES": redis.url, "HOMEOSTAT_SERVERS__JOURNAL": database,
        "HOMEOSTAT_SERVERS__SPOOL": str(tmp_path / "spool"),
    })  # fmt: skip
