"""Stores of incidents: the contract over each, crashes, full disks, and files of others."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.support.dying import Dying, DyingPostgres, DyingSqlite, killed

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.postgres import connections
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.checks.incidents import INCIDENT_CHECKS, delivery, incident, signal, silence
from homeostat.errors import Unavailable
from homeostat.ports.incidents import Bounds, IncidentsError

by_name = pytest.mark.parametrize("check", INCIDENT_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_the_store_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda bounds=None: SqliteIncidents(tmp_path, bounds=bounds or Bounds()))


@by_name
def test_the_store_in_postgres_keeps_the_contract(check, database: str) -> None:
    check(lambda bounds=None: PostgresIncidents(database, bounds=bounds or Bounds()))


def test_looking_leaves_a_folder_as_it_is_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = SqliteIncidents(tmp_path)
    assert list(store.list()) == [] and list(tmp_path.iterdir()) == []
    store.write([signal()], [incident()])
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    store.close()
    with pytest.raises(Unavailable):
        store.list()


def test_another_apps_file_and_another_programs_are_refused(tmp_path: Path) -> None:
    with closing(SqliteIncidents(tmp_path, app="loans")) as store:
        store.write([], [incident()])
    with pytest.raises(IncidentsError, match="of the app loans"):
        SqliteIncidents(tmp_path, app="payments").list()
    for folder, content in (("other", None), ("bad", b"no database" * 100)):
        (tmp_path / folder).mkdir()
        if content is None:
            with closing(sqlite3.connect(tmp_path / folder / "incidents.db")) as db:
                db.execute("CREATE TABLE t (x)")
        else:
            (tmp_path / folder / "incidents.db").write_bytes(content)
        with pytest.raises(IncidentsError):
            SqliteIncidents(tmp_path / folder).write([], [incident()])


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE incidents SET text = '" + "[" * 100_000 + "'",
        "UPDATE incidents SET text = '{}'",
        "DELETE FROM about",
        "UPDATE incidents SET text = replace(text, 'high', 'dire')",
    ],
)
def test_a_forged_row_is_named_as_damage(tmp_path: Path, forged: str) -> None:
    with closing(SqliteIncidents(tmp_path)) as store:
        store.write([signal()], [incident()])
    with closing(sqlite3.connect(tmp_path / "incidents.db")) as db, db:
        db.execute(forged)
    with closing(SqliteIncidents(tmp_path)) as store, pytest.raises(IncidentsError, match="is damaged"):
        store.get("i1")


def test_a_full_disk_stores_nothing_by_half_and_says_so(tmp_path: Path) -> None:
    with closing(SqliteIncidents(tmp_path)) as store:
        store.write([signal("first")], [incident("first")])
        db = store._file._db
        assert db is not None
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            for number in range(200):
                store.write([signal(f"s{number}")], [incident(f"i{number}")])

        with pytest.raises(Unavailable, match="free some space"):
            fill()
        kept = {one.incident.id for one in store.list(limit=1000)} - {"first"}
        assert {one.signal.id for one in store.signals(1000)} - {"first"} == {id.replace("i", "s") for id in kept}
        db.execute("PRAGMA max_page_count = 1000000")
        store.write([signal("later")], [incident("later")])
        assert store.get("later").id == "later"


def test_a_server_that_is_away_is_a_sentence() -> None:
    with pytest.raises(Unavailable, match="nothing listens there"):
        PostgresIncidents("postgresql://127.0.0.1:9/none", deadline_s=1.0)


def story(store) -> None:
    """Two ticks, with what follows from them."""
    store.write([signal("a"), signal("b")], [incident("i1")])
    store.write([signal("a", 4)], [incident("i1", 2), incident("i2")])
    store.plan([delivery("i1"), delivery("i2")], 3)
    store.silence(silence())


def _after(store) -> tuple:
    """The story once more, to its end; and all that the store holds then."""
    story(store)
    return (
        [one.signal.id for one in store.signals()], [(one.incident.id, one.incident.revision) for one in store.list()],
        [(one.incident.id, one.incident.revision) for one in store.changes(0)],
        [one.key for one in store.deliveries()], [one.id for one in store.silences()], store.planned(),
    )  # fmt: skip


ONCE = (
    ["b", "a"], [("i2", 1), ("i1", 2)], [("i1", 1), ("i1", 2), ("i2", 1)], ["i2-1-desk", "i1-1-desk"], ["s1"], 3,
)  # fmt: skip


@pytest.mark.long
def test_a_process_killed_at_any_statement_leaves_everything_to_be_stored_once(tmp_path: Path, monkeypatch) -> None:
    opened = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened(*a, factory=DyingSqlite, **k))
    deaths = []
    for left in range(0, 160, 9):
        folder = tmp_path / str(left)
        folder.mkdir()
        Dying.left = 1 << 30
        deaths.append(killed(lambda: story(SqliteIncidents(folder)), left))
        with closing(SqliteIncidents(folder)) as store:
            assert _after(store) == ONCE, left
    assert deaths[0] and not deaths[-1]


@pytest.mark.long
def test_a_process_killed_at_any_statement_on_postgres_leaves_everything_to_be_stored_once(
    empty_database: str, monkeypatch
) -> None:
    PostgresIncidents(empty_database).close()
    monkeypatch.setattr(connections, "BoundedConnection", DyingPostgres)
    deaths = []
    for left in range(0, 130, 18):
        Dying.left = 1 << 30
        deaths.append(killed(lambda: story(PostgresIncidents(empty_database)), left))
        with closing(PostgresIncidents(empty_database)) as store:
            assert _after(store) == ONCE, left
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute("TRUNCATE signals, incidents, incident_changes, incident_deliveries, incident_silences")
            connection.execute("UPDATE incident_cursor SET value = 0")
    assert deaths[0] and not deaths[-1]
