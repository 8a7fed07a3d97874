"""Past cases and notes in PostgreSQL, for all processes of an app, on any number of machines.

Words are found by full-text search with English stems, ranked by cover density.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.memory import rows
from homeostat.adapters.memory.passages import words_of
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import MEMORY_LOCK, migrate
from homeostat.ports.memory import MemoryBounds
from homeostat.records.past import Found, Note, PastCase, Recalled, Trait

T = TypeVar("T")


class PostgresMemory:
    """See `Memory`. May be used by several threads."""

    def __init__(
        self, url: str, *, app: str = "", bounds: MemoryBounds = MemoryBounds(), deadline_s: float = 5.0,  # noqa: B008
    ) -> None:  # fmt: skip
        """Make the tables where they are missing.

        app : whose memory it is; empty to take that of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._bounds = bounds
        self._connections = Connections(url, most=4, deadline_s=deadline_s)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise

    def keep(self, case: PastCase) -> bool:
        """See `Memory`."""
        return self._change(lambda run: rows.keep(run, _WORDS, case, self._bounds))

    def case(self, id: str) -> PastCase:
        """See `Memory`."""
        return self._look(lambda run: rows.case(run, _plain(id)))

    def cases(self, limit: int = 100) -> Sequence[PastCase]:
        """See `Memory`."""
        return self._look(lambda run: rows.cases(run, limit))

    def like(self, traits: Sequence[Trait], limit: int) -> Sequence[Recalled]:
        """See `Recalls`."""
        return self._look(lambda run: rows.like(run, traits, limit, self._bounds))

    def add(self, note: Note) -> bool:
        """See `Memory`."""
        return self._change(lambda run: rows.add(run, _WORDS, note, self._bounds))

    def note(self, name: str) -> Note:
        """See `Memory`."""
        return self._look(lambda run: rows.note(run, _plain(name)))

    def notes(self, limit: int = 100) -> Sequence[Note]:
        """See `Memory`."""
        return self._look(lambda run: rows.notes(run, limit))

    def forget(self, id: str) -> None:
        """See `Memory`."""
        self._change(lambda run: rows.forget(run, _WORDS, _plain(id)))

    def search(self, words: str, limit: int = 10) -> Sequence[Found]:
        """See `Memory`."""
        return self._look(lambda run: rows.search(run, _WORDS, words, limit))

    def passages(self) -> Sequence[Found]:
        """See `Memory`."""
        return self._look(rows.everything)

    def close(self) -> None:
        """See `Memory`."""
        self._connections.close()

    def _look(self, read: Callable[[Run], T]) -> T:
        return self._connections.run(lambda connection: read(_runner(connection)))

    def _change(self, act: Callable[[Run], T]) -> T:
        """One transaction that nobody else's comes between."""

        def do(connection: Connection) -> T:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (MEMORY_LOCK,))
                return act(_runner(connection))

        return self._connections.run(do)


class _FullText:
    """See `rows.Words`: PostgreSQL's full-text index."""

    def put(self, run: Run, number: int, text: str) -> None:
        sql = "INSERT INTO passage_words (number, words) VALUES (?, to_tsvector('english', ?::text))"
        run(sql, (number, " ".join(words_of(text))))

    def drop(self, run: Run, number: int) -> None:
        run("DELETE FROM passage_words WHERE number = ?", (number,))

    def find(self, run: Run, words: Sequence[str], limit: int) -> Sequence[tuple[int, float]]:
        # Each word is a query of its own, so that no text is an operator; a word that English leaves out is none.
        query = " || ".join("plainto_tsquery('english', ?::text)" for _ in words)
        sql = (
            f"SELECT number, ts_rank_cd(words, {query}) FROM passage_words WHERE words @@ ({query}) "  # noqa: S608
            "ORDER BY 2 DESC, number LIMIT ?"
        )
        return [(int(number), float(score)) for number, score in run(sql, (*words, *words, limit))]


_WORDS = _FullText()


def _plain(id: str) -> str:
    """An id that PostgreSQL takes; one with a NUL is no one's."""
    return id.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _runner(connection: Connection) -> Run:
    def run(sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        cursor = connection.execute(sql.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    return run
