"""The registry of servers: its index in PostgreSQL, the versions' files in an object store.

Files are written under a place of their own before the entry that names the place, and the entry is marked as deleted
before they are removed: an entry that is not marked always has its files. A process that is killed in between leaves
files that no entry names. Fetched versions are kept in a local folder.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from homeostat.adapters.disk.versions import Content, VersionFolders, check_content, content_of_files
from homeostat.adapters.disk.versions import content_of as content_in
from homeostat.adapters.objects.store import ObjectStore
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import MODELS_LOCK, about, migrate
from homeostat.errors import Unavailable
from homeostat.models.bundle import MANIFEST, BundleError, listed_files
from homeostat.ports.registry import Lineage, RegistryError, UnknownVersion, Version, number_in, one_of, unchecked

_KEPT_MOST = 20  # Versions in the local folder; those that were fetched longest ago go first.
_COLUMNS = "version, number, created_ns, size, lineage::text, deleted_ns, deleted_by, deleted_why"
_SELECT = f"SELECT {_COLUMNS} FROM model_versions "  # noqa: S608
_NOW = "(extract(epoch FROM clock_timestamp()) * 1e9)::bigint"
_ENTER = f"""INSERT INTO model_versions (number, version, digest, created_ns, size, lineage, place)
    SELECT coalesce(max(number), 0) + 1, %s, %s, {_NOW}, %s, %s, %s FROM model_versions"""  # noqa: S608
_MARK = f"""UPDATE model_versions SET deleted_ns = {_NOW}, deleted_by = %s, deleted_why = %s
    WHERE version = %s AND deleted_ns IS NULL"""  # noqa: S608
_UNMARK = (
    "UPDATE model_versions SET deleted_ns = NULL, deleted_by = '', deleted_why = '', place = %s WHERE version = %s"
)


class PostgresRegistry:
    """See `Registry`."""

    def __init__(self, url: str, models: str, cache: Path, *, app: str = "", deadline_s: float = 5.0) -> None:
        """Make the tables where they are missing.

        url : of the database that holds the index
        models : of the folder that holds the versions' files, see `ObjectStore`
        cache : local folder of the versions that were fetched
        app : whose versions they are; empty to take those of any app
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's.
        """
        self._connections = Connections(url, most=2, deadline_s=deadline_s)
        self._store, self._cache = ObjectStore(models), VersionFolders(cache)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise

    def put(self, bundle: Path, lineage: Lineage) -> Version:
        """See `Registry`."""
        content = content_in(bundle)
        if content.app and content.app != lineage.app:
            raise BundleError(f"the bundle was trained for the app {content.app}, not for {lineage.app}")
        self._check_owner(lineage.app)
        if not self._there(content):
            place = f"{content.version}/{secrets.token_hex(8)}"
            self._upload(content, place)
            if not self._connections.run(lambda connection: _enter(connection, content, lineage, place)):
                self._store.remove(place)  # Another author was faster.
        return self.get(content.version)

    def get(self, version: str) -> Version:
        """See `Registry`."""
        name = version.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        where = "WHERE version = %s OR number = %s OR starts_with(version, %s)"
        return one_of(version, self._versions(_SELECT + where, name, number_in(version), name))

    def fetch(self, version: str) -> Path:
        """See `Registry`."""
        found = self.get(version)
        if found.deleted_ns is not None:
            raise UnknownVersion(f"version {found.version} was deleted by {found.deleted_by}: {found.deleted_why}")
        sql = "SELECT digest, place FROM model_versions WHERE version = %s"
        ((digest, place),) = self._rows(sql, found.version)
        path = self._cache.path(found.version)
        with suppress(BundleError):
            return self._touched(check_content(path, digest))
        content = self._download(place)
        if content.digest != digest:
            raise BundleError(f"{self._store.where}/{place} holds another version than {found.version}")
        with self._cache.changing():
            self._cache.keep(content)
            self._cache.prune(_KEPT_MOST)
        return path

    def versions(self, limit: int | None = None, below: int | None = None) -> Sequence[Version]:
        """See `Registry`."""
        where = "WHERE %s::bigint IS NULL OR number < %s ORDER BY number DESC LIMIT %s"
        return self._versions(_SELECT + where, below, below, limit)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """See `Registry`."""
        try:
            connection = self._connections.connect(time.monotonic() + self._connections.deadline_s, autocommit=False)
            try:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (MODELS_LOCK,))
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise Unavailable(self._connections.said(error)) from None
        try:
            yield
        finally:
            connection.close()  # Which ends the transaction, and so gives the lock back.

    def delete(self, version: str, actor: str, reason: str, check_unused: Callable[[], None] = unchecked) -> Version:
        """See `Registry`."""
        found = self.get(version)
        with self.keeping():
            check_unused()
            self._connections.run(lambda connection: connection.execute(_MARK, (actor, reason, found.version)))
        ((place,),) = self._rows("SELECT place FROM model_versions WHERE version = %s", found.version)
        gone = self.get(found.version)
        if gone.deleted_ns is not None:
            self._store.remove(place)
        return gone

    def close(self) -> None:
        """See `Registry`."""
        self._connections.close()

    def _check_owner(self, app: str) -> None:
        owner = self._connections.run(about).get("app")
        if owner and owner != app:
            raise RegistryError(f"{self._connections.where} holds versions of the app {owner}, not of {app}")
        if not owner:
            migrate(self._connections, app)

    def _there(self, content: Content) -> bool:
        """Whether a version is there with its files. Raises RegistryError where the name is another's."""
        rows = self._rows("SELECT digest, deleted_ns FROM model_versions WHERE version = %s", content.version)
        if rows and rows[0][0] != content.digest:
            raise RegistryError(f"{self._connections.where} has another version of the name {content.version}")
        return bool(rows) and rows[0][1] is None

    def _upload(self, content: Content, place: str) -> None:
        for name, raw in content.files.items():
            self._store.write(f"{place}/{name}", raw)

    def _download(self, place: str) -> Content:
        """The files of a place. Raises BundleError where one is missing or damaged."""
        manifest = self._store.read(f"{place}/{MANIFEST}")
        if manifest is None:
            raise BundleError(f"{self._store.where}/{place} is missing")
        files = {MANIFEST: manifest}
        for name in listed_files(manifest):
            raw = self._store.read(f"{place}/{name}")
            if raw is not None:
                files[name] = raw
        return content_of_files(files, f"{self._store.where}/{place}")

    def _touched(self, path: Path) -> Path:
        with suppress(OSError):  # Only so that the folder is not the next to go.
            os.utime(path)
        return path

    def _versions(self, sql: str, *values: Any) -> list[Version]:
        return [self._read(row) for row in self._rows(sql, *values)]

    def _read(self, row: Sequence[Any]) -> Version:
        version, number, created_ns, size, lineage, *deleted = row
        try:
            return Version(version, number, created_ns, size, Lineage.of_json(json.loads(lineage)), *deleted)
        except (ValueError, TypeError) as error:
            raise RegistryError(f"{self._connections.where}: version {number} is damaged ({error})") from error

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(lambda connection: connection.execute(sql, values).fetchall())


def _enter(connection: Connection, content: Content, lineage: Lineage, place: str) -> bool:
    """Enter a version, or take its mark away; False where it is there by now."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MODELS_LOCK,))
        sql = "SELECT deleted_ns FROM model_versions WHERE version = %s"
        row = connection.execute(sql, (content.version,)).fetchone()
        if row is None:
            stored = json.dumps(lineage.as_json(), sort_keys=True)
            connection.execute(_ENTER, (content.version, content.digest, content.size, stored, place))
        elif row[0] is not None:
            connection.execute(_UNMARK, (place, content.version))
        else:
            return False
    return True
