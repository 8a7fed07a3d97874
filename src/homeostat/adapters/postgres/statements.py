"""Statements in PostgreSQL, which all processes of an app read and write, on any number of machines."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import STATEMENTS_LOCK, migrate
from homeostat.ports.statements import Bounds, StatementsError, append, unknown
from homeostat.records.statements import (
    COLUMNS,
    SALT_BYTES,
    START,
    Row,
    Statement,
    StatementKind,
    checked,
    of_row,
)

_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT INTO statements ({_NAMES}, digest) VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))})"  # noqa: S608
_SELECT = f"""SELECT {", ".join(f"one.{name}" for name in COLUMNS)}, words.text, words.contact
    FROM statements AS one LEFT JOIN statement_texts AS words ON words.number = one.number """  # noqa: S608
SELECT_STATEMENTS = f"""SELECT {", ".join(f"one.{name}" for name in COLUMNS)}, one.digest, words.salt, words.text,
    words.contact FROM statements AS one LEFT JOIN statement_texts AS words ON words.number = one.number
    ORDER BY one.number"""  # noqa: S608
_ANSWERED = "EXISTS (SELECT FROM statements AS answer WHERE answer.refers = one.number)"
_OPEN = f"SELECT count(*) FROM statements AS one WHERE one.kind = 'question' AND NOT {_ANSWERED}"  # noqa: S608
_LAST = "SELECT number, at_ns, digest FROM statements ORDER BY number DESC LIMIT 1"
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint"


class PostgresStatements:
    """See `Statements`. May be used by several threads."""

    def __init__(self, url: str, *, app: str = "", bounds: Bounds | None = None, deadline_s: float = 5.0) -> None:
        """Make the tables where they are missing.

        app : whose statements they are; empty to take those of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._bounds = bounds or Bounds()
        self._connections = Connections(url, most=4, deadline_s=deadline_s)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise

    def append(self, one: Statement, expected: int | None = None) -> Statement:
        """See `Statements`. Where the answer to COMMIT is lost, the statement may be stored: a key stores it once."""
        wish = checked(one)

        def store(connection: Connection) -> Statement:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (STATEMENTS_LOCK,))
                table, salt = _Table(connection), os.urandom(SALT_BYTES)
                return append(table, wish, expected, self._bounds, salt, table.now_ns())

        return self._connections.run(store)

    def get(self, number: int) -> Statement:
        """See `Statements`."""
        found = self._found("WHERE one.number = %s", number) if 0 < number < 1 << 63 else []
        if not found:
            raise unknown(number)
        return found[0]

    def list(
        self, kind: StatementKind, *, limit: int | None = None, below: int | None = None, from_ns: int | None = None,
        until_ns: int | None = None, is_open: bool | None = None,
    ) -> Sequence[Statement]:  # fmt: skip
        """See `Statements`."""
        where, given = "WHERE one.kind = %s", list[Any]([str(kind)])
        for sql, value in (("number < %s", below), ("at_ns >= %s", from_ns), ("at_ns < %s", until_ns)):
            if value is not None:
                where += f" AND one.{sql}"
                given.append(value)
        if is_open is not None:
            where += f" AND {'NOT ' if is_open else ''}{_ANSWERED}"
        return self._found(where + " ORDER BY one.number DESC LIMIT %s", *given, limit)

    def answers(self, questions: Collection[int]) -> dict[int, Statement]:
        """See `Statements`."""
        wanted = sorted(set(questions))
        return {
            one.refers: one for one in self._found("WHERE one.refers = ANY(%s) ORDER BY one.number", wanted)
        }  # The last of a question stays.

    def forget(self, number: int) -> None:
        """See `Statements`."""
        self.get(number)
        sql = "DELETE FROM statement_texts WHERE number = %s"
        self._connections.run(lambda connection: connection.execute(sql, (number,)))

    def head(self) -> tuple[int, str]:
        """See `Statements`."""
        sql = "SELECT number, digest FROM statements ORDER BY number DESC LIMIT 1"
        row = self._connections.run(lambda connection: connection.execute(sql).fetchone())
        return (0, START.hex()) if row is None else (int(row[0]), bytes(row[1]).hex())

    def close(self) -> None:
        """See `Statements`."""
        self._connections.close()

    def _found(self, where: str, *values: Any) -> Sequence[Statement]:
        rows = self._connections.run(lambda connection: connection.execute(_SELECT + where, values).fetchall())
        return [_read(row) for row in rows]


class _Table:
    """See `Table`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now_ns(self) -> int:
        """The clock of the server, which all processes share."""
        return int(self._one(_NOW)[0])

    def by_key(self, key: str) -> Statement | None:
        """See `Table`."""
        return _first(self._connection, "WHERE one.key = %s", key)

    def question(self, number: int) -> Statement | None:
        """See `Table`."""
        return _first(self._connection, "WHERE one.number = %s AND one.kind = 'question'", number)

    def answer_to(self, number: int) -> Statement | None:
        """See `Table`."""
        return _first(self._connection, "WHERE one.refers = %s ORDER BY one.number DESC", number)

    def last(self) -> tuple[int, int, bytes]:
        """See `Table`."""
        row = self._connection.execute(_LAST).fetchone()
        return (0, 0, START) if row is None else (int(row[0]), int(row[1]), bytes(row[2]))

    def open_questions(self) -> int:
        """See `Table`."""
        return int(self._one(_OPEN)[0])

    def add(self, row: Row, digest: bytes, words: tuple[bytes, str, str] | None) -> None:
        """See `Table`."""
        self._connection.execute(_INSERT, (*row, digest))
        if words is not None:
            self._connection.execute("INSERT INTO statement_texts VALUES (%s, %s, %s, %s)", (row[0], *words))

    def _one(self, sql: str) -> Any:
        row = self._connection.execute(sql).fetchone()
        assert row is not None
        return row


def _first(connection: Connection, where: str, *values: Any) -> Statement | None:
    row = connection.execute(_SELECT + where + " LIMIT 1", values).fetchone()
    return None if row is None else _read(row)


def _read(row: Sequence[Any]) -> Statement:
    try:
        return of_row(row[:-2], row[-2], row[-1])
    except (ValueError, TypeError, RecursionError) as error:
        raise StatementsError(f"statement {row[0]} is damaged or of a newer version ({error})") from error
