"""A process that is killed while it makes a journal, at whatever moment, leaves one that the next process can open."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from tests.samples.reading import unpacked

from homeostat.adapters.disk.sqlite import journal as sqlite_journal
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.entries import JournalError
from homeostat.checks.batches import decisions, words_of

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.


class Dying(sqlite3.Connection):
    """A connection whose process is killed before or after its n-th statement, without being asked."""

    left = 0

    def execute(self, *arguments):
        self._step()
        result = super().execute(*arguments)
        self._step()
        return result

    executescript = None  # A script would be several moments in one.

    @classmethod
    def _step(cls):
        if cls.left == 0:
            os._exit(9)
        cls.left -= 1


def killed_at(moment, make):
    """Whether a process that makes a journal got as far as a moment, at which it is killed."""
    child = os.fork()
    if child == 0:
        try:
            Dying.left = moment
            connect = sqlite3.connect
            sqlite_journal.sqlite3.connect = lambda *a, **k: connect(*a, **{**k, "factory": Dying})
            make()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


def at_every_moment(make):
    moment = 0
    while killed_at(moment, make):
        yield moment
        moment += 1
    assert moment > 10, "the process was never killed"


@pytest.mark.parametrize("bulk", [False, True])
def test_a_kill_while_a_journal_is_made_leaves_one_that_opens(bulk, tmp_path):
    for moment in at_every_moment(
        lambda: SqliteJournal(tmp_path / f"{os.getppid()}.db", app="shop", bulk=bulk).close()
    ):
        path = tmp_path / f"{os.getpid()}.db"
        with SqliteJournal(path, app="shop", bulk=bulk) as journal:
            assert (journal.app, journal.last) == ("shop", 0), moment
            journal.append(decisions([1], 1))
        with SqliteJournal(path, app="shop", readonly=True) as journal:
            assert journal.last == 1
        for left in tmp_path.iterdir():
            left.unlink()


def test_a_kill_while_an_old_journal_is_brought_up_to_date_leaves_one_that_opens(tmp_path):
    data = (unpacked("access", tmp_path) / "journal.db").read_bytes()
    path = tmp_path / "journal.db"
    path.write_bytes(data)
    for _ in at_every_moment(lambda: SqliteJournal(path, app="access", words=words_of()).close()):
        with SqliteJournal(path, app="access", words=words_of()) as journal:
            assert journal.app == "access" and journal.last > 0 and journal.unnamed == journal.last
            assert sum(1 for _ in journal.read()) == journal.last
        for left in tmp_path.glob("journal.db*"):
            left.unlink()
        path.write_bytes(data)


def test_a_journal_of_the_old_version_that_was_killed_before_it_said_whose_it_is_is_completed(tmp_path):
    source = unpacked("access", tmp_path) / "journal.db"
    with closing(sqlite3.connect(source)) as db:
        for table in ("entries", "about"):
            db.execute(f"DROP TRIGGER {table}_DELETE")
            db.execute(f"DELETE FROM {table}")
            db.execute(f"CREATE TRIGGER {table}_DELETE BEFORE DELETE ON {table}\n"
                       "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;")  # fmt: skip
        db.commit()
    with SqliteJournal(source, app="shop") as journal:
        assert (journal.app, journal.last) == ("shop", 0)
        journal.append(decisions([1], 1))
    with pytest.raises(JournalError, match="the journal of the app shop"):
        SqliteJournal(source, app="access")


def test_a_journal_with_entries_that_does_not_say_whose_it_is_is_damaged(tmp_path):
    source = unpacked("access", tmp_path) / "journal.db"
    with closing(sqlite3.connect(source)) as db:
        db.execute("DROP TRIGGER about_DELETE")
        db.execute("DELETE FROM about")
        db.commit()
    with pytest.raises(JournalError, match="does not say of which app"):
        SqliteJournal(source, app="access")
