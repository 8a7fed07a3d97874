"""Responses, plans and answers in one SQLite file of a data folder, which any number of processes read and write.

A write is one transaction, on the disk before the method returns. The file is made by the first one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.database import Form, change, failing, opened, owner_of
from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.plans import rows
from homeostat.errors import Unavailable
from homeostat.ports.plans import PlanBounds, PlansError
from homeostat.records.autonomy import Raised
from homeostat.records.incidents import Phase
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response

FILE = "plans.db"
FORMAT = 1
APPLICATION_ID = 0x686D706C  # "hmpl", in the file's header, where `file` and SQLite look for it.
_BUSY_S = 5.0
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
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("plans", APPLICATION_ID, FORMAT, _TABLES)


class SqlitePlans:
    """See `Plans`."""

    def __init__(
        self, folder: Path, *, app: str = "", bounds: PlanBounds = PlanBounds(), mode: int = FILE_MODE,  # noqa: B008
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        folder : where the file is, or will be
        app : whose plans they are; empty to take those of any app
        """
        self.path, self._mode, self._app, self._bounds = folder / FILE, mode, app, bounds
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._closed = False

    def write(self, response: Response) -> None:
        """See `Plans`."""
        with self._change() as run:
            rows.put(run, response, self._bounds)

    def get(self, incident: str) -> Response:
        """See `Plans`."""
        with self._look() as run:
            if run is None:
                raise rows.no_response(incident)
            return rows.get(run, incident)

    def list(self, phases: Collection[Phase] = (), limit: int = 1000) -> Sequence[Response]:
        """See `Plans`."""
        with self._look() as run:
            return [] if run is None else rows.responses(run, phases, limit)

    def ruled(self, since_ns: int, limit: int = 1000) -> Sequence[Ruled]:
        """See `Plans`."""
        with self._look() as run:
            return [] if run is None else rows.ruled(run, since_ns, limit)

    def raise_level(self, word: Raised) -> Raised:
        """See `Plans`."""
        with self._change() as run:
            return rows.put_word(run, word)

    def raised(self) -> Sequence[Raised]:
        """See `Plans`."""
        with self._look() as run:
            return [] if run is None else rows.words(run)

    def close(self) -> None:
        """See `Plans`."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
            self._db = None

    @contextmanager
    def _look(self) -> Iterator[Run | None]:
        """Reads; None while there is no file."""
        with self._failing():
            db = self._open(make=False)
            yield None if db is None else _runner(db)

    @contextmanager
    def _change(self) -> Iterator[Run]:
        """One transaction that nobody else's comes between."""
        with self._failing():
            db = self._open(make=True)
            assert db is not None
            with change(db):
                yield _runner(db)

    def _open(self, make: bool) -> sqlite3.Connection | None:
        if self._closed:
            raise Unavailable(f"the plans {self.path} are closed")
        if self._db is None:
            self._db = opened(self.path, FORM, self._app, self._mode if make else None, _BUSY_S, self._check)
        return self._db

    def _check(self, db: sqlite3.Connection) -> None:
        fault = FORM.fault(db)
        if fault:
            raise PlansError(f"{self.path} {fault}")
        owner = owner_of(db)
        if owner is None:
            raise PlansError(f"{self.path} is damaged: it does not say whose plans it holds")
        if self._app and owner and owner != self._app:
            raise PlansError(f"{self.path} holds the plans of the app {owner}, not of {self._app}")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite and of the disk get their meaning."""
        with self._lock, failing("plans", self.path, PlansError, "does not hold plans"):
            yield


def _runner(db: sqlite3.Connection) -> Run:
    def run(sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = db.execute(sql, values).fetchall()
        return found

    return run
