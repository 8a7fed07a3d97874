"""An engine for programs of asyncio: events of tasks that wait together are decided together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import cast, overload

from homeostat.engine.answer_types import Decision
from homeostat.engine.engine import Engine, Event
from homeostat.engine.isolating import Answer, Received, UnusableEvent
from homeostat.engine.turns import OUTCOME_ROWS, Turns


class AsyncEngine:
    """The engine's calls as coroutines; one engine works for all tasks of an event loop.

    A few events are decided on the event loop itself, which takes less time than handing them to a thread. Large
    batches, snapshots and explanations are worked on in a thread, while the event loop goes on.

    >>> import asyncio
    >>> from homeostat import AsyncEngine, load
    >>> async def decide_all():
    ...     async with AsyncEngine(load("access")) as engine:
    ...         usual = {"entity_id": "123", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}
    ...         return await asyncio.gather(*(engine.decide({"event_id": n, **usual}) for n in range(3)))
    >>> [answer["action"] for answer in asyncio.run(decide_all())]
    ['allow', 'allow', 'allow']
    """

    def __init__(self, engine: Engine, rows_max: int = 1024, waiting_max: int = 100_000) -> None:
        """engine : closed with this
        rows_max : of a batch
        waiting_max : events that may wait; beyond these, `decide` raises `turns.Overloaded`
        """
        self.engine = engine
        self._thread = ThreadPoolExecutor(1, "engine")
        self._closed = False
        self._turns: Turns[object] = Turns(self._thread, rows_max, waiting_max)

    @overload
    async def decide(self, events: Event) -> Decision: ...

    @overload
    async def decide(self, events: Sequence[Event]) -> list[Answer]: ...

    async def decide(self, events: Event | Sequence[Event]) -> Decision | list[Answer]:
        """Decide one event or several, see `Engine.decide`.

        Raises UnusableEvent for a single bad event; Unavailable when the journal can't be written; Overloaded.
        """
        if isinstance(events, Mapping):
            (answered,) = await self._turns.submit(self.engine.answer, [events])
            if "event_id" not in answered:
                raise UnusableEvent(answered)
            return answered
        return await self._turns.submit(self.engine.answer, list(events)) if len(events) else []

    async def learn(self, outcomes: Event | Sequence[Event]) -> list[Received]:
        """Take in outcomes; one receipt or problem for each. See `Engine.learn`."""
        several = [outcomes] if isinstance(outcomes, Mapping) else list(outcomes)
        return await self._turns.submit_in_slices(self.engine.receive, several, OUTCOME_ROWS)

    async def decision(self, event_id: str | int, features: bool = False, explain: bool = False) -> Decision | None:
        """The recorded decision of an event, None if there is none. See `Engine.decision`."""
        found = await self._turns.call(lambda: self.engine.decision(event_id, features, explain))
        return cast(Decision | None, found)

    async def save(self) -> None:
        """Write a snapshot, so that the next start has less to replay."""
        await self._turns.call(self.engine.save)

    async def close(self) -> None:
        """Answer what waits, save, and let go of files and threads. Later calls raise Unavailable."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._turns.call(self.engine.close)
        finally:
            self._thread.shutdown(wait=False)

    async def __aenter__(self) -> AsyncEngine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
