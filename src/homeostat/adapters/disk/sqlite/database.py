"""An SQLite file, whatever it holds: how it is made, whether that came to its end, and what helps where it fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.files import create
from homeostat.adapters.process.pause import pause
from homeostat.errors import HomeostatError, Unavailable

_LOOK_S = 0.005
_ADVICE = {
    "SQLITE_FULL": "free some space on the disk",
    "SQLITE_READONLY": "the file or its folder can't be written to",
    "SQLITE_CANTOPEN": "the file or its folder can't be opened",
    "SQLITE_BUSY": "another program holds the file",
    "SQLITE_IOERR": "the disk refuses to write or read",
}


def advice_on(error: BaseException) -> str:
    """A sentence on the disk or the file that failed; empty where the error is of another kind."""
    name = getattr(error, "sqlite_errorname", "")
    return next((text for prefix, text in _ADVICE.items() if name.startswith(prefix)), "")


def is_made(db: sqlite3.Connection) -> bool:
    """Whether a file has tables: its maker came to the end."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an app's file, as its head says it.

    holds : its content, in a word
    application_id, version : SQLite's marks of the program and of the form
    tables : the statements that make them
    owned : whether a table `about` says whose app's file it is
    """

    holds: str
    application_id: int
    version: int
    tables: tuple[str, ...]
    owned: bool = True

    def make(self, db: sqlite3.Connection, app: str = "") -> None:
        """Make the tables in an empty file, within a transaction."""
        for statement in self.tables:
            db.execute(statement)
        if self.owned:
            db.execute("INSERT INTO about VALUES ('app', ?)", (app,))
        db.execute(f"PRAGMA user_version = {self.version}")
        db.execute(f"PRAGMA application_id = {self.application_id}")

    def make_once(self, db: sqlite3.Connection, app: str = "") -> None:
        """All of it in one transaction, unless another process was faster: a killed one has made all or nothing."""
        db.execute("BEGIN EXCLUSIVE")
        try:
            if not is_made(db):
                self.make(db, app)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def fault(self, db: sqlite3.Connection) -> str:
        """The end of a sentence on a file of another form; empty where it has this one."""
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != self.application_id:
            return f"does not hold {self.holds} of homeostat"
        if version != self.version:
            return f"has format {version}; this version reads format {self.version}"
        return ""


@contextmanager
def failing(
    what: str, path: Path, damaged: type[HomeostatError], is_no: str, also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Give errors of SQLite and of the disk their meaning: Unavailable, or that a file is damaged.

    what : the file holds, in words; is_no : how a sentence ends on a file that holds something else
    also : errors that a damaged page may bring about, beside SQLite's and text that is none
    """
    meant: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError, *also)
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the {what} {path} failed: {error}") from error
    except meant as error:
        advice = advice_on(error)
        if not advice:
            raise damaged(f"{path} is damaged or {is_no} ({error})") from error
        raise Unavailable(f"the {what} {path} failed: {error}: {advice}") from error


def owner_of(db: sqlite3.Connection) -> str | None:
    """The app whose file it is; empty for any, None where the file does not say it."""
    row = db.execute("SELECT value FROM about WHERE name = 'app'").fetchone()
    return None if row is None else row[0]


def log_ahead(db: sqlite3.Connection, patience_s: float) -> None:
    """Let readers and the writer of a file not wait for each other: its log is written ahead.

    Where several processes ask for that at once, SQLite refuses all but one, and does not wait as it does elsewhere.
    So this asks again for a while. Raises sqlite3.Error.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= until:
                raise
        pause(_LOOK_S)


@contextmanager
def change(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction that nobody else's comes between."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself, or will at the next opening.
                db.execute("ROLLBACK")
        raise


def opened(
    path: Path, form: Form, app: str, mode: int | None, patience_s: float, check: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection | None:
    """A connection for any thread to a file of this form; None while there is no file that has tables.

    mode : the file's permissions, where it is to be made; None where it is not
    check : raises where the file is not the one that is wanted
    Raises sqlite3.Error, OSError, and all that `check` raises.
    """
    if mode is not None:
        create(path, mode)
    elif not path.exists():
        return None
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=patience_s, isolation_level=None, check_same_thread=False)
    try:
        if not is_made(db):
            if mode is None:
                db.close()
                return None
            log_ahead(db, patience_s)
            form.make_once(db, app)
        check(db)
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db
