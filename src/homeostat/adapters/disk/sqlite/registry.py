"""The registry of a data folder: each version a folder under `models/`, and their index in `models.db`.

A version's files are on the disk before its entry, and its entry is marked before its files go: an entry that is not
marked always has its files. Any number of processes may use the same folder.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.adapters.disk.sqlite.database import Form, failing, is_made, owner_of
from homeostat.adapters.disk.versions import Content, VersionFolders, check_content, content_of
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.ports.registry import Lineage, RegistryError, UnknownVersion, Version, number_in, one_of, unchecked

FILE, FOLDER = "models.db", "models"
FORMAT = 1
APPLICATION_ID = 0x686D736D  # "hmsm", in the file's header.
_BUSY_S = 10.0
_IMMUTABLE = "number, version, digest, created_ns, size, lineage"
_TABLES = (
    """CREATE TABLE versions (
    number INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, digest BLOB NOT NULL UNIQUE, created_ns INTEGER NOT NULL,
    size INTEGER NOT NULL, lineage TEXT NOT NULL, deleted_ns INTEGER, deleted_by TEXT NOT NULL DEFAULT '',
    deleted_why TEXT NOT NULL DEFAULT ''
) STRICT""",
    f"""CREATE TRIGGER versions_UPDATE BEFORE UPDATE OF {_IMMUTABLE} ON versions
BEGIN SELECT RAISE(ABORT, 'versions are immutable'); END""",
    """CREATE TRIGGER versions_DELETE BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'versions leave a tombstone'); END""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
FORM = Form("versions", APPLICATION_ID, FORMAT, _TABLES)
_COLUMNS = "version, number, created_ns, size, lineage, deleted_ns, deleted_by, deleted_why"
_SELECT = f"SELECT {_COLUMNS} FROM versions "  # noqa: S608
_MARK = "UPDATE versions SET deleted_ns = ?, deleted_by = ?, deleted_why = ? WHERE version = ?"


class SqliteRegistry:
    """See `Registry`."""

    def __init__(self, data: Path, *, app: str = "", clock: Clock | None = None) -> None:
        """Nothing is opened yet, and looking at a folder without versions leaves it as it is.

        data : the data folder
        app : whose versions they are; empty to take those of any app
        """
        self.path, self._app, self._clock = data / FILE, app, clock or SystemClock()
        self._folders = VersionFolders(data / FOLDER)

    def put(self, bundle: Path, lineage: Lineage) -> Version:
        """See `Registry`."""
        content = content_of(bundle)
        self._check_app(content, lineage)
        with self._changing(make=lineage.app) as db:
            self._folders.keep(content)
            with _transaction(db):
                self._enter(db, content, lineage)
        return self.get(content.version)

    def get(self, version: str) -> Version:
        """See `Registry`."""
        version = version.encode("utf-8", "replace").decode()  # A name from a command line may be no text.
        rows = self._rows(
            "WHERE version = ?1 OR number = ?2 OR substr(version, 1, length(?1)) = ?1", version, number_in(version)
        )
        return one_of(version, rows)

    def fetch(self, version: str) -> Path:
        """See `Registry`."""
        found = self.get(version)
        if found.deleted_ns is not None:
            raise UnknownVersion(f"version {found.version} was deleted by {found.deleted_by}: {found.deleted_why}")
        with self._open() as db:
            assert db is not None
            row = db.execute("SELECT digest FROM versions WHERE version = ?", (found.version,)).fetchone()
        if row is None:  # Found by its number, but not by its name.
            raise RegistryError(f"{self.path} is damaged: its index lacks version {found.version}")
        return check_content(self._folders.path(found.version), row[0])

    def versions(self, limit: int | None = None, below: int | None = None) -> Sequence[Version]:
        """See `Registry`."""
        most = -1 if limit is None else limit
        return self._rows("WHERE ?1 IS NULL OR number < ?1 ORDER BY number DESC LIMIT ?2", below, most)

    def keeping(self) -> AbstractContextManager[None]:
        """See `Registry`."""
        return self._folders.deploying()

    def delete(self, version: str, actor: str, reason: str, check_unused: Callable[[], None] = unchecked) -> Version:
        """See `Registry`."""
        found = self.get(version)
        with self._changing() as db:
            with self._folders.deploying(), _transaction(db):
                check_unused()
                values = (self._clock.now_ns(), actor, reason, found.version)
                db.execute(_MARK + " AND deleted_ns IS NULL", values)
            self._folders.remove(found.version)
        return self.get(found.version)

    def close(self) -> None:
        """See `Registry`: nothing is kept open."""

    def _check_app(self, content: Content, lineage: Lineage) -> None:
        if content.app and content.app != lineage.app:
            from homeostat.models.bundle import BundleError

            raise BundleError(f"the bundle was trained for the app {content.app}, not for {lineage.app}")

    def _enter(self, db: sqlite3.Connection, content: Content, lineage: Lineage) -> None:
        row = db.execute("SELECT digest FROM versions WHERE version = ?", (content.version,)).fetchone()
        if row is None:
            values = (content.version, content.digest, self._clock.now_ns(), content.size, _dumped(lineage))
            sql = """INSERT INTO versions (number, version, digest, created_ns, size, lineage)
                SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM versions"""
            db.execute(sql, values)
        elif row[0] != content.digest:
            raise RegistryError(f"{self.path} has another version of the name {content.version}")
        else:
            db.execute(_MARK, (None, "", "", content.version))

    @contextmanager
    def _changing(self, make: str | None = None) -> Iterator[sqlite3.Connection]:
        """One process at a time; a deletion that a killed one began is brought to its end first."""
        with self._folders.changing(), self._open(make) as db:
            if db is None:
                raise RegistryError(f"{self.path} is gone")
            for (version,) in db.execute("SELECT version FROM versions WHERE deleted_ns IS NOT NULL").fetchall():
                self._folders.remove(version)
            yield db

    def _rows(self, where: str, *values: Any) -> list[Version]:
        with self._open() as db:
            rows = [] if db is None else db.execute(_SELECT + where, values).fetchall()
        return [self._read(row) for row in rows]

    def _read(self, row: Sequence[Any]) -> Version:
        version, number, created_ns, size, lineage, *deleted = row
        try:
            return Version(version, number, created_ns, size, Lineage.of_json(json.loads(lineage)), *deleted)
        except (ValueError, TypeError) as error:
            raise RegistryError(f"{self.path}: version {number} is damaged ({error})") from error

    @contextmanager
    def _open(self, make: str | None = None) -> Iterator[sqlite3.Connection | None]:
        """A connection; None where there is no registry and none is to be made.

        make : the app whose registry is made where there is none
        """
        with self._failing():
            if make is not None:
                create(self.path, FILE_MODE)
            elif not self.path.exists():
                yield None
                return
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as db:
                if not is_made(db):  # The process that made it was killed.
                    if make is None:
                        yield None
                        return
                    _make(db, make)
                self._check(db, make or self._app)
                db.execute("PRAGMA synchronous = EXTRA")
                yield db

    def _check(self, db: sqlite3.Connection, app: str) -> None:
        fault = FORM.fault(db)
        if fault:
            raise RegistryError(f"{self.path} {fault}")
        owner = owner_of(db)
        if owner is None:
            raise RegistryError(f"{self.path} is damaged: it does not say whose versions it holds")
        if app and owner != app:
            raise RegistryError(f"{self.path} holds versions of the app {owner}, not of {app}")

    def _failing(self) -> AbstractContextManager[None]:
        return failing("registry", self.path, RegistryError, "is not a registry")


def _make(db: sqlite3.Connection, app: str) -> None:
    """All of it in one transaction, so that a process that is killed has made a registry or nothing."""
    with _transaction(db):
        if not is_made(db):
            FORM.make(db, app)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _dumped(lineage: Lineage) -> str:
    return json.dumps(lineage.as_json(), sort_keys=True)
