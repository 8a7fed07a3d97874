"""Days: each has a part of the large tables, made before it is needed and dropped when it is too old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from psycopg import errors

from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import PARTITION_LOCK
from homeostat.ports import Unavailable

BY_DAY = ("entries", "decisions")  # Their parts are dropped whole.
SWEPT = {
    "event_ids": "day",
    "outcomes": "recorded_at AT TIME ZONE 'UTC'",
}  # One table for all days; old rows are deleted.
DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1)
_SWEEP_PAGES = 2000  # 16 MB a transaction: some 0.1 s.


@dataclass(frozen=True, slots=True)
class Retired:
    """The days and rows that `retire` dropped.

    days : how many days' parts were dropped
    rows : how many rows of event ids and outcomes were deleted
    waiting : days that could not be dropped now, because someone reads them; they are tried again next time
    """

    days: int
    rows: int
    waiting: int


def day_of(now_ns: int) -> int:
    """Days since 1970 UTC."""
    return now_ns // DAY_NS


def date_of(day: int) -> date:
    """The date of a number of days since 1970."""
    return _EPOCH + timedelta(days=day)


def make_days(connection: Connection, days: list[int]) -> None:
    """Make the parts for these days where there are none yet, whoever else does the same at the same time.

    A part is made by itself and attached then: that waits for nobody who reads or writes the other parts.
    """
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
    for day in days:
        for table in BY_DAY:
            part = _part(table, day)
            if connection.execute("SELECT to_regclass(%s)", (part,)).fetchone() != (None,):
                continue
            connection.execute(f"CREATE TABLE {part} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)")
            connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {part} "
                f"FOR VALUES FROM ('{date_of(day)} 00:00:00+00') TO ('{date_of(day + 1)} 00:00:00+00')"
            )
    connection.execute("COMMIT")


def retire(connections: Connections, before_day: int) -> Retired:
    """Drop the days before this one, and delete the event ids and outcomes of those days.

    Event ids go first: an id whose decision is gone would be found, and then be missing. Raises Unavailable.
    """
    rows = sum(_sweep(connections, table, column, before_day) for table, column in SWEPT.items())
    old = connections.run(lambda connection: _old_parts(connection, before_day))
    dropped = [part for part in old if connections.run(lambda connection, part=part: _drop(connection, part))]  # type: ignore[misc]
    done = {part[-8:] for part in old} - {part[-8:] for part in set(old) - set(dropped)}
    return Retired(len(done), rows, len({part[-8:] for part in old}) - len(done))


def _part(table: str, day: int) -> str:
    return f"{table}_{date_of(day):%Y%m%d}"


def _old_parts(connection: Connection, before_day: int) -> list[str]:
    rows = connection.execute(
        "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
        "WHERE inhparent = ANY(ARRAY[to_regclass('entries'), to_regclass('decisions')]::oid[]) ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows if any(table + "_" < name < _part(table, before_day) for table in BY_DAY)]


def _drop(connection: Connection, part: str) -> bool:
    """Drop one part; False where somebody reads the table for longer than appends may be kept waiting."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
    connection.execute("SET LOCAL lock_timeout = 500")
    try:
        connection.execute(f"DROP TABLE IF EXISTS {part}")
    except errors.LockNotAvailable:
        connection.execute("ROLLBACK")
        return False
    connection.execute("COMMIT")
    return True


def _sweep(connections: Connections, table: str, column: str, before_day: int) -> int:
    """Delete old rows, some pages at a time, from the table's first to its last; no index is needed for that."""

    def pages(connection: Connection) -> int:
        row = connection.execute(f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int").fetchone()
        if row is None:
            raise Unavailable(f"{connections.where}: {table} has no size")
        return int(row[0])

    def delete(connection: Connection, start: int) -> int:
        return connection.execute(
            f"DELETE FROM {table} WHERE ctid >= '({start},0)' AND ctid < '({start + _SWEEP_PAGES},0)' "  # noqa: S608
            f"AND {column} < '{date_of(before_day)}'"
        ).rowcount

    starts = range(0, connections.run(pages), _SWEEP_PAGES)
    return sum(connections.run(lambda connection, start=start: delete(connection, start)) for start in starts)  # type: ignore[misc]
