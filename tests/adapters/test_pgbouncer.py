"""The journal behind a pooler that gives each transaction another connection."""

from __future__ import annotations

import os
import threading
import time

import psycopg
import pytest
from tests.support.databases import at, ready_database

from homeostat.adapters.disk.api_keys import PostgresApiKeys
from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.postgres import PostgresJournal
from homeostat.adapters.postgres.auditing import PostgresTables
from homeostat.adapters.postgres.connections import Connections
from homeostat.adapters.postgres.retention import DAY_NS
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.checks.batches import decisions, outcomes
from homeostat.checks.journal import JOURNAL_CHECKS
from homeostat.checks.servers import CantBeHad, pgbouncer
from homeostat.checks.settings import SETTINGS_CHECKS
from homeostat.checks.shared_journal import SHARED_JOURNAL_CHECKS
from homeostat.config.servers import Servers
from homeostat.engine.shared.health import examine


@pytest.fixture(scope="module")
def pooler(postgres):
    try:
        server = pgbouncer(postgres.url)
    except CantBeHad as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with server:
        yield server


@pytest.fixture
def database(postgres, pooler):
    """The address of a database with the newest tables, through the pooler."""
    with ready_database(postgres.url) as address:
        yield at(pooler.url, address.rpartition("/")[2])


@pytest.fixture
def bare(pooler, empty_database):
    """The address of an empty database, through the pooler."""
    return at(pooler.url, empty_database.rpartition("/")[2])


@pytest.mark.parametrize("check", JOURNAL_CHECKS + SHARED_JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_the_journal_conforms(check, database):
    check(lambda: PostgresJournal(database, app="payments"))


@pytest.mark.parametrize("check", SETTINGS_CHECKS, ids=lambda check: check.__name__)
def test_the_settings_conform(check, database):
    check(lambda: PostgresSettings(database, app="payments"))


def test_many_writers_and_readers_share_few_connections(bare):
    failures = []

    def work(worker):
        try:
            with PostgresJournal(bare, app="payments") as journal:
                for round_ in range(25):
                    ids = list(range(1000 * worker + 10 * round_, 1000 * worker + 10 * round_ + 3))
                    journal.append(decisions(ids, round_), [f"events/{worker}@{k}" for k in ids])
                    journal.append(outcomes(ids[:1]), [f"outcomes/{worker}@{round_}"])
                    assert journal.seen(decisions(ids).events.ids).all()
                    assert journal.find((ids[0], 0)) is not None
                    assert journal.last > 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with PostgresJournal(bare, app="payments") as journal:
        assert sum(len(entry.body) for entry in journal.read()) == 8 * 25 * 4


def test_nothing_is_left_set_on_a_connection_that_others_get(database):
    with PostgresJournal(database, app="payments") as journal:
        journal.append(decisions([1]))
        journal.retire()
        assert journal.standing().app == "payments"
    shown = ("statement_timeout", "enable_seqscan", "jit", "idle_in_transaction_session_timeout", "lock_timeout")
    for _ in range(6):
        with psycopg.connect(database, autocommit=True, prepare_threshold=None) as other:
            found = [other.execute(f"SHOW {name}").fetchone()[0] for name in shown]
            assert found == ["0", "on", "on", "0", "0"]
            assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_days_are_those_of_utc_whatever_the_server_is_set_to(database, postgres):
    name = database.rsplit("/", 1)[1]
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'")
    now_ns = 20_000 * DAY_NS + 60 * 10**9  # A minute after midnight in UTC.

    class Clock:
        def now_ns(self):
            return now_ns

    with PostgresJournal(database, app="payments", clock=Clock(), retention_ns=DAY_NS) as journal:
        journal.append(decisions([1]))
        journal.append(outcomes([1]))
        assert journal.find((1, 0)) is not None
        now_ns += DAY_NS
        assert journal.retire().rows == 0 and journal.find((1, 0)) is not None
        now_ns += DAY_NS
        assert journal.retire().rows == 2 and journal.find((1, 0)) is None


def test_keys_audit_and_doctor_work_through_it(database, tmp_path):
    keys = PostgresApiKeys(database)
    keys.prepare()
    secret = keys.create("till", ["decide"])
    for _ in range(20):
        keys.refresh()
    assert keys.check(secret, time.time_ns()) is not None
    keys.close()
    path = tmp_path / "audit.jsonl"
    with PostgresJournal(database, app="payments") as journal, AuditLog(path, journal) as log:
        log.holds(journal.says(), 1)
        for k in range(20):
            journal.append(decisions([k], k))
            log.follow(journal, time.time_ns())
    with Connections(database, most=1) as connections:
        result = verify(path, PostgresTables(connections, time.time_ns()))
    assert result.ok and result.decisions == 20, result.why
    diagnoses = {diagnosis.what: diagnosis for diagnosis in examine(Servers(journal=database), name="payments")}
    assert diagnoses["postgres"].health == "ok" and diagnoses["postgres schema"].health == "ok"
    assert "gives each transaction another connection" in diagnoses["postgres pooler"].seen
