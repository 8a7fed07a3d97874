"""Real servers for every test that asks for one, by the names `redis`, `redis_cluster`, `postgres`, `kafka`,
`s3`, `influx`, `prometheus_store` and `alertmanager`.

Where this machine can't have one, its tests are skipped with one line; where the environment variable CI is set, they
fail. Tests that stop or kill a server start their own, by `own_server(redis_server, persistence=True)`.

A run ends with the servers that it had, with how many tests were skipped, for which reasons, and which, and with the
time that each folder took beside its budget. `--quick` leaves out what needs servers, processes or seconds.
"""

import gc
import os
import shutil
from contextlib import ExitStack

import hypothesis
import pytest
from _pytest.doctest import DoctestModule
from tests.support import temporary
from tests.support.budgets import budget_table
from tests.support.collecting import set_aside
from tests.support.databases import empty_database, ready_database
from tests.support.quick import has_examples, is_quick, whole_file_is_long
from tests.support.skips import skips

from homeostat.checks.servers import (
    CantBeHad,
    alertmanager_server,
    influx_server,
    postgres_server,
    prometheus_server,
    redis_cluster,
    redis_server,
    s3_server,
    shared_server,
)

# The tests that a run leaves out, unless its option `--MARK` asks for them.
LEFT_OUT = {
    "peers": "needs the environment of `make test-peers`",
    "weekly": "takes tens of seconds, and runs each week: `make test-weekly`",
}
USED, PASSED = pytest.StashKey[set](), pytest.StashKey[bool]()
TEMPORARY = temporary.begin(os.environ)
hypothesis.settings.register_profile("untimed", deadline=None)  # A busy machine is no fault of an example.
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="leave out tests that need servers, processes or seconds")
    for mark, why in LEFT_OUT.items():
        parser.addoption(f"--{mark}", action="store_true", help=f"run what else is left out, since it {why}")


def pytest_configure(config):
    config.stash[USED] = set()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect without walks of the garbage collector, and keep what was collected out of its walks in the tests.

    Half a million objects come from collecting and live as long as the run. Walks among them took a third of the time
    of collecting, and half a second each during the tests.
    """
    gc.disable()
    try:
        result = yield
    finally:
        set_aside()
        gc.enable()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """A command that a test runs in this process may let the garbage collector wait; the next test has it as usual."""
    usual = gc.get_threshold()
    try:
        return (yield)
    finally:
        gc.set_threshold(*usual)


def pytest_ignore_collect(collection_path, config):
    """`--quick` does not even import a test file all of which is long; None leaves the choice to others."""
    leave_out = config.getoption("--quick") and collection_path.suffix == ".py"
    return True if leave_out and whole_file_is_long(collection_path.read_text("utf-8")) else None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path):
    """A file without an example in its docstrings is not imported to look for one."""
    found = yield
    if any(isinstance(one, DoctestModule) for one in found) and not has_examples(file_path.read_text("utf-8")):
        return [one for one in found if not isinstance(one, DoctestModule)]
    return found


def pytest_collection_modifyitems(config, items):
    for mark, why in LEFT_OUT.items():
        if not config.getoption(f"--{mark}"):
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=why))
    if config.getoption("--quick"):
        kept, left = [], []
        for item in items:
            (kept if is_quick(item.fixturenames, item.keywords) else left).append(item)
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[USED].update(getattr(node, "workeroutput", {}).get("servers", ()))


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[PASSED] = exitstatus == 0
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["servers"] = sorted(session.config.stash[USED])


def pytest_unconfigure(config):
    if config.stash.get(PASSED, False) and not hasattr(config, "workerinput"):
        shutil.rmtree(TEMPORARY, ignore_errors=True)


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[USED]:
        terminalreporter.write_line(f"servers: {', '.join(sorted(config.stash[USED]))}")
    for line in skips(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)
    timed = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "duration")]
    for line in budget_table(timed):
        terminalreporter.write_line(line)


def _had(make, config):
    """The result of `make`, noted for the summary; where there is none, a skip, or a failure in CI."""
    try:
        server = make()
    except CantBeHad as error:
        config.stash[USED].add(str(error))
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    config.stash[USED].add(server.what)
    return server


@pytest.fixture(scope="session")
def redis(pytestconfig):
    """A Redis server of this worker of the test run: `.url`, `.address`, `.port`."""
    with _had(redis_server, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session", name="redis_cluster")
def redis_cluster_fixture(pytestconfig):
    """Three masters of this worker of the test run."""
    with _had(redis_cluster, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(pytestconfig):
    """A PostgreSQL server of this worker of the test run, with the database that its `.url` names."""
    with _had(postgres_server, pytestconfig) as server:
        yield server


@pytest.fixture
def database(postgres):
    """The address of a database of the test's own, with the newest tables of no app."""
    with ready_database(postgres.url) as address:
        yield address


@pytest.fixture(name="empty_database")
def empty_database_fixture(postgres):
    """The address of an empty database of the test's own."""
    with empty_database(postgres.url) as address:
        yield address


@pytest.fixture(scope="session")
def s3(pytestconfig):
    """An object store of this worker of the test run, with the folder that its `.url` names."""
    with _had(s3_server, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session")
def influx(pytestconfig):
    """An InfluxDB 1.x of this worker of the test run: tests give their databases names of their own."""
    with _had(influx_server, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus_store(pytestconfig):
    """A Prometheus of this worker of the test run, which takes remote writes and scrapes nothing."""
    with _had(prometheus_server, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session")
def alertmanager(pytestconfig):
    """An Alertmanager of this worker of the test run, which notifies nobody."""
    with _had(alertmanager_server, pytestconfig) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(pytestconfig, tmp_path_factory):
    """The broker of all workers of the test run: tests give their topics names of their own."""
    import confluent_kafka

    base, worker = tmp_path_factory.getbasetemp(), hasattr(pytestconfig, "workerinput")
    folder, owner = (base.parent, os.getppid()) if worker else (base, os.getpid())
    server = _had(lambda: shared_server("kafka", folder / "servers", owner), pytestconfig)
    # A new broker makes its topic of transactions when the first is begun, for longer than some clients wait.
    confluent_kafka.Producer({"bootstrap.servers": server.address, "transactional.id": "first"}).init_transactions(180)
    return server


@pytest.fixture
def own_server(pytestconfig):
    """Starts a server for one test, which may stop and kill it: `own_server(redis_server, persistence=True)`."""
    with ExitStack() as stack:
        yield lambda make, *given, **named: stack.enter_context(_had(lambda: make(*given, **named), pytestconfig))


@pytest.fixture
def unhurried(monkeypatch):
    """Engines wait for their parts however busy the machine is, so that equal decisions are equal."""
    from homeostat.app import Ports
    from homeostat.engine import assembly

    monkeypatch.setattr(assembly, "Ports", lambda *given, **named: Ports(*given, **{**named, "bounded": False}))
