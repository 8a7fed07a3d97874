"""Decisions of challengers in PostgreSQL, beside the journal that holds the champion's.

The process that runs a challenger writes them, and nothing that decides reads them. A commit does not wait for the
server's disk: rows that a crash of the server loses are made again from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import migrate
from homeostat.errors import Unavailable
from homeostat.ports.shadow import KEEP_BYTES, LEASE_S, Held, ShadowState
from homeostat.records.shadowed import Shadowed, unpacked

_READ = 64  # Entries that are read at a time.
_INSERT = """INSERT INTO shadowed (version, entry, body) VALUES (%s, %s, %s)
    ON CONFLICT (version, entry) DO UPDATE SET body = excluded.body"""
_PRUNE = """DELETE FROM shadowed USING (
    SELECT version, entry, sum(octet_length(body)) OVER (ORDER BY entry DESC, version) AS total, recorded_at
    FROM shadowed) AS kept
    WHERE shadowed.version = kept.version AND shadowed.entry = kept.entry
    AND (kept.total > %s OR kept.recorded_at < clock_timestamp() - %s * interval '1 second')"""
_UNTIL = "clock_timestamp() + %s * interval '1 second'"
_NOW = "(extract(epoch FROM clock_timestamp()) * 1e9)::bigint"
_TAKE = f"""INSERT INTO shadow_leases (version, owner, until, state)
    VALUES (%s, %s, {_UNTIL}, json_build_object('began_ns', {_NOW}, 'at_ns', {_NOW}))
    ON CONFLICT (version) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE shadow_leases.owner = excluded.owner OR shadow_leases.until <= clock_timestamp()"""  # noqa: S608
_SAY = f"UPDATE shadow_leases SET until = {_UNTIL}, state = %s WHERE version = %s AND owner = %s"  # noqa: S608
_ALWAYS_S = 1e9  # 31 years: no entry is older.


class PostgresShadow:
    """See `ShadowStore`. May be used by several threads."""

    def __init__(self, url: str, *, app: str = "", deadline_s: float = 5.0, keep_bytes: int = KEEP_BYTES) -> None:
        """Make the tables where they are missing.

        app : whose challengers they are; empty to take those of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._keep_bytes = keep_bytes
        self._connections = Connections(url, most=1, deadline_s=deadline_s)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise

    @property
    def where(self) -> str:
        """Host, port and database; no user, no password."""
        return self._connections.where

    def last(self, version: str) -> int:
        """See `ShadowStore`."""
        ((found,),) = self._rows("SELECT coalesce(max(entry), 0) FROM shadowed WHERE version = %s", version)
        return int(found)

    def append(self, version: str, made: Sequence[Shadowed]) -> None:
        """See `ShadowStore`."""
        rows = [(version, one.entry, one.packed()) for one in made]

        def store(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("SET LOCAL synchronous_commit = off")
                with connection.cursor() as cursor:
                    cursor.executemany(_INSERT, rows)

        self._connections.run(store)

    def read(self, version: str, after: int = 0) -> Iterator[Shadowed]:
        """See `ShadowStore`."""
        sql = "SELECT entry, body FROM shadowed WHERE version = %s AND entry > %s ORDER BY entry LIMIT %s"
        while rows := self._rows(sql, version, after, _READ):
            for after, body in rows:
                yield self._unpacked(after, body)

    def at(self, version: str, entry: int) -> Shadowed | None:
        """See `ShadowStore`."""
        rows = self._rows("SELECT body FROM shadowed WHERE version = %s AND entry = %s", version, entry)
        return self._unpacked(entry, rows[0][0]) if rows else None

    def versions(self) -> dict[str, int]:
        """See `ShadowStore`."""
        rows = self._rows("SELECT version, count(*) FROM shadowed GROUP BY version")
        return {str(version): int(count) for version, count in rows}

    def drop(self, version: str) -> None:
        """See `ShadowStore`."""

        def delete(connection: Connection) -> None:
            connection.execute("DELETE FROM shadowed WHERE version = %s", (version,))
            connection.execute("DELETE FROM shadow_leases WHERE version = %s", (version,))

        self._connections.run(delete)

    def prune(self, retention_ns: int | None = None) -> int:
        """See `ShadowStore`."""
        kept_s = _ALWAYS_S if retention_ns is None else retention_ns / 1e9
        return self._connections.run(lambda connection: connection.execute(_PRUNE, (self._keep_bytes, kept_s)).rowcount)

    def take(self, version: str, owner: str, lease_s: float = LEASE_S) -> bool:
        """See `ShadowStore`."""
        return self._changes(_TAKE, version, owner, lease_s)

    def say(self, version: str, owner: str, state: ShadowState, lease_s: float = LEASE_S) -> bool:
        """See `ShadowStore`."""
        return self._changes(_SAY, lease_s, json.dumps(state.as_json()), version, owner)

    def leave(self, version: str, owner: str) -> None:
        """See `ShadowStore`."""
        sql = "UPDATE shadow_leases SET until = to_timestamp(0) WHERE version = %s AND owner = %s"
        self._changes(sql, version, owner)

    def held(self) -> dict[str, Held]:
        """See `ShadowStore`."""
        rows = self._rows("SELECT version, owner, until > clock_timestamp(), state::text FROM shadow_leases")
        return {version: Held(owner, lives, self._state(state)) for version, owner, lives, state in rows}

    def close(self) -> None:
        """See `ShadowStore`."""
        self._connections.close()

    def _state(self, text: str) -> ShadowState:
        try:
            return ShadowState.of_json(json.loads(text))
        except (ValueError, TypeError) as error:
            raise Unavailable(f"{self.where}: a row of shadow_leases is damaged ({error}); delete it") from error

    def _unpacked(self, entry: int, body: bytes) -> Shadowed:
        try:
            return unpacked(entry, body)
        except ValueError as error:
            raise Unavailable(
                f"{self.where}, entry {entry}: {error}; delete its rows of the table shadowed, and they are made again"
            ) from error

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(lambda connection: connection.execute(sql, values).fetchall())

    def _changes(self, sql: str, *values: Any) -> bool:
        def change(connection: Connection) -> bool:
            with connection.transaction():
                connection.execute("SET LOCAL synchronous_commit = off")
                return connection.execute(sql, values).rowcount == 1

        return self._connections.run(change)
