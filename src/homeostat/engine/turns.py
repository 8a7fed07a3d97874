"""Gathers the requests that wait into one batch for the engine, and lets only one thing at a time use it.

A small batch is decided on the event loop's own thread: handing it to another takes longer than deciding it, and both
would fight for the interpreter. Longer work (large batches, snapshots, explanations) is done in a thread of its own,
while requests go on being read, and gather.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from homeostat.engine.sizing import Sizer
from homeostat.errors import HomeostatError
from homeostat.ports import Unavailable

T = TypeVar("T")
A = TypeVar("A")
Answers = list[Any]
Work = Callable[[Sequence[object]], Answers]
ROWS_MAX = 1000  # As `servers.batch_rows` is, where nothing is declared.
INLINE_ROWS = 32  # Decided in about as long as an event loop may well be kept busy: a few milliseconds.
OUTCOME_ROWS = 128  # Taken in in 3 to 4 ms, for which an event that comes meanwhile waits.
SHARED_OUTCOME_ROWS = 1024  # Where each call waits for servers, which takes about as long for a few as for many.


@dataclass(slots=True)
class _Waiting:
    """One request's objects, or (without objects) a call of its own."""

    work: Callable[..., Any]
    objects: Sequence[object] | None
    answer: asyncio.Future[Any]
    rows_max: int | None = None  # Of its batch, where that is less than of others.


class Overloaded(HomeostatError):
    """More events wait than may; the client should come back a little later."""

    why = "more events arrive than are decided"
    remedy = "Send the events again a little later"


class Turns(Generic[T]):
    """All work for the engine takes its turn, in order of arrival; neighbours that do the same work are one batch.

    rows_max : of a batch; a larger request is a batch of its own
    waiting_max : events that may wait before new requests are refused
    inline_rows : of a batch that the event loop decides by itself; 0 where the engine waits for servers
    sizer : chooses `rows_max` by the load; None where it stays as it is
    """

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        rows_max: int = ROWS_MAX,
        waiting_max: int = 100_000,
        inline_rows: int = INLINE_ROWS,
        sizer: Sizer | None = None,
    ) -> None:
        self._thread, self._inline_rows, self._sizer = thread, inline_rows, sizer
        self._fixed_rows_max, self._waiting_max = rows_max, waiting_max
        self._queue: deque[_Waiting] = deque()
        self._rows = 0
        self._busy = self._called = False
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    def submit(self, work: Callable[[Sequence[object]], list[A]], objects: Sequence[object]) -> asyncio.Future[list[A]]:
        """The answers to come to these objects, of which there is at least one.

        Raises Overloaded at once; the future raises Unavailable when the journal can't be written.
        """
        self._admit(len(objects))
        return self._enqueue(_Waiting(work, objects, asyncio.get_running_loop().create_future()))

    async def submit_in_slices(
        self, work: Callable[[Sequence[object]], list[A]], objects: Sequence[object], rows: int
    ) -> list[A]:
        """The answers to these objects, so many of which are one batch at most: others have their turn in between.

        Raises what `submit` does. Then the objects before may have been worked on.
        """
        self._admit(len(objects))
        answers: list[A] = []
        left = len(objects)
        try:
            for start in range(0, len(objects), rows):
                part = objects[start : start + rows]
                left -= len(part)  # The code that takes them out of the queue counts them off.
                answers += await self._enqueue(_Waiting(work, part, asyncio.get_running_loop().create_future(), rows))
        finally:
            self._rows -= left
        return answers

    def _admit(self, rows: int) -> None:
        if self._rows and self._rows + rows > self._waiting_max:
            raise Overloaded(f"{self._rows} events wait already")
        self._rows += rows

    async def call(self, work: Callable[[], T]) -> T:
        """The result of `work`, called in the engine's thread when it is its turn."""
        return cast(T, await self._enqueue(_Waiting(work, None, asyncio.get_running_loop().create_future())))

    async def idle(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    def _enqueue(self, waiting: _Waiting) -> asyncio.Future[Any]:
        self._queue.append(waiting)
        self._idle.clear()
        self._soon()
        return waiting.answer

    def _soon(self) -> None:
        """Go on after the event loop has read all requests that are there: they then make one batch."""
        if not self._called and not self._busy:
            self._called = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._called = False
        if not self._queue:
            self._idle.set()
            return
        batch, rows = self._take()
        began_ns = 0 if self._sizer is None else self._sizer.now_ns()
        if batch[0].objects is not None and rows <= self._inline_rows:
            try:
                _answer(batch, _run(batch))
            except Exception as error:
                _fail(batch, error)
            self._ended(batch, rows, began_ns)
            return
        try:
            running = asyncio.get_running_loop().run_in_executor(self._thread, _run, batch)
        except RuntimeError:  # The thread has ended.
            _fail(batch, Unavailable("the engine is closed"))
            self._soon()
            return
        self._busy = True
        running.add_done_callback(lambda done: self._done(batch, rows, began_ns, done))

    def _done(self, batch: list[_Waiting], rows: int, began_ns: int, done: asyncio.Future[Any]) -> None:
        self._busy = False
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            _answer(batch, done.result())
        else:
            _fail(batch, error)
        self._ended(batch, rows, began_ns)

    def _ended(self, batch: list[_Waiting], rows: int, began_ns: int) -> None:
        """Go on, and take note of how long a batch that was gathered took.

        A call, a slice or one request beyond the bound says nothing about the bound.
        """
        sizer, first = self._sizer, batch[0]
        if sizer is not None and first.objects is not None and first.rows_max is None and rows <= sizer.rows:
            sizer.seen(rows, began_ns, self._rows)
        self._soon()

    @property
    def _rows_max(self) -> int:
        return self._fixed_rows_max if self._sizer is None else self._sizer.rows

    def _take(self) -> tuple[list[_Waiting], int]:
        """As many waiting neighbours of one kind as fit into a batch, at least one."""
        first = self._queue.popleft()
        batch = [first]
        if first.objects is None:
            return batch, 0
        rows = len(first.objects)
        rows_max = self._rows_max if first.rows_max is None else first.rows_max
        while self._queue:
            following = self._queue[0]
            if following.objects is None or following.work != first.work:
                break
            if rows + len(following.objects) > rows_max:
                break
            rows += len(following.objects)
            batch.append(self._queue.popleft())
        self._rows -= rows
        return batch, rows


def _run(batch: list[_Waiting]) -> Any:
    first = batch[0]
    if first.objects is None:
        return first.work()
    if len(batch) == 1:
        return first.work(first.objects)
    return first.work([item for waiting in batch for item in waiting.objects or ()])


def _answer(batch: list[_Waiting], result: Any) -> None:
    if len(batch) == 1:
        if not batch[0].answer.done():  # The client may have gone.
            batch[0].answer.set_result(result)
        return
    start = 0
    for waiting in batch:
        stop = start + len(waiting.objects or ())
        if not waiting.answer.done():
            waiting.answer.set_result(result[start:stop])
        start = stop


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            # Tracebacks are not shared, so each request gets an exception of its own where that can be made.
            waiting.answer.set_exception(Unavailable(str(error)) if isinstance(error, Unavailable) else error)
