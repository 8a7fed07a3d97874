"""Settings when the world fails: processes killed at every moment, full disks, servers that go away."""

from __future__ import annotations

import random
import signal
import sqlite3
import stat
import threading
from contextlib import closing

import psycopg
import pytest
from tests.support.dying import Dying, DyingPostgres, DyingSqlite, in_a_process

from homeostat.adapters.disk.sqlite import settings as sqlite_settings
from homeostat.adapters.disk.sqlite.settings import FILE, SqliteSettings
from homeostat.adapters.postgres import settings as postgres_settings
from homeostat.adapters.postgres.connections import BoundedConnection
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.checks.servers import postgres_server
from homeostat.checks.settings import add_one, threshold
from homeostat.errors import Conflict, Unavailable
from homeostat.ports.settings import SettingsError
from homeostat.records.changes import Change, ChangeKind, Scope

BLOCK = Scope(ChangeKind.THRESHOLD, "block")


def killed_at_every_moment(work):
    """Yields after each death; ends where the work was done before the process was killed."""
    moment = 0

    def dying(moment):
        Dying.left = moment
        work()

    while True:
        code = in_a_process(dying, moment)
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break
        yield moment
        moment += 1
    assert moment > 10, "the process was never killed"


@pytest.mark.long
def test_a_kill_at_any_moment_of_the_first_change_leaves_it_whole_or_absent(tmp_path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite_settings.sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "factory": DyingSqlite})
    )

    def work():
        with closing(SqliteSettings(tmp_path, app="shop")) as settings:
            settings.append(threshold(0.9, key="first"), None)

    for moment in killed_at_every_moment(work):
        with closing(SqliteSettings(tmp_path, app="shop")) as settings:
            found = settings.since(0)
            assert settings.last == len(found) <= 1, moment
            stored = settings.append(threshold(0.9, key="first"), 0)
            assert stored.number == 1 and found in ([], [stored])
            assert settings.append(threshold(0.8), 1).number == 2
        for left in tmp_path.iterdir():
            left.unlink()


@pytest.mark.long
def test_a_kill_at_any_moment_of_a_later_change_leaves_no_gap(tmp_path, monkeypatch):
    with closing(SqliteSettings(tmp_path, app="shop")) as settings:
        settings.append(threshold(0.9), None)
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite_settings.sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "factory": DyingSqlite})
    )

    def work():
        with closing(SqliteSettings(tmp_path, app="shop")) as settings:
            settings.append(threshold(0.8), None)
            settings.report(sqlite_settings.Applied("worker", 1, 1))

    for moment in killed_at_every_moment(work):
        with closing(SqliteSettings(tmp_path, app="shop")) as settings:
            before = settings.last
            assert settings.append(threshold(0.7), None).number == before + 1, moment
            assert [change.number for change in settings.since(0)] == list(range(1, before + 2))


@pytest.mark.long
def test_a_kill_at_any_moment_of_a_change_in_postgresql_leaves_no_gap(database, monkeypatch):
    with closing(PostgresSettings(database, app="shop")) as settings:
        settings.append(threshold(0.9), None)
        monkeypatch.setattr("homeostat.adapters.postgres.connections.BoundedConnection", DyingPostgres)

        def work():
            with closing(PostgresSettings(database, app="shop")) as own:
                own.append(threshold(0.8), None)

        for moment in killed_at_every_moment(work):
            stored = settings.append(threshold(0.7), None)
            assert [change.number for change in settings.since(0)] == list(range(1, stored.number + 1)), moment


def add(folder, times, author):
    with closing(SqliteSettings(folder, app="shop")) as store:
        for _ in range(times):
            add_one(store, author)


@pytest.mark.long
def test_processes_that_make_and_change_the_settings_at_once_lose_nothing(tmp_path):
    for _ in range(5):
        codes = []
        threads = [
            threading.Thread(target=lambda k=k: codes.append(in_a_process(add, tmp_path, 5, f"author {k}")))
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [0, 0, 0, 0]
        with closing(SqliteSettings(tmp_path)) as settings:
            assert [change.body for change in settings.since(0)] == [{"at": k} for k in range(1, 21)]
        for left in tmp_path.iterdir():
            left.unlink()


def test_a_full_disk_stores_nothing_and_a_later_change_succeeds(tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.append(threshold(0.9), None)
        pages = settings._writer.execute("PRAGMA page_count").fetchone()[0]
        settings._writer.execute(f"PRAGMA max_page_count = {pages}")
        large = {"at": 0.5, "more": "x" * 100_000}
        for _ in range(2):
            with pytest.raises(Unavailable, match="free some space"):
                settings.append(Change(*BLOCK, large, "ann", "large"), None)
            assert settings.last == 1 and len(settings.since(0)) == 1
        settings._writer.execute("PRAGMA max_page_count = 1000000")
        assert settings.append(threshold(0.8), 1).number == 2


def test_a_writer_that_holds_the_file_stops_changes_and_no_question(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_settings, "_BUSY_S", 0.05)
    with closing(SqliteSettings(tmp_path)) as settings, closing(SqliteSettings(tmp_path)) as reader:
        settings.append(threshold(0.9), None)
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="another program holds the file"):
                settings.append(threshold(0.8), None)
            assert (reader.last, settings.last, len(reader.since(0))) == (1, 1, 1)
            other.execute("ROLLBACK")
        assert settings.append(threshold(0.8), None).number == 2


def test_looking_at_a_folder_leaves_it_as_it_was_and_the_file_is_its_owners_alone(tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        assert settings.last == 0 and settings.since(0) == [] and settings.processes() == []
        settings.leave("nobody")
        assert list(tmp_path.iterdir()) == []
        settings.append(threshold(0.9), None)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes and set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_deleted_or_replaced_under_a_process_is_missed(tmp_path, replaced):
    settings = SqliteSettings(tmp_path)
    add_one(settings, "ann")
    assert settings.last == 1
    settings.path.unlink()
    if replaced:
        with closing(SqliteSettings(tmp_path)) as other:
            add_one(other, "ann")
    for use in (lambda: settings.last, lambda: settings.since(0), lambda: add_one(settings, "ann")):
        with pytest.raises(Unavailable, match="deleted or replaced while it was in use: stop the processes"):
            use()
    settings.close()


def test_changes_can_not_be_edited_by_mistake(tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.append(threshold(0.9), None)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        for statement in ("UPDATE changes SET actor = 'eve'", "DELETE FROM changes", "DELETE FROM about"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_a_file_of_something_else_is_refused_with_what_it_is(tmp_path):
    with closing(SqliteSettings(tmp_path, app="shop")) as settings:
        settings.append(threshold(0.9), None)
    with closing(SqliteSettings(tmp_path, app="bank")) as other:
        for use in (lambda: other.last, lambda: other.append(threshold(0.8), None)):
            with pytest.raises(SettingsError, match="settings of the app shop, not of bank"):
                use()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with closing(SqliteSettings(tmp_path)) as newer, pytest.raises(SettingsError, match="format 99"):
        newer.since(0)
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / FILE).write_bytes(b"SQLite format 3\0" + bytes(4080))
    with (
        closing(SqliteSettings(tmp_path)) as damaged,
        pytest.raises(SettingsError, match="is damaged or does not hold"),
    ):
        damaged.append(threshold(0.8), None)
    for path in tmp_path.iterdir():
        path.unlink()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("CREATE TABLE mine (x)")
    with closing(SqliteSettings(tmp_path)) as foreign, pytest.raises(SettingsError, match="does not hold settings"):
        foreign.append(threshold(0.8), None)


def test_a_change_of_a_newer_version_is_refused_and_not_left_out(tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.append(threshold(0.9), None)
        settings._writer.execute("DROP TRIGGER changes_UPDATE")
        settings._writer.execute("UPDATE changes SET kind = 'teleport'")
        with pytest.raises(SettingsError, match="change 1 is damaged or of a newer version"):
            settings.since(0)


def test_a_place_that_can_not_be_used_is_unavailable_and_so_are_closed_settings(tmp_path):
    (tmp_path / "taken").write_text("")
    for place in (tmp_path / "nowhere", tmp_path / "taken"):
        with closing(SqliteSettings(place)) as settings, pytest.raises(Unavailable):
            settings.append(threshold(0.9), None)
    settings = SqliteSettings(tmp_path)
    settings.append(threshold(0.9), None)
    settings.close()
    settings.close()
    for use in (lambda: settings.last, lambda: settings.append(threshold(0.8), None)):
        with pytest.raises(Unavailable, match="are closed"):
            use()


class Breaking(BoundedConnection):
    """A connection that breaks at its next COMMIT of a change.

    how : before the server has it, or after; empty for a connection that holds
    """

    how = ""

    def execute(self, query, *arguments, **more):
        if query != "COMMIT" or not Breaking.how:
            return super().execute(query, *arguments, **more)
        how, Breaking.how = Breaking.how, ""
        if how == "after":
            super().execute(query)
        self.close()
        raise psycopg.OperationalError("the connection broke")


def test_a_commit_without_an_answer_is_looked_up(database, monkeypatch):
    monkeypatch.setattr("homeostat.adapters.postgres.connections.BoundedConnection", Breaking)
    with closing(PostgresSettings(database, app="shop")) as settings:
        Breaking.how = "after"
        stored = settings.append(threshold(0.9), 0)
        assert settings.since(0) == [stored]
        Breaking.how = "before"
        with pytest.raises(Unavailable, match="the connection broke"):
            settings.append(threshold(0.8), 1)
        assert settings.since(0) == [stored]
        assert settings.append(threshold(0.8), 1).number == 2


def silence(settings, known):
    """Why there is no last number any more; the one that was known holds for a moment."""
    pause = threading.Event()
    try:
        while settings.last == known:
            pause.wait(0.02)
    except Unavailable as error:
        return str(error)


@pytest.mark.long
def test_a_server_that_goes_away_is_unavailable_and_comes_back(own_server, monkeypatch):
    monkeypatch.setattr(postgres_settings, "LOOK_S", 0.2)
    pause = threading.Event()
    server = own_server(postgres_server)
    with closing(PostgresSettings(server.url, app="shop", deadline_s=1.0)) as settings:
        assert settings.append(threshold(0.9), 0).number == 1 == settings.last
        server.kill()
        with pytest.raises(Unavailable, match="PostgreSQL at"):
            settings.append(threshold(0.8), 1)
        assert "PostgreSQL at" in silence(settings, 1)
        server.start()
        with closing(PostgresSettings(server.url, app="shop")) as other:
            other.append(threshold(0.8), 1)
        for _ in range(10_000):
            try:
                if settings.last == 2:
                    break
            except Unavailable:
                pass
            pause.wait(0.02)
        assert settings.last == 2 and settings.append(threshold(0.7), 2).number == 3


def test_a_database_of_another_app_is_refused(database):
    PostgresSettings(database, app="shop").close()
    with pytest.raises(Exception, match="of the app shop, not of bank"):
        PostgresSettings(database, app="bank")


@pytest.mark.long
def test_a_damaged_file_is_an_error_or_a_right_answer_and_never_a_wait(tmp_path):
    """Bytes changed at random. An index that leads back to where it came from once made a question last for ever."""
    made = tmp_path / "made"
    made.mkdir()
    with closing(SqliteSettings(made, app="shop")) as settings:
        settings.append(threshold(0.9, key="k", expires_ns=4 * 10**18), 0)
        for at in range(30):
            settings.append(Change(ChangeKind.LIST, f"l{at % 5}", {"entries": ["x" * 50, at]}, "ann", "why"), None)
        settings.report(sqlite_settings.Applied("p", 1, 1))
    whole, rng, errors = (made / FILE).read_bytes(), random.Random(1), 0
    for _ in range(120):
        for path in made.iterdir():
            path.unlink()
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (made / FILE).write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)
        with closing(SqliteSettings(made, app="shop")) as settings:
            for use in (
                lambda: settings.last, lambda: settings.since(0), lambda: settings.at(1 << 62),
                lambda: settings.history(BLOCK), lambda: settings.processes(),
                lambda: settings.append(threshold(0.9, key="k"), None),
                lambda: settings.report(sqlite_settings.Applied("p", 2, 2)),
            ):  # fmt: skip
                try:
                    use()
                except (SettingsError, Unavailable, Conflict):
                    errors += 1
    assert 100 < errors < 700
