"""Incidents in PostgreSQL, which all processes of an app read and write, on any number of machines.

Writers take turns by an advisory lock, so that numbers are in the order of commits and no reader of changes misses one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from homeostat.adapters.incidents import maintenance_rows, rows
from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.postgres.schema import INCIDENTS_LOCK
from homeostat.adapters.postgres.turns import Turns, plain
from homeostat.ports.incidents import LOOP, Bounds, IncidentChange, Kept, KeptSignal
from homeostat.ports.maintenance import LEASE_S, Lease, MaintenanceState
from homeostat.records.deliveries import Delivery
from homeostat.records.incidents import Incident, Phase, Silence
from homeostat.records.signals import Signal


class PostgresIncidents:
    """See `MaintenanceStore`. May be used by several threads."""

    def __init__(
        self, url: str, *, app: str = "", bounds: Bounds = Bounds(), deadline_s: float = 5.0,  # noqa: B008 - frozen.
    ) -> None:  # fmt: skip
        """Make the tables where they are missing.

        app : whose incidents they are; empty to take those of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._bounds = bounds
        self._turns = Turns(url, app, INCIDENTS_LOCK, deadline_s)

    def write(self, signals: Sequence[Signal], incidents: Sequence[Incident], actor: str = LOOP) -> None:
        """See `Incidents`. Where the answer to COMMIT is lost, all or nothing is stored: the same again stores it."""

        if signals or incidents:
            self._turns.change(lambda run: rows.put_all(run, signals, incidents, actor, self._bounds))

    def get(self, id: str) -> Incident:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.get(run, plain(id)))

    def list(self, phases: Collection[Phase] = (), limit: int = 100, below: int | None = None) -> Sequence[Kept]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.incidents(run, phases, limit, below))

    def history(self, id: str) -> Sequence[IncidentChange]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.history(run, plain(id)))

    def changes(self, after: int, limit: int = 1000) -> Sequence[IncidentChange]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.changes(run, after, limit))

    def signals(self, limit: int = 100, below: int | None = None) -> Sequence[KeptSignal]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.signals(run, limit, below))

    def signals_of(self, ids: Collection[str]) -> Sequence[Signal]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.signals_of(run, ids))

    def silence(self, one: Silence, expected: int | None = None) -> Silence:
        """See `Incidents`."""

        def put(run: Run) -> Silence:
            made = rows.put_silence(run, one, expected)
            rows.prune(run, self._bounds)
            return made

        return self._turns.change(put)

    def silences(self, at_ns: int | None = None) -> Sequence[Silence]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.silences(run, at_ns))

    def plan(self, deliveries: Sequence[Delivery], up_to: int) -> None:
        """See `Incidents`."""

        def put(run: Run) -> None:
            rows.plan(run, deliveries, up_to)
            if deliveries:
                rows.prune(run, self._bounds)

        self._turns.change(put)

    def planned(self) -> int:
        """See `Incidents`."""
        return self._turns.look(rows.planned)

    def claim(self, now_ns: int, lease_ns: int, limit: int = 100) -> Sequence[Delivery]:
        """See `Incidents`."""
        return self._turns.change(lambda run: rows.claim(run, now_ns, lease_ns, limit))

    def report(self, delivery: Delivery) -> bool:
        """See `Incidents`."""
        return self._turns.change(lambda run: rows.report(run, delivery))

    def deliveries(self, limit: int = 100, below: int | None = None) -> Sequence[Delivery]:
        """See `Incidents`."""
        return self._turns.look(lambda run: rows.deliveries(run, limit, below))

    def take(self, owner: str, lease_s: float = LEASE_S) -> bool:
        """See `MaintenanceStore`."""
        return self._turns.change(lambda run: maintenance_rows.take(run, owner, now_ns(run), lease_s))

    def say(self, owner: str, state: MaintenanceState, lease_s: float = LEASE_S) -> bool:
        """See `MaintenanceStore`."""
        return self._turns.change(lambda run: maintenance_rows.say(run, owner, state, now_ns(run), lease_s))

    def leave(self, owner: str) -> None:
        """See `MaintenanceStore`."""
        self._turns.change(lambda run: maintenance_rows.leave(run, owner))

    def lease(self) -> Lease | None:
        """See `MaintenanceStore`."""
        return self._turns.look(lambda run: maintenance_rows.lease(run, now_ns(run)))

    def saved(self) -> bytes | None:
        """See `MaintenanceStore`."""
        return self._turns.look(maintenance_rows.saved)

    def save(self, owner: str, memory: bytes, signals: Sequence[Signal], incidents: Sequence[Incident]) -> bool:
        """See `MaintenanceStore`. Where the answer to COMMIT is lost, all or nothing is stored."""

        def put(run: Run) -> bool:
            if not maintenance_rows.holds(run, owner):
                return False
            rows.put_all(run, signals, incidents, LOOP, self._bounds)
            maintenance_rows.save(run, memory)
            return True

        return self._turns.change(put)

    def close(self) -> None:
        """See `Incidents`."""
        self._turns.close()


def now_ns(run: Run) -> int:
    """The server's clock: processes on several machines have that in common."""
    return int(run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint")[0][0])
