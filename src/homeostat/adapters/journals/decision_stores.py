"""The stores that an index of decisions needs: the entries of a journal, and a shelf of pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from homeostat.adapters.journals.decision_columns import Array, Head
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding

ColumnName = tuple[int, str]
"""The first entry of a page, and the name of one of its columns."""


class Entries(Protocol):
    """The entries of a journal, as an index needs them. May be used by several threads."""

    @property
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes."""
        ...

    def last(self) -> int:
        """The last entry that is written, 0 where there is none. No lower number appears later."""
        ...

    def oldest(self) -> tuple[int, int]:
        """The first entry that is still kept, and the first event time in it; (1, 0) where nothing was removed."""
        ...

    def digest(self, entry: int) -> str:
        """The digest of an entry as it stands beside it; empty where there is no such entry."""
        ...

    def sizes(self, after: int, until: int, most: int) -> Sequence[tuple[int, int]]:
        """The numbers and rows of up to `most` entries of decisions in (after, until], the last ones first."""
        ...

    def read(self, after: int, until: int) -> Iterator[tuple[int, DecisionBatch]]:
        """The decisions of the entries in (after, until], in order."""
        ...

    def find(self, entries: Sequence[int]) -> Mapping[int, DecisionBatch]:
        """The decisions of these entries; those that are gone are left out."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


class Shelf(Protocol):
    """The pages of an index. May be used by several threads."""

    def heads(self) -> Sequence[Head]:
        """The heads of all pages."""
        ...

    def columns(self, wanted: Sequence[ColumnName]) -> Sequence[Array]:
        """Columns of pages, in the order in which they are asked for."""
        ...

    def put(self, head: Head, columns: Mapping[str, Array]) -> bool:
        """Keep a page; False where another process keeps one of the same entries already."""
        ...

    def drop(self, before: int | None = None) -> None:
        """Drop the pages all of whose entries are before this one; None drops all."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...
