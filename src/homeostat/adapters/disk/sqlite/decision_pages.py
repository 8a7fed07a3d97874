"""The index of decisions in one SQLite file beside the journal of a data folder, and the journal as it is indexed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form
from homeostat.adapters.disk.sqlite.entry_file import EntryFile
from homeostat.adapters.disk.sqlite.store_file import Held, StoreFile
from homeostat.adapters.disk.sqlite.tables import coding_of, keeps_schemas, prepare, refusal
from homeostat.adapters.journals.decision_columns import Array, Head
from homeostat.adapters.journals.decision_lists import IndexedDecisions
from homeostat.adapters.journals.decision_stores import ColumnName
from homeostat.adapters.journals.entries import decoded
from homeostat.adapters.journals.shelved import ALL, HeadRow, column_rows, head_row, read_column, read_head
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock, Unavailable
from homeostat.ports.decision_lists import DecisionListsError
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import SECRET_BYTES, Coding
from homeostat.records.schemas import Schemas
from homeostat.records.vocabulary import NAMELESS

FILE = "decisions.db"
FORMAT = 1
APPLICATION_ID = 0x686D646C  # "hmdl", in the file's header, where `file` and SQLite look for it.
_TABLES = (
    """CREATE TABLE pages (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, rows INTEGER NOT NULL, since_ns INTEGER NOT NULL,
    until_ns INTEGER NOT NULL, names TEXT NOT NULL, digest TEXT NOT NULL
) STRICT""",
    """CREATE TABLE columns (
    page INTEGER NOT NULL, name TEXT NOT NULL, codec INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (page, name)
) STRICT""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
_READ_ENTRIES = 8  # Bodies of up to a megabyte each, read at a time.
FORM = Form("an index of decisions", APPLICATION_ID, FORMAT, _TABLES)
_HELD = Held("index of decisions", "pages", DecisionListsError)


class SqliteShelf:
    """See `Shelf`. Nothing is opened yet.

    folder : where the file is, or will be
    mode : who may read and write it, if it is created
    """

    def __init__(self, folder: Path, mode: int = FILE_MODE) -> None:
        self.path = folder / FILE
        self._file = StoreFile(self.path, FORM, _HELD, "", mode)

    def heads(self) -> Sequence[Head]:
        """See `Shelf`."""
        with self._file.look() as run:
            sql = "SELECT first, last, rows, since_ns, until_ns, names, digest FROM pages"
            rows = [] if run is None else run(sql)
        return [read_head(str(self.path), cast(HeadRow, tuple(row))) for row in rows]

    def columns(self, wanted: Sequence[ColumnName]) -> Sequence[Array]:
        """See `Shelf`."""
        sql = "SELECT codec, body FROM columns WHERE page = ? AND name = ?"
        with self._file.look() as run:
            found = [[] if run is None else run(sql, one) for one in wanted]
        rows = [(one[0][0], one[0][1]) if one else None for one in found]
        return [read_column(str(self.path), *one, row) for one, row in zip(wanted, rows, strict=True)]

    def put(self, head: Head, columns: Mapping[str, Array]) -> bool:
        """See `Shelf`."""
        with self._file.change() as run:
            if run("SELECT 1 FROM pages WHERE first <= ? AND last >= ? LIMIT 1", (head.last, head.first)):
                return False
            run("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)", head_row(head))
            for row in column_rows(head, columns):
                run("INSERT INTO columns VALUES (?, ?, ?, ?)", row)
        return True

    def drop(self, before: int | None = None) -> None:
        """See `Shelf`."""
        below = ALL if before is None else before
        with self._file.change() as run:
            run("DELETE FROM columns WHERE page IN (SELECT first FROM pages WHERE last < ?)", (below,))
            run("DELETE FROM pages WHERE last < ?", (below,))

    def close(self) -> None:
        """See `Shelf`."""
        self._file.close()


class FileEntries:
    """See `Entries`: those of a journal in SQLite.

    close : lets go of the file
    run : calls what looks into it, one after the other
    """

    def __init__(
        self, file: EntryFile, coding: Coding, close: Callable[[], None], run: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._file, self._coding, self._close, self._run = file, coding, close, run

    @classmethod
    def at(cls, path: Path) -> FileEntries:
        """Those of a file that another part of this process, or another process, writes.

        Raises Unavailable, JournalError.
        """
        schemas, lock = Schemas(ask=lambda digest: file.schema_text(digest)), threading.Lock()
        file = EntryFile(path, schemas)
        if not path.exists():
            raise Unavailable(f"there is no journal {path}")
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
            schemas.legacy = prepare(db, path, app="", words=NAMELESS, readonly=True, bulk=False)
            coding = coding_of(db, path) or Coding(bytes(SECRET_BYTES))
            schemas.coding, file.keeps_schemas = coding, keeps_schemas(db)
        except sqlite3.Error as error:
            raise refusal(error, path) from error
        file.db = db

        def close() -> None:
            file.db = None
            db.close()

        def run(look: Callable[[], Any]) -> Any:
            with lock:
                return look()

        return cls(file, coding, close, run)

    @property
    def coding(self) -> Coding:
        """See `Entries`."""
        return self._coding

    def last(self) -> int:
        """See `Entries`."""
        return self._run(self._file.last) or 0

    def oldest(self) -> tuple[int, int]:
        """See `Entries`."""
        found = self._all("SELECT sequence, first_ns FROM entries ORDER BY sequence LIMIT 1")
        return (int(found[0][0]), int(found[0][1])) if found and found[0][0] > 1 else (1, 0)

    def digest(self, entry: int) -> str:
        """See `Entries`."""
        return self._run(lambda: self._file.stated(entry)) or ""

    def sizes(self, after: int, until: int, most: int) -> Sequence[tuple[int, int]]:
        """See `Entries`."""
        sql = """SELECT sequence, rows FROM entries WHERE sequence > ? AND sequence <= ? AND kind = ?
            ORDER BY sequence DESC LIMIT ?"""
        return [(int(entry), int(rows)) for entry, rows in self._all(sql, after, until, codec.DECISIONS, most)]

    def read(self, after: int, until: int) -> Iterator[tuple[int, DecisionBatch]]:
        """See `Entries`."""
        sql = """SELECT sequence, codec, body FROM entries WHERE sequence > ? AND sequence <= ? AND kind = ?
            ORDER BY sequence LIMIT ?"""
        while after < until:
            found = self._batches(sql, after, until, codec.DECISIONS, _READ_ENTRIES)
            yield from found
            after = found[-1][0] if len(found) == _READ_ENTRIES else until

    def find(self, entries: Sequence[int]) -> Mapping[int, DecisionBatch]:
        """See `Entries`."""
        sql = "SELECT sequence, codec, body FROM entries WHERE sequence = ? AND kind = ?"
        return dict(one for entry in entries for one in self._batches(sql, entry, codec.DECISIONS))

    def close(self) -> None:
        """See `Entries`."""
        self._close()

    def _batches(self, sql: str, *values: int) -> list[tuple[int, DecisionBatch]]:
        def look() -> list[tuple[int, DecisionBatch]]:
            where, schemas = str(self._file.path), self._file.schemas
            rows = [(int(row[0]), decoded(where, schemas, *row)) for row in self._file.all(sql, *values)]
            return [(entry, batch) for entry, batch in rows if isinstance(batch, DecisionBatch)]

        found: list[tuple[int, DecisionBatch]] = self._run(look)
        return found

    def _all(self, sql: str, *values: int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(lambda: list(self._file.all(sql, *values)))
        return found


def open_decision_lists(folder: Path, clock: Clock | None = None, follows: bool = True) -> IndexedDecisions:
    """The lists of a data folder's decisions. Raises Unavailable where there is no journal, JournalError.

    follows : see `IndexedDecisions`
    """
    return IndexedDecisions(FileEntries.at(folder / "journal.db"), SqliteShelf(folder), clock or SystemClock(), follows)
