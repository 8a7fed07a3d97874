"""Connections to one PostgreSQL server, each operation on them bounded by a deadline.

A pool of our own, since psycopg_pool connects in threads of its own: a caller then waits its whole timeout while the
server refuses at once, and does not learn why. Here the caller's own thread connects, and gets the reason.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import conninfo, errors

from homeostat.ports import Unavailable

_Answer = TypeVar("_Answer")
Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
_Status = psycopg.pq.TransactionStatus
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)  # The server undid all of it: doing it again is right.
_TRIES = 4

# The remedy for an error, by the beginning of its SQLSTATE; the first that fits.
_ADVICE = {
    "53100": "its disk is full: free some space there",
    "53200": "it is out of memory",
    "53300": "it has no connection left: raise max_connections, or start fewer workers",
    "53": "it is short of resources",
    "25006": "it is read-only: a standby, or set so; name the primary in the address",
    "28": "it refuses this user: check user, password and pg_hba.conf",
    "3D000": "there is no such database: create it first",
    "42501": "this user lacks a privilege: see docs/postgres.md for those needed",
    "42P01": "a table is missing: run the migrations, or check the search_path",
    "57014": "it did not answer in time",
    "55P03": "another session holds a lock for too long",
    "57P": "it is being shut down or started",
    "58": "its disk or system fails: see its log",
}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which waiting for the server ends at a deadline, even when the server hangs."""

    until: float | None = None  # On time.monotonic's scale.

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As any connection's, but never beyond `until`."""
        if self.until is not None:
            left = max(0.001, self.until - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        return super().wait(gen, interval, timeout)


class Connections:
    """Up to `most` connections to one server, made when needed, given to any thread, one at a time each."""

    def __init__(
        self, url: str, *, most: int = 4, deadline_s: float = 5.0, connect_s: float = 3.0, prepare: bool = True
    ) -> None:
        """Connect to nothing yet.

        url : postgresql://user:password@host:port/database, with any libpq parameter behind `?`
        most : connections at a time; a caller that finds all in use waits for one
        deadline_s : the longest that one operation may take
        connect_s : the longest that connecting may take; libpq takes at least 2 s
        prepare : statements are prepared once a connection

        Behind a pooler, which may give each transaction another connection, nothing is prepared, and nothing is set
        for the session: it would be set for strangers. The consequences are in docs/postgres.md.
        Raises ValueError where the address can't be read, without saying what it holds.
        """
        try:
            parts = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise ValueError(
                "the address of the journal can't be read: postgresql://user:password@host:port/database is expected, "
                "with special characters of the password percent-encoded"
            ) from None
        self._secret = str(parts.get("password") or "")
        host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
        self.where = f"PostgreSQL at {host}:{parts.get('port') or 5432}, database {parts.get('dbname') or '(default)'}"
        defaults: dict[str, Any] = {
            "connect_timeout": max(2, round(connect_s)), "application_name": "homeostat", "keepalives_idle": 30,
            "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": int(1000 * max(deadline_s, 5.0)),
        }  # fmt: skip
        self._conninfo = conninfo.make_conninfo("", **{**defaults, **parts})
        self.deadline_s = deadline_s
        self._prepare = 5 if prepare else None
        self._idle: list[BoundedConnection] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(most)
        self._closed = False
        self.pooled = False  # Whether the last connection that was made is a pooler's.

    def run(self, operation: Callable[[Connection], _Answer], *, deadline_s: float | None = None) -> _Answer:
        """The result of `operation`. It is run again where the server undid it because of a deadlock.

        It begins in autocommit mode; a transaction that it begins and doesn't end is undone.
        Raises Unavailable when the server fails or takes longer than `deadline_s`. Errors that are due to the data,
        such as a broken constraint, are psycopg's own. Whether a COMMIT took place whose connection broke is unknown.
        """
        until = time.monotonic() + (self.deadline_s if deadline_s is None else deadline_s)
        for left in reversed(range(_TRIES)):
            try:
                with self._lent(until) as connection:
                    return operation(connection)
            except _AGAIN as error:
                if left == 0:
                    raise Unavailable(self.said(error)) from None
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _lent(self, until: float) -> Iterator[BoundedConnection]:
        if not self._free.acquire(timeout=max(0.0, until - time.monotonic())):
            raise Unavailable(f"{self.where}: all connections of this process are in use")
        try:
            try:
                connection = self._take(until)
            except psycopg.Error as error:
                raise Unavailable(self.said(error)) from None
            try:
                yield connection
            except psycopg.Error as error:
                if not connection.closed and isinstance(error, (errors.IntegrityError, errors.DataError, *_AGAIN)):
                    raise
                connection.close()
                self._drop_idle()  # They were made to the same server, and are likely as dead.
                raise Unavailable(self.said(error)) from None
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close every connection that isn't in use, and each other one as soon as it is given back."""
        self._closed = True
        self._drop_idle()

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def said(self, error: Exception) -> str:
        """An error of PostgreSQL as one sentence that says what to do, without the password."""
        text = " ".join(str(error).split()) or type(error).__name__
        if self._secret:
            text = text.replace(self._secret, "***")
        state = getattr(error, "sqlstate", None) or ""
        advice = next((advice for start, advice in _ADVICE.items() if state.startswith(start)), "")
        if isinstance(error, errors._WaitTimeout) or "timeout expired" in text:
            text, advice = f"no answer within {self.deadline_s:g} s", "it hangs, is overloaded or can't be reached"
        elif "password authentication failed" in text or "no pg_hba.conf entry" in text:
            advice = _ADVICE["28"]
        elif not advice and ("refused" in text or "No such file" in text):
            advice = "nothing listens there: start it, or correct the address"
        return f"{self.where} failed: {text}" + (f": {advice}" if advice else "")

    def _take(self, until: float) -> BoundedConnection:
        if self._closed:
            raise Unavailable(f"{self.where}: it was closed here")
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if _is_alive(connection):
                connection.until = until
                return connection
            connection.close()
        return self.connect(until)

    def connect(self, until: float, *, autocommit: bool = True) -> BoundedConnection:
        """A connection of the caller's own, every operation on which ends at `until`. Raises psycopg's errors."""
        connection = BoundedConnection.connect(self._conninfo, autocommit=True, prepare_threshold=self._prepare)
        try:
            connection.until = until
            self.pooled = _is_pooled(connection)
            if self.pooled:
                connection.prepare_threshold = None
                connection.autocommit = autocommit
                return connection
            milliseconds = int(1000 * max(self.deadline_s, until - time.monotonic()))
            # Set here and not as a connection option, which poolers in between refuse.
            connection.execute(
                f"SET statement_timeout = {milliseconds}; SET idle_in_transaction_session_timeout = {milliseconds}; "
                "SET timezone = 'UTC'; SET client_encoding = 'UTF8'; SET client_min_messages = 'warning'; "
                # Every statement here looks rows up by an index. A plan made while a table was empty, and kept, would
                # read all of it later.
                "SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
            )
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: BoundedConnection) -> None:
        status = connection.info.transaction_status
        if status in (_Status.INTRANS, _Status.INERROR):
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
                status = connection.info.transaction_status
        connection.until = None
        with self._lock:
            if status == _Status.IDLE and not self._closed:
                self._idle.append(connection)
                return
        connection.close()  # Dead, or left in the middle of something, such as a COPY.

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _is_pooled(connection: BoundedConnection) -> bool:
    """Whether a pooler is in between: it makes up the process number that it tells, since it has several servers'."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and int(row[0]) != connection.info.backend_pid


def _is_alive(connection: BoundedConnection) -> bool:
    """Whether an idle connection may be used: a server that went away has left something to read on its socket."""
    if connection.closed:
        return False
    with DefaultSelector() as selector:
        selector.register(connection.fileno(), EVENT_READ)
        return not selector.select(0)
