"""Requests on a fixed schedule, whatever the answers do, each timed from the moment at which it was due.

A service that stalls is charged with every request that it keeps waiting, and not only with the one that it stalls on
(coordinated omission: Tene, "How not to measure latency", 2013).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult

import httptools

from homeostat.adapters.process.clock import SystemClock

_LOOK_S = 0.05
_ANSWER_MAX = 64 << 20  # Bytes of an answer that is longer than this are not waited for.


@dataclass(frozen=True, slots=True)
class Load:
    """The requests to send.

    first, last : requests a second at the beginning and at the end, between which the rate rises or falls in a line
    seconds : how long they are sent
    connections : how many may be open at once; a request that finds all of them busy waits for one
    timeout_s : how long an answer is waited for, from the moment at which its request was due
    """

    address: SplitResult
    request: bytes
    first: float
    last: float
    seconds: float
    connections: int
    timeout_s: float

    @property
    def count(self) -> int:
        """How many requests are due in all."""
        return max(1, round((self.first + self.last) / 2 * self.seconds))

    def due_s(self, number: int) -> float:
        """The second at which a request is due, from 0.

        The requests that are due until t are first t + (last - first) t^2 / (2 seconds).
        """
        bend = (self.last - self.first) / (2 * self.seconds)
        if abs(bend) < 1e-12:
            return number / self.first
        root = math.sqrt(max(self.first * self.first + 4 * bend * number, 0.0))
        return 2 * number / (self.first + root)


@dataclass(slots=True)
class Answers:
    """The answers to the requests, in the order in which they ended.

    due_s : when each was due, from 0; took_s : from then to its answer, or to the end of the wait; ok : whether it was
    answered, with a status below 400
    late_s : how much later than due each was handed over by this process
    """

    due_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    ok: list[bool] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    received: int = 0
    seconds: float = 0.0

    def add(self, due_s: float, took_s: float, failure: str = "", status: int = 0) -> None:
        """An answer, or a failure."""
        self.due_s.append(due_s)
        self.took_s.append(took_s)
        self.ok.append(not failure)
        if status:
            self.statuses[status] += 1
        if failure:
            self.failures[failure] += 1


class _Connection(asyncio.Protocol):
    """A connection with at most one request under way."""

    def __init__(self, pool: _Pool) -> None:
        self.pool = pool
        self.due_s: float | None = None
        self.transport: asyncio.Transport | None = None
        self._parser, self._size = httptools.HttpResponseParser(self), 0
        self._ends_with_connection = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, due_s: float) -> None:
        """Send the request that was due then."""
        assert self.transport is not None
        self.due_s, self._size = due_s, 0
        self.transport.write(self.pool.load.request)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.pool.answers.received += len(data)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.fail("the answer is not HTTP")
        if self._size > _ANSWER_MAX:
            self.fail("the answer is too long")

    def on_message_begin(self) -> None:
        """An answer begins: called by the parser, as the next ones are."""
        self._ends_with_connection = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_message_complete(self) -> None:
        """An answer is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        due_s, self.due_s = self.due_s, None
        if due_s is not None:
            self.pool.done(due_s, f"status {status}" if status >= 400 else "", status)
        if self._parser.should_keep_alive() and due_s is not None:
            self._parser = httptools.HttpResponseParser(self)
            self.pool.free(self)
        elif self.transport is not None:
            self.transport.close()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. An answer without a length ends with its connection."""
        return False

    def fail(self, why: str) -> None:
        """End the request under way, and the connection."""
        due_s, self.due_s = self.due_s, None
        if due_s is not None:
            self.pool.done(due_s, why)
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.transport = None
        if error is None and self._ends_with_connection and self.due_s is not None and self._size:
            due_s, self.due_s = self.due_s, None
            status = self._parser.get_status_code()
            self.pool.done(due_s, f"status {status}" if status >= 400 else "", status)
        self.fail("the connection was lost")
        self.pool.lost(self)


class _Pool:
    """Connections, and the requests that wait for one."""

    def __init__(self, load: Load, answers: Answers) -> None:
        self.load, self.answers = load, answers
        self.idle: deque[_Connection] = deque()
        self.open: set[_Connection] = set()
        self.waiting: deque[float] = deque()
        self.opening = 0
        self.begun_s = 0.0
        self.clock = SystemClock()
        self.tasks: set[asyncio.Task[None]] = set()

    def now_s(self) -> float:
        """Seconds since the first request was due."""
        return self.clock.monotonic_ns() / 1e9 - self.begun_s

    def send(self, due_s: float) -> None:
        """Send a request over a connection that is idle, or once there is one."""
        self.answers.late_s.append(max(0.0, self.now_s() - due_s))
        self.waiting.append(due_s)
        self._go_on()

    def done(self, due_s: float, failure: str = "", status: int = 0) -> None:
        """A request has its answer, or will have none."""
        self.answers.add(due_s, self.now_s() - due_s, failure, status)

    def free(self, connection: _Connection) -> None:
        """A connection can take a request."""
        self.idle.append(connection)
        self._go_on()

    def lost(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._go_on()

    def look(self) -> None:
        """Give up on what was due too long ago."""
        latest = self.now_s() - self.load.timeout_s
        for connection in [one for one in self.open if one.due_s is not None and one.due_s < latest]:
            connection.fail("no answer in time")
        while self.waiting and self.waiting[0] < latest:
            self.done(self.waiting.popleft(), "no answer in time")

    def _go_on(self) -> None:
        while self.waiting and self.idle:
            connection = self.idle.popleft()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.send(self.waiting.popleft())
        wanted = min(len(self.waiting), self.load.connections - len(self.open)) - self.opening
        for _ in range(max(0, wanted)):
            self.opening += 1
            task = asyncio.get_running_loop().create_task(self._opened())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _opened(self) -> None:
        address = self.load.address
        secure = ssl.create_default_context() if address.scheme == "https" else None
        port = address.port or (443 if secure else 80)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), address.hostname or "", port, ssl=secure
            )
        except OSError as error:
            self.opening -= 1
            if self.waiting:
                self.done(self.waiting.popleft(), f"no connection ({error.strerror or error})")
            return
        self.opening -= 1
        self.open.add(connection)
        self.free(connection)


async def injected(load: Load, progress: Callable[[float], None] = lambda share: None) -> Answers:
    """Send the requests, wait for their answers, and return them."""
    answers = Answers()
    pool = _Pool(load, answers)
    pool.begun_s = SystemClock().monotonic_ns() / 1e9
    count, looked_s = load.count, 0.0
    for number in range(count):
        due_s = load.due_s(number)
        while (ahead := due_s - pool.now_s()) > 0:
            await asyncio.sleep(min(ahead, _LOOK_S))
            if pool.now_s() - looked_s >= _LOOK_S:
                looked_s = pool.now_s()
                pool.look()
                progress(number / count)
        pool.send(due_s)
        if not number % 64:
            await asyncio.sleep(0)  # Behind the schedule, answers are read all the same.
    while len(answers.due_s) < count:
        await asyncio.sleep(_LOOK_S / 5)
        pool.look()
    answers.seconds = pool.now_s()
    for connection in list(pool.open):
        if connection.transport is not None:
            connection.transport.abort()
    for task in list(pool.tasks):
        task.cancel()
    return answers
