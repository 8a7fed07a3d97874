"""Responses, plans and answers in PostgreSQL, for all processes of an app, on any number of machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.plans import rows
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import PLANS_LOCK, migrate
from homeostat.ports.plans import PlanBounds
from homeostat.records.autonomy import Raised
from homeostat.records.incidents import Phase
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response

T = TypeVar("T")


class PostgresPlans:
    """See `Plans`. May be used by several threads."""

    def __init__(
        self, url: str, *, app: str = "", bounds: PlanBounds = PlanBounds(), deadline_s: float = 5.0,  # noqa: B008
    ) -> None:  # fmt: skip
        """Make the tables where they are missing.

        app : whose plans they are; empty to take those of any app
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

    def write(self, response: Response) -> None:
        """See `Plans`. Where the answer to COMMIT is lost, all or nothing is stored: the same again stores it."""
        self._change(lambda run: rows.put(run, response, self._bounds))

    def get(self, incident: str) -> Response:
        """See `Plans`."""
        plain = incident.replace("\0", "\ufffd").encode("utf-8", "replace").decode()  # One with a NUL is no one's.
        return self._look(lambda run: rows.get(run, plain))

    def list(self, phases: Collection[Phase] = (), limit: int = 1000) -> Sequence[Response]:
        """See `Plans`."""
        return self._look(lambda run: rows.responses(run, phases, limit))

    def ruled(self, since_ns: int, limit: int = 1000) -> Sequence[Ruled]:
        """See `Plans`."""
        return self._look(lambda run: rows.ruled(run, since_ns, limit))

    def raise_level(self, word: Raised) -> Raised:
        """See `Plans`."""
        return self._change(lambda run: rows.put_word(run, word))

    def raised(self) -> Sequence[Raised]:
        """See `Plans`."""
        return self._look(rows.words)

    def close(self) -> None:
        """See `Plans`."""
        self._connections.close()

    def _look(self, read: Callable[[Run], T]) -> T:
        return self._connections.run(lambda connection: read(_runner(connection)))

    def _change(self, act: Callable[[Run], T]) -> T:
        """One transaction that nobody else's comes between."""

        def do(connection: Connection) -> T:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (PLANS_LOCK,))
                return act(_runner(connection))

        return self._connections.run(do)


def _runner(connection: Connection) -> Run:
    def run(sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        cursor = connection.execute(sql.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    return run
