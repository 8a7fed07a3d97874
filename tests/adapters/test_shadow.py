"""Challengers' decisions in SQLite and PostgreSQL: one suite for both, and what only one of them can do wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psycopg
import pytest

from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.postgres.shadow import PostgresShadow
from homeostat.checks.shadow import SHADOW_CHECKS
from homeostat.errors import Unavailable
from homeostat.records.shadowed import Shadowed


@pytest.mark.parametrize("check", SHADOW_CHECKS, ids=lambda check: check.__name__)
def test_decisions_in_sqlite_conform(check, tmp_path: Path) -> None:
    check(lambda keep_bytes: ShadowFile(tmp_path, keep_bytes=keep_bytes))


@pytest.fixture
def database(postgres) -> str:
    """A database with empty tables."""
    PostgresShadow(postgres.url).close()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("TRUNCATE shadowed, shadow_leases")
    return postgres.url


@pytest.mark.parametrize("check", SHADOW_CHECKS, ids=lambda check: check.__name__)
def test_decisions_in_postgresql_conform(check, database: str) -> None:
    check(lambda keep_bytes: PostgresShadow(database, keep_bytes=keep_bytes))


def made(entry: int) -> Shadowed:
    return Shadowed(entry, *(np.zeros(shape) for shape in (1, (1, 2), 1, 1, 1, 1)))


def test_entries_go_with_the_retention(database: str) -> None:
    store = PostgresShadow(database)
    store.append("v", [made(1), made(2)])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE shadowed SET recorded_at = recorded_at - interval '2 days' WHERE entry = 1")
    assert store.prune(3 * 86_400 * 10**9) == 0 and store.prune(86_400 * 10**9) == 1
    assert [one.entry for one in store.read("v")] == [2]
    store.close()


def test_damaged_rows_are_unavailable_and_say_what_to_do(database: str) -> None:
    store = PostgresShadow(database)
    store.append("v", [made(1)])
    assert store.take("v", "one")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE shadowed SET body = 'x'")
        connection.execute("UPDATE shadow_leases SET state = '[1]'")
    with pytest.raises(Unavailable, match="delete its rows"):
        store.at("v", 1)
    with pytest.raises(Unavailable, match="delete it"):
        store.held()
    store.close()


def test_a_file_of_a_version_without_leases_is_read(tmp_path: Path) -> None:
    with ShadowFile(tmp_path) as store:
        store.append("v", [made(1)])
        store._db.execute("DROP TABLE leases")
    with ShadowFile(tmp_path, readonly=True) as store:
        assert store.held() == {} and store.last("v") == 1
    with ShadowFile(tmp_path) as store:
        assert store.take("v", "one")
