"""Responses, plans and answers in one SQLite file of a data folder, which any number of processes read and write.

A write is one transaction, on the disk before the method returns. The file is made by the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form
from homeostat.adapters.disk.sqlite.store_file import Held, StoreFile
from homeostat.adapters.plans import rows
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.ports.plans import PlanBounds, PlansError
from homeostat.records.autonomy import Raised
from homeostat.records.incidents import Phase
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response

FILE = "plans.db"
FORMAT = 1
APPLICATION_ID = 0x686D706C  # "hmpl", in the file's header, where `file` and SQLite look for it.
LEASES = """CREATE TABLE IF NOT EXISTS response_leases (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, until_ns INTEGER NOT NULL, fence INTEGER NOT NULL
) STRICT"""
_TABLES = (
    """CREATE TABLE responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    phase TEXT NOT NULL, text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX responses_phase ON responses (phase, number)",
    """CREATE TABLE ruled_plans (
    number INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE, incident TEXT NOT NULL,
    at_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT""",
    "CREATE INDEX ruled_plans_at ON ruled_plans (at_ns)",
    """CREATE TABLE raised_levels (
    number INTEGER PRIMARY KEY, remedy TEXT NOT NULL, reach TEXT NOT NULL, at_ns INTEGER NOT NULL, actor TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT""",
    LEASES,
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("plans", APPLICATION_ID, FORMAT, _TABLES)
_HELD = Held("plans", "plans", PlansError)


class SqlitePlans:
    """See `Plans`."""

    def __init__(
        self, folder: Path, *, app: str = "", bounds: PlanBounds = PlanBounds(), mode: int = FILE_MODE,  # noqa: B008
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose plans they are; empty to take those of any app
        clock : what leases end by; the machine's when None
        """
        self._file = StoreFile(folder / FILE, FORM, _HELD, app, mode)
        self._bounds = bounds
        self._clock = SystemClock() if clock is None else clock

    def write(self, response: Response) -> None:
        """See `Plans`."""
        with self._file.change() as run:
            rows.put(run, response, self._bounds)

    def get(self, incident: str) -> Response:
        """See `Plans`."""
        with self._file.look() as run:
            if run is None:
                raise rows.no_response(incident)
            return rows.get(run, incident)

    def list(self, phases: Collection[Phase] = (), limit: int = 1000) -> Sequence[Response]:
        """See `Plans`."""
        with self._file.look() as run:
            return [] if run is None else rows.responses(run, phases, limit)

    def ruled(self, since_ns: int, limit: int = 1000) -> Sequence[Ruled]:
        """See `Plans`."""
        with self._file.look() as run:
            return [] if run is None else rows.ruled(run, since_ns, limit)

    def raise_level(self, word: Raised) -> Raised:
        """See `Plans`."""
        with self._file.change() as run:
            return rows.put_word(run, word)

    def raised(self) -> Sequence[Raised]:
        """See `Plans`."""
        with self._file.look() as run:
            return [] if run is None else rows.words(run)

    def hold(self, name: str, owner: str, lease_s: float) -> int | None:
        """See `Plans`."""
        with self._file.change() as run:
            run(LEASES)  # A file of an earlier version lacks the table.
            return rows.hold(run, name, owner, self._clock.now_ns(), lease_s)

    def leave(self, name: str, owner: str) -> None:
        """See `Plans`."""
        with self._file.change() as run:
            run(LEASES)
            rows.leave(run, name, owner)

    def close(self) -> None:
        """See `Plans`."""
        self._file.close()
