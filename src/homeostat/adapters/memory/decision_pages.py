"""The index of decisions in this process's memory, of a journal that lasts as long as the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeostat.adapters.disk.sqlite.decision_pages import FileEntries
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.decision_columns import Array, Head
from homeostat.adapters.journals.decision_lists import IndexedDecisions
from homeostat.adapters.journals.decision_stores import ColumnName
from homeostat.ports import Clock
from homeostat.ports.decision_lists import DecisionPage, EntityCounts, News, Place, Wanted


class MemoryShelf:
    """See `Shelf`."""

    def __init__(self) -> None:
        self._pages: dict[int, tuple[Head, Mapping[str, Array]]] = {}

    def heads(self) -> Sequence[Head]:
        """See `Shelf`."""
        return [head for head, _ in self._pages.values()]

    def columns(self, wanted: Sequence[ColumnName]) -> Sequence[Array]:
        """See `Shelf`."""
        return [self._pages[first][1][name] for first, name in wanted]

    def put(self, head: Head, columns: Mapping[str, Array]) -> bool:
        """See `Shelf`."""
        if any(one.first <= head.last and head.first <= one.last for one in self.heads()):
            return False
        self._pages[head.first] = head, columns
        return True

    def drop(self, before: int | None = None) -> None:
        """See `Shelf`."""
        self._pages = {} if before is None else {k: one for k, one in self._pages.items() if one[0].last >= before}

    def close(self) -> None:
        """See `Shelf`."""
        self._pages.clear()


class MemoryDecisions:
    """See `DecisionLists`: of a journal in this process, whose index is made as lists are asked for."""

    def __init__(self, lists: IndexedDecisions) -> None:
        self._lists = lists

    def page(
        self, wanted: Wanted, limit: int, below: Place | None = None, as_of: int | None = None, patience_s: float = 1.0
    ) -> DecisionPage:
        """See `DecisionLists`."""
        self._lists.index()
        return self._lists.page(wanted, limit, below, as_of, patience_s)

    def counts(self, entity: tuple[str, str], patience_s: float = 1.0) -> EntityCounts:
        """See `DecisionLists`."""
        self._lists.index()
        return self._lists.counts(entity, patience_s)

    def news(self, after: int, most: int) -> News:
        """See `DecisionLists`."""
        return self._lists.news(after, most)

    def close(self) -> None:
        """See `DecisionLists`."""
        self._lists.close()


def decisions_in(journal: SqliteJournal, clock: Clock, run: Callable[[Callable[[], Any]], Any]) -> MemoryDecisions:
    """The lists of the decisions in a journal of this process, which are indexed in memory.

    run : calls what looks into the journal, when it is its turn
    """
    entries = FileEntries(journal.file, journal.coding, lambda: None, run)
    return MemoryDecisions(IndexedDecisions(entries, MemoryShelf(), clock, follows=False))
