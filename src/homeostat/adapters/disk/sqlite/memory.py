"""Past cases and notes in one SQLite file of a data folder, which any number of processes read and write.

A write is one transaction, on the disk before the method returns. The file is made by the first one. Words are found by
FTS5 with English stems, ranked by BM25.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form
from homeostat.adapters.disk.sqlite.store_file import Held, StoreFile
from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.memory import rows
from homeostat.adapters.memory.passages import words_of
from homeostat.ports.memory import MemoryBounds, MemoryFault
from homeostat.records.past import Found, Note, PastCase, Recalled, Trait

FILE = "memory.db"
FORMAT = 1
APPLICATION_ID = 0x686D6D65  # "hmme", in the file's header, where `file` and SQLite look for it.
_TABLES = (
    """CREATE TABLE past_cases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    opened_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX past_cases_opened ON past_cases (opened_ns)",
    """CREATE TABLE notes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, at_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT""",
    """CREATE TABLE passages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, owner TEXT NOT NULL, title TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX passages_owner ON passages (source, owner)",
    "CREATE VIRTUAL TABLE passage_words USING fts5 (words, tokenize = 'porter unicode61')",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("past cases", APPLICATION_ID, FORMAT, _TABLES)
_HELD = Held("memory", "past cases", MemoryFault)


class SqliteMemory:
    """See `Memory`."""

    def __init__(
        self, folder: Path, *, app: str = "", bounds: MemoryBounds = MemoryBounds(), mode: int = FILE_MODE,  # noqa: B008
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose memory it is; empty to take that of any app
        """
        self._file = StoreFile(folder / FILE, FORM, _HELD, app, mode)
        self._bounds = bounds

    def keep(self, case: PastCase) -> bool:
        """See `Memory`."""
        with self._file.change() as run:
            return rows.keep(run, _WORDS, case, self._bounds)

    def case(self, id: str) -> PastCase:
        """See `Memory`."""
        with self._file.look() as run:
            if run is None:
                raise rows.no_such(id)
            return rows.case(run, id)

    def cases(self, limit: int = 100) -> Sequence[PastCase]:
        """See `Memory`."""
        with self._file.look() as run:
            return [] if run is None else rows.cases(run, limit)

    def like(self, traits: Sequence[Trait], limit: int) -> Sequence[Recalled]:
        """See `Recalls`."""
        with self._file.look() as run:
            return [] if run is None else rows.like(run, traits, limit, self._bounds)

    def add(self, note: Note) -> bool:
        """See `Memory`."""
        with self._file.change() as run:
            return rows.add(run, _WORDS, note, self._bounds)

    def note(self, name: str) -> Note:
        """See `Memory`."""
        with self._file.look() as run:
            if run is None:
                raise rows.no_such(name)
            return rows.note(run, name)

    def notes(self, limit: int = 100) -> Sequence[Note]:
        """See `Memory`."""
        with self._file.look() as run:
            return [] if run is None else rows.notes(run, limit)

    def forget(self, id: str) -> None:
        """See `Memory`."""
        with self._file.look() as looked:
            if looked is None:
                raise rows.no_such(id)
        with self._file.change() as run:
            rows.forget(run, _WORDS, id)

    def search(self, words: str, limit: int = 10) -> Sequence[Found]:
        """See `Memory`."""
        with self._file.look() as run:
            return [] if run is None else rows.search(run, _WORDS, words, limit)

    def passages(self) -> Sequence[Found]:
        """See `Memory`."""
        with self._file.look() as run:
            return [] if run is None else rows.everything(run)

    def close(self) -> None:
        """See `Memory`."""
        self._file.close()


class _Fts5:
    """See `rows.Words`: SQLite's full-text index. Each word is quoted, so that none is an operator."""

    def put(self, run: Run, number: int, text: str) -> None:
        run("INSERT INTO passage_words (rowid, words) VALUES (?, ?)", (number, " ".join(words_of(text))))

    def drop(self, run: Run, number: int) -> None:
        run("DELETE FROM passage_words WHERE rowid = ?", (number,))

    def find(self, run: Run, words: Sequence[str], limit: int) -> Sequence[tuple[int, float]]:
        query = " OR ".join(f'"{word}"' for word in words)
        sql = (
            "SELECT rowid, -bm25(passage_words) FROM passage_words WHERE passage_words MATCH ? ORDER BY 2 DESC LIMIT ?"
        )
        return [(int(number), float(score)) for number, score in run(sql, (query, limit))]


_WORDS = _Fts5()
