"""Incidents in one SQLite file of a data folder, which any number of processes read and write.

A write is one transaction, on the disk before the method returns. The file is made by the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form
from homeostat.adapters.disk.sqlite.store_file import Held, StoreFile
from homeostat.adapters.incidents import maintenance_rows, rows
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.ports.incidents import LOOP, Bounds, IncidentChange, IncidentsError, Kept, KeptSignal, unknown
from homeostat.ports.maintenance import LEASE_S, Lease, MaintenanceState
from homeostat.records.deliveries import Delivery
from homeostat.records.incidents import Incident, Phase, Silence
from homeostat.records.signals import Signal

FILE = "incidents.db"
FORMAT = 1
APPLICATION_ID = 0x686D696E  # "hmin", in the file's header, where `file` and SQLite look for it.
_TABLES = (
    """CREATE TABLE signals (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at_ns INTEGER NOT NULL, still INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT""",
    """CREATE TABLE incidents (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, phase TEXT NOT NULL,
    updated_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX incidents_phase ON incidents (phase, number)",
    """CREATE TABLE incident_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT NOT NULL, revision INTEGER NOT NULL, actor TEXT NOT NULL,
    text TEXT NOT NULL, UNIQUE (incident, revision)
) STRICT""",
    """CREATE TABLE incident_silences (
    id TEXT PRIMARY KEY, until_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX incident_silences_until ON incident_silences (until_ns)",
    """CREATE TABLE incident_deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, incident TEXT NOT NULL,
    revision INTEGER NOT NULL, news TEXT NOT NULL, made_ns INTEGER NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, error TEXT NOT NULL
) STRICT""",
    "CREATE INDEX incident_deliveries_due ON incident_deliveries (state, next_ns)",
    "CREATE TABLE incident_cursor (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO incident_cursor VALUES ('planned', 0)",
    """CREATE TABLE maintenance_lease (
    place INTEGER PRIMARY KEY, owner TEXT NOT NULL, until_ns INTEGER NOT NULL, state TEXT NOT NULL
) STRICT""",
    "CREATE TABLE maintenance_memory (part INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("incidents", APPLICATION_ID, FORMAT, _TABLES)
_HELD = Held("incidents", "incidents", IncidentsError)


class SqliteIncidents:
    """See `MaintenanceStore`."""

    def __init__(
        self, folder: Path, *, app: str = "", bounds: Bounds = Bounds(), mode: int = FILE_MODE,  # noqa: B008 - frozen.
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose incidents they are; empty to take those of any app
        """
        self._file = StoreFile(folder / FILE, FORM, _HELD, app, mode)
        self._bounds = bounds
        self._clock = SystemClock() if clock is None else clock

    def write(self, signals: Sequence[Signal], incidents: Sequence[Incident], actor: str = LOOP) -> None:
        """See `Incidents`."""
        if not signals and not incidents:
            return
        with self._file.change() as run:
            rows.put_all(run, signals, incidents, actor, self._bounds)

    def get(self, id: str) -> Incident:
        """See `Incidents`."""
        with self._file.look() as run:
            if run is None:
                raise unknown(id)
            return rows.get(run, id)

    def list(self, phases: Collection[Phase] = (), limit: int = 100, below: int | None = None) -> Sequence[Kept]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.incidents(run, phases, limit, below)

    def history(self, id: str) -> Sequence[IncidentChange]:
        """See `Incidents`."""
        with self._file.look() as run:
            if run is None:
                raise unknown(id)
            return rows.history(run, id)

    def changes(self, after: int, limit: int = 1000) -> Sequence[IncidentChange]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.changes(run, after, limit)

    def signals(self, limit: int = 100, below: int | None = None) -> Sequence[KeptSignal]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.signals(run, limit, below)

    def signals_of(self, ids: Collection[str]) -> Sequence[Signal]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.signals_of(run, ids)

    def silence(self, one: Silence, expected: int | None = None) -> Silence:
        """See `Incidents`."""
        with self._file.change() as run:
            made = rows.put_silence(run, one, expected)
            rows.prune(run, self._bounds)
        return made

    def silences(self, at_ns: int | None = None) -> Sequence[Silence]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.silences(run, at_ns)

    def plan(self, deliveries: Sequence[Delivery], up_to: int) -> None:
        """See `Incidents`."""
        with self._file.change() as run:
            rows.plan(run, deliveries, up_to)
            if deliveries:
                rows.prune(run, self._bounds)

    def planned(self) -> int:
        """See `Incidents`."""
        with self._file.look() as run:
            return 0 if run is None else rows.planned(run)

    def claim(self, now_ns: int, lease_ns: int, limit: int = 100) -> Sequence[Delivery]:
        """See `Incidents`."""
        with self._file.look() as run:
            if run is None:
                return []
        with self._file.change() as run:
            return rows.claim(run, now_ns, lease_ns, limit)

    def report(self, delivery: Delivery) -> bool:
        """See `Incidents`."""
        with self._file.change() as run:
            return rows.report(run, delivery)

    def deliveries(self, limit: int = 100, below: int | None = None) -> Sequence[Delivery]:
        """See `Incidents`."""
        with self._file.look() as run:
            return [] if run is None else rows.deliveries(run, limit, below)

    def take(self, owner: str, lease_s: float = LEASE_S) -> bool:
        """See `MaintenanceStore`."""
        with self._file.change() as run:
            return maintenance_rows.take(run, owner, self._clock.now_ns(), lease_s)

    def say(self, owner: str, state: MaintenanceState, lease_s: float = LEASE_S) -> bool:
        """See `MaintenanceStore`."""
        with self._file.change() as run:
            return maintenance_rows.say(run, owner, state, self._clock.now_ns(), lease_s)

    def leave(self, owner: str) -> None:
        """See `MaintenanceStore`."""
        with self._file.change() as run:
            maintenance_rows.leave(run, owner)

    def lease(self) -> Lease | None:
        """See `MaintenanceStore`."""
        with self._file.look() as run:
            return None if run is None else maintenance_rows.lease(run, self._clock.now_ns())

    def saved(self) -> bytes | None:
        """See `MaintenanceStore`."""
        with self._file.look() as run:
            return None if run is None else maintenance_rows.saved(run)

    def save(self, owner: str, memory: bytes, signals: Sequence[Signal], incidents: Sequence[Incident]) -> bool:
        """See `MaintenanceStore`."""
        with self._file.change() as run:
            if not maintenance_rows.holds(run, owner):
                return False
            rows.put_all(run, signals, incidents, LOOP, self._bounds)
            maintenance_rows.save(run, memory)
            return True

    def close(self) -> None:
        """See `Incidents`."""
        self._file.close()
