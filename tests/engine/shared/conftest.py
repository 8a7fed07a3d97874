"""Servers for what several processes share. Trials stop and kill theirs, one trial after the other."""

import os

import pytest


@pytest.fixture(scope="session")
def real_servers():
    """Servers of the trials of this worker of the test run. Skips, or fails in CI, where one can't be had."""
    from benchmarks.fleet import FleetServers
    from tests.support.warm import start_logging

    from homeostat.checks.servers import CantBeHad

    try:
        servers = FleetServers(starts=start_logging)
    except CantBeHad as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with servers:
        yield servers


@pytest.fixture
def servers(redis, database, tmp_path):
    """Real servers, with a database of the test's own; its journal keeps it apart in Redis."""
    from homeostat.config.servers import read_servers

    return read_servers(None, {
        "HOMEOSTAT_SERVERS__FEATURES": redis.url, "HOMEOSTAT_SERVERS__JOURNAL": database,
        "HOMEOSTAT_SERVERS__SPOOL": str(tmp_path / "spool"),
    })  # fmt: skip


@pytest.fixture
def world_of(tmp_path, versions):
    """Makes worlds of processes that learn, by the text of their app."""
    from tests.engine.shared.learning_worlds import LearningWorld

    made = []

    def make(text):
        made.append(LearningWorld(tmp_path, text, versions / "one"))
        return made[-1]

    yield make
    for one in made:
        one.opened.close()
