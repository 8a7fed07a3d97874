"""The journal in one SQLite file.

Each append is one transaction. With `power_safe` off (SQLite's `synchronous=NORMAL`), what `append` returned from
survives any death of the process, `kill -9` included; the machine losing power may cost the last moments. With it on
(`FULL`), each append also waits for the disk.

A batch is stored in pieces of at most `PIECE_ROWS` rows, each an entry of its own, so that one decision is found
without reading a large batch. One process writes; others may read at the same time (`readonly`).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.adapters.disk.sqlite.checkpointer import Checkpointer
from homeostat.adapters.disk.sqlite.entry_file import TIME_MAX, TIME_MIN, EntryFile
from homeostat.adapters.disk.sqlite.entry_memory import EntryMemory, Facts
from homeostat.adapters.disk.sqlite.tables import (
    APP,
    FORMAT,
    OLD_UNTIL,
    OLD_WORDS,
    PAGE_BYTES,
    StoredEntry,
    as_stored,
    coding_of,
    keep_old_words,
    keeps_schemas,
    keeps_times,
    prepare,
    refusal,
    served_of,
    tell,
)
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.ahead import Ahead
from homeostat.adapters.journals.entries import PIECE_ROWS, ById
from homeostat.ports import Clock, Entry, EntryFacts, Unavailable
from homeostat.records import codec
from homeostat.records.arrays import Int
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import SECRET_BYTES, Coding, Identity, Ids, Served
from homeostat.records.rows import outcome_parts, parts
from homeostat.records.schemas import Schemas
from homeostat.records.vocabulary import NAMELESS, Vocabulary

_COMMIT_BYTES = 2 * PAGE_BYTES  # The bytes that the smallest transaction adds to SQLite's log.
_INSERT = "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?)"

__all__ = ["FORMAT", "SqliteJournal"]


class SqliteJournal(ById):
    """An append-only journal. It is a context manager, and not for use by several threads at once."""

    def __init__(
        self,
        path: Path | str,
        *,
        app: str = "",
        words: Vocabulary = NAMELESS,
        power_safe: bool = False,
        readonly: bool = False,
        compress: int = compression.LZ4,
        bulk: bool = False,
        secret: bytes | None = None,
        mode: int = FILE_MODE,
        clock: Clock | None = None,
    ) -> None:
        """Open, or create, a journal; one at `:memory:` lasts as long as the object.

        words : the app's names, for entries of a version that kept none: those at the first opening for writing by a
            version that does are kept for good
        mode : who may read and write files that are created
        bulk : for a run that writes large batches and nobody reads meanwhile: bytes go into the file itself, once, and
            on the disk for sure only after `flush`. A killed process loses nothing appended in this way either
        clock : says when an entry is recorded; None for entries that do not say it, so that two replays have the same
            bytes
        secret : of a new journal's coding; drawn where none is given. One that exists keeps its own

        Raises JournalError for a file that isn't this app's journal, Unavailable when the file can't be opened
        or another process is writing to it.
        """
        self.path = Path(path)
        self._words, self._schemas = words, Schemas(legacy=words, ask=lambda digest: self._file.schema_text(digest))
        self._app, self._power_safe, self._readonly, self._compress = app, power_safe, readonly, compress
        self._bulk, self._mode = bulk and not readonly, mode
        self._secret, self._clock = secret, clock
        self._file = EntryFile(self.path, self._schemas)
        self._known, self._ahead = EntryMemory(self._file), Ahead()
        self._in_memory = in_memory = str(path) == ":memory:"
        self._lock = None if readonly or in_memory else FileLock(self.path.with_name(self.path.name + ".lock"), mode)
        self._checkpointer = None if in_memory or self._bulk else Checkpointer(self.path)
        try:
            self._file.db = db = self._open()
            self._known.catch_up(self._is_old)
            self._keep_old_words(db)
        except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError) as error:
            # A damaged page may read as text that is none, or as a table without the row that must be there.
            self.close()
            raise refusal(error, self.path) from error
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """The last entry's sequence number, 0 when there is none; where others write the file, as it is now."""
        last = self._file.last() if self._readonly and self._file.db is not None else None
        return self._known.last if last is None else last

    @property
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes here."""
        return self._coding

    @property
    def served(self) -> Served | None:
        """The secret of a server that goes on in a replay's folder; None where that is no replay's."""
        return self._served

    @property
    def file(self) -> EntryFile:
        """Its entries, as queries find them; asked by one thread at a time, as the journal is."""
        return self._file

    @property
    def where(self) -> str:
        """Its file."""
        return str(self.path)

    @property
    def app(self) -> str:
        """The app whose journal it is; empty where it does not say."""
        return self.about(APP) or ""

    @property
    def unnamed(self) -> int:
        """The last entry of a version that kept no names, 0 where there is none: see `words`."""
        return int(self.about(OLD_UNTIL) or 0) if self._file.keeps_schemas else self._known.last

    def assume(self, words: Vocabulary) -> None:
        """Take these for the names of entries of a version that kept none, as long as no others are known."""
        if self._schemas.legacy.nameless:
            self._schemas.legacy = words

    def about(self, name: str) -> str | None:
        """A fact that the journal keeps about itself under a name."""
        return self._file.about(name)

    def say(self, name: str, value: str) -> None:
        """Let the journal say something of itself, once and for all. Raises Unavailable."""
        try:
            tell(self._writable(), name, value)
        except sqlite3.Error as error:
            raise refusal(error, self.path) from error

    @property
    def index_bytes(self) -> int:
        """The memory that the index of event ids takes."""
        return self._known.ids.nbytes

    def __len__(self) -> int:
        """How many different event ids have been decided."""
        return len(self._known.ids)

    def append(self, body: Body) -> int:
        """Write durably, all or nothing, and return the (last) entry's sequence number.

        Raises Unavailable when the world fails, having written nothing; the next append may succeed.
        """
        db = self._writable()
        pieces: list[Body]
        if len(body) <= PIECE_ROWS or isinstance(body, ChangeBatch):
            pieces = [body]
        elif isinstance(body, DecisionBatch):
            pieces = list(parts(body, PIECE_ROWS))
        else:
            pieces = list(outcome_parts(body, PIECE_ROWS))
        try:
            if self._known.behind:
                self._known.catch_up(self._is_old)
            stored: list[tuple[Facts, Ids | None]] = []
            size = _COMMIT_BYTES
            schema = codec.schema_of(body)
            new = schema.digest not in self._schemas
            if len(pieces) > 1 or new:  # A single statement is a transaction by itself.
                db.execute("BEGIN IMMEDIATE")
            if new:
                db.execute("INSERT OR IGNORE INTO schemas VALUES (?, ?)", (schema.digest, schema.text))
            recorded_us = None if self._clock is None else self._clock.now_ns() // 1000
            first = self._known.last + 1

            def made(at: int) -> tuple[StoredEntry, Ids | None]:
                return as_stored(first + at, pieces[at], self._compress, schema, recorded_us)

            for piece, (row, ids) in zip(pieces, self._ahead.each(made, range(len(pieces))), strict=True):
                db.execute(_INSERT, row)
                took_us = piece.took_us if isinstance(piece, DecisionBatch) else 0.0
                stored.append(((*row[:6], took_us, recorded_us), ids))
                size += len(row[8])
            if len(pieces) > 1 or new:
                db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(db)
            raise refusal(error, self.path) from error
        except BaseException:
            self._undo(db)
            raise
        self._schemas.add(schema)
        for facts, ids in stored:
            self._known.add(facts, ids)
        if self._checkpointer is not None:
            self._checkpointer.appended(size)
        return self._known.last

    def flush(self) -> None:
        """Wait until everything appended is on the disk: before a snapshot that says it is, above all.

        Any thread may call it while another appends. All that no checkpoint has copied is in the log beside the file,
        and a checkpoint ends when its copy is on the disk. So nothing is copied here, and no append waits.
        """
        if self._in_memory:
            return
        try:
            with suppress(FileNotFoundError):  # There is no log before the first append.
                _sync(self.path if self._bulk else self.path.with_name(f"{self.path.name}-wal"))
        except OSError as error:
            raise refusal(error, self.path) from error

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a sequence number above `after`, in order. Raises JournalError at one that is damaged."""
        return self._file.read(after, self._known.last, self.checked_each)

    def facts(self, after: int = 0) -> Iterator[EntryFacts]:
        """The facts of every entry above `after`, in order."""
        return self._file.facts(after)

    def recent(self, after: int) -> Iterable[EntryFacts]:
        """The same, without reading the file where the last appends are all that is asked for."""
        known = None if self._file.db is None else self._known.recent(after)
        return self.facts(after) if known is None else known

    def says(self) -> dict[str, str]:
        """The facts that the journal keeps about itself, by name; some of them may be secret."""
        return self._file.says()

    def stated(self, sequence: int) -> str | None:
        """The digest that stands beside an entry; None where there is no such entry."""
        return self._file.stated(sequence)

    def history(self, sequence: int) -> str:
        """SHA-256 over the digests of the entries up to one, in order: it is of this history, and of no other."""
        known = self._known.history(sequence)
        return sha256(b"".join(self._file.digests(sequence))).hexdigest() if known is None else known

    def seen(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(n,) whether each event id has been decided."""
        return self._known.ids.entries(ids) > 0

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`."""
        return self._file.find_all(ids, self._known.ids.entries(ids))

    def sequence_of(self, event_id: Identity) -> int | None:
        """See `StandingJournal`."""
        return int(self._known.ids.entries(Ids.of([event_id]))[0]) or None

    def decisions(
        self, since_ns: int = TIME_MIN, until_ns: int = TIME_MAX, actions: Sequence[int] | None = None
    ) -> Iterator[tuple[DecisionBatch, Int]]:
        """Batches with the rows in them whose event time is in [since_ns, until_ns) and whose action is asked for."""
        return self._file.decisions(since_ns, until_ns, actions)

    def newest(self, until: int | None = None) -> DecisionBatch | None:
        """The batch that was decided last, up to an entry; None where none was. Raises JournalError."""
        return self._file.newest(self._known.last if until is None else until)

    def changes(self, until: int | None = None) -> list[Change]:
        """The changes that were applied, in order, up to an entry. Raises JournalError."""
        return self._file.changes(self._known.changes(until))

    def newest_ns(self) -> int | None:
        """The latest event time of a decision; None where there is none."""
        return self._file.newest_ns()

    def close(self) -> None:
        """Close the file and let another process write."""
        self._ahead.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self._file.db is not None:
            self._file.db.close()
            self._file.db = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> SqliteJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        if self._lock is not None:
            self._lock.acquire(f"another process is writing to the journal {self.path}: stop it, or use another folder")
        elif self._readonly and not self.path.exists():
            raise Unavailable(f"there is no journal {self.path}")
        if not self._readonly and not self._in_memory:
            create(self.path, self._mode)  # SQLite gives the files that it puts beside it the same mode.
        location = self.path.absolute().as_uri() + f"?mode={'ro' if self._readonly else 'rwc'}"
        if self._in_memory:
            location = ":memory:"
        db = sqlite3.connect(location, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        self._schemas.legacy = prepare(
            db, self.path, app=self._app, words=self._words, readonly=self._readonly, bulk=self._bulk,
            secret=self._secret,
        )  # fmt: skip
        coding = coding_of(db, self.path)
        self._is_old, self._coding = coding is None, coding or Coding(secrets.token_bytes(SECRET_BYTES))
        self._schemas.coding = self._coding
        self._served = served_of(db, self.path)
        self._file.keeps_schemas, self._file.keeps_times = keeps_schemas(db), keeps_times(db)
        if not self._readonly:
            db.execute(f"PRAGMA journal_mode = {'DELETE' if self._bulk else 'WAL'}")
            waits = "OFF" if self._bulk else "FULL" if self._power_safe else "NORMAL"
            db.execute(f"PRAGMA synchronous = {waits}")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # The checkpointer does it.

    def _keep_old_words(self, db: sqlite3.Connection) -> None:
        """Keep the app's names for entries that have none, unless they can't be theirs."""
        until = 0 if self._readonly or self._words.nameless or self.about(OLD_WORDS) else self.unnamed
        newest = self.newest(until) if until else None
        if newest is not None and newest.words.entities == self._words.entities:
            keep_old_words(db, self._words)

    def _writable(self) -> sqlite3.Connection:
        if self._file.db is None:
            raise Unavailable(f"the journal {self.path} is closed")
        if self._readonly:
            raise Unavailable(f"the journal {self.path} was opened for reading only")
        return self._file.db

    def _undo(self, db: sqlite3.Connection) -> None:
        self._known.behind = True
        if db.in_transaction:
            try:
                db.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite has rolled back by itself already, or will when the file is opened again.
                return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
