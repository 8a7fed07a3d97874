"""Past cases and notes in PostgreSQL, for all processes of an app, on any number of machines.

Words are found by full-text search with English stems, ranked by cover density.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.memory import rows
from homeostat.adapters.memory.passages import words_of
from homeostat.adapters.postgres.schema import MEMORY_LOCK
from homeostat.adapters.postgres.turns import Turns, plain
from homeostat.ports.memory import MemoryBounds
from homeostat.records.past import Found, Note, PastCase, Recalled, Trait


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
        self._turns = Turns(url, app, MEMORY_LOCK, deadline_s)

    def keep(self, case: PastCase) -> bool:
        """See `Memory`."""
        return self._turns.change(lambda run: rows.keep(run, _WORDS, case, self._bounds))

    def case(self, id: str) -> PastCase:
        """See `Memory`."""
        return self._turns.look(lambda run: rows.case(run, plain(id)))

    def cases(self, limit: int = 100) -> Sequence[PastCase]:
        """See `Memory`."""
        return self._turns.look(lambda run: rows.cases(run, limit))

    def like(self, traits: Sequence[Trait], limit: int) -> Sequence[Recalled]:
        """See `Recalls`."""
        return self._turns.look(lambda run: rows.like(run, traits, limit, self._bounds))

    def add(self, note: Note) -> bool:
        """See `Memory`."""
        return self._turns.change(lambda run: rows.add(run, _WORDS, note, self._bounds))

    def note(self, name: str) -> Note:
        """See `Memory`."""
        return self._turns.look(lambda run: rows.note(run, plain(name)))

    def notes(self, limit: int = 100) -> Sequence[Note]:
        """See `Memory`."""
        return self._turns.look(lambda run: rows.notes(run, limit))

    def forget(self, id: str) -> None:
        """See `Memory`."""
        self._turns.change(lambda run: rows.forget(run, _WORDS, plain(id)))

    def search(self, words: str, limit: int = 10) -> Sequence[Found]:
        """See `Memory`."""
        return self._turns.look(lambda run: rows.search(run, _WORDS, words, limit))

    def passages(self) -> Sequence[Found]:
        """See `Memory`."""
        return self._turns.look(rows.everything)

    def close(self) -> None:
        """See `Memory`."""
        self._turns.close()


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
