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
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from prometheus_client.exposition import generate_latest

from homeostat.adapters.process.standing import Standing
from homeostat.adapters.process.tracing import open_tracing
from homeostat.decide.loop import Stopped
from homeostat.engine.engine import Engine, NotBuried
from homeostat.engine.faults import Reports
from homeostat.engine.metrics import engine_registry
from homeostat.engine.turns import INLINE_ROWS, Overloaded, Turns, Work
from homeostat.ports import Unavailable
from homeostat.serve.access import Access, documented
from homeostat.serve.bodies import NotJson, TooMany, decoded, items
from homeostat.serve.inflating import NotGzip, TooLarge, inflated
from homeostat.serve.openapi import document
from homeostat.serve.replies import JSON, PROBLEM, TEXT, Message, Receive, Send, encode, refuse, reply
from homeostat.serve.traces import RequestTraces

BODY_BYTES_MAX = 8 << 20
_DROPPED_BYTES_MAX = 64 << 20
SAVE_EVERY_S = 60.0
_AUDIT_EVERY_S = _LOOK_EVERY_S = 1.0
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_AGAIN = ((b"retry-after", b"1"),)
_CODINGS = ((b"accept-encoding", b"gzip"),)
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
        self._saved, self._audited = 0, -1  # The journal's last entries in snapshot and trail.
        self._registry = engine_registry(engine)
        self._traces = RequestTraces(open_tracing(), engine.parts.clock.now_ns)
        self._reports = Reports(engine.parts.clock)
        self._standing = Standing(logging.getLogger("homeostat").warning, engine.parts.clock, "decisions go on as ever")
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
        await self._answered(scope, receive, send)

    async def _dispatched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the path's handler answer, or say why none does."""
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
            await handler(scope, receive, send)

    def _route(self, path: str) -> tuple[tuple[str, ...], Handler | None]:
        if path.startswith(_DECISIONS) and len(path) > len(_DECISIONS):
            return ("GET", "HEAD"), self._find
        return (), None

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what can't be done is a problem that says what to do, too.

        No fault of a request says anything about the engine: what that can do at present, it says itself.
        """
        bare = scope["method"] == "HEAD"
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
            await refuse(send, 429, "Too busy", str(error), "Come back a little later.", _AGAIN)
        except NotBuried as error:
            fix = "Send the same request again: what was decided already gets its decision back."
            await refuse(send, 503, "Unavailable", str(error), fix, _AGAIN, bare)
        except Unavailable as error:
            self._standing.now(self.engine.notice)
            await refuse(
                send, 503, "Unavailable", str(error), "Nothing was decided; send the same request again.", _AGAIN, bare
            )
        except Exception as error:
            if not isinstance(error, Stopped):  # The engine has reported what stopped it.
                self._reports.fault("the answer to a request", error)
            if self.engine.refused:
                self._standing.now(self.engine.notice)
                fix = "Send the same request again later: the server tries to go on. See its log for the cause."
                await refuse(send, 503, "Stopped", "an unexpected fault stopped the decisions", fix, _AGAIN, bare)
            else:
                fix = "Other requests are answered as ever. See the server's log for the cause."
                await refuse(send, 500, "Fault", "an unexpected fault came before the answer", fix, (), bare)

    # What there is.

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._batched(scope, receive, send, self.engine.answer)

    async def _learn(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._batched(scope, receive, send, self.engine.receive)

    async def _batched(self, scope: Scope, receive: Receive, send: Send, work: Work) -> None:
        """Read one object or an array of them, and answer in kind."""
        kind, coding = _content(scope)
        if kind not in (b"application/json", b""):
            shown = kind[:100].decode("latin-1")
            await refuse(send, 415, "Not JSON", f"the content type is {shown}", "Send application/json.")
            return
        if coding not in (b"", b"identity", b"gzip"):
            shown = coding[:100].decode("latin-1")
            detail = f"the content encoding is {shown}"
            await refuse(send, 415, "Unknown encoding", detail, "Send it as it is, or as gzip.", _CODINGS)
            return
        body = await _body(receive)
        if coding == b"gzip":
            body = await self._inflated(body)
        began_ns = self._traces.begin()
        sent = await self._parsed(body)
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

    async def _inflated(self, body: bytes) -> bytes:
        """The content of a gzip body; what is none is put with the dead letters."""
        try:  # In a thread, since a few bytes may grow to the most that is read.
            return await asyncio.get_running_loop().run_in_executor(None, inflated, body, BODY_BYTES_MAX)
        except TooLarge as error:
            raise BodyTooLarge from error
        except NotGzip as error:
            await self.turns.submit(self.engine.answer, [body])
            raise NotJson(str(error)) from error

    async def _parsed(self, body: bytes) -> object:
        """A body as a JSON value; of an array of which some items are broken, the others and these as bytes.

        A body that is none of this is put with the dead letters, whatever the reader made of it. Raises NotJson.
        """
        try:
            return decoded(body)
        except Exception as error:  # An array is read once more, and says then what is wrong with it.
            why = error
        try:
            if isinstance(why, NotJson):
                return await asyncio.get_running_loop().run_in_executor(None, items, body)
        except Exception as error:
            why = error
        await self.turns.submit(self.engine.answer, [body])
        if not isinstance(why, NotJson):
            self._reports.fault("the reading of a body", why)
            raise NotJson("something in it can't be read") from why
        raise why

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
        if self.engine.refused:
            fix = "Its log says why; it goes on by itself once it can."
            await refuse(send, 503, "Unavailable", "nothing can be decided at present", fix, _AGAIN, bare=bare)
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
        self._saved = self.engine.parts.journal.last if not self.engine.waits_for_servers else 0
        self.turns = Turns(self._thread, inline_rows=0 if self.engine.waits_for_servers else INLINE_ROWS)
        every: list[tuple[float, Callable[[], Awaitable[None]]]] = [(_LOOK_EVERY_S, self._look)]
        if not self.engine.waits_for_servers:
            every += [(SAVE_EVERY_S, self._save), (_AUDIT_EVERY_S, self._audit)]
        upkeep = [asyncio.create_task(self._again_and_again(seconds, work)) for seconds, work in every]
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
            await self.turns.call(self.engine.save)
            self._saved = last

    async def _audit(self) -> None:
        """The audit trail is at most a second, or `AUDIT_EVERY` batches, behind the journal."""
        last = self.engine.parts.journal.last
        if last != self._audited:
            await self.turns.call(self.engine.audit)
            self._audited = last

    async def _look(self) -> None:
        """What can wait for a quiet moment is done within a second of it, and what is wrong is in the log."""
        try:
            if self.engine.waits_for_servers or self.engine.refused:
                await self.turns.call(self.engine.settle)
        finally:
            self._standing.now(self.engine.notice)


def create_app(engine: Engine, access: Access | None = None) -> Api:
    """The application around one engine, which it closes when it stops.

    access : lets requests in; None lets all in
    """
    return Api(engine, access)


def _content(scope: Scope) -> tuple[bytes, bytes]:
    """The type of a body, and how it is encoded: several encodings, however they are written, with commas between."""
    kind, coding = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = kind or value.partition(b";")[0].strip().lower()
        elif name == b"content-encoding":
            coding = coding + b"," * bool(coding) + value.strip().lower()
    return kind, {b"x-gzip": b"gzip"}.get(coding, coding)


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
