"""Settings in one SQLite file of a data folder, which any number of processes read and change.

A change is one transaction, on the disk before `append` returns: the power may fail. Readers never wait for a writer.
The file is made by the first change or report, so looking at a folder leaves it as it was.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.adapters.disk.sqlite.database import Form, failing, is_made, log_ahead, owner_of
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Unavailable
from homeostat.ports import Clock
from homeostat.ports.settings import Applied, SettingsError, agreed, unchanged
from homeostat.records.change_rows import COLUMNS, START, Row, as_row, chained, checked, of_row, placed
from homeostat.records.changes import Change, Scope

FILE = "settings.db"
FORMAT = 1
APPLICATION_ID = 0x686D7373  # "hmss", in the file's header, where `file` and SQLite look for it.
_BUSY_S = 5.0  # A writer waits so long for others, each of which takes the time of one flush of the disk.
_APPEND_ONLY = """CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the settings are append-only'); END"""
_TABLES = (
    """CREATE TABLE changes (
    number INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, body TEXT,
    before TEXT, before_expires_ns INTEGER, actor TEXT NOT NULL, reason TEXT NOT NULL, key TEXT NOT NULL,
    expires_ns INTEGER, reverts INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT""",
    "CREATE INDEX changes_scope ON changes (kind, scope, number)",
    "CREATE INDEX changes_at ON changes (at_ns)",
    "CREATE UNIQUE INDEX changes_key ON changes (key) WHERE key <> ''",
    *(_APPEND_ONLY.format(table="changes", verb=verb) for verb in ("UPDATE", "DELETE")),
    """CREATE TABLE processes (
    process TEXT PRIMARY KEY, number INTEGER NOT NULL, at_ns INTEGER NOT NULL, trouble TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    *(_APPEND_ONLY.format(table="about", verb=verb) for verb in ("UPDATE", "DELETE")),
)
FORM = Form("settings", APPLICATION_ID, FORMAT, _TABLES)
_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT INTO changes ({_NAMES}, digest) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608
_SELECT = f"SELECT {_NAMES} FROM changes "  # noqa: S608
_UNTIL = "SELECT number FROM changes WHERE at_ns <= ? ORDER BY at_ns DESC LIMIT 1"
_REPORT = """INSERT INTO processes VALUES (?, ?, ?, ?) ON CONFLICT (process) DO UPDATE
    SET number = excluded.number, at_ns = excluded.at_ns, trouble = excluded.trouble"""
# The scopes are found one after the other in their index, so that the cost follows their number, not the changes'. Of a
# comparison of pairs SQLite looks up the first part only: 4.2 ms among 2,250 changes of 17 scopes; this takes 0.05. The
# last condition ends the walk in an index that is damaged.
_AT = f"""WITH RECURSIVE scopes (kind, scope) AS (
    SELECT * FROM (SELECT kind, scope FROM changes ORDER BY kind, scope LIMIT 1)
    UNION ALL
    SELECT next.kind, next.scope FROM scopes, changes AS next WHERE next.number = coalesce(
        (SELECT number FROM changes WHERE kind = scopes.kind AND scope > scopes.scope ORDER BY scope LIMIT 1),
        (SELECT number FROM changes WHERE kind > scopes.kind ORDER BY kind, scope LIMIT 1))
        AND (next.kind, next.scope) > (scopes.kind, scopes.scope))
{_SELECT} WHERE number IN (
    SELECT (SELECT max(number) FROM changes
            WHERE changes.kind = scopes.kind AND changes.scope = scopes.scope AND number <= ?) FROM scopes)
    AND body IS NOT NULL ORDER BY number"""  # noqa: S608


class SqliteSettings:
    """See `Settings`."""

    def __init__(self, folder: Path, *, app: str = "", clock: Clock | None = None, mode: int = FILE_MODE) -> None:
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose settings they are; empty to take those of any app
        mode : who may read and write a file that is created
        """
        self.path, self._mode = folder / FILE, mode
        self._app, self._clock = app, clock or SystemClock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._reading, self._writing = threading.RLock(), threading.Lock()
        self._seen: tuple[int, int] | None = None  # The file's version, and the last number in it.
        self._file: tuple[int, int] | None = None  # The file that is open, by device and number.
        self._closed = False

    def append(self, change: Change, expected: int | None) -> Change:
        """See `Settings`."""
        change = checked(change)
        with self._transaction("FULL") as db:
            if change.key and (row := db.execute(_SELECT + "WHERE key = ?", (change.key,)).fetchone()):
                return agreed(of_row(row), change)
            last = _first(db, "WHERE kind = ? AND scope = ? ORDER BY number DESC", *_texts(change.where))
            unchanged(last, expected)
            sql = "SELECT number, at_ns, digest FROM changes ORDER BY number DESC LIMIT 1"
            number, at_ns, digest = db.execute(sql).fetchone() or (0, 0, START)
            change = placed(change, number + 1, max(self._clock.now_ns(), at_ns + 1), last)
            row = as_row(change)
            db.execute(_INSERT, (*row, chained(digest, row)))
            return change

    def since(self, number: int, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        return self._changes("WHERE number > ? ORDER BY number LIMIT ?", number, _limit(limit))

    def last_of(self, scope: Scope) -> Change | None:
        """See `Settings`."""
        return next(iter(self.history(scope, limit=1)), None)

    def at(self, time_ns: int) -> dict[Scope, Change]:
        """See `Settings`."""
        rows = self._rows(_UNTIL, time_ns)
        found = [_read(self.path, row) for row in self._rows(_AT, rows[0][0])] if rows else []
        return {change.where: change for change in found}

    def history(self, scope: Scope, until_ns: int | None = None, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        where = "WHERE kind = ? AND scope = ?"
        values: list[str | int] = [*_texts(scope)]
        if until_ns is not None:
            where += f" AND number <= coalesce(({_UNTIL}), 0)"
            values.append(until_ns)
        return self._changes(where + " ORDER BY number DESC LIMIT ?", *values, _limit(limit))

    def next_of(self, scope: Scope, number: int) -> Change | None:
        """See `Settings`."""
        where = "WHERE kind = ? AND scope = ? AND number > ? ORDER BY number LIMIT 1"
        return next(iter(self._changes(where, *_texts(scope), number)), None)

    @property
    def last(self) -> int:
        """See `Settings`. Some microseconds where nothing was written since."""
        with self._failing(), self._reading:
            db = self._open()
            if db is None:
                return 0
            (version,) = db.execute("PRAGMA data_version").fetchone()
            if self._seen is None or self._seen[0] != version:
                (number,) = db.execute("SELECT coalesce(max(number), 0) FROM changes").fetchone()
                self._seen = version, int(number)
            return self._seen[1]

    def report(self, applied: Applied) -> None:
        """See `Settings`. A report is not worth a flush of the disk."""
        with self._transaction("NORMAL") as db:
            db.execute("DELETE FROM processes WHERE at_ns < ?", (applied.forgotten_ns,))
            db.execute(_REPORT, (applied.process, applied.number, applied.at_ns, applied.trouble))

    def processes(self) -> list[Applied]:
        """See `Settings`."""
        rows = self._rows("SELECT process, number, at_ns, trouble FROM processes ORDER BY process")
        return [Applied(*row) for row in rows]

    def leave(self, process: str) -> None:
        """See `Settings`."""
        if self.path.exists():
            with self._transaction("NORMAL") as db:
                db.execute("DELETE FROM processes WHERE process = ?", (process,))

    def close(self) -> None:
        """See `Settings`."""
        with self._writing, self._reading:
            self._closed = True
            for db in (self._writer, self._reader):
                if db is not None:
                    db.close()
            self._writer = self._reader = None

    def _changes(self, where: str, *values: Any) -> list[Change]:
        return [_read(self.path, row) for row in self._rows(_SELECT + where, *values)]

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._failing(), self._reading:
            db = self._open()
            return [] if db is None else db.execute(sql, values).fetchall()

    def _open(self) -> sqlite3.Connection | None:
        """The connection that reads; None while there is no file."""
        self._still_there()
        if self._reader is None:
            self._ask_closed()
            if not self.path.exists():
                return None
            db = self._connect("ro")
            try:
                made = is_made(db)  # Else a process that makes it has not come to the end, or was killed.
                if made:
                    self._check(db)
                    self._reader, self._file = db, self._named()
            finally:
                if self._reader is None:
                    db.close()
        return self._reader

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        """Statements that are done all, or not at all, one process at a time.

        synchronous : as SQLite's pragma has it
        """
        with self._failing(), self._writing:
            self._still_there()
            if self._writer is None:
                self._writer, self._file = self._make(), self._named()
            db = self._writer
            db.execute(f"PRAGMA synchronous = {synchronous}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    with suppress(sqlite3.Error):  # SQLite has rolled back by itself, or will at the next opening.
                        db.execute("ROLLBACK")
                raise

    def _make(self) -> sqlite3.Connection:
        """The connection that writes; the file and its tables are made where they are missing."""
        self._ask_closed()
        create(self.path, self._mode)
        db = self._connect("rw")
        try:
            if not is_made(db):
                log_ahead(db, _BUSY_S)
                FORM.make_once(db, self._app)
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)

    def _named(self) -> tuple[int, int] | None:
        """The file that has the name now, by device and number; None where none has."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _still_there(self) -> None:
        """Raise Unavailable where the file that is open has lost its name: nobody else would see what is in it."""
        if self._file is not None and not self._closed and self._named() != self._file:
            raise Unavailable(
                f"{self.path} was deleted or replaced while it was in use: stop the processes of this folder, bring "
                "the file back from a backup, and start them again"
            )

    def _check(self, db: sqlite3.Connection) -> None:
        """Raise SettingsError where the file is something else."""
        fault = FORM.fault(db)
        if fault:
            raise SettingsError(f"{self.path} {fault}")
        owner = owner_of(db)
        if owner is None:
            raise SettingsError(f"{self.path} is damaged: it does not say whose settings it holds")
        if self._app and owner and owner != self._app:
            raise SettingsError(f"{self.path} holds the settings of the app {owner}, not of {self._app}")

    def _ask_closed(self) -> None:
        if self._closed:
            raise Unavailable(f"the settings {self.path} are closed")

    def _failing(self) -> AbstractContextManager[None]:
        # A damaged page may read as text that is none, or as rows of other types than the tables allow.
        also = (ValueError, TypeError, OverflowError)
        return failing("settings", self.path, SettingsError, "does not hold settings", also)


def _texts(scope: Scope) -> tuple[str, str]:
    return str(scope.kind), scope.name


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit


def _first(db: sqlite3.Connection, where: str, *values: Any) -> Change | None:
    row = db.execute(_SELECT + where + " LIMIT 1", values).fetchone()
    return None if row is None else of_row(row)


def _read(path: Path, row: Sequence[Any] | Row) -> Change:
    try:
        return of_row(row)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path}: change {row[0]} is damaged or of a newer version ({error})") from error
