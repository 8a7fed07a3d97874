"""One kind of an app's records in PostgreSQL, whose writers take turns by an advisory lock.

So numbers are in the order of commits, and no reader of what came since a number misses one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import migrate

T = TypeVar("T")


def migrated(url: str, app: str, deadline_s: float) -> Connections:
    """Connections to a database whose tables are there by now.

    app : whose records they are; empty to take those of any app
    deadline_s : the longest that one operation waits for the server
    Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
    address can't be read.
    """
    connections = Connections(url, most=4, deadline_s=deadline_s)
    try:
        migrate(connections, app)
    except BaseException:
        connections.close()
        raise
    return connections


class Turns:
    """The records. May be used by several threads. lock : the number of the writers' lock"""

    def __init__(self, url: str, app: str, lock: int, deadline_s: float) -> None:
        """Make the tables where they are missing; see `migrated`."""
        self._lock = lock
        self._connections = migrated(url, app, deadline_s)

    def look(self, read: Callable[[Run], T]) -> T:
        """The result of a look, outside of a transaction. Raises Unavailable."""
        return self._connections.run(lambda connection: read(_runner(connection)))

    def change(self, act: Callable[[Run], T]) -> T:
        """One transaction that nobody else's comes between. Raises Unavailable."""

        def do(connection: Connection) -> T:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock,))
                return act(_runner(connection))

        return self._connections.run(do)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def plain(id: str) -> str:
    """An id that the server takes: one with a NUL is no one's."""
    return id.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _runner(connection: Connection) -> Run:
    def run(sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        cursor = connection.execute(sql.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    return run
