"""The index of decisions in PostgreSQL, beside the journal, for all processes of an app."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from homeostat.adapters.journals.decision_columns import Array, Head
from homeostat.adapters.journals.decision_lists import IndexedDecisions
from homeostat.adapters.journals.decision_stores import ColumnName
from homeostat.adapters.journals.entries import JournalError, decoded
from homeostat.adapters.journals.shelved import ALL, HeadRow, column_rows, head_row, read_column, read_head
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.naming import KeptSchemas
from homeostat.adapters.postgres.reading import committed_up_to
from homeostat.adapters.postgres.schema import DECISION_PAGES_LOCK, about
from homeostat.adapters.postgres.turns import migrated
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding
from homeostat.records.vocabulary import NAMELESS

_READ_ENTRIES = 16  # Bodies of up to a megabyte each, read at a time.


class PostgresShelf:
    """See `Shelf`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def heads(self) -> Sequence[Head]:
        """See `Shelf`."""
        sql = "SELECT first, last, rows, since_ns, until_ns, names, digest FROM decision_pages"
        rows = self._connections.run(lambda connection: connection.execute(sql).fetchall())
        return [read_head(self._connections.where, cast(HeadRow, row)) for row in rows]

    def columns(self, wanted: Sequence[ColumnName]) -> Sequence[Array]:
        """See `Shelf`."""
        sql = """SELECT page, name, codec, body FROM decision_columns
            JOIN unnest(%s::bigint[], %s::text[]) AS asked(page, name) USING (page, name)"""
        asked = [page for page, _ in wanted], [name for _, name in wanted]
        rows = self._connections.run(lambda connection: connection.execute(sql, asked, binary=True).fetchall())
        found = {(page, name): (stored_as, body) for page, name, stored_as, body in rows}
        return [read_column(self._connections.where, *one, found.get(one)) for one in wanted]

    def put(self, head: Head, columns: Mapping[str, Array]) -> bool:
        """See `Shelf`."""
        rows = column_rows(head, columns)

        def do(connection: Connection) -> bool:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (DECISION_PAGES_LOCK,))
                sql = "SELECT 1 FROM decision_pages WHERE first <= %s AND last >= %s LIMIT 1"
                if connection.execute(sql, (head.last, head.first)).fetchone() is not None:
                    return False
                sql = "INSERT INTO decision_pages VALUES (%s, %s, %s, %s, %s, %s, %s)"
                connection.execute(sql, head_row(head))
                sql = "INSERT INTO decision_columns VALUES (%s, %s, %s, %s)"
                connection.cursor().executemany(sql, rows)
            return True

        return self._connections.run(do)

    def drop(self, before: int | None = None) -> None:
        """See `Shelf`."""
        below = ALL if before is None else before

        def do(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (DECISION_PAGES_LOCK,))
                old = "SELECT first FROM decision_pages WHERE last < %s"
                connection.execute(f"DELETE FROM decision_columns WHERE page IN ({old})", (below,))  # noqa: S608
                connection.execute("DELETE FROM decision_pages WHERE last < %s", (below,))

        self._connections.run(do)

    def close(self) -> None:
        """See `Shelf`. The connections are closed with the entries."""


class PostgresEntries:
    """See `Entries`."""

    def __init__(self, connections: Connections) -> None:
        """Raises Unavailable, JournalError."""
        self._connections, self._kept = connections, KeptSchemas(connections, NAMELESS)
        facts = connections.run(about)
        if "secret" not in facts:
            raise JournalError(f"{connections.where}: the table about has lost its secret: restore it from a copy")
        self._coding = Coding(bytes.fromhex(facts["secret"]))
        self._kept.look()
        self._kept.schemas.coding = self._coding

    @property
    def coding(self) -> Coding:
        """See `Entries`."""
        return self._coding

    def last(self) -> int:
        """See `Entries`."""
        until = time.monotonic() + self._connections.deadline_s
        return self._connections.run(lambda connection: committed_up_to(connection, self._connections.where, until))

    def oldest(self) -> tuple[int, int]:
        """See `Entries`."""
        found = self._all("SELECT sequence, first_ns FROM entries ORDER BY sequence LIMIT 1")
        return (int(found[0][0]), int(found[0][1])) if found and found[0][0] > 1 else (1, 0)

    def digest(self, entry: int) -> str:
        """See `Entries`."""
        found = self._all("SELECT digest FROM entries WHERE sequence = %s", entry)
        return bytes(found[0][0]).hex() if found else ""

    def sizes(self, after: int, until: int, most: int) -> Sequence[tuple[int, int]]:
        """See `Entries`."""
        sql = """SELECT sequence, rows FROM entries WHERE sequence > %s AND sequence <= %s AND kind = %s
            ORDER BY sequence DESC LIMIT %s"""
        return [(int(entry), int(rows)) for entry, rows in self._all(sql, after, until, codec.DECISIONS, most)]

    def read(self, after: int, until: int) -> Iterator[tuple[int, DecisionBatch]]:
        """See `Entries`."""
        sql = """SELECT sequence, codec, body FROM entries WHERE sequence > %s AND sequence <= %s AND kind = %s
            ORDER BY sequence LIMIT %s"""
        while after < until:
            found = self._all(sql, after, until, codec.DECISIONS, _READ_ENTRIES)
            for row in found:
                yield int(row[0]), self._batch(row)
            after = int(found[-1][0]) if len(found) == _READ_ENTRIES else until

    def find(self, entries: Sequence[int]) -> Mapping[int, DecisionBatch]:
        """See `Entries`."""
        sql = "SELECT sequence, codec, body FROM entries WHERE sequence = ANY(%s) AND kind = %s"
        return {int(row[0]): self._batch(row) for row in self._all(sql, list(entries), codec.DECISIONS)}

    def close(self) -> None:
        """See `Entries`."""
        self._connections.close()

    def _batch(self, row: tuple[Any, ...]) -> DecisionBatch:
        batch = decoded(self._connections.where, self._kept.schemas, *row)
        assert isinstance(batch, DecisionBatch), "an entry of decisions holds decisions"
        return batch

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(lambda connection: connection.execute(sql, values, binary=True).fetchall())


def open_decision_lists(
    url: str, *, app: str = "", deadline_s: float = 5.0, clock: Clock | None = None, follows: bool = True
) -> IndexedDecisions:
    """The lists of the decisions in a database. Raises Unavailable, JournalError, ValueError.

    app : whose decisions they are; empty to take those of any app
    follows : see `IndexedDecisions`
    """
    connections = migrated(url, app, deadline_s)
    try:
        entries = PostgresEntries(connections)
    except BaseException:
        connections.close()
        raise
    return IndexedDecisions(entries, PostgresShelf(connections), clock or SystemClock(), follows)
