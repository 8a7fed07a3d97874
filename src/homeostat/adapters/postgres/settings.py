"""Settings in PostgreSQL, which all processes of an app read, on any number of machines.

A change is one transaction under the lock of one row, so numbers have no gaps. A thread that the first question for the
last number starts hears of changes by LISTEN, and looks by itself at times; behind a pooler, which passes no
notifications on, it only looks.
"""

from __future__ import annotations

import os
import threading
import time
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import psycopg

from homeostat.adapters.postgres.connections import BoundedConnection, Connection, Connections
from homeostat.adapters.postgres.schema import migrate
from homeostat.errors import Unavailable
from homeostat.ports.settings import Applied, SettingsError, agreed, unchanged
from homeostat.records.change_rows import COLUMNS, as_row, chained, checked, of_row, placed
from homeostat.records.changes import Change, Scope

LOOK_S, POOLED_LOOK_S = 1.0, 0.25
"""How often the server is asked for the last number, where it gives notice of changes and where it does not."""

_CHANNEL = "homeostat_settings"
_JSON = {"body", "before"}
_NAMES = ", ".join(COLUMNS)
_TEXTS = ", ".join(f"{name}::text" if name in _JSON else name for name in COLUMNS)
_SELECT = f"SELECT {_TEXTS} FROM settings_changes "  # noqa: S608
SELECT_CHANGES = f"SELECT {_TEXTS}, digest FROM settings_changes ORDER BY number"  # noqa: S608
_INSERT = f"""INSERT INTO settings_changes ({_NAMES}, digest)
    VALUES ({", ".join("%s::json" if name in _JSON else "%s" for name in COLUMNS)}, %s)"""  # noqa: S608
_HEAD = "SELECT number, at_ns, digest, (extract(epoch FROM clock_timestamp()) * 1e9)::bigint FROM settings_head"
_UNTIL = "SELECT number FROM settings_changes WHERE at_ns <= %s ORDER BY at_ns DESC LIMIT 1"
_REPORT = """INSERT INTO settings_processes VALUES (%s, %s, %s, %s) ON CONFLICT (process) DO UPDATE
    SET number = excluded.number, at_ns = excluded.at_ns, trouble = excluded.trouble"""
# The scopes are found one after the other in their index, so that the cost follows their number, not the changes'.
_AT = f"""WITH RECURSIVE scopes AS (
    (SELECT kind, scope FROM settings_changes ORDER BY kind, scope LIMIT 1)
    UNION ALL
    SELECT next.kind, next.scope FROM scopes, LATERAL (
        SELECT kind, scope FROM settings_changes WHERE (kind, scope) > (scopes.kind, scopes.scope)
        ORDER BY kind, scope LIMIT 1) AS next)
SELECT {", ".join(f"found.{name}::text" if name in _JSON else f"found.{name}" for name in COLUMNS)}
FROM scopes, LATERAL (
    SELECT * FROM settings_changes AS change
    WHERE change.kind = scopes.kind AND change.scope = scopes.scope AND change.number <= %s
    ORDER BY change.number DESC LIMIT 1) AS found
WHERE found.body IS NOT NULL ORDER BY found.number"""  # noqa: S608


class PostgresSettings:
    """See `Settings`."""

    def __init__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> None:
        """Make the tables where they are missing.

        app : whose settings they are; empty to take those of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._connections = Connections(url, most=4, deadline_s=deadline_s)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise
        self._watch: _Watch | None = None
        self._lock = threading.Lock()

    def append(self, change: Change, expected: int | None) -> Change:
        """See `Settings`."""
        change = checked(change)
        storing = _Storing(change, expected)
        try:
            stored = self._connections.run(storing.store)
        except Unavailable as error:
            if storing.doubtful is None:
                raise
            stored = self._found(storing.doubtful, error)
        if self._watch is not None:
            self._watch.note(stored.number)
        return stored

    def _found(self, doubtful: tuple[Change, bytes], error: Unavailable) -> Change:
        """A change whose COMMIT got no answer, if it was stored. Raises Unavailable."""
        change, digest = doubtful

        def look(connection: Connection) -> bool:
            connection.execute("BEGIN")
            connection.execute("SELECT FROM settings_head FOR UPDATE")  # Until then it might still be stored.
            sql = "SELECT digest FROM settings_changes WHERE number = %s"
            return connection.execute(sql, (change.number,)).fetchone() == (digest,)

        try:
            if self._connections.run(look):
                return change
        except Unavailable:
            raise Unavailable(
                f"{error}: the change may have been stored all the same",
                remedy="send it again with the same key, which stores it once, or look at the settings first",
            ) from None
        raise error

    def since(self, number: int, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        return self._changes(_SELECT + "WHERE number > %s ORDER BY number LIMIT %s", number, limit)

    def last_of(self, scope: Scope) -> Change | None:
        """See `Settings`."""
        return next(iter(self.history(scope, limit=1)), None)

    def at(self, time_ns: int) -> dict[Scope, Change]:
        """See `Settings`."""
        rows = self._rows(_UNTIL, time_ns)
        found = self._changes(_AT, rows[0][0]) if rows else []
        return {change.where: change for change in found}

    def history(self, scope: Scope, until_ns: int | None = None, limit: int | None = None) -> list[Change]:
        """See `Settings`."""
        where, values = "WHERE kind = %s AND scope = %s", [str(scope.kind), scope.name]
        if until_ns is not None:
            where += f" AND number <= coalesce(({_UNTIL}), 0)"
        until = [] if until_ns is None else [until_ns]
        return self._changes(_SELECT + where + " ORDER BY number DESC LIMIT %s", *values, *until, limit)

    def next_of(self, scope: Scope, number: int) -> Change | None:
        """See `Settings`."""
        where = "WHERE kind = %s AND scope = %s AND number > %s ORDER BY number LIMIT 1"
        return next(iter(self._changes(_SELECT + where, str(scope.kind), scope.name, number)), None)

    @property
    def last(self) -> int:
        """See `Settings`. The first question asks the server, each later one the thread that watches it."""
        with self._lock:
            if self._watch is None:
                number = self._connections.run(_last)
                self._watch = _Watch(self._connections, number)
        return self._watch.last

    def report(self, applied: Applied) -> None:
        """See `Settings`."""

        def store(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("DELETE FROM settings_processes WHERE at_ns < %s", (applied.forgotten_ns,))
                row = (applied.process, applied.number, applied.at_ns, applied.trouble.replace("\0", ""))
                connection.execute(_REPORT, row)

        self._connections.run(store)

    def processes(self) -> list[Applied]:
        """See `Settings`."""
        rows = self._rows("SELECT process, number, at_ns, trouble FROM settings_processes ORDER BY process")
        return [Applied(*row) for row in rows]

    def leave(self, process: str) -> None:
        """See `Settings`."""
        self._connections.run(
            lambda connection: connection.execute("DELETE FROM settings_processes WHERE process = %s", (process,))
        )

    def close(self) -> None:
        """See `Settings`."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
        self._connections.close()

    def _changes(self, sql: str, *values: Any) -> list[Change]:
        try:
            return [of_row(row) for row in self._rows(sql, *values)]
        except (ValueError, TypeError) as error:
            where = self._connections.where
            raise SettingsError(f"{where}: a change is damaged or of a newer version ({error})") from error

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(lambda connection: connection.execute(sql, values).fetchall())


class _Storing:
    """One change on its way.

    doubtful : the change and its digest while nobody knows whether its COMMIT took place
    """

    def __init__(self, change: Change, expected: int | None) -> None:
        self._change, self._expected = change, expected
        self.doubtful: tuple[Change, bytes] | None = None

    def store(self, connection: Connection) -> Change:
        """The change as it was stored, or an earlier one of the same key."""
        self.doubtful = None
        connection.execute("BEGIN")
        change, digest = stored_in(connection, self._change, self._expected)
        if digest is None:
            return change
        self.doubtful = change, digest
        connection.execute("COMMIT")
        self.doubtful = None
        return change


def stored_in(connection: Connection, change: Change, expected: int | None) -> tuple[Change, bytes | None]:
    """A checked change as it is stored in the transaction at hand, and its digest; None where its key is there already.

    Raises what `Settings.append` raises.
    """
    head = connection.execute(_HEAD + " FOR UPDATE").fetchone()
    assert head is not None, "a migration puts it there"
    if change.key and (row := connection.execute(_SELECT + "WHERE key = %s", (change.key,)).fetchone()):
        return agreed(of_row(row), change), None
    where = "WHERE kind = %s AND scope = %s ORDER BY number DESC LIMIT 1"
    row = connection.execute(_SELECT + where, (str(change.kind), change.scope)).fetchone()
    last = None if row is None else of_row(row)
    unchanged(last, expected)
    number, at_ns, digest, now_ns = head
    change = placed(change, number + 1, max(now_ns, at_ns + 1), last)
    row = as_row(change)
    digest = chained(digest, row)
    connection.execute(_INSERT, (*row, digest))
    sql = "UPDATE settings_head SET number = %s, at_ns = %s, digest = %s"
    connection.execute(sql, (change.number, change.at_ns, digest))
    connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, str(change.number)))
    return change, digest


class _Watch:
    """The last number, as a thread hears and sees it."""

    def __init__(self, connections: Connections, number: int) -> None:
        self._connections, self._number = connections, number
        self._looked_s = time.monotonic()
        self._trouble = ""
        self._wake_out, self._wake_in = os.pipe()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="settings-watch", daemon=True)
        self._thread.start()

    @property
    def last(self) -> int:
        """The last number. Raises Unavailable where the server has not been seen for a while."""
        if time.monotonic() - self._looked_s > self._connections.deadline_s + LOOK_S:
            raise Unavailable(self._trouble or f"{self._connections.where} does not answer")
        return self._number

    def note(self, number: int) -> None:
        """Take a number that someone else has seen."""
        self._number = max(self._number, number)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        os.write(self._wake_in, b".")
        self._thread.join()
        os.close(self._wake_out)
        os.close(self._wake_in)

    def _run(self) -> None:
        connection: BoundedConnection | None = None
        while not self._closed.is_set():
            try:
                if connection is None:
                    connection = self._listen()
                connection.until = time.monotonic() + self._connections.deadline_s
                self.note(_last(connection))
                self._looked_s, self._trouble = time.monotonic(), ""
            except psycopg.Error as error:
                self._trouble = self._connections.said(error)
                if connection is not None:
                    connection.close()
                connection = None
            self._wait(connection)
        if connection is not None:
            connection.close()

    def _listen(self) -> BoundedConnection:
        connection = self._connections.connect(time.monotonic() + self._connections.deadline_s)
        if not self._connections.pooled:
            # A message only wakes this thread, which asks; without a handler psycopg would keep it.
            connection.add_notify_handler(lambda notice: None)
            connection.execute(f"LISTEN {_CHANNEL}")
        return connection

    def _wait(self, connection: BoundedConnection | None) -> None:
        """Until something arrives, the time of the next look has come, or the end."""
        listening = connection is not None and not self._connections.pooled
        with DefaultSelector() as selector:
            selector.register(self._wake_out, EVENT_READ)
            if connection is not None and listening:
                selector.register(connection.fileno(), EVENT_READ)
            selector.select(LOOK_S if listening else POOLED_LOOK_S)


def _last(connection: Connection) -> int:
    row = connection.execute("SELECT number FROM settings_head").fetchone()
    assert row is not None, "a migration puts it there"
    return int(row[0])
