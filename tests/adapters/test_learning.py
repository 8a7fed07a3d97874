"""The learner's store, in memory and in PostgreSQL: one behaviour."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, closing
from hashlib import sha256

import psycopg
import pytest
from tests.support.dying import Dying, DyingPostgres, in_a_process

from homeostat.adapters.memory.learning import MemoryLearning
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.postgres.learning import PostgresLearning
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.checks.learning import LEARNING_CHECKS, publication
from homeostat.ports.learning import Learnt


@pytest.fixture(scope="module")
def database(postgres):
    """The address of a database of these tests' own."""
    name = f"learning_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.url.rsplit("/", 1)[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def emptied(url):
    """Take everything out of the tables."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "TRUNCATE learner, learner_asked, learner_states, learner_saved, exploration_grants, settings_changes"
        )
        connection.execute("INSERT INTO learner DEFAULT VALUES")
        connection.execute("INSERT INTO learner_asked DEFAULT VALUES")
        connection.execute("UPDATE settings_head SET number = 0, at_ns = 0, digest = decode(repeat('00', 32), 'hex')")


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.long)])
def stores(request):
    """Empty settings, and a way to open the store as another process would."""
    if request.param == "memory":
        settings = MemorySettings()
        store = MemoryLearning(settings)
        yield settings, lambda: store
        return
    url = request.getfixturevalue("database")
    with ExitStack() as opened:

        def open_store():
            return opened.enter_context(closing(PostgresLearning(url)))

        open_store()
        emptied(url)
        yield opened.enter_context(closing(PostgresSettings(url))), open_store


@pytest.mark.parametrize("check", LEARNING_CHECKS, ids=lambda check: check.__name__)
def test_a_learner_s_store_keeps_its_contract(check, stores):
    check(*stores)


@pytest.mark.long
def test_a_learner_killed_before_or_after_any_statement_leaves_all_of_a_state_or_nothing(database, monkeypatch):
    """Its successor finds each state that a change names, and what was saved whole."""
    url = database
    with closing(PostgresLearning(url)) as store, closing(PostgresSettings(url)) as settings:
        emptied(url)
        monkeypatch.setattr("homeostat.adapters.postgres.connections.BoundedConnection", DyingPostgres)

        def work(moment):
            with closing(PostgresLearning(url)) as own:
                Dying.left = moment
                lead = own.lead("dying", lease_s=0.0)
                last = settings_number(url)
                own.publish(lead, [publication(b"state %d" % moment, moment, last)])
                own.save(lead, b"saved" * (1 << 20))
                own.note(lead, Learnt(moment, 0, 0, 0.0), lease_s=0.0)

        moments = 0
        for moment in range(200):
            code = in_a_process(work, moment)
            assert code in (0, -signal.SIGKILL)
            changes = settings.since(0)
            assert [one.number for one in changes] == list(range(1, len(changes) + 1))
            for one in changes:
                assert sha256(store.state(one.body["sha256"])).hexdigest() == one.body["sha256"]
            assert store.saved() in (None, b"saved" * (1 << 20))
            lead = store.lead("successor", lease_s=60.0)
            assert lead is not None
            store.resign(lead)
            if code == 0:
                break
            moments += 1
        assert code == 0 and moments > 20 and len(changes) > 5
        with psycopg.connect(url) as connection:
            named = {one.body["sha256"] for one in changes}
            assert {row[0] for row in connection.execute("SELECT digest FROM learner_states")} == named


def settings_number(url):
    """The number of the last change of the policy's state, asked on a connection that does not die."""
    with psycopg.connect(url) as connection:
        sql = "SELECT coalesce(max(number), 0) FROM settings_changes WHERE kind = 'state'"
        return int(connection.execute(sql).fetchone()[0])
