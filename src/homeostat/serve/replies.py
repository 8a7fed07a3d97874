"""Replies as ASGI messages: JSON, and RFC 9457 problems with a `fix`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from homeostat.engine.problems import problem
from homeostat.serve.headers import masked

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
encode = msgspec.json.Encoder().encode
JSON, PROBLEM, TEXT = b"application/json", b"application/problem+json", b"text/plain; version=0.0.4; charset=utf-8"


async def reply(
    send: Send, status: int, body: bytes, kind: bytes = JSON, more: Headers = (), bare: bool = False
) -> None:
    """Send a whole reply.

    bare : leave the body out, as for HEAD
    The server adds the headers that every response carries (`headers.SECURE`).
    """
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bare else body})


async def nothing(send: Send, more: Headers = ()) -> None:
    """Send that all is done and there is nothing to say: 204, which has neither content nor length."""
    await send({"type": "http.response.start", "status": 204, "headers": list(more)})
    await send({"type": "http.response.body", "body": b""})


async def refuse(
    send: Send, status: int, title: str, detail: str, fix: str, more: Headers = (), bare: bool = False, **members: Any
) -> None:
    """Send a problem, in which no secret is repeated.

    members : of the problem, beside those that each has
    """
    await reply(send, status, encode(problem(status, title, masked(detail), fix, **members)), PROBLEM, more, bare)
