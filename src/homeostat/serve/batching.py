"""Gathers the requests that wait into one batch for the engine, which works in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from homeostat.ports import Unavailable

Work = Callable[[Sequence[object]], list[dict[str, Any]]]


@dataclass(slots=True)
class _Waiting:
    objects: Sequence[object]
    answer: asyncio.Future[list[dict[str, Any]]]


class Overloaded(Exception):
    """More events wait than may; the client should come back a little later."""


class Batcher:
    """Hands whatever waits to `work`, in order of arrival, one batch at a time.

    While the engine works on a batch the next one gathers, so a batch is as large as the load makes it.

    rows_max : of a batch; a larger request is a batch of its own
    waiting_max : events that may wait before new requests are refused
    """

    def __init__(
        self, work: Work, thread: ThreadPoolExecutor, rows_max: int = 1024, waiting_max: int = 100_000
    ) -> None:
        self._work, self._thread = work, thread
        self._rows_max, self._waiting_max = rows_max, waiting_max
        self._queue: list[_Waiting] = []
        self._rows = 0
        self._task: asyncio.Task[None] | None = None

    async def submit(self, objects: Sequence[object]) -> list[dict[str, Any]]:
        """The answers to these objects. Raises Overloaded, and Unavailable when the journal can't be written."""
        if self._rows + len(objects) > self._waiting_max:
            raise Overloaded(f"{self._rows} events wait already")
        waiting = _Waiting(objects, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._rows += len(objects)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await waiting.answer

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = self._take()
            objects = [item for waiting in batch for item in waiting.objects]
            try:
                answers = await loop.run_in_executor(self._thread, self._work, objects)
            except Exception as error:
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(_one_each(error))
                continue
            start = 0
            for waiting in batch:
                stop = start + len(waiting.objects)
                if not waiting.answer.done():  # The client may have gone.
                    waiting.answer.set_result(answers[start:stop])
                start = stop

    def _take(self) -> list[_Waiting]:
        """As many waiting requests as fit into a batch, at least one."""
        rows = taken = 0
        for waiting in self._queue:
            if taken and rows + len(waiting.objects) > self._rows_max:
                break
            rows += len(waiting.objects)
            taken += 1
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        self._rows -= rows
        return batch

    async def idle(self) -> None:
        """Wait until nothing waits."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])


def _one_each(error: Exception) -> Exception:
    """An exception that several requests may raise: tracebacks are not shared."""
    return Unavailable(str(error)) if isinstance(error, Unavailable) else error
