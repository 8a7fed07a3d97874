"""Responses, plans and answers in PostgreSQL, for all processes of an app, on any number of machines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from homeostat.adapters.plans import rows
from homeostat.adapters.postgres.incidents import now_ns
from homeostat.adapters.postgres.schema import PLANS_LOCK
from homeostat.adapters.postgres.turns import Turns, plain
from homeostat.ports.plans import PlanBounds
from homeostat.records.autonomy import Raised
from homeostat.records.incidents import Phase
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response


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
        self._turns = Turns(url, app, PLANS_LOCK, deadline_s)

    def write(self, response: Response) -> None:
        """See `Plans`. Where the answer to COMMIT is lost, all or nothing is stored: the same again stores it."""
        self._turns.change(lambda run: rows.put(run, response, self._bounds))

    def get(self, incident: str) -> Response:
        """See `Plans`."""
        return self._turns.look(lambda run: rows.get(run, plain(incident)))

    def list(self, phases: Collection[Phase] = (), limit: int = 1000) -> Sequence[Response]:
        """See `Plans`."""
        return self._turns.look(lambda run: rows.responses(run, phases, limit))

    def ruled(self, since_ns: int, limit: int = 1000) -> Sequence[Ruled]:
        """See `Plans`."""
        return self._turns.look(lambda run: rows.ruled(run, since_ns, limit))

    def raise_level(self, word: Raised) -> Raised:
        """See `Plans`."""
        return self._turns.change(lambda run: rows.put_word(run, word))

    def raised(self) -> Sequence[Raised]:
        """See `Plans`."""
        return self._turns.look(rows.words)

    def hold(self, name: str, owner: str, lease_s: float) -> int | None:
        """See `Plans`."""
        return self._turns.change(lambda run: rows.hold(run, name, owner, now_ns(run), lease_s))

    def leave(self, name: str, owner: str) -> None:
        """See `Plans`."""
        self._turns.change(lambda run: rows.leave(run, name, owner))

    def close(self) -> None:
        """See `Plans`."""
        self._turns.close()
