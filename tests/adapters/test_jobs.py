"""Jobs in SQLite and PostgreSQL: one suite for both, a naive twin, and what only one of them can do wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from homeostat.adapters.disk.sqlite.jobs import FILE, SqliteJobs
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.checks.jobs import JOBS_CHECKS
from homeostat.errors import Unavailable
from homeostat.records.job import Job


@pytest.mark.parametrize("check", JOBS_CHECKS, ids=lambda check: check.__name__)
def test_jobs_in_sqlite_conform(check, tmp_path: Path) -> None:
    check(lambda bounds: SqliteJobs(tmp_path / "data", bounds))


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    store = SqliteJobs(tmp_path / "data")
    store.submit(Job("train", ()))
    run = store.claim("one", 1, {}, 1)
    assert run is not None and store.write(run, b"x")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*")}
    os.umask(old)
    assert modes.pop("jobs") == 0o700 and set(modes.values()) == {0o600}
    assert set(modes) == {"jobs.db", "jobs.db-wal", "jobs.db-shm", "1.0.log"}
    store.close()
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"jobs.db", "jobs"}


def test_a_file_that_holds_no_jobs_is_refused(tmp_path: Path) -> None:
    for content in (b"no database" * 100, b"SQLite format 3\0" + bytes(200)):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(Unavailable, match="can't be used"):
            SqliteJobs(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    with pytest.raises(Unavailable, match="does not hold jobs of homeostat: move it away"):
        SqliteJobs(tmp_path)
    (tmp_path / FILE).unlink()
    SqliteJobs(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(Unavailable, match="has format 9"):
        SqliteJobs(tmp_path)


def test_a_place_that_is_none_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(Unavailable):
            SqliteJobs(place)


@pytest.fixture
def database(postgres) -> str:
    """A database with empty tables of jobs."""
    PostgresJobs(postgres.url).close()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs, job_logs RESTART IDENTITY")
    return postgres.url


@pytest.mark.parametrize("check", JOBS_CHECKS, ids=lambda check: check.__name__)
def test_jobs_in_postgresql_conform(check, database: str) -> None:
    check(lambda bounds: PostgresJobs(database, bounds))


def test_a_server_that_is_away_is_said_without_its_password() -> None:
    with pytest.raises(Unavailable) as raised:
        PostgresJobs("postgresql://someone:hunter2@127.0.0.1:1/nothing")
    assert "hunter2" not in str(raised.value)


def test_a_connection_that_broke_is_opened_again(database: str) -> None:
    store = PostgresJobs(database)
    job = store.submit(Job("train", ()))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
            "current_database() AND backend_type = 'client backend'"
        )
    with suppress(Unavailable):  # One that breaks just now is no longer used.
        store.get(job.id)
    assert store.get(job.id) == job
    store.close()
