"""The HTTP interface. `POST /v1/decide` and `POST /v1/outcomes` make the product; the rest is to look at it.

Everything that answers is written against ASGI itself: what a framework adds to a request takes as long as a decision.
FastAPI carries the application's life and its OpenAPI document.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.memory.decision_pages import decisions_in
from homeostat.adapters.process.standing import Standing
from homeostat.adapters.process.tracing import open_tracing
from homeostat.decide.loop import Stopped
from homeostat.engine.engine import Engine
from homeostat.engine.faults import Reports
from homeostat.engine.health_ring import EVERY_S
from homeostat.engine.isolating import NotBuried
from homeostat.engine.metrics import engine_registry
from homeostat.engine.turns import INLINE_ROWS, Overloaded, Turns
from homeostat.errors import HomeostatError
from homeostat.ports import Unavailable
from homeostat.ports.decision_lists import DecisionLists
from homeostat.serve.access import Access
from homeostat.serve.bodies import NotJson, TooMany
from homeostat.serve.naming import Naming
from homeostat.serve.replies import Receive, Send, refuse
from homeostat.serve.requests import BODY_BYTES_MAX, BodyTooLarge, Gone, Scope, is_bare
from homeostat.serve.routes.decision_lists import in_turn
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.table import route_of
from homeostat.serve.stores import Once, Stores
from homeostat.serve.traces import RequestTraces

SAVE_EVERY_S = 60.0
_AUDIT_EVERY_S = _LOOK_EVERY_S = _TICK_EVERY_S = 1.0


class Api:
    """The ASGI application around one engine, which it closes when it stops."""

    def __init__(
        self, engine: Engine, access: Access | None = None, stores: Stores | None = None, naming: Naming | None = None
    ) -> None:  # fmt: skip
        self.engine = engine
        self._naming = naming or Naming()
        self._thread = ThreadPoolExecutor(1, "engine")
        inline_rows = 0 if engine.waits_for_servers else INLINE_ROWS
        self.turns: Turns[Any] = Turns(self._thread, inline_rows=inline_rows, sizer=engine.parts.sizer)
        self._stated = 0
        self._saved, self._audited = 0, -1  # The journal's last entries in snapshot and trail.
        self._writing: asyncio.Future[None] | None = None  # The snapshot that was last taken.
        self._traces = RequestTraces(open_tracing(), engine.parts.clock.now_ns)
        self._reports = Reports(engine.parts.clock)
        self._access = access
        self._stores = stores or Stores()
        self._service = Service(
            engine, self.turns, engine_registry(engine), self._traces, self._reports, access, self._stores
        )
        self._standing = Standing(logging.getLogger("homeostat").warning, engine.parts.clock, "decisions go on as ever")
        self._life = FastAPI(lifespan=self._lifespan, openapi_url=None, docs_url=None, redoc_url=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's life."""
        if scope["type"] != "http":
            await self._life(scope, receive, send)
            return
        await self._answered(scope, receive, send)

    async def _dispatched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the path's route answer, or say why none does."""
        path, bare = scope["path"], is_bare(scope)
        refusal = self._naming.refusal(scope)
        if refusal is None and self._access is not None:
            refusal = self._access.refusal(scope)
        if refusal is not None:
            await refuse(send, *refusal, bare=bare)
            return
        route = route_of(path, scope["method"])
        if route is None:
            fix = "See /openapi.json for what there is."
            await refuse(send, 404, "Not found", f"there is no {path}", fix, bare=bare)
        elif scope["method"] not in route.methods:
            allowed = ", ".join(route.methods)
            await refuse(
                send, 405, "Method not allowed", f"{path} takes {allowed}", f"Use {route.methods[0]}.",
                ((b"allow", allowed.encode()),), bare,
            )  # fmt: skip
        else:
            await route.handler(self._service, scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what can't be done is a problem that says what to do, too.

        No fault of a request says anything about the engine: what that can do at present, it says itself.
        """
        bare = is_bare(scope)
        try:
            await self._dispatched(scope, receive, send)
        except Gone:
            return
        except BodyTooLarge:
            detail = f"the body has more than {BODY_BYTES_MAX} bytes"
            await refuse(send, 413, "Too large", detail, "Send smaller batches.")
        except TooMany as error:
            await refuse(send, 413, "Too large", str(error), "Send smaller batches.")
        except NotJson as error:
            await refuse(send, 400, "Not JSON", str(error), "Send a JSON object or an array of objects, in UTF-8.")
        except Overloaded as error:
            await refuse(send, 429, "Too busy", str(error), "Come back a little later.", AGAIN)
        except NotBuried as error:
            fix = "Send the same request again: what was decided already gets its decision back."
            await refuse(send, 503, "Unavailable", str(error), fix, AGAIN, bare)
        except Unavailable as error:
            self._standing.now(self.engine.notice)
            await refuse(
                send, 503, "Unavailable", str(error), "Nothing was decided; send the same request again.", AGAIN, bare
            )
        except Exception as error:
            if not isinstance(error, Stopped):  # The engine has reported what stopped it.
                self._reports.fault("the answer to a request", error)
            if self.engine.refused:
                self._standing.now(self.engine.notice)
                fix = "Send the same request again later: the server tries to go on. See its log for the cause."
                await refuse(send, 503, "Stopped", "an unexpected fault stopped the decisions", fix, AGAIN, bare)
            else:
                fix = "Other requests are answered as ever. See the server's log for the cause."
                await refuse(send, 500, "Fault", "an unexpected fault came before the answer", fix, (), bare)

    # Its life.

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._list_decisions()
        self._saved = self.engine.parts.journal.last if not self.engine.waits_for_servers else 0
        every: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (_LOOK_EVERY_S, self._look), (EVERY_S, self._look_at_health)
        ]  # fmt: skip
        if not self.engine.waits_for_servers:
            every += [(SAVE_EVERY_S, self._save), (_AUDIT_EVERY_S, self._audit)]
        if self.engine.parts.measuring is not None:
            every.append((_TICK_EVERY_S, self._tick))
        upkeep = [asyncio.create_task(self._again_and_again(seconds, work)) for seconds, work in every]
        if self._access is not None:
            upkeep.append(asyncio.create_task(self._access.watch()))
        upkeep.append(asyncio.create_task(self._change_when_ready()))
        yield
        for task in upkeep:
            task.cancel()
        await self.turns.idle()
        if self._writing is not None:  # The last snapshot comes after this one.
            await asyncio.wait([self._writing])
        await asyncio.get_running_loop().run_in_executor(self._thread, self.engine.close)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._traces.close)
        self._thread.shutdown()
        if self._access is not None:
            self._access.close()
        self._stores.close()

    def _list_decisions(self) -> None:
        """Where no store lists decisions, index those of the engine's own journal in memory, once they are wanted."""
        journal, loop = self.engine.parts.journal, asyncio.get_running_loop()
        if self._stores.decisions is None and isinstance(journal, SqliteJournal):
            clock, run = self.engine.parts.clock, in_turn(self._service, loop)
            lists: Once[DecisionLists] = Once(lambda: decisions_in(journal, clock, run))
            self._stores = self._service.stores = replace(self._stores, decisions=lists)

    async def _look_at_health(self) -> None:
        """Keep the health figures of this moment; reading all metrics takes a few milliseconds, in a thread."""
        ring, now_ns = self._service.health, self.engine.parts.clock.now_ns()
        await asyncio.get_running_loop().run_in_executor(None, lambda: ring.look(now_ns))

    def count_connections(self, count: Callable[[], int]) -> None:
        """Say from now on how many clients are connected."""
        self._service.health.connections = count

    def end_streams(self) -> None:
        """End the streams of news, which would keep the server from stopping."""
        self._service.streams.close()

    async def _change_when_ready(self) -> None:
        """Put changes of the settings in force as soon as they are ready, also while no event comes."""
        watcher, loop, ready = self.engine.parts.watcher, asyncio.get_running_loop(), asyncio.Event()
        if watcher is None:
            return

        def wake() -> None:
            loop.call_soon_threadsafe(ready.set)

        watcher.on_ready = wake
        ready.set()
        try:
            while True:
                await ready.wait()
                ready.clear()
                try:
                    await self.turns.call(self.engine.change)
                except (Unavailable, Stopped):  # The next batch tries again.
                    continue
                except Exception as error:
                    self._reports.fault("changes of the settings", error)
        finally:
            watcher.on_ready = lambda: None

    async def _again_and_again(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do something every so often, whatever it raises: the next round tries again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except (Unavailable, Stopped):  # The journal still holds everything.
                continue
            except Exception as error:
                self._reports.fault("upkeep", error)

    async def _save(self) -> None:
        """A snapshot while running, so that a restart after a crash has little to replay."""
        last = self.engine.parts.journal.last
        if last != self._saved:
            write = await self.turns.call(self.engine.snapshot)
            self._writing = asyncio.get_running_loop().run_in_executor(None, write)
            await asyncio.shield(self._writing)
            self._saved = last

    async def _audit(self) -> None:
        """The audit trail is at most a second, or `AUDIT_EVERY` batches, behind the journal."""
        last, stated = self.engine.parts.journal.last, await self._last_stated()
        if (last, stated) != (self._audited, self._stated):
            await self.turns.call(self.engine.audit)
            self._audited, self._stated = last, stated

    async def _tick(self) -> None:
        """Steps of metrics that ended by the clock are decided within a second of it."""
        measuring = self.engine.parts.measuring
        if measuring is not None and measuring.waits:
            await self.turns.call(measuring.tick)

    async def _last_stated(self) -> int:
        """The number of the last statement; 0 where there is none, or they can't be read."""
        look = self.engine.parts.stated
        if look is None:
            return 0
        try:
            number, _ = await asyncio.get_running_loop().run_in_executor(None, look)
        except HomeostatError:
            return 0
        return number

    async def _look(self) -> None:
        """Work that can wait for a quiet moment is done within a second of it, and a failure is in the log."""
        try:
            if self.engine.waits_for_servers or self.engine.refused:
                await self.turns.call(self.engine.resume)
        finally:
            self._standing.now(self.engine.notice)


def create_app(
    engine: Engine, access: Access | None = None, stores: Stores | None = None, naming: Naming | None = None
) -> Api:
    """The application around one engine, which it closes when it stops.

    access : lets requests in; None lets all in
    stores : behind jobs and settings; none where there is no place for them
    naming : the names by which the server may be called; this machine's own when absent
    """
    return Api(engine, access, stores, naming)


__all__ = ["Api", "create_app"]
