"""Replies as ASGI messages: JSON, and RFC 9457 problems with a `fix`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from homeostat.embedded.problems import problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
encode = msgspec.json.Encoder().encode
JSON, PROBLEM, TEXT = b"application/json", b"application/problem+json", b"text/plain; version=0.0.4; charset=utf-8"
_FIXED = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_JSON_HEAD = ((b"content-type", JSON), *_FIXED)


async def reply(
    send: Send, status: int, body: bytes, kind: bytes = JSON, more: Headers = (), bare: bool = False
) -> None:
    """Send a whole reply.

    bare : leave the body out, as for HEAD
    """
    head = _JSON_HEAD if kind is JSON else ((b"content-type", kind), *_FIXED)
    headers = [*head, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bare else body})


async def refuse(
    send: Send, status: int, title: str, detail: str, fix: str, more: Headers = (), bare: bool = False
) -> None:
    """Send a problem."""
    await reply(send, status, encode(problem(status, title, detail, fix)), PROBLEM, more, bare)
