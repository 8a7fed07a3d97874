"""Queries of the tables: bodies decoded, and how far the journal is committed."""

from __future__ import annotations

import time

from homeostat.adapters.postgres.connections import Connection
from homeostat.adapters.postgres.schema import APPEND_LOCK
from homeostat.ports import Unavailable

_LOOK_AGAIN_S = 0.002
_UNDER_WAY = f"""SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = {APPEND_LOCK >> 32} AND objid = {APPEND_LOCK & 0xFFFFFFFF} AND objsubid = 1"""  # noqa: S608


def committed_up_to(connection: Connection, where: str, until: float) -> int:
    """A number up to which no entry is under way, and below which none will be any more.

    Appends hold a shared lock from before they take their numbers until they are committed. So once those that hold it
    now have let go, everything up to the number that was the last before we looked is committed, or never will be.
    Nobody has to wait for us. The way is that of CREATE INDEX CONCURRENTLY.

    until : on time.monotonic's scale; Unavailable is raised then
    """
    cursor = connection.execute(f"SELECT last_value, is_called FROM entry_numbers; {_UNDER_WAY}")  # noqa: S608
    row = cursor.fetchone()
    assert row is not None
    end = int(row[0]) if row[1] else 0
    cursor.nextset()
    waiting = {virtual for (virtual,) in cursor.fetchall()}
    while waiting:
        if time.monotonic() > until:
            raise Unavailable(f"{where}: an append has been under way for too long; another worker hangs")
        time.sleep(_LOOK_AGAIN_S)
        waiting &= {virtual for (virtual,) in connection.execute(_UNDER_WAY).fetchall()}
    return end
