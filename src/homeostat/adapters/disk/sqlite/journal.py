"""The journal in one SQLite file.

Each append is one transaction. With `power_safe` off (SQLite's `synchronous=NORMAL`), what `append` returned from
survives any death of the process, `kill -9` included; the machine losing power may cost the last moments. With it on
(`FULL`), each append also waits for the disk.

A batch is stored in pieces of at most `PIECE_ROWS` rows, each an entry of its own, so that one decision is found
without reading a large batch. One process writes; others may read at the same time (`readonly`).
"""

from __future__ import annotations

import itertools
import os
import secrets
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.adapters.disk.sqlite.checkpointer import Checkpointer
from homeostat.adapters.disk.sqlite.id_index import IdIndex
from homeostat.adapters.disk.sqlite.tables import (
    APP,
    FORMAT,
    OLD_UNTIL,
    OLD_WORDS,
    PAGE_BYTES,
    as_stored,
    coding_of,
    decided_ids,
    id_bytes,
    keep_old_words,
    keeps_schemas,
    prepare,
    refusal,
    served_of,
    tell,
)
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import (
    PIECE_ROWS,
    TOOK_OF_BODY,
    ById,
    EntryFacts,
    JournalError,
    decoded,
    took_us_of,
)
from homeostat.ports import Entry, Unavailable
from homeostat.records import codec
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, row_of
from homeostat.records.identity import SECRET_BYTES, Coding, Ids, Served, is_hashed
from homeostat.records.rows import outcome_parts, parts
from homeostat.records.schemas import Schemas
from homeostat.records.vocabulary import NAMELESS, Vocabulary

_COMMIT_BYTES = 2 * PAGE_BYTES  # What the smallest transaction adds to SQLite's log.
_RECENT = 256  # Entries whose facts are kept for the audit trail, which follows more closely than that.
_TIME_MIN, _TIME_MAX = -(1 << 63), (1 << 63) - 1

_Facts = tuple[int, int, int, int, int, bytes, float]  # As EntryFacts, with the digest's own bytes.
_Stored = tuple[_Facts, Ids | None]
_INSERT = "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)"

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
    ) -> None:
        """Open, or create, a journal; one at `:memory:` lasts as long as the object.

        words : the app's names, for entries of a version that kept none: those at the first opening for writing by a
            version that does are kept for good
        mode : who may read and write files that are created
        bulk : for a run that writes large batches and nobody reads meanwhile: bytes go into the file itself, once, and
            on the disk for sure only after `flush`. A killed process loses nothing appended in this way either
        secret : of a new journal's coding; drawn where none is given. One that exists keeps its own

        Raises JournalError for a file that isn't this app's journal, Unavailable when the file can't be opened
        or another process is writing to it.
        """
        self.path = Path(path)
        self._words, self._schemas = words, Schemas(legacy=words, ask=self._schema_text)
        self._app, self._power_safe, self._readonly, self._compress = app, power_safe, readonly, compress
        self._bulk, self._mode = bulk and not readonly, mode
        self._secret = secret
        self._ids = IdIndex()
        self._history = sha256()  # Over the digests of all entries, in order.
        self._last = 0
        self._recent: deque[_Facts] = deque(maxlen=_RECENT)  # Of what this object appended, without a gap.
        self._behind = False  # After a failed append, whether it was written is asked of the file itself.
        self._in_memory = in_memory = str(path) == ":memory:"
        self._lock = None if readonly or in_memory else FileLock(self.path.with_name(self.path.name + ".lock"), mode)
        self._checkpointer = None if in_memory or self._bulk else Checkpointer(self.path)
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._open()
            self._catch_up()
            self._keep_old_words(self._db)
        except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError) as error:
            # A damaged page may read as text that is none, or as a table without the row that must be there.
            self.close()
            raise refusal(error, self.path) from error
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """The last entry's sequence number, 0 when there is none."""
        return self._last

    @property
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes here."""
        return self._coding

    @property
    def served(self) -> Served | None:
        """The secret of a server that goes on in a replay's folder; None where that is no replay's."""
        return self._served

    @property
    def app(self) -> str:
        """The app whose journal it is; empty where it does not say."""
        return self.about(APP) or ""

    @property
    def unnamed(self) -> int:
        """The last entry of a version that kept no names, 0 where there is none: see `words`."""
        return int(self.about(OLD_UNTIL) or 0) if self._keeps_schemas else self._last

    def assume(self, words: Vocabulary) -> None:
        """Take these for the names of entries of a version that kept none, as long as no others are known."""
        if self._schemas.legacy.nameless:
            self._schemas.legacy = words

    def about(self, name: str) -> str | None:
        """What the journal says of itself under a name."""
        row = self._one("SELECT value FROM about WHERE name = ?", name)
        return None if row is None else str(row[0])

    def say(self, name: str, value: str) -> None:
        """Let the journal say something of itself, once and for all. Raises Unavailable."""
        try:
            tell(self._writable(), name, value)
        except sqlite3.Error as error:
            raise refusal(error, self.path) from error

    @property
    def index_bytes(self) -> int:
        """The memory that the index of event ids takes."""
        return self._ids.nbytes

    def __len__(self) -> int:
        """How many different event ids have been decided."""
        return len(self._ids)

    def append(self, body: DecisionBatch | OutcomeBatch) -> int:
        """Write durably, all or nothing, and return the (last) entry's sequence number.

        Raises Unavailable when the world fails, having written nothing; the next append may succeed.
        """
        db = self._writable()
        pieces: list[DecisionBatch | OutcomeBatch]
        if len(body) <= PIECE_ROWS:
            pieces = [body]
        elif isinstance(body, DecisionBatch):
            pieces = list(parts(body, PIECE_ROWS))
        else:
            pieces = list(outcome_parts(body, PIECE_ROWS))
        try:
            if self._behind:
                self._catch_up()
            stored: list[_Stored] = []
            size = _COMMIT_BYTES
            schema = codec.schema_of(body)
            new = schema.digest not in self._schemas
            if len(pieces) > 1 or new:  # A single statement is a transaction by itself.
                db.execute("BEGIN IMMEDIATE")
            if new:
                db.execute("INSERT OR IGNORE INTO schemas VALUES (?, ?)", (schema.digest, schema.text))
            for sequence, piece in enumerate(pieces, self._last + 1):
                row, ids = as_stored(sequence, piece, self._compress, schema)
                db.execute(_INSERT, row)
                stored.append(((*row[:6], piece.took_us if isinstance(piece, DecisionBatch) else 0.0), ids))
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
            if ids is not None:
                self._ids.put_all(ids, facts[0])
            self._recent.append(facts)
            self._history.update(facts[5])
        self._last += len(pieces)
        if self._checkpointer is not None:
            self._checkpointer.appended(size)
        return self._last

    def flush(self) -> None:
        """Wait until everything appended is on the disk: before a snapshot that says it is, above all."""
        try:
            self._writable().execute("PRAGMA wal_checkpoint(FULL)").fetchall()
            if self._bulk and not self._in_memory:
                _sync(self.path)
        except (sqlite3.Error, OSError) as error:
            raise refusal(error, self.path) from error

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a sequence number above `after`, in order. Raises JournalError at one that is damaged."""
        while True:
            row = self._one("SELECT sequence, codec, body FROM entries WHERE sequence > ? ORDER BY sequence", after)
            if row is None:
                if after < self._last:
                    raise JournalError(f"{self.path}: entry {after + 1} is missing")
                return
            if row[0] != after + 1:
                raise JournalError(f"{self.path}: entry {after + 1} is missing")
            after = row[0]
            yield Entry(after, decoded(str(self.path), self._schemas, *row))

    def facts(self, after: int = 0) -> Iterator[EntryFacts]:
        """The facts of every entry above `after`, in order."""
        sql = f"""SELECT sequence, kind, rows, first_ns, last_ns, digest, codec, {TOOK_OF_BODY} FROM entries
            WHERE sequence > ? ORDER BY sequence"""  # noqa: S608
        for sequence, kind, rows, first_ns, last_ns, digest, stored_as, start in self._all(sql, after):
            took = took_us_of(str(self.path), sequence, stored_as, start)
            yield EntryFacts(sequence, kind, rows, first_ns, last_ns, digest.hex(), took)

    def recent(self, after: int) -> Iterable[EntryFacts]:
        """The same, without reading the file where the last appends are all that is asked for."""
        missing = self._last - after
        if self._db is None or self._behind or not 0 <= missing <= len(self._recent):
            return self.facts(after)
        asked = itertools.islice(self._recent, len(self._recent) - missing, None)
        return [EntryFacts(*facts[:5], facts[5].hex(), facts[6]) for facts in asked]

    def says(self) -> dict[str, str]:
        """What the journal says of itself, by name; some of it may be secret."""
        return dict(self._all("SELECT name, value FROM about"))

    def stated(self, sequence: int) -> str | None:
        """The digest that stands beside an entry; None where there is no such entry."""
        row = self._one("SELECT digest FROM entries WHERE sequence = ?", sequence)
        return None if row is None else bytes(row[0]).hex()

    def history(self, sequence: int) -> str:
        """SHA-256 over the digests of the entries up to one, in order: it is of this history, and of no other."""
        if sequence == self._last and not self._behind:
            return self._history.hexdigest()
        history = sha256()
        for (digest,) in self._all("SELECT digest FROM entries WHERE sequence <= ? ORDER BY sequence", sequence):
            history.update(digest)
        return history.hexdigest()

    def seen(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(n,) whether each event id has been decided."""
        return self._ids.entries(ids) > 0

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(ids)
        entries = self._ids.entries(ids)
        for sequence in np.unique(entries[entries != 0]).tolist():
            stored = self._one("SELECT sequence, codec, body FROM entries WHERE sequence = ?", sequence)
            if stored is None:
                raise JournalError(f"{self.path}: entry {sequence} is missing")
            batch = decoded(str(self.path), self._schemas, *stored)
            if not isinstance(batch, DecisionBatch):
                raise JournalError(f"{self.path}: entry {sequence} holds no decisions")
            for k in np.flatnonzero(entries == sequence).tolist():
                row = row_of(batch.events, ids.at(k))
                if row is None:
                    raise JournalError(f"{self.path}: entry {sequence} does not hold the event that it is indexed for")
                out[k] = batch, row
        return out

    def decisions(
        self, since_ns: int = _TIME_MIN, until_ns: int = _TIME_MAX, actions: Sequence[int] | None = None
    ) -> Iterator[tuple[DecisionBatch, Int]]:
        """Batches with the rows in them whose event time is in [since_ns, until_ns) and whose action is asked for."""
        sql = """SELECT sequence FROM entries WHERE kind = ? AND last_ns >= ? AND first_ns < ? ORDER BY sequence"""
        for (sequence,) in self._all(sql, codec.DECISIONS, since_ns, until_ns):
            row = self._one("SELECT sequence, codec, body FROM entries WHERE sequence = ?", sequence)
            batch = None if row is None else decoded(str(self.path), self._schemas, *row)
            if not isinstance(batch, DecisionBatch):
                raise JournalError(f"{self.path}: entry {sequence} is missing")
            time_ns = batch.events.time_ns
            asked = (time_ns >= since_ns) & (time_ns < until_ns)
            if actions is not None:
                asked &= np.isin(batch.ruling.action, np.asarray(actions, np.int16))
            rows = np.flatnonzero(asked)
            if len(rows):
                yield batch, rows

    def newest(self, until: int | None = None) -> DecisionBatch | None:
        """The batch that was decided last, up to an entry; None where none was. Raises JournalError."""
        sql = "SELECT sequence, codec, body FROM entries WHERE kind = ? AND sequence <= ? ORDER BY sequence DESC"
        row = self._one(sql, codec.DECISIONS, self._last if until is None else until)
        batch = None if row is None else decoded(str(self.path), self._schemas, *row)
        return batch if isinstance(batch, DecisionBatch) else None

    def newest_ns(self) -> int | None:
        """The latest event time of a decision; None where there is none."""
        row = self._one("SELECT max(last_ns) FROM entries WHERE kind = ? AND rows > 0", codec.DECISIONS)
        return None if row is None or row[0] is None else int(row[0])

    def close(self) -> None:
        """Close the file and let another process write."""
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self._db is not None:
            self._db.close()
            self._db = None
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
        self._keeps_schemas = keeps_schemas(db)
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

    def _catch_up(self) -> None:
        """Read the ids of the entries that the index does not know yet."""
        entries: list[int] = []
        blobs: list[tuple[bytes, bytes]] = []
        last, history = self._last, self._history.copy()
        checks_column = "x''" if self._is_old else "checks"
        sql = f"SELECT sequence, ids, {checks_column}, digest FROM entries WHERE sequence > ? ORDER BY sequence"  # noqa: S608
        for sequence, ids, checks, digest in self._all(sql, last):
            if sequence != last + 1:
                raise JournalError(f"{self.path}: entry {last + 1} is missing")
            last = sequence
            history.update(digest)
            entries.append(sequence)
            blobs.append(self._renamed(sequence, ids) if self._is_old else (ids, checks))
            if len(entries) >= 65536:
                self._index(entries, blobs)
                entries, blobs = [], []
        self._index(entries, blobs)
        if last != self._last:
            self._recent.clear()  # What was found in the file is not in it, so it would have a gap.
        self._last, self._history, self._behind = last, history, False

    def _index(self, entries: list[int], blobs: list[tuple[bytes, bytes]]) -> None:
        if any(len(ids) % 8 or len(checks) not in (0, len(ids)) for ids, checks in blobs):
            raise JournalError(f"{self.path}: the ids of an entry are damaged")
        counts = np.fromiter((len(ids) // 8 for ids, _ in blobs), np.int64, len(blobs))
        codes = np.frombuffer(bytearray().join(ids for ids, _ in blobs), np.int64)
        checks = np.frombuffer(bytearray().join(its or bytes(len(ids)) for ids, its in blobs), np.int64)
        if len(codes):
            self._ids.put(Ids(codes, checks), np.repeat(np.asarray(entries, np.uint32), counts))

    def _renamed(self, sequence: int, ids: bytes) -> tuple[bytes, bytes]:
        """The ids of an entry of an old journal that is only read, by the coding that its bodies are read in."""
        if len(ids) % 8 or not is_hashed(int(np.frombuffer(ids, np.int64).max(initial=0))):
            return ids, b""
        row = self._one("SELECT sequence, codec, body FROM entries WHERE sequence = ?", sequence)
        assert row is not None
        body = decoded(str(self.path), self._schemas, *row)
        assert isinstance(body, DecisionBatch), "an entry of outcomes has ids"
        return id_bytes(decided_ids(body))

    def _schema_text(self, digest: bytes) -> str | None:
        if not self._keeps_schemas:
            return None
        row = self._one("SELECT text FROM schemas WHERE hash = ?", digest)
        return None if row is None else str(row[0])

    def _writable(self) -> sqlite3.Connection:
        if self._db is None:
            raise Unavailable(f"the journal {self.path} is closed")
        if self._readonly:
            raise Unavailable(f"the journal {self.path} was opened for reading only")
        return self._db

    def _undo(self, db: sqlite3.Connection) -> None:
        self._behind = True
        if db.in_transaction:
            try:
                db.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite has rolled back by itself already, or will when the file is opened again.
                return

    def _all(self, sql: str, *values: int | str | bytes) -> Iterator[tuple[Any, ...]]:
        if self._db is None:
            raise Unavailable(f"the journal {self.path} is closed")
        try:
            yield from self._db.execute(sql, values)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise refusal(error, self.path) from error

    def _one(self, sql: str, *values: int | str | bytes) -> tuple[Any, ...] | None:
        return next(self._all(sql + " LIMIT 1", *values), None)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
