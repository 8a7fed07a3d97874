"""The HTTP interface. `POST /v1/decide` and `POST /v1/outcomes` make the product; the rest is to look at it.

Everything that answers is written against ASGI itself: what a framework adds to a request takes as long as a decision.
FastAPI carries the application's life and its OpenAPI document.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from prometheus_client.exposition import generate_latest

from homeostat.adapters.tracing import open_tracing
from homeostat.decide.loop import Stopped
from homeostat.embedded.engine import Engine
from homeostat.embedded.metrics import engine_registry
from homeostat.ports import Unavailable
from homeostat.serve.access import Access, documented
from homeostat.serve.batching import INLINE_ROWS, Overloaded, Turns, Work
from homeostat.serve.bodies import NotJson, decoded, items
from homeostat.serve.openapi import document
from homeostat.serve.replies import JSON, PROBLEM, TEXT, Message, Receive, Send, encode, refuse, reply
from homeostat.serve.traces import RequestTraces

BODY_BYTES_MAX = 8 << 20
_DROPPED_BYTES_MAX = 64 << 20
SAVE_EVERY_S = 60.0
_AUDIT_EVERY_S = 1.0
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_AGAIN = ((b"retry-after", b"1"),)
_DECISIONS = "/v1/decisions/"
Scope = dict[str, Any]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLarge(Exception):
    """A body has more bytes than are read."""


class Gone(Exception):
    """The client closed the connection before its request was whole."""


class Api:
    """The ASGI application around one engine, which it closes when it stops."""

    def __init__(self, engine: Engine, access: Access | None = None) -> None:
        self.engine = engine
        self._access = access
        self._thread = ThreadPoolExecutor(1, "engine")
        self.turns: Turns[Any]
        self._registry = engine_registry(engine)
        self._traces = RequestTraces(open_tracing(), engine.parts.clock.now_ns)
        self._broken = ""
        self._routes: dict[str, tuple[tuple[str, ...], Handler]] = {
            "/v1/decide": (("POST",), self._decide),
            "/v1/outcomes": (("POST",), self._learn),
            "/healthz": (("GET", "HEAD"), self._health),
            "/metrics": (("GET", "HEAD"), self._metrics),
            "/openapi.json": (("GET", "HEAD"), self._document),
        }
        self._life = FastAPI(lifespan=self._lifespan, openapi_url=None, docs_url=None, redoc_url=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's life."""
        if scope["type"] != "http":
            await self._life(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        refusal = None if self._access is None else self._access.refusal(scope)
        if refusal is not None:
            await refuse(send, *refusal, bare=method == "HEAD")
            return
        found: tuple[tuple[str, ...], Handler | None] = self._routes.get(path) or self._route(path)
        methods, handler = found
        bare = method == "HEAD"
        if handler is None:
            fix = "See /openapi.json for what there is."
            await refuse(send, 404, "Not found", f"there is no {path}", fix, bare=bare)
        elif method not in methods:
            allowed = ", ".join(methods)
            await refuse(
                send, 405, "Method not allowed", f"{path} takes {allowed}", f"Use {methods[0]}.",
                ((b"allow", allowed.encode()),), bare,
            )  # fmt: skip
        else:
            await self._answered(handler, scope, receive, send)

    def _route(self, path: str) -> tuple[tuple[str, ...], Handler | None]:
        if path.startswith(_DECISIONS) and len(path) > len(_DECISIONS):
            return ("GET", "HEAD"), self._find
        return (), None

    async def _answered(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a handler answer; whatever it can't do is a problem that says what to do, too."""
        bare = scope["method"] == "HEAD"
        try:
            await handler(scope, receive, send)
        except Gone:
            return
        except BodyTooLarge:
            detail = f"the body has more than {BODY_BYTES_MAX} bytes"
            await refuse(send, 413, "Too large", detail, "Send smaller batches.")
        except NotJson as error:
            await refuse(send, 400, "Not JSON", str(error), "Send a JSON object or an array of objects, in UTF-8.")
        except Overloaded as error:
            await refuse(send, 429, "Too busy", str(error), "Come back a little later.", _AGAIN)
        except Unavailable as error:
            await refuse(
                send, 503, "Unavailable", str(error), "Nothing was decided; send the same request again.", _AGAIN, bare
            )
        except Exception as error:  # The loop broke off: nothing more may be decided on top of what it remembers.
            self._broken = self._broken or f"{type(error).__name__}: {error}"
            if not isinstance(error, Stopped):
                asyncio.get_running_loop().call_exception_handler({"message": scope["path"], "exception": error})
            fix = "Restart the server: it continues from its journal. See its log for the cause."
            await refuse(send, 503, "Stopped", "an unexpected fault stopped the decisions", fix, (), bare)

    # What there is.

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._batched(scope, receive, send, self.engine.answer)

    async def _learn(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._batched(scope, receive, send, self.engine.receive)

    async def _batched(self, scope: Scope, receive: Receive, send: Send, work: Work) -> None:
        """Read one object or an array of them, and answer in kind."""
        kind = _content_type(scope)
        if kind not in (b"application/json", b""):
            shown = kind[:100].decode("latin-1")
            await refuse(send, 415, "Not JSON", f"the content type is {shown}", "Send application/json.")
            return
        body = await _body(receive)
        began_ns = self._traces.begin()
        try:
            sent = decoded(body)
        except NotJson:
            sent = await self._salvaged(body)
        if isinstance(sent, list):
            answers = await self.turns.submit(work, sent) if sent else []
            self._traces.answered(scope, answers, began_ns, single=False)
            await reply(send, 200, encode(answers))
            return
        answer = (await self.turns.submit(work, [sent]))[0]
        if "errors" in answer:
            await reply(send, answer["status"], encode(answer), PROBLEM)
        else:
            await reply(send, 200, encode(answer), JSON, self._traces.answered(scope, [answer], began_ns, single=True))

    async def _salvaged(self, body: bytes) -> list[object]:
        """The items of an array of which some are broken. A body that is none is put with the dead letters."""
        try:
            return await asyncio.get_running_loop().run_in_executor(None, items, body)
        except NotJson:
            await self.turns.submit(self.engine.answer, [body])
            raise

    async def _find(self, scope: Scope, receive: Receive, send: Send) -> None:
        bare = scope["method"] == "HEAD"
        event_id = scope["path"][len(_DECISIONS) :]
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        explain = _BOOLEAN.get(asked.get("explain", "false"))
        if explain is None:
            detail = f"explain is {asked['explain'][:100]!r}"
            await refuse(send, 422, "Unusable request", detail, "Say explain=true or explain=false.", bare=bare)
            return
        found = await self.turns.call(lambda: self.engine.decision(event_id, features=True, explain=explain))
        if found is None:
            detail = f"no event {event_id[:256]!r} was decided here"
            await refuse(send, 404, "No such decision", detail, "Check the event id.", bare=bare)
            return
        await reply(send, 200, encode(found), bare=bare)

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        bare = scope["method"] == "HEAD"
        if self._broken:
            fix = "Restart the server: its log says which fault."
            await refuse(send, 503, "Stopped", "an unexpected fault stopped the decisions", fix, bare=bare)
            return
        state = {"status": "ok", "app": self.engine.app.app, "version": self.engine.parts.loop.stages.version}
        await reply(send, 200, encode(state), bare=bare)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, 200, generate_latest(self._registry), TEXT, bare=scope["method"] == "HEAD")

    async def _document(self, scope: Scope, receive: Receive, send: Send) -> None:
        described = document(self.engine.app, self.engine.parts.clock.now_ns())
        keyed = self._access is not None and self._access.required
        text = encode(documented(described) if keyed else described)
        await reply(send, 200, text, JSON, bare=scope["method"] == "HEAD")

    # Its life.

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.turns = Turns(self._thread, inline_rows=0 if self.engine.waits_for_servers else INLINE_ROWS)
        alone = (self._save_now_and_then, self._audit_now_and_then)
        shared = (self._settle_now_and_then,)
        upkeep = [asyncio.create_task(task()) for task in (shared if self.engine.waits_for_servers else alone)]
        if self._access is not None:
            upkeep.append(asyncio.create_task(self._access.watch()))
        yield
        for task in upkeep:
            task.cancel()
        await self.turns.idle()
        await asyncio.get_running_loop().run_in_executor(self._thread, self.engine.close)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._traces.close)
        self._thread.shutdown()
        if self._access is not None:
            self._access.close()

    async def _save_now_and_then(self) -> None:
        """Snapshots while running, so that a restart after a crash has little to replay."""
        saved = self.engine.parts.journal.last
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            last = self.engine.parts.journal.last
            if last != saved:
                with suppress(Unavailable, Stopped):  # The journal still holds everything; the next round tries again.
                    await self.turns.call(self.engine.save)
                    saved = last

    async def _settle_now_and_then(self) -> None:
        """What can wait for a quiet moment is done within a second of it."""
        while True:
            await asyncio.sleep(_AUDIT_EVERY_S)
            with suppress(Unavailable, Stopped):  # The next round tries again.
                await self.turns.call(self.engine.settle)

    async def _audit_now_and_then(self) -> None:
        """The audit trail is at most a second, or `AUDIT_EVERY` batches, behind the journal."""
        audited = -1
        while True:
            await asyncio.sleep(_AUDIT_EVERY_S)
            last = self.engine.parts.journal.last
            if last != audited and not self._broken:
                with suppress(Unavailable):  # The journal has it all; the next round tries again.
                    await self.turns.call(self.engine.audit)
                    audited = last


def create_app(engine: Engine, access: Access | None = None) -> Api:
    """The application around one engine, which it closes when it stops.

    access : lets requests in; None lets all in
    """
    return Api(engine, access)


def _content_type(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bytes(value.partition(b";")[0].strip().lower())
    return b""


async def _body(receive: Receive) -> bytes:
    """The request's body. Raises BodyTooLarge, without having kept more than may be; Gone."""
    message: Message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole = bytes(message.get("body", b""))
        if len(whole) > BODY_BYTES_MAX:
            raise BodyTooLarge
        return whole
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Gone
        size += len(message.get("body", b""))
        if size <= BODY_BYTES_MAX:
            parts.append(message.get("body", b""))
        else:
            parts.clear()  # The rest is read and dropped: most clients look for an answer only when all is sent.
        if size > _DROPPED_BYTES_MAX:
            raise BodyTooLarge
        if not message.get("more_body"):
            if size > BODY_BYTES_MAX:
                raise BodyTooLarge
            return b"".join(parts)
        message = await receive()


__all__ = ["BODY_BYTES_MAX", "Api", "create_app"]
