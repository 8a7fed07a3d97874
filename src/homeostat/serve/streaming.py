"""The live stream: news of decisions, jobs and incidents, looked up once for all clients, and sent in batches.

While a client listens, an engine that decides by itself hands its decisions over as they are, and those that share a
journal ask it for news ten times a second; jobs and incidents are asked for each second. Without a listener nothing is
done. Of many decisions the newest are sent, with the share that they are. Up to `WAITING_MAX` batches wait for a client
that does not read; then they are dropped, and it is asked to fetch everything again.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from zlib import crc32

from homeostat.engine.answers import answer as answer_of
from homeostat.engine.answers import entities_of
from homeostat.errors import HomeostatError
from homeostat.ports.decision_lists import DecisionLists, Listed, Place
from homeostat.ports.incidents import Incidents
from homeostat.records.decisions import DecisionBatch
from homeostat.records.incident_shown import shown_change
from homeostat.records.job import facts
from homeostat.serve.replies import encode
from homeostat.serve.stores import Once, Stores

TOPICS = ("decisions", "jobs", "incidents")
CLIENTS_MAX = 100
WAITING_MAX = 64  # Batches that wait for one client.
SHOWN_MAX = 10  # Decisions of a batch, ten times a second: more than anybody reads.
MISSED_MAX = 500  # Decisions that are made up for after a gap.
_HEARD_MAX = 64  # Batches of a tenth of a second that are kept: the newest.
_TICK_S = 0.1
_SLOW_TICKS = 10  # Jobs and incidents are looked at each second.
_JOBS = 50  # The newest are watched.
_POSITION = re.compile(r"([dji])([0-9]{1,16})")
_LETTERS = {"d": "decisions", "j": "jobs", "i": "incidents"}
_T = TypeVar("_T")

Positions = dict[str, int]
"""How far each topic has been sent: a journal entry, a sum over the newest jobs, the number of a change."""


def position_text(positions: Mapping[str, int]) -> str:
    """Positions as the id of an event.

    >>> position_text({"jobs": 3, "decisions": 7}), read_positions("d7.j3")
    ('d7.j3', {'decisions': 7, 'jobs': 3})
    """
    return ".".join(f"{letter}{positions[topic]}" for letter, topic in _LETTERS.items() if topic in positions)


def read_positions(text: str) -> Positions:
    """The positions of an event's id; a part that is none is left out."""
    found = (_POSITION.fullmatch(part) for part in text.split("."))
    return {_LETTERS[one[1]]: int(one[2]) for one in found if one is not None}


def event(kind: str, id: str, data: bytes) -> bytes:
    """One server-sent event, of JSON without line breaks."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id.encode(), kind.encode(), data)


class Decides(Protocol):
    """An engine that tells its listener of each batch that it decided, with the last journal entry."""

    listener: Callable[[int, DecisionBatch], None] | None


class Client:
    """One listener."""

    def __init__(self, topics: Collection[str], positions: Positions) -> None:
        self.topics, self.positions = topics, positions
        self._waiting: deque[bytes] = deque()
        self.ready = asyncio.Event()

    def put(self, topic: str, position: int, data: bytes) -> None:
        """Let a batch wait for being sent."""
        self.positions[topic] = position
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.clear()
            self.reset(self.topics)
        else:
            self._waiting.append(event(topic, position_text(self.positions), data))
        self.ready.set()

    def put_first(self, past: Sequence[bytes]) -> None:
        """Let events be sent before all that waits."""
        self._waiting.extendleft(reversed(past))
        if past:
            self.ready.set()

    def reset(self, topics: Collection[str]) -> None:
        """Ask the client to fetch these topics again."""
        self._waiting.append(event("reset", position_text(self.positions), encode({"topics": sorted(topics)})))
        self.ready.set()

    def take(self) -> bytes:
        """All that waits."""
        found = b"".join(self._waiting)
        self._waiting.clear()
        self.ready.clear()
        return found


class Streams:
    """All listeners of a process. For the event loop's own thread.

    stores : gives the stores; decisions, jobs and incidents that are not there have no news
    engine : that makes all decisions; None where other processes make some
    """

    def __init__(self, stores: Callable[[], Stores], engine: Decides | None = None) -> None:
        self._stores, self._engine = stores, engine
        self._heard: deque[tuple[int, DecisionBatch]] = deque(maxlen=_HEARD_MAX)
        self._heard_rows = 0
        self._clients: set[Client] = set()
        self._feeding: asyncio.Task[None] | None = None
        self._at: Positions = {}
        self._jobs: dict[int, int] = {}  # The revision of each of the newest jobs.
        self._starting = asyncio.Lock()
        self.closed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._clients)

    async def positions(self) -> Positions:
        """How far each topic is now. Raises what the stores raise."""
        if self._feeding is not None and not self._feeding.done():
            return dict(self._at)
        return await self._looked()

    async def join(self, topics: Collection[str], seen: Positions) -> Client:
        """A new listener, with the news since the positions that it has seen. Raises what the stores raise."""
        async with self._starting:
            if self._feeding is None or self._feeding.done():
                self._heard.clear()
                self._heard_rows = 0
                if self._engine is not None:
                    self._engine.listener = self._hear
                self._at = await self._looked()
                self._feeding = asyncio.create_task(self._feed())
        here = {topic: self._at[topic] for topic in topics}
        client = Client(topics, dict(here))
        self._clients.add(client)  # News from here on wait behind those that were missed.
        missed = {topic: seen[topic] for topic in topics if topic in seen and seen[topic] != here[topic]}
        lost = set(missed) - {"decisions"}
        past = []
        try:
            if "decisions" in missed:
                items = await self._made_up_for(missed["decisions"], here["decisions"])
                if items is None:
                    lost.add("decisions")
                elif items:
                    past.append(event("decisions", position_text(here), _decided(items, len(items))))
        except BaseException:
            self.leave(client)
            raise
        if lost:
            past.append(event("reset", position_text(here), encode({"topics": sorted(lost)})))
        client.put_first(past)
        return client

    def leave(self, client: Client) -> None:
        """A listener is gone; without any, nothing is looked up."""
        self._clients.discard(client)
        if not self._clients and self._feeding is not None:
            self._feeding.cancel()
            self._feeding = None
            if self._engine is not None:
                self._engine.listener = None

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self.closed.set()
        for client in self._clients:
            client.ready.set()

    async def _made_up_for(self, after: int, until: int) -> list[Listed] | None:
        """The decisions of the entries in (after, until]; None where they are too many, or nobody knows them."""
        if after > until:
            return None
        news = await _asked(self._stores().decisions, lambda store: store.news(after, MISSED_MAX + 1))
        if news is None or len(news.items) < news.total:
            return None
        return [one for one in news.items if one.place.entry <= until]

    async def _looked(self) -> Positions:
        """The positions by the stores."""
        stores = self._stores()
        news = await _asked(stores.decisions, lambda store: store.news(1 << 62, 1))
        changed = await _asked(stores.incidents, _last_change)
        self._jobs = await self._revisions(stores)
        return {"decisions": 0 if news is None else news.last, "jobs": _sum(self._jobs), "incidents": changed or 0}

    async def _revisions(self, stores: Stores) -> dict[int, int]:
        found = await _asked(stores.jobs, lambda store: store.list(limit=_JOBS))
        return {job.id: job.revision for job in found or ()}

    async def _feed(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            try:
                if self._engine is not None:
                    self._heard_decisions()
                elif any("decisions" in client.topics for client in self._clients):
                    await self._new_decisions()
                if ticks % _SLOW_TICKS == 0:
                    await self._new_jobs()
                    await self._new_changes()
            except HomeostatError:  # The next round tries again. A client that asks the store itself learns why.
                await asyncio.sleep(_TICK_S * _SLOW_TICKS)

    def _hear(self, last: int, batch: DecisionBatch) -> None:
        """Called by the engine, in its thread, for each batch that was decided."""
        self._heard.append((last, batch))
        self._heard_rows += len(batch)

    def _heard_decisions(self) -> None:
        """Send what the engine decided since; the newest of it where it is much."""
        total, self._heard_rows = self._heard_rows, 0
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        batches = [one for one in heard if one[0] > self._at["decisions"]]
        total -= sum(len(batch) for last, batch in heard if last <= self._at["decisions"])
        items: list[Listed] = []
        for last, batch in reversed(batches):
            rows = range(len(batch))[len(items) - SHOWN_MAX :] if len(items) < SHOWN_MAX else ()
            items += [Listed(Place(batch.events.time_ns.item(row), last, row), batch, row) for row in reversed(rows)]
        if items:
            self._at["decisions"] = batches[-1][0]
            self._tell("decisions", batches[-1][0], _decided(items[::-1], max(total, len(items))))

    async def _new_decisions(self) -> None:
        """News are put into words in the thread that looks: the event loop has requests to read."""
        after = self._at["decisions"]

        def look(store: DecisionLists) -> tuple[int, bytes]:
            news = store.news(after, SHOWN_MAX)
            return news.last, _decided(news.items, news.total) if news.items else b""

        found = await _asked(self._stores().decisions, look)
        if found is not None and found[0] != after:
            self._at["decisions"] = found[0]
            if found[1]:
                self._tell("decisions", *found)

    async def _new_jobs(self) -> None:
        stores, before = self._stores(), self._jobs
        found = await _asked(stores.jobs, lambda store: store.list(limit=_JOBS))
        if found is None:
            return
        self._jobs = {job.id: job.revision for job in found}
        moved = [facts(job) for job in found if before.get(job.id) != job.revision]
        if moved:
            self._at["jobs"] = _sum(self._jobs)
            self._tell("jobs", self._at["jobs"], encode({"items": moved}))

    async def _new_changes(self) -> None:
        after = self._at["incidents"]
        found = await _asked(self._stores().incidents, lambda store: store.changes(after, 100))
        if found:
            self._at["incidents"] = found[-1].number
            items = [{"id": one.incident.id, **shown_change(one.number, one.actor, one.incident)} for one in found]
            self._tell("incidents", found[-1].number, encode({"items": items}))

    def _tell(self, topic: str, position: int, data: bytes) -> None:
        for client in self._clients:
            if topic in client.topics:
                client.put(topic, position, data)


async def _asked(opens: Once[Any] | None, look: Callable[[Any], _T]) -> _T | None:
    """The result of a look into a store, in a thread; None without such a store."""
    if opens is None:
        return None
    return await asyncio.get_running_loop().run_in_executor(None, lambda: look(opens()))


def _decided(items: Collection[Listed], total: int) -> bytes:
    """A batch of decisions as JSON, with the share that is sent where that is not all."""
    found: dict[str, Any] = {"items": [_short(one) for one in items], "total": total}
    if total > len(items):
        found["sampled"] = round(len(items) / total, 6)
    return encode(found)


def _short(one: Listed) -> dict[str, Any]:
    """A decision as a live list shows it, with its first reason."""
    whole = answer_of(one.batch, one.row)
    names = ("event_id", "time", "action", "risk", "rule", "fallback", "version", "settings", "took_us")
    shown: dict[str, Any] = {name: whole[name] for name in names}  # type: ignore[literal-required]
    return {
        **shown,
        "reasons": whole["reasons"][:1],
        "entities": entities_of(one.batch, one.row),
        "entry": one.place.entry,
    }


def _sum(revisions: Mapping[int, int]) -> int:
    return crc32(repr(sorted(revisions.items())).encode())


def _last_change(store: Incidents) -> int:
    """The number of the last change of an incident, found with few looks: a store tells what follows a number only."""
    low, step = 0, 1
    while found := store.changes(low + step - 1, 1):
        low, step = found[0].number, step * 2
    while step > 1:
        step //= 2
        if found := store.changes(low + step - 1, 1):
            low = found[0].number
    while found := store.changes(low, 1):
        low = found[0].number
    return low
