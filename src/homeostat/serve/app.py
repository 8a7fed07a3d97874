"""The HTTP interface. `POST /v1/decide` and `POST /v1/outcomes` make the product; the rest is to look at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

import homeostat
from homeostat.embedded.engine import Engine
from homeostat.embedded.problems import problem
from homeostat.ports import Unavailable
from homeostat.serve.batching import Batcher, Overloaded
from homeostat.serve.metrics import EngineCollector
from homeostat.serve.openapi import document

BODY_BYTES_MAX = 8 << 20
_SAVE_EVERY_S = 60.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


def create_app(engine: Engine) -> FastAPI:
    """The application around one engine, which it closes when it stops."""
    thread = ThreadPoolExecutor(1, "engine")  # The engine is for one thread at a time; here it always is this one.
    decisions = Batcher(engine.answer, thread)
    outcomes = Batcher(engine.receive, thread)
    registry = CollectorRegistry()
    registry.register(EngineCollector(engine))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        saver = asyncio.create_task(_save_now_and_then(engine, thread))
        yield
        saver.cancel()
        await decisions.idle()
        await outcomes.idle()
        await asyncio.get_running_loop().run_in_executor(thread, engine.close)
        thread.shutdown()

    app = FastAPI(
        title=f"homeostat: {engine.app.app}", version=homeostat.__version__, lifespan=lifespan, docs_url=None,
        redoc_url=None,
    )  # fmt: skip

    async def decide(request: Request) -> Response:
        return await _batched(request, decisions)

    async def learn(request: Request) -> Response:
        return await _batched(request, outcomes)

    async def find(request: Request) -> Response:
        event_id = request.path_params["event_id"]
        run = asyncio.get_running_loop().run_in_executor
        found = await run(thread, engine.decision, event_id, True)
        if found is None:
            return _problem(404, "No such decision", f"no event {event_id!r} was decided here", "Check the event id.")
        return _json(200, found)

    async def health(request: Request) -> Response:
        return _json(200, {"status": "ok", "app": engine.app.app, "version": engine.parts.loop.stages.version})

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers=_HEADERS)

    # Plain routes: FastAPI's own would validate with models, which takes longer than the decision itself.
    app.router.routes[:0] = [
        Route("/v1/decide", decide, methods=["POST"]),
        Route("/v1/outcomes", learn, methods=["POST"]),
        Route("/v1/decisions/{event_id}", find, methods=["GET"]),
        Route("/healthz", health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    app.openapi = lambda: document(engine.app)  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _http_problem)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Overloaded, _unavailable)
    return app


async def _batched(request: Request, batcher: Batcher) -> Response:
    """Read one object or an array of them, and answer in kind."""
    body = await _body(request)
    if isinstance(body, Response):
        return body
    try:
        sent = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _problem(400, "Not JSON", str(error), "Send a JSON object or an array of objects, in UTF-8.")
    if isinstance(sent, list):
        return _json(200, await batcher.submit(sent) if sent else [])
    answer = (await batcher.submit([sent]))[0]
    if "errors" in answer and "status" in answer:
        return _json(answer["status"], answer, "application/problem+json")
    return _json(200, answer)


async def _body(request: Request) -> bytes | Response:
    """The request's body, or the problem with it."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _problem(415, "Not JSON", f"the content type is {kind!r}", "Send application/json.")
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > BODY_BYTES_MAX:
                return _problem(413, "Too large", f"more than {BODY_BYTES_MAX} bytes", "Send smaller batches.")
            parts.append(part)
    except ClientDisconnect:
        return Response(status_code=400)
    return b"".join(parts)


async def _save_now_and_then(engine: Engine, thread: ThreadPoolExecutor) -> None:
    """Snapshots while running, so that a restart after a crash has little to replay."""
    saved = -1
    while True:
        await asyncio.sleep(_SAVE_EVERY_S)
        last = engine.parts.journal.last
        if last != saved:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, engine.save)
                saved = last
            except Unavailable:
                continue  # The journal still holds everything; the next round tries again.


def _json(status: int, body: Any, kind: str = "application/json") -> Response:
    return Response(_encode(body), status, media_type=kind, headers=_HEADERS)


def _problem(status: int, title: str, detail: str, fix: str, **headers: str) -> Response:
    body = problem(status, title, detail, fix)
    return Response(_encode(body), status, media_type="application/problem+json", headers={**_HEADERS, **headers})


async def _http_problem(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 422)
    fix = "See /openapi.json for what there is."
    return _problem(
        status, str(getattr(error, "detail", error)), request.url.path, fix, **(getattr(error, "headers", None) or {})
    )


async def _unavailable(request: Request, error: Exception) -> Response:
    if isinstance(error, Overloaded):
        return _problem(429, "Too busy", str(error), "Come back a little later.", **{"retry-after": "1"})
    return _problem(
        503, "Unavailable", str(error), "Nothing was decided; send the same events again.", **{"retry-after": "1"}
    )
