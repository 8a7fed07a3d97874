"""The tables of a journal in SQLite: made in one transaction, brought up to date, and what SQLite's errors mean."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from homeostat.adapters.disk.sqlite.database import advice_on
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import JournalError, beside_body, decoded
from homeostat.ports import Unavailable
from homeostat.records import codec
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import SECRET_BYTES, Coding, Ids, Served
from homeostat.records.schemas import Schema, Schemas, read_words, words_text
from homeostat.records.vocabulary import NAMELESS, Vocabulary

FORMAT = 4
TIMELESS_FORMAT = 3  # It does not say when an entry was recorded.
NAMELESS_FORMAT = 2  # Nor does this one; its bodies are of format 1, and it keeps no schemas.
FORMATS = (NAMELESS_FORMAT, TIMELESS_FORMAT, FORMAT)
APPLICATION_ID = 0x686D7374  # "hmst", in the file's header, where `file` and SQLite look for it.
PAGE_BYTES = 8192
_BULK_PAGE_BYTES = 65536  # A quarter of the time of smaller pages for large batches; a single row would fill a page.
READS = f"this version reads formats {', '.join(map(str, FORMATS[:-1]))} and {FORMAT}"
_OUTCOME = int(Row.OUTCOME)
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")  # An ERROR: a table of the schema isn't there.

_TABLES = """
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY, kind INTEGER NOT NULL, rows INTEGER NOT NULL,
    first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, digest BLOB NOT NULL, ids BLOB NOT NULL,
    codec INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
_SCHEMAS = "CREATE TABLE schemas (hash BLOB PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;"
_CHECKS = "ALTER TABLE entries ADD COLUMN checks BLOB NOT NULL DEFAULT x''"
_RECORDED = "ALTER TABLE entries ADD COLUMN recorded_us INTEGER"
_TRIGGER = """CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"""
# Rows of `about`: whose journal it is; the last entry of a version that kept no names, and the names of those entries;
# that a replay made it, and that a server has gone on with it since; the secret by which texts became codes; the one
# that such a server has drawn for chance, and the last entry before that.
APP, OLD_UNTIL, OLD_WORDS, REPLAYED, SERVED = "app", "format_1_until", "format_1_words", "replayed", "served"
SECRET, SERVED_SECRET, SERVED_AFTER = "secret", "served_secret", "served_after"
LEARNED_UNTIL = "learned_until"  # The moment of a replay that learned from the events before it, and decided none.
_HASHED_FROM = 1 << 62  # In format 2, codes from here on were hashes of texts, without a secret.


def prepare(
    db: sqlite3.Connection,
    path: Path,
    *,
    app: str,
    words: Vocabulary,
    readonly: bool,
    bulk: bool,
    secret: bytes | None = None,
) -> Vocabulary:
    """Make the tables where there are none, and bring them up to date, each in one transaction.

    secret : of a new journal, or of one that has none yet; drawn where none is given
    Returns the names of the entries of format 1: those kept for them, else the app's of now.
    Raises JournalError where the file is something else.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == 0 and tables == 0 and not readonly:
        _create(db, app, bulk, secret=secret)
    elif application != APPLICATION_ID:
        raise JournalError(f"{path} is not a homeostat journal")
    elif version not in FORMATS:
        raise JournalError(f"{path} has format {version}; {READS}")
    elif version != FORMAT and not readonly:
        if version == NAMELESS_FORMAT:
            _keep_schemas(db, secret)
        _keep_times(db)
    owner = about(db, APP)
    if owner is None and not readonly:
        _finish(db, path, app)
    elif app and owner and owner != app:
        raise JournalError(f"{path} is the journal of the app {owner}, not of {app}")
    if not readonly and not bulk and about(db, REPLAYED) is not None:
        _serve(db)
    kept = about(db, OLD_WORDS)
    return _unversioned(words) if kept is None else read_words(kept)


def keep_old_words(db: sqlite3.Connection, words: Vocabulary) -> None:
    """Let these be the names of the entries of format 1 for good."""
    tell(db, OLD_WORDS, words_text(_unversioned(words)))


def about(db: sqlite3.Connection, name: str) -> str | None:
    """A fact that the journal keeps about itself under a name."""
    row = db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def coding_of(db: sqlite3.Connection, path: Path) -> Coding | None:
    """How texts become codes there; None of an old journal that is only read. Raises JournalError."""
    secret = about(db, SECRET)
    if secret is None and not keeps_schemas(db):
        return None
    try:
        return Coding(bytes.fromhex(secret or ""))
    except ValueError:
        raise JournalError(f"{path} has lost its secret: restore the file from a copy") from None


def served_of(db: sqlite3.Connection, path: Path) -> Served | None:
    """The secret that a server has drawn in a replay's journal; None where none has. Raises JournalError."""
    secret, after = about(db, SERVED_SECRET), about(db, SERVED_AFTER)
    if secret is None and after is None:
        return None
    try:
        return Served(int(after or ""), Coding(bytes.fromhex(secret or "")))
    except ValueError:
        raise JournalError(f"{path} has lost the secret of its server: restore the file from a copy") from None


def keeps_schemas(db: sqlite3.Connection) -> bool:
    """Whether there is a table of schemas: an old journal that is only read has none."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'schemas'").fetchone()[0])


def keeps_times(db: sqlite3.Connection) -> bool:
    """Whether it has the column of times of recording: an old journal that is only read has none."""
    return any(row[1] == "recorded_us" for row in db.execute("PRAGMA table_info('entries')"))


def structure(db: sqlite3.Connection | None, version: int = FORMAT) -> dict[str, object]:
    """The tables and triggers of a journal, by name, in a form that can be compared; None for those of a new one.

    version : the new one's format
    """
    if db is None:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as blank:
            _create(blank, "", bulk=False, version=version)
            return structure(blank)
    out: dict[str, object] = {}
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        out[f"{kind} {name}"] = db.execute(f"PRAGMA table_xinfo('{name}')").fetchall() if kind == "table" else sql
    return out


def refusal(error: Exception, path: Path) -> Exception:
    """The meaning of an error of SQLite for the caller."""
    if isinstance(error, OSError):
        return Unavailable(f"the journal {path} failed: {error}: the disk refuses to write or read")
    name = getattr(error, "sqlite_errorname", "")
    if not isinstance(error, sqlite3.Error) or name.startswith(_DAMAGE):
        return JournalError(f"{path} is damaged or is not a journal ({error})")
    advice = advice_on(error)
    return Unavailable(f"the journal {path} failed: {error}" + (f": {advice}" if advice else ""))


def _create(db: sqlite3.Connection, app: str, bulk: bool, version: int = FORMAT, secret: bytes | None = None) -> None:
    """All of it in one transaction, so that a process that is killed has made a journal or nothing."""
    db.execute(f"PRAGMA page_size = {_BULK_PAGE_BYTES if bulk else PAGE_BYTES}")
    with _transaction(db):
        for statement in _TABLES.split(";\n"):
            db.execute(statement)
        _make_append_only(db, "entries", "about")
        if version >= TIMELESS_FORMAT:
            db.execute(_SCHEMAS)
            db.execute(_CHECKS)
            _make_append_only(db, "schemas")
            tell(db, SECRET, _drawn(secret).hex())
        if version == FORMAT:
            db.execute(_RECORDED)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {version}")
        tell(db, APP, app)
        if bulk:
            tell(db, REPLAYED, "yes")


def _serve(db: sqlite3.Connection) -> None:
    """Say that a server goes on with a replay's journal, and draw what chance depends on from here on.

    The secret of a replay follows from its seed, so that anyone can make the replay again, and foresee its chances.
    """
    if about(db, SERVED_SECRET) is not None:
        return
    with _transaction(db):
        if about(db, SERVED) is None:
            tell(db, SERVED, "yes")
        last = db.execute("SELECT max(sequence) FROM entries").fetchone()[0]
        tell(db, SERVED_SECRET, _drawn(None).hex())
        tell(db, SERVED_AFTER, str(last or 0))


def _finish(db: sqlite3.Connection, path: Path, app: str) -> None:
    """Say whose journal it is, where version 0.1.0 was killed between making the tables and saying that."""
    if db.execute("SELECT count(*) FROM entries").fetchone()[0]:
        raise JournalError(f"{path} is damaged: it holds entries and does not say of which app")
    tell(db, APP, app)


def _drawn(secret: bytes | None) -> bytes:
    return secrets.token_bytes(SECRET_BYTES) if secret is None else secret


def _keep_schemas(db: sqlite3.Connection, secret: bytes | None) -> None:
    """From format 2 to 3: a table of schemas, a secret, and ids by it."""
    coding = Coding(_drawn(secret))
    with _transaction(db):
        db.execute(_SCHEMAS)
        db.execute(_CHECKS)
        _make_append_only(db, "schemas")
        tell(db, SECRET, coding.secret.hex())
        _rename_ids(db, coding)
        last = db.execute("SELECT max(sequence) FROM entries").fetchone()[0]
        if last is not None:
            tell(db, OLD_UNTIL, str(last))
        db.execute(f"PRAGMA user_version = {TIMELESS_FORMAT}")


def _keep_times(db: sqlite3.Connection) -> None:
    """From format 3 to 4: a column of times. Entries that are there already have none: nobody knows theirs."""
    with _transaction(db):
        db.execute(_RECORDED)
        db.execute(f"PRAGMA user_version = {FORMAT}")


def _rename_ids(db: sqlite3.Connection, coding: Coding) -> None:
    """The ids of entries that decided events named by texts, by the new coding; bodies stay as they are."""
    schemas, (trigger,) = Schemas(coding=coding), [t for t in _triggers("entries") if " BEFORE UPDATE " in t]
    db.execute("DROP TRIGGER entries_UPDATE")
    for sequence, ids in db.execute("SELECT sequence, ids FROM entries").fetchall():
        if len(ids) % 8 == 0 and int(np.frombuffer(ids, np.int64).max(initial=0)) >= _HASHED_FROM:
            stored = db.execute("SELECT codec, body FROM entries WHERE sequence = ?", (sequence,)).fetchone()
            body = decoded("the old journal", schemas, sequence, *stored)
            assert isinstance(body, DecisionBatch), "an entry of outcomes has ids"
            sql = "UPDATE entries SET ids = ?, checks = ? WHERE sequence = ?"
            db.execute(sql, (*id_bytes(decided_ids(body)), sequence))
    db.execute(trigger)


def _unversioned(words: Vocabulary) -> Vocabulary:
    """The names alone: this program was not the one that wrote the old entries."""
    return NAMELESS if words.nameless else Vocabulary(words.entities, words.fields, words.actions, words.rules)


def tell(db: sqlite3.Connection, name: str, value: str) -> None:
    """Let the journal say something of itself, once and for all."""
    db.execute("INSERT INTO about VALUES (?, ?)", (name, value))


def _make_append_only(db: sqlite3.Connection, *tables: str) -> None:
    for table in tables:
        for trigger in _triggers(table):
            db.execute(trigger)


def _triggers(table: str) -> list[str]:
    return [_TRIGGER.format(table=table, verb=verb) for verb in ("UPDATE", "DELETE")]


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Statements that are done all, or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


StoredEntry = tuple[int, int, int, int, int, bytes, bytes, int, bytes, bytes, int | None]
"""One entry as the table `entries` has it."""


def as_stored(
    sequence: int, piece: Body, compress: int, schema: Schema, recorded_us: int | None = None
) -> tuple[StoredEntry, Ids | None]:
    """An entry's row, and the ids that were decided; None where it holds outcomes."""
    body = codec.encode(piece, schema)
    kind, rows, first, last = beside_body(piece)
    ids = decided_ids(piece) if isinstance(piece, DecisionBatch) else None
    codes, checks = (b"", b"") if ids is None else id_bytes(ids)
    stored = compression.pack(body, compress)
    return (sequence, kind, rows, first, last, body[32:64], codes, *stored, checks, recorded_us), ids


def id_bytes(ids: Ids) -> tuple[bytes, bytes]:
    """Ids as the columns `ids` and `checks` hold them; integers have no checks."""
    return ids.code.tobytes(), ids.check.tobytes() if np.count_nonzero(ids.check) else b""


def decided_ids(batch: DecisionBatch) -> Ids:
    """The ids of the rows that are decisions."""
    kind, ids = batch.events.kind, batch.events.ids
    if len(kind) == 1:
        return ids if kind[0] != _OUTCOME else ids[:0]
    return ids if not (kind == _OUTCOME).any() else ids[kind != _OUTCOME]
