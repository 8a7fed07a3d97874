"""Statements in one SQLite file of a data folder, which any number of processes read and write.

A statement is one transaction, on the disk before `append` returns. The file is made by the first one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form, change, failing, opened, owner_of
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Unavailable
from homeostat.ports import Clock
from homeostat.ports.statements import Bounds, StatementsError, append, unknown
from homeostat.records.statements import (
    COLUMNS,
    SALT_BYTES,
    START,
    Row,
    Statement,
    StatementKind,
    checked,
    of_row,
)

FILE = "statements.db"
FORMAT = 1
APPLICATION_ID = 0x686D7177  # "hmqw", in the file's header, where `file` and SQLite look for it.
_BUSY_S = 5.0
_APPEND_ONLY = """CREATE TRIGGER statements_{verb} BEFORE {verb} ON statements
BEGIN SELECT RAISE(ABORT, 'statements are append-only'); END"""
_TABLES = (
    """CREATE TABLE statements (
    number INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, about TEXT NOT NULL,
    topic TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL, actor TEXT NOT NULL, key TEXT NOT NULL,
    refers INTEGER NOT NULL, text_hash TEXT NOT NULL, digest BLOB NOT NULL
) STRICT""",
    "CREATE INDEX statements_kind ON statements (kind, number)",
    "CREATE INDEX statements_refers ON statements (refers, number) WHERE refers > 0",
    "CREATE UNIQUE INDEX statements_key ON statements (key) WHERE key <> ''",
    *(_APPEND_ONLY.format(verb=verb) for verb in ("UPDATE", "DELETE")),
    """CREATE TABLE statement_texts (
    number INTEGER PRIMARY KEY, salt BLOB NOT NULL, text TEXT NOT NULL, contact TEXT NOT NULL
) STRICT""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("statements", APPLICATION_ID, FORMAT, _TABLES)
_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT INTO statements ({_NAMES}, digest) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608
_SELECT = f"""SELECT {", ".join(f"one.{name}" for name in COLUMNS)}, words.text, words.contact
    FROM statements AS one LEFT JOIN statement_texts AS words ON words.number = one.number """  # noqa: S608
_ANSWERED = "EXISTS (SELECT 1 FROM statements AS answer WHERE answer.refers = one.number)"
_OPEN = f"""SELECT count(*) FROM statements AS one WHERE one.kind = 'question' AND NOT {_ANSWERED}"""  # noqa: S608


class SqliteStatements:
    """See `Statements`."""

    def __init__(
        self, folder: Path, *, app: str = "", bounds: Bounds | None = None, clock: Clock | None = None,
        mode: int = FILE_MODE,
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose statements they are; empty to take those of any app
        """
        self.path, self._mode, self._app = folder / FILE, mode, app
        self._bounds, self._clock = bounds or Bounds(), clock or SystemClock()
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._closed = False

    def append(self, one: Statement, expected: int | None = None) -> Statement:
        """See `Statements`."""
        one = checked(one)
        with self._transaction() as db:
            return append(_Table(db), one, expected, self._bounds, os.urandom(SALT_BYTES), self._clock.now_ns())

    def get(self, number: int) -> Statement:
        """See `Statements`."""
        found = self._found("WHERE one.number = ?", number) if 0 < number < 1 << 63 else []
        if not found:
            raise unknown(number)
        return found[0]

    def list(
        self, kind: StatementKind, *, limit: int | None = None, below: int | None = None, from_ns: int | None = None,
        until_ns: int | None = None, is_open: bool | None = None,
    ) -> Sequence[Statement]:  # fmt: skip
        """See `Statements`."""
        where, values = "WHERE one.kind = ?", [str(kind)]
        given: list[Any] = [*values]
        for sql, value in (("number < ?", below), ("at_ns >= ?", from_ns), ("at_ns < ?", until_ns)):
            if value is not None:
                where += f" AND one.{sql}"
                given.append(value)
        if is_open is not None:
            where += f" AND {'NOT ' if is_open else ''}{_ANSWERED}"
        return self._found(where + " ORDER BY one.number DESC LIMIT ?", *given, -1 if limit is None else limit)

    def answers(self, questions: Collection[int]) -> dict[int, Statement]:
        """See `Statements`."""
        wanted, found = sorted(set(questions)), dict[int, Statement]()
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            marks = ", ".join("?" * len(some))
            for one in self._found(f"WHERE one.refers IN ({marks}) ORDER BY one.number", *some):
                found[one.refers] = one
        return found

    def forget(self, number: int) -> None:
        """See `Statements`."""
        self.get(number)
        with self._transaction() as db:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("DELETE FROM statement_texts WHERE number = ?", (number,))

    def head(self) -> tuple[int, str]:
        """See `Statements`."""
        with self._failing():
            db = self._open(make=False)
            sql = "SELECT number, digest FROM statements ORDER BY number DESC LIMIT 1"
            row = None if db is None else db.execute(sql).fetchone()
        return (0, START.hex()) if row is None else (int(row[0]), bytes(row[1]).hex())

    def close(self) -> None:
        """See `Statements`."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
            self._db = None

    def _found(self, where: str, *values: Any) -> Sequence[Statement]:
        with self._failing():
            db = self._open(make=False)
            return [] if db is None else [_read(row) for row in db.execute(_SELECT + where, values).fetchall()]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._failing():
            db = self._open(make=True)
            assert db is not None
            with change(db):
                yield db

    def _open(self, make: bool) -> sqlite3.Connection | None:
        """The connection; None while there is no file that has tables, and none is to be made."""
        if self._closed:
            raise Unavailable(f"the statements {self.path} are closed")
        if self._db is None:
            self._db = opened(self.path, FORM, self._app, self._mode if make else None, _BUSY_S, self._check)
        return self._db

    def _check(self, db: sqlite3.Connection) -> None:
        fault = FORM.fault(db)
        if fault:
            raise StatementsError(f"{self.path} {fault}")
        owner = owner_of(db)
        if self._app and owner and owner != self._app:
            raise StatementsError(f"{self.path} holds the statements of the app {owner}, not of {self._app}")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite and of the disk get their meaning."""
        also = (OverflowError,)  # A time beside the last of all: nothing can come after it.
        with self._lock, failing("statements", self.path, StatementsError, "does not hold statements", also):
            yield


class _Table:
    """See `Table`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def by_key(self, key: str) -> Statement | None:
        """See `Table`."""
        return _first(self._db, "WHERE one.key = ?", key)

    def question(self, number: int) -> Statement | None:
        """See `Table`."""
        return _first(self._db, "WHERE one.number = ? AND one.kind = 'question'", number)

    def answer_to(self, number: int) -> Statement | None:
        """See `Table`."""
        return _first(self._db, "WHERE one.refers = ? ORDER BY one.number DESC", number)

    def last(self) -> tuple[int, int, bytes]:
        """See `Table`."""
        sql = "SELECT number, at_ns, digest FROM statements ORDER BY number DESC LIMIT 1"
        return self._db.execute(sql).fetchone() or (0, 0, START)

    def open_questions(self) -> int:
        """See `Table`."""
        return int(self._db.execute(_OPEN).fetchone()[0])

    def add(self, row: Row, digest: bytes, words: tuple[bytes, str, str] | None) -> None:
        """See `Table`."""
        self._db.execute(_INSERT, (*row, digest))
        if words is not None:
            self._db.execute("INSERT INTO statement_texts VALUES (?, ?, ?, ?)", (row[0], *words))


def _first(db: sqlite3.Connection, where: str, *values: Any) -> Statement | None:
    row = db.execute(_SELECT + where + " LIMIT 1", values).fetchone()
    return None if row is None else _read(row)


def _read(row: Sequence[Any]) -> Statement:
    try:
        return of_row(row[:-2], row[-2], row[-1])
    except (ValueError, TypeError, RecursionError) as error:
        raise StatementsError(f"statement {row[0]} is damaged or of a newer version ({error})") from error
