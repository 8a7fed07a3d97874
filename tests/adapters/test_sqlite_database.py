"""Files of SQLite that several processes make at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.database import log_ahead


class Refused(sqlite3.Connection):
    """A connection that is refused so often, as where others ask for the same."""

    left = 0

    def execute(self, *arguments):
        if "journal_mode" in arguments[0] and Refused.left:
            Refused.left -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error
        return super().execute(*arguments)


def test_a_log_is_written_ahead_although_others_ask_for_it_at_the_same_time(tmp_path: Path) -> None:
    Refused.left = 3
    with closing(sqlite3.connect(tmp_path / "a.db", factory=Refused)) as db:
        log_ahead(db, 30.0)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_patience_ends(tmp_path: Path) -> None:
    Refused.left = 1
    with (
        closing(sqlite3.connect(tmp_path / "a.db", factory=Refused)) as db,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        log_ahead(db, 0.0)
