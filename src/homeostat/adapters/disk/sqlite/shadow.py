"""Decisions of challengers in one SQLite file of a data folder, beside the journal that holds the champion's.

The process that runs a challenger writes it, and nothing that decides reads it. It is made again from the journal if it
is lost.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.adapters.disk.sqlite.database import Form, log_ahead
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Unavailable
from homeostat.ports import Clock
from homeostat.ports.shadow import KEEP_BYTES, LEASE_S, Held, ShadowState
from homeostat.records.shadowed import Shadowed, unpacked

FILE = "shadow.db"
APPLICATION_ID = 0x686D7368  # "hmsh"
_BUSY_S = 5.0
_TABLES = (
    """CREATE TABLE IF NOT EXISTS shadowed (
    version TEXT NOT NULL, entry INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (version, entry)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS leases (
    version TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, until_ns INTEGER NOT NULL, state TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
)
FORM = Form("decisions of challengers", APPLICATION_ID, 0, _TABLES, owned=False)
_PRUNE = """DELETE FROM shadowed WHERE (version, entry) IN (SELECT version, entry FROM (
    SELECT version, entry, sum(length(body)) OVER (ORDER BY entry DESC, version) AS total FROM shadowed)
    WHERE total > ?)"""
_TAKE = """INSERT INTO leases VALUES (:version, :owner, :until, :state) ON CONFLICT (version) DO UPDATE
    SET owner = excluded.owner, until_ns = excluded.until_ns WHERE owner = excluded.owner OR until_ns <= :now"""
_SAY = """UPDATE leases SET until_ns = ?, state = ? WHERE version = ? AND owner = ?"""


class ShadowFile:
    """See `ShadowStore`. A context manager; for one thread at a time."""

    def __init__(
        self, folder: Path, readonly: bool = False, *, keep_bytes: int = KEEP_BYTES, clock: Clock | None = None
    ) -> None:
        """folder : where the file is; made by the first process that writes. Until then, a reader finds nothing"""
        self.path = folder / FILE
        self._keep_bytes, self._clock = keep_bytes, SystemClock() if clock is None else clock
        self._db: sqlite3.Connection | None = None
        self._readonly = readonly
        with self._failing() as db:
            if readonly or db is not None:
                return
            create(self.path, FILE_MODE)
            self._db = db = self._connected("rw")
            log_ahead(db, _BUSY_S)
            db.execute("PRAGMA synchronous = NORMAL")  # A lost row is made again from the journal.
            FORM.make_once(db)
            fault = FORM.fault(db)
            for table in () if fault else _TABLES:  # Those that a file of an older version lacks.
                db.execute(table)
        if fault:
            self.close()
            raise Unavailable(f"{self.path} {fault}: move it away, and it is made again from the journal")

    @property
    def where(self) -> str:
        """Its file."""
        return str(self.path)

    def last(self, version: str) -> int:
        """See `ShadowStore`."""
        with self._failing() as db:
            row = None if db is None else db.execute("SELECT max(entry) FROM shadowed WHERE version = ?", (version,))
            found = None if row is None else row.fetchone()[0]
            return 0 if found is None else int(found)

    def append(self, version: str, made: Sequence[Shadowed]) -> None:
        """See `ShadowStore`."""
        with self._failing() as db:
            assert db is not None
            db.execute("BEGIN IMMEDIATE")
            try:
                rows = ((version, one.entry, one.packed()) for one in made)
                db.executemany("INSERT OR REPLACE INTO shadowed VALUES (?, ?, ?)", rows)
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def read(self, version: str, after: int = 0) -> Iterator[Shadowed]:
        """See `ShadowStore`."""
        with self._failing() as db:
            if db is None:
                return
            sql = "SELECT entry, body FROM shadowed WHERE version = ? AND entry > ? ORDER BY entry LIMIT 64"
            while rows := db.execute(sql, (version, after)).fetchall():  # A reader must not hold back the log's end.
                for after, body in rows:
                    yield self._unpacked(after, body)

    def at(self, version: str, entry: int) -> Shadowed | None:
        """See `ShadowStore`."""
        with self._failing() as db:
            sql = "SELECT body FROM shadowed WHERE version = ? AND entry = ?"
            row = None if db is None else db.execute(sql, (version, entry)).fetchone()
            return None if row is None else self._unpacked(entry, row[0])

    def versions(self) -> dict[str, int]:
        """See `ShadowStore`."""
        with self._failing() as db:
            rows = (
                [] if db is None else db.execute("SELECT version, count(*) FROM shadowed GROUP BY version").fetchall()
            )
            return {str(version): int(count) for version, count in rows}

    def drop(self, version: str) -> None:
        """See `ShadowStore`."""
        with self._failing() as db:
            if db is not None:
                db.execute("DELETE FROM shadowed WHERE version = ?", (version,))
                db.execute("DELETE FROM leases WHERE version = ?", (version,))

    def prune(self, retention_ns: int | None = None) -> int:
        """See `ShadowStore`. A data folder keeps decisions for good, so only the bound counts."""
        with self._failing() as db:
            return 0 if db is None else db.execute(_PRUNE, (self._keep_bytes,)).rowcount

    def take(self, version: str, owner: str, lease_s: float = LEASE_S) -> bool:
        """See `ShadowStore`."""
        now_ns = self._clock.now_ns()
        with self._failing() as db:
            assert db is not None
            state = json.dumps(ShadowState(began_ns=now_ns, at_ns=now_ns).as_json())
            given = {"version": version, "owner": owner, "until": now_ns + _ns(lease_s), "state": state, "now": now_ns}
            return db.execute(_TAKE, given).rowcount == 1

    def say(self, version: str, owner: str, state: ShadowState, lease_s: float = LEASE_S) -> bool:
        """See `ShadowStore`."""
        with self._failing() as db:
            assert db is not None
            until_ns = self._clock.now_ns() + _ns(lease_s)
            return db.execute(_SAY, (until_ns, json.dumps(state.as_json()), version, owner)).rowcount == 1

    def leave(self, version: str, owner: str) -> None:
        """See `ShadowStore`."""
        with self._failing() as db:
            if db is not None:
                db.execute("UPDATE leases SET until_ns = 0 WHERE version = ? AND owner = ?", (version, owner))

    def held(self) -> dict[str, Held]:
        """See `ShadowStore`."""
        with self._failing() as db:
            there = db is not None and db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'leases'").fetchone()
            if db is None or not there:
                return {}
            now_ns = self._clock.now_ns()
            rows = db.execute("SELECT version, owner, until_ns > ?, state FROM leases", (now_ns,)).fetchall()
            return {version: Held(owner, bool(lives), self._state(state)) for version, owner, lives, state in rows}

    def close(self) -> None:
        """See `ShadowStore`."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> ShadowFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _connected(self, mode: str) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)

    def _state(self, text: str) -> ShadowState:
        try:
            return ShadowState.of_json(json.loads(text))
        except (ValueError, TypeError) as error:
            raise Unavailable(f"{self.path}: a state is damaged ({error}); delete the file") from error

    def _unpacked(self, entry: int, body: bytes) -> Shadowed:
        try:
            return unpacked(entry, body)
        except ValueError as error:
            raise Unavailable(f"{self.path}, entry {entry}: {error}; delete the file, and it is made again") from error

    @contextmanager
    def _failing(self) -> Iterator[sqlite3.Connection | None]:
        try:
            if self._db is None and self._readonly and self.path.exists():
                self._db = self._connected("ro")
            yield self._db
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"{self.path} can't be used: {error}") from error


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
