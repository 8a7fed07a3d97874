"""Jobs in SQLite: `jobs.db` of a data folder, and their logs in its folder `jobs`.

Several processes may have the file open: each change is one transaction that holds the file's write lock. Once a method
has returned, its change is on the disk.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, create
from homeostat.adapters.disk.job_logs import JobLogs
from homeostat.adapters.disk.sqlite.database import Form, is_made, log_ahead
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
from homeostat.config.job_kinds import beside
from homeostat.errors import Unavailable
from homeostat.ports.jobs import Bounds, LogPart
from homeostat.records.job import Job, JobState

FILE, FOLDER = "jobs.db", "jobs"
FORMAT = 1
APPLICATION_ID = 0x686D6A62  # "hmjb"
_WAIT_S = 5.0  # For another process's transaction, which takes some milliseconds.
_TABLE = """CREATE TABLE jobs (
    kind TEXT NOT NULL, arguments TEXT NOT NULL, actor TEXT NOT NULL, key TEXT NOT NULL, folder TEXT NOT NULL,
    attempts_max INTEGER NOT NULL, id INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL,
    state TEXT NOT NULL, created_ns INTEGER NOT NULL, started_ns INTEGER, heartbeat_ns INTEGER, ended_ns INTEGER,
    progress REAL NOT NULL, note TEXT NOT NULL, attempts INTEGER NOT NULL, owner TEXT NOT NULL, cancel TEXT NOT NULL,
    result TEXT, error TEXT NOT NULL
) STRICT"""
_INDICES = (
    "CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key <> ''",
    "CREATE INDEX jobs_state ON jobs (state, id)",
)
FORM = Form("jobs", APPLICATION_ID, FORMAT, (_TABLE, *_INDICES), owned=False)
_COLUMNS = ", ".join(NAMES)
_SELECT = f"SELECT {_COLUMNS} FROM jobs"  # noqa: S608 - names of ours.
_INSERT = f"INSERT INTO jobs ({_COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608
_UPDATE = f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in NAMES)} WHERE id = ? AND revision = ?"  # noqa: S608


class SqliteJobs:
    """See `Jobs`. May be used by several threads."""

    def __init__(self, folder: Path, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - frozen.
        """Open, or create, the jobs of a data folder. Raises Unavailable."""
        self._path, self._bounds = folder / FILE, bounds
        self._logs = JobLogs(folder / FOLDER, bounds.log_bytes)
        self._lock = threading.RLock()
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            create(self._path, FILE_MODE)
        except OSError as error:
            raise Unavailable(f"{self._path} can't be opened: {error.strerror}") from error
        with self._failures():
            self._db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            with self._failures():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def submit(self, job: Job) -> Job:
        """See `Jobs`."""
        with self._change():
            if job.key:
                found = self._one("WHERE key = ?", job.key)
                if found is not None:
                    return same_or_refused(found, job)
            refuse_full(self._count(QUEUED), self._bounds.queued)
            row = list(as_row(stored(job)))
            row[NAMES.index("id")] = None
            id = self._db.execute(_INSERT, row).lastrowid
            assert id is not None
        with suppress(Unavailable):  # The job is stored already.
            self.prune()
        return stored(job, id)

    def get(self, id: int) -> Job:
        """See `Jobs`."""
        with self._failures():
            found = self._one("WHERE id = ?", id)
        if found is None:
            raise unknown(id)
        return found

    def list(self, states: Collection[JobState] = (), limit: int = 100, below: int | None = None) -> Sequence[Job]:
        """See `Jobs`."""
        wanted = [state.value for state in states] or [state.value for state in JobState]
        marks = ", ".join("?" * len(wanted))
        sql = f"{_SELECT} WHERE state IN ({marks}) AND id < ? ORDER BY id DESC LIMIT ?"
        with self._failures():
            rows = self._db.execute(sql, (*wanted, _most(below), limit)).fetchall()
            return [self._job(row) for row in rows]

    def claim(self, owner: str, now_ns: int, lapsed: Mapping[int, int], running_max: int) -> Job | None:
        """See `Jobs`."""
        with self._failures():  # Without the write lock, since this is asked all the time and mostly for nothing.
            if not lapsed and self._count(QUEUED) == 0:
                return None
        with self._change():
            lost = (self._one("WHERE id = ? AND revision = ? AND state = ?", *one, RUNNING) for one in lapsed.items())
            waiting = self._waiting(running_max)
            changed, taken = next_job([job for job in lost if job is not None], waiting, owner, now_ns)
            for job in changed:
                self._replace(job)
        return None if taken is None else stored(taken)

    def move(self, job: Job) -> Job:
        """See `Jobs`."""
        with self._change():
            if self._replace(job):
                return stored(job)
            raise unknown(job.id) if self._one("WHERE id = ?", job.id) is None else moved(job)

    def write(self, job: Job, data: bytes) -> bool:
        """See `Jobs`."""
        with self._failures():
            sql = "WHERE id = ? AND attempts = ? AND owner = ? AND state = ?"
            if self._one(sql, job.id, job.attempts, job.owner, RUNNING) is None:
                return False
        self._logs.append(job.id, data)
        return True

    def read(self, id: int, offset: int = 0, limit: int = 1 << 16) -> LogPart:
        """See `Jobs`."""
        self.get(id)
        return self._logs.read(id, offset, limit)

    def prune(self) -> int:
        """See `Jobs`."""
        marks = ", ".join("?" * len(OVER))
        oldest = f"SELECT id FROM jobs WHERE state IN ({marks}) ORDER BY id DESC LIMIT -1 OFFSET ?"  # noqa: S608
        with self._failures():
            if not self._db.execute(oldest, (*OVER, self._bounds.over)).fetchone():
                return 0
        with self._change():
            deleted = self._db.execute(
                f"DELETE FROM jobs WHERE id IN ({oldest})",  # noqa: S608
                (*OVER, self._bounds.over),
            ).rowcount
            kept = {id for (id,) in self._db.execute("SELECT id FROM jobs").fetchall()}
            self._logs.delete_others(kept)
        return deleted

    def close(self) -> None:
        """See `Jobs`."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        log_ahead(self._db, _WAIT_S)
        self._db.execute("PRAGMA synchronous = FULL")
        with self._change():
            if not is_made(self._db):
                FORM.make(self._db)
        fault = FORM.fault(self._db)
        if fault:
            raise Unavailable(f"{self._path} {fault}: move it away, and a new one is made")

    def _one(self, where: str, *values: object) -> Job | None:
        row = self._db.execute(f"{_SELECT} {where}", values).fetchone()
        return None if row is None else self._job(row)

    def _job(self, row: Sequence[Any]) -> Job:
        try:
            return of_row(row)
        except (ValueError, TypeError) as error:
            raise Unavailable(
                f"{self._path}: job {row[NAMES.index('id')]} is damaged, or of a newer version ({error})"
            ) from error

    def _waiting(self, running_max: int) -> Sequence[Job]:
        """The oldest job that may begin: one that takes no place of others, or, if there is room, any."""
        kinds = beside()
        marks = ", ".join("?" * len(kinds))
        oldest = self._one(f"WHERE state = ? AND kind IN ({marks}) ORDER BY id LIMIT 1", QUEUED, *kinds)
        if oldest is None:
            sql = f"SELECT count(*) FROM jobs WHERE state = ? AND kind NOT IN ({marks})"  # noqa: S608
            (running,) = self._db.execute(sql, (RUNNING, *kinds)).fetchone()
            if int(running) < running_max:
                oldest = self._one("WHERE state = ? ORDER BY id LIMIT 1", QUEUED)
        return [] if oldest is None else [oldest]

    def _count(self, state: str) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()
        return int(count)

    def _replace(self, job: Job) -> bool:
        return self._db.execute(_UPDATE, (*as_row(stored(job)), job.id, job.revision)).rowcount == 1

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One transaction that nobody else's comes between."""
        with self._failures():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite become Unavailable."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise Unavailable(f"the jobs in {self._path} can't be used: {error}") from error


def _most(below: int | None) -> int:
    return (1 << 63) - 1 if below is None else below
