"""One SQLite file of a data folder for one kind of records, which any number of processes read and write.

A write is one transaction, on the disk before the method returns. The file is made by the first one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.sqlite.database import Form, change, failing, opened, owner_of
from homeostat.adapters.incidents.rows import Run
from homeostat.errors import HomeostatError, Unavailable

_BUSY_S = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """The records of a file, in words, and the error that it holds something else.

    store : the name of the whole, such as `memory`; records : its records, such as `past cases`
    """

    store: str
    records: str
    fault: type[HomeostatError]


class StoreFile:
    """The file. May be used by several threads; nothing is opened yet.

    app : whose records they are; empty to take those of any app
    mode : the file's permissions when it is made
    """

    def __init__(self, path: Path, form: Form, held: Held, app: str, mode: int) -> None:
        self.path, self._form, self._held, self._app, self._mode = path, form, held, app, mode
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._closed = False

    @contextmanager
    def look(self) -> Iterator[Run | None]:
        """Reads; None while there is no file. Raises Unavailable, and the error of `held`."""
        with self._failing():
            db = self._open(make=False)
            yield None if db is None else _runner(db)

    @contextmanager
    def change(self) -> Iterator[Run]:
        """One transaction that nobody else's comes between. Raises Unavailable, and the error of `held`."""
        with self._failing():
            db = self._open(make=True)
            assert db is not None
            with change(db):
                yield _runner(db)

    def close(self) -> None:
        """Close the file; whatever is asked of it then raises Unavailable."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
            self._db = None

    def _open(self, make: bool) -> sqlite3.Connection | None:
        """The connection; None while there is no file that has tables, and none is to be made."""
        if self._closed:
            raise Unavailable(f"the store of {self._held.records}, {self.path}, is closed")
        if self._db is None:
            mode = self._mode if make else None
            self._db = opened(self.path, self._form, self._app, mode, _BUSY_S, self._check)
        return self._db

    def _check(self, db: sqlite3.Connection) -> None:
        held, fault = self._held, self._form.fault(db)
        if fault:
            raise held.fault(f"{self.path} {fault}")
        owner = owner_of(db)
        if owner is None:
            raise held.fault(f"{self.path} is damaged: it does not say whose {held.records} it holds")
        if self._app and owner and owner != self._app:
            raise held.fault(f"{self.path} holds the {held.records} of the app {owner}, not of {self._app}")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite and of the disk get their meaning."""
        held = self._held
        with self._lock, failing(held.store, self.path, held.fault, f"does not hold {held.records}"):
            yield


def _runner(db: sqlite3.Connection) -> Run:
    def run(sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = db.execute(sql, values).fetchall()
        return found

    return run
