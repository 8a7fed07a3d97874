"""The maintenance loop loses no signal and doubles none: in pieces, killed anywhere, two at once, after changes."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.support.dying import Dying, DyingSqlite, killed
from tests.support.watched_app import app_file, decide

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.adapters.postgres.journal import PostgresJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.config.servers import Servers
from homeostat.engine.assembly import prepare
from homeostat.jobs.maintaining import steps as stepping
from homeostat.jobs.maintaining.memory import unpacked
from homeostat.jobs.maintaining.running import Maintaining, Setting
from homeostat.jobs.maintaining.source import source_in, source_on
from homeostat.records.incident_text import incident_dict, signal_dict, text_of
from homeostat.records.incidents import Phase

HOURS, BROKEN_FROM = range(24 * 12), 24 * 10


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with an app's file, and a server's data folder in `data`; the fault is in the last two days."""
    folder = tmp_path_factory.mktemp("watched")
    decide(folder / "data", app_file(folder), HOURS, BROKEN_FROM)
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of the data folder."""
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory) -> list[str]:
    """All that a run without a break finds."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    shutil.copytree(made / "data", folder)
    with running(made, folder) as one:
        to_its_end(one)
    found = noticed(folder)
    assert any("field:amount" in text for text in found)
    return found


def test_a_data_folder_says_when_its_entries_were_recorded(made: Path, data: Path) -> None:
    written_ns = (made / "data" / "journal.db").stat().st_mtime_ns
    with running(made, data) as one, source_in(data, prepare(made / "watched.yaml"), one._setting.store) as source:
        steps = stepping.Steps(source, "one", SystemClock(), [].append)
        recorded = [recorded_ns for _, recorded_ns in steps._entries()]
    assert len(recorded) == len(HOURS)
    assert recorded == sorted(recorded) and abs(recorded[-1] - written_ns) < 60 * 10**9


class running:
    """A process that maintains the app of a folder."""

    def __init__(self, made: Path, data: Path, owner: str = "one", said: list[str] | None = None, app=None) -> None:
        prepared = prepare(made / "watched.yaml" if app is None else app)
        self.store = SqliteIncidents(data, app="watched")
        self.one = Maintaining(
            Setting(prepared.app, self.store, lambda: source_in(data, prepared, self.store), owner, SystemClock()),
            [].append if said is None else said.append,
        )

    def __enter__(self) -> Maintaining:
        return self.one

    def __exit__(self, *error: object) -> None:
        self.one.close()
        self.store.close()


def to_its_end(one: Maintaining) -> None:
    while (step := one.turn()) is None or not step.at_end:
        assert step is not None
    one.turn(last=True)


def noticed(data: Path) -> list[str]:
    """All signals, and all revisions of incidents, byte for byte."""
    with closing(SqliteIncidents(data)) as store:
        return all_of(store)


def all_of(store) -> list[str]:
    signals = [text_of(signal_dict(one.signal)) for one in store.signals(10_000)]
    return signals + [text_of(incident_dict(one.incident)) for one in store.changes(0, 10_000)]


def one_entry_a_step(monkeypatch) -> None:
    monkeypatch.setattr(stepping, "_STEP_NS", -1)
    monkeypatch.setattr(stepping, "_WAIT_NS", -1)


def signals_stored_at_once(monkeypatch) -> None:
    monkeypatch.setattr(stepping, "_SAVE_NS", -1)
    monkeypatch.setattr(stepping, "_SAVE_NS_MAX", -1)


@pytest.mark.long
def test_a_run_in_pieces_finds_the_same_as_one_without_a_break(made, data, whole, monkeypatch) -> None:
    one_entry_a_step(monkeypatch)
    signals_stored_at_once(monkeypatch)
    done = False
    for entries in (1, 7, 30, 2, 60, 25, 11, 90, 3, 200):
        with running(made, data) as one:
            for _ in range(entries):
                step = one.turn()
                done = step is not None and step.at_end
                if done:
                    break
    assert done and noticed(data) == whole


@pytest.mark.long
def test_a_memory_is_the_same_however_it_came_about(made, data, whole, monkeypatch) -> None:
    with running(made, data) as one:
        to_its_end(one)
        straight = one._setting.store.saved()
    other = data.with_name("other")
    shutil.copytree(made / "data", other)
    one_entry_a_step(monkeypatch)
    for _ in range(3):
        with running(made, other) as one:
            for _ in range(90):
                one.turn()
    with running(made, other) as one:
        to_its_end(one)
        pieces = one._setting.store.saved()
    assert straight is not None and pieces is not None
    first, second = unpacked(straight), unpacked(pieces)
    assert replace(first.place, seen=0) == replace(second.place, seen=0) and first.state.keys() == second.state.keys()
    differing = [name for name in first.state if first.state[name].tobytes() != second.state[name].tobytes()]
    assert differing == []


@pytest.mark.long
def test_a_process_killed_at_any_statement_loses_no_signal_and_doubles_none(made, tmp_path, whole, monkeypatch) -> None:
    opened = sqlite3.connect

    def connect(*given, **more):
        dies = "incidents.db" in str(given[0])
        return opened(*given, **(more | {"factory": DyingSqlite} if dies else more))

    monkeypatch.setattr(sqlite3, "connect", connect)
    one_entry_a_step(monkeypatch)
    signals_stored_at_once(monkeypatch)
    ends = []
    for left in (5, 60, 110, 170, 260, 350, 1 << 30):
        folder = tmp_path / str(left)
        shutil.copytree(made / "data", folder)

        def work(folder: Path = folder) -> None:
            with running(made, folder) as one:
                to_its_end(one)

        ends.append(killed(work, left))
        Dying.left = 1 << 30
        with running(made, folder) as one:
            to_its_end(one)
        assert noticed(folder) == whole, left
        shutil.rmtree(folder)
    assert ends[0] and not ends[-1] and sum(ends) > 3


@pytest.mark.long
def test_of_two_at_once_one_acts_and_the_other_takes_over(made, data, whole) -> None:
    said: list[str] = []
    with running(made, data, "first") as first:
        assert first.turn() is not None
        with running(made, data, "second", said) as second:
            assert second.turn() is None and second.turn() is None
            assert said == ["waits: first maintains watched"]
            first.close()
            to_its_end(second)
    assert noticed(data) == whole


@pytest.mark.long
def test_one_that_slept_while_another_took_over_stores_nothing(made, data, whole, monkeypatch) -> None:
    one_entry_a_step(monkeypatch)
    said: list[str] = []
    with running(made, data, "first", said) as first:
        first.turn()
        first._setting.store.take("first", -1.0)
        with running(made, data, "second") as second:
            to_its_end(second)
            first.turn(last=True)
            assert not first.leads and said[-1] == "another process has taken maintenance over"
    assert noticed(data) == whole


@pytest.mark.long
def test_after_a_change_of_the_app_what_was_learned_is_made_again_and_nothing_is_noticed_twice(
    made, data, whole, tmp_path
) -> None:
    with running(made, data) as one:
        to_its_end(one)
    said: list[str] = []
    changed = tmp_path / "changed.yaml"
    changed.write_text((made / "watched.yaml").read_text().replace("tick: 2h", "tick: 2h, off: [transport]"))
    with running(made, data, "one", said, changed) as one:
        to_its_end(one)
        place = one.steps.place
    assert said[0] == "the app has changed: what maintenance has learned is made again from the journal"
    assert noticed(data) == whole and place.ticks > 100
    decide(data, changed, range(HOURS.stop, HOURS.stop + 60), BROKEN_FROM)
    with running(made, data, "one", [], changed) as one:
        to_its_end(one)
    with closing(SqliteIncidents(data)) as store:
        first = store.list()[-1].incident
        assert first.phase != Phase.CLOSED and first.revision > 1


def test_another_journal_is_said_and_learned_from_its_beginning(made, data, tmp_path) -> None:
    with running(made, data) as one:
        to_its_end(one)
    kept = noticed(data)
    for name in ("journal.db", "journal.db-wal", "journal.db-shm", "snapshot.bin"):
        (data / name).unlink(missing_ok=True)
    decide(data, made / "watched.yaml", range(24), 24)
    said: list[str] = []
    with running(made, data, said=said) as one:
        to_its_end(one)
    assert said[0].startswith("another journal has taken the place") and noticed(data) == kept


@pytest.mark.long
def test_an_older_copy_of_the_journal_is_said_and_nothing_is_noticed_twice(made, data, tmp_path) -> None:
    older = tmp_path / "older"
    shutil.copytree(made / "data", older)
    decide(data, made / "watched.yaml", range(HOURS.stop, HOURS.stop + 12), BROKEN_FROM)
    with running(made, data) as one:
        to_its_end(one)
    kept = noticed(data)
    for file in data.glob("journal.db*"):
        file.unlink()
    for file in older.glob("journal.db*"):
        shutil.copy(file, data)
    said: list[str] = []
    with running(made, data, said=said) as one:
        to_its_end(one)
    assert "300 were read: it was restored" in said[0] and noticed(data) == kept


@pytest.mark.long
def test_a_damaged_memory_is_made_again(made, data, whole) -> None:
    with running(made, data) as one:
        to_its_end(one)
    with closing(sqlite3.connect(data / "incidents.db")) as db, db:
        db.execute("UPDATE maintenance_memory SET body = substr(body, 1, 100)")
    said: list[str] = []
    with running(made, data, said=said) as one:
        to_its_end(one)
    assert said[0].startswith("the memory of maintenance can't be used") and noticed(data) == whole
    decide(data, made / "watched.yaml", range(HOURS.stop, HOURS.stop + 60), BROKEN_FROM)
    with running(made, data) as one:
        to_its_end(one)
    with closing(SqliteIncidents(data)) as store:
        assert len({one.incident.id for one in store.list()}) == len(store.list())


@pytest.mark.long
def test_a_persons_close_between_two_steps_stands(made, data, monkeypatch) -> None:
    one_entry_a_step(monkeypatch)
    signals_stored_at_once(monkeypatch)
    with running(made, data) as one, closing(SqliteIncidents(data)) as desk:
        while not desk.list():
            one.turn()
        first = desk.list()[0].incident
        desk.write([], [first.closed("it is known", first.updated_ns)], "ann")
        to_its_end(one)
        history = desk.history(first.id)
        assert [change.actor for change in history].count("ann") == 1
        assert history[1].incident.reason == "it is known"


@pytest.mark.long
def test_servers_find_what_a_data_folder_finds_and_one_of_two_acts(made, whole, postgres) -> None:
    name = f"maintaining_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.url.rsplit("/", 1)[0] + f"/{name}"
    prepared = prepare(made / "watched.yaml")
    with (
        SqliteJournal(made / "data" / "journal.db", readonly=True) as old,
        PostgresJournal(url, app="watched", words=prepared.words) as new,
    ):
        for entry in old.read():
            new.append(entry.body)
    servers = Servers(journal=url)
    with closing(PostgresIncidents(url, app="watched")) as store:
        made_of = [
            Maintaining(Setting(prepared.app, store, lambda: source_on(servers, prepared, store), owner, SystemClock()))
            for owner in ("first", "second")
        ]
        assert made_of[0].turn() is not None and made_of[1].turn() is None
        made_of[0].close()
        to_its_end(made_of[1])
        made_of[1].close()
        assert len(store.signals()) > 0 and store.list()[0].incident.suspects[0].node == "field:amount"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
