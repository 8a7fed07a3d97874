"""Jobs in PostgreSQL, which runners on any number of machines take from.

A new job is stored, and one is taken, under an advisory lock, so that bounds hold exactly. All else is one statement
that compares a revision and sets the next. Runners look for new jobs again and again; nothing is announced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from homeostat.adapters.jobs.rows import (
    NAMES,
    OVER,
    QUEUED,
    RUNNING,
    as_row,
    moved,
    next_job,
    of_row,
    refuse_full,
    same_or_refused,
    stored,
    unknown,
)
from homeostat.adapters.postgres.connections import Connection
from homeostat.adapters.postgres.schema import JOBS_LOCK
from homeostat.adapters.postgres.turns import migrated
from homeostat.config.job_kinds import beside
from homeostat.ports.jobs import Bounds, LogPart
from homeostat.records.job import Job, JobState

_COLUMNS = ", ".join(NAMES)
_SELECT = f"SELECT {_COLUMNS} FROM jobs"  # noqa: S608 - names of ours.
_NEW = tuple(name for name in NAMES if name != "id")
_INSERT = f"INSERT INTO jobs ({', '.join(_NEW)}) VALUES ({', '.join(['%s'] * len(_NEW))}) RETURNING id"  # noqa: S608
_UPDATE = f"UPDATE jobs SET {', '.join(f'{name} = %s' for name in _NEW)} WHERE id = %s AND revision = %s"  # noqa: S608
_RUN = "id = %s AND attempts = %s AND owner = %s AND state = %s"
_APPEND = f"""INSERT INTO job_logs SELECT id, (
        SELECT coalesce(max(start + length(data)), 0) FROM job_logs WHERE job = jobs.id), %s
    FROM jobs WHERE {_RUN} RETURNING start + length(data)"""  # noqa: S608
_PIECES = 64  # Of a log, read at a time.


class PostgresJobs:
    """See `Jobs`. May be used by several threads."""

    def __init__(
        self,
        url: str,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen.
        *,
        app: str = "",
        deadline_s: float = 5.0,
    ) -> None:
        """Make the tables where they are missing.

        app : whose jobs they are; empty to take those of any app
        deadline_s : the longest that one operation waits for the server
        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._bounds = bounds
        self._connections = migrated(url, app, deadline_s)

    def submit(self, job: Job) -> Job:
        """See `Jobs`."""

        def store(connection: Connection) -> Job:
            with connection.transaction():
                _lock(connection)
                found = _one(connection, "WHERE key = %s", job.key) if job.key else None
                if found is not None:
                    return same_or_refused(found, job)
                refuse_full(_count(connection, QUEUED), self._bounds.queued)
                row = connection.execute(_INSERT, _without_id(stored(job))).fetchone()
                assert row is not None
                self._prune(connection)
                return stored(job, int(row[0]))

        return self._connections.run(store)

    def get(self, id: int) -> Job:
        """See `Jobs`."""
        found = self._connections.run(lambda connection: _one(connection, "WHERE id = %s", id))
        if found is None:
            raise unknown(id)
        return found

    def list(self, states: Collection[JobState] = (), limit: int = 100, below: int | None = None) -> Sequence[Job]:
        """See `Jobs`."""
        wanted = [state.value for state in states or JobState]
        sql = f"{_SELECT} WHERE state = ANY(%s) AND id < %s ORDER BY id DESC LIMIT %s"
        values = (wanted, (1 << 63) - 1 if below is None else below, limit)
        rows = self._connections.run(lambda connection: connection.execute(sql, values).fetchall())
        return [of_row(row) for row in rows]

    def claim(self, owner: str, now_ns: int, lapsed: Mapping[int, int], running_max: int) -> Job | None:
        """See `Jobs`."""

        def take(connection: Connection) -> Job | None:
            if not lapsed and _count(connection, QUEUED) == 0:
                return None
            with connection.transaction():
                _lock(connection)
                lost = [_free(connection, "id = %s AND revision = %s AND state = %s", *one, RUNNING)
                        for one in lapsed.items()]  # fmt: skip
                waiting = [_waiting(connection, running_max)]
                changed, taken = next_job(
                    [job for job in lost if job is not None], [job for job in waiting if job is not None], owner, now_ns
                )
                for job in changed:
                    _replace(connection, job)
            return None if taken is None else stored(taken)

        return self._connections.run(take)

    def move(self, job: Job) -> Job:
        """See `Jobs`."""
        if self._connections.run(lambda connection: _replace(connection, job)):
            return stored(job)
        self.get(job.id)
        raise moved(job)

    def write(self, job: Job, data: bytes) -> bool:
        """See `Jobs`."""
        run = (job.id, job.attempts, job.owner, RUNNING)
        size = max(1, self._bounds.log_bytes // 2)

        def append(connection: Connection) -> bool:
            with connection.transaction():
                for first in range(0, len(data), size):
                    row = connection.execute(_APPEND, (data[first : first + size], *run)).fetchone()
                    if row is None:
                        return False
                    oldest = int(row[0]) - self._bounds.log_bytes
                    if oldest > 0:
                        connection.execute("DELETE FROM job_logs WHERE job = %s AND start < %s", (job.id, oldest))
                return bool(data) or _one(connection, f"WHERE {_RUN}", *run) is not None

        return self._connections.run(append)

    def read(self, id: int, offset: int = 0, limit: int = 1 << 16) -> LogPart:
        """See `Jobs`."""
        sql = """SELECT start, data FROM job_logs WHERE job = %s AND start + length(data) > %s
            ORDER BY start LIMIT %s"""
        ends = "SELECT min(start), max(start + length(data)) FROM job_logs WHERE job = %s"

        def look(connection: Connection) -> tuple[int, int, list[tuple[int, bytes]]]:
            row = connection.execute(ends, (id,)).fetchone()
            assert row is not None
            pieces = connection.execute(sql, (id, offset, _PIECES)).fetchall()
            return int(row[0] or 0), int(row[1] or 0), [(int(start), bytes(data)) for start, data in pieces]

        begin, end, pieces = self._connections.run(look)
        if not end:
            self.get(id)
        offset = min(max(offset, begin), end)
        if not pieces:
            return LogPart(offset, b"", end)
        offset = max(offset, pieces[0][0])
        data = b"".join(data for _, data in pieces)[offset - pieces[0][0] :][:limit]
        return LogPart(offset, data, max(end, offset + len(data)))

    def prune(self) -> int:
        """See `Jobs`."""
        return self._connections.run(self._prune)

    def close(self) -> None:
        """See `Jobs`."""
        self._connections.close()

    def _prune(self, connection: Connection) -> int:
        oldest = "SELECT id FROM jobs WHERE state = ANY(%s) ORDER BY id DESC OFFSET %s"
        sql = f"DELETE FROM jobs WHERE id IN ({oldest}) AND state = ANY(%s)"  # noqa: S608
        return connection.execute(sql, (list(OVER), self._bounds.over, list(OVER))).rowcount


def _lock(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (JOBS_LOCK,))


def _one(connection: Connection, where: str, *values: object) -> Job | None:
    row = connection.execute(f"{_SELECT} {where}", values).fetchone()
    return None if row is None else of_row(row)


def _free(connection: Connection, where: str, *values: object) -> Job | None:
    """A job that no other transaction is changing, locked."""
    return _one(connection, f"WHERE {where} FOR UPDATE SKIP LOCKED", *values)


def _waiting(connection: Connection, running_max: int) -> Job | None:
    """The oldest job that may begin: one that takes no place of others, or, if there is room, any."""
    kinds = list(beside())
    oldest = _free(connection, "state = %s AND kind = ANY(%s) ORDER BY id LIMIT 1", QUEUED, kinds)
    if oldest is None:
        sql = "SELECT count(*) FROM jobs WHERE state = %s AND kind <> ALL(%s)"
        row = connection.execute(sql, (RUNNING, kinds)).fetchone()
        if row is not None and int(row[0]) < running_max:
            oldest = _free(connection, "state = %s ORDER BY id LIMIT 1", QUEUED)
    return oldest


def _count(connection: Connection, state: str) -> int:
    row = connection.execute("SELECT count(*) FROM jobs WHERE state = %s", (state,)).fetchone()
    assert row is not None
    return int(row[0])


def _replace(connection: Connection, job: Job) -> bool:
    return connection.execute(_UPDATE, (*_without_id(stored(job)), job.id, job.revision)).rowcount == 1


def _without_id(job: Job) -> list[object]:
    return [value for name, value in zip(NAMES, as_row(job), strict=True) if name != "id"]
