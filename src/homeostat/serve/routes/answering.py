"""Replies of the routes of a store: what an act returns, or the problem that its error is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from homeostat.errors import HomeostatError
from homeostat.serve.replies import JSON, Headers, Receive, Send, encode, refuse, reply
from homeostat.serve.requests import Scope, is_bare
from homeostat.serve.routes.resources import Refused
from homeostat.serve.routes.route import Service


@dataclass(frozen=True, slots=True)
class Text:
    """A value that is sent as it is. kind : its content type"""

    kind: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """A value that is sent piece by piece. Where that fails, the end is missing, so that no client takes it for whole.

    kind : its content type
    """

    kind: bytes
    pieces: AsyncIterator[bytes]


Answer = tuple[int, Any, Headers]
"""Status, value and headers."""

Act = Callable[[Service, Scope, Receive], Awaitable[Answer]]
Problems = Mapping[type[HomeostatError], Callable[[Any], Refused]]
"""Errors of a store -> the problems that they are, the special ones before those that they are kinds of."""

_Store = TypeVar("_Store")
_Found = TypeVar("_Found")


def problem(status: int, title: str, fix: str = "", more: Headers = ()) -> Callable[[HomeostatError], Refused]:
    """An error as a problem of this status. fix : its remedy when empty"""
    return lambda error: Refused(status, title, str(error), fix or f"{error.remedy}.", more)


async def answer(
    service: Service, scope: Scope, receive: Receive, send: Send, act: Act, problems: Problems
) -> None:  # fmt: skip
    """Reply with what `act` returns, or with a problem."""
    bare = is_bare(scope)
    try:
        status, value, more = await act(service, scope, receive)
    except Refused as error:
        await refuse(send, *error.reply, bare=bare, **error.members)
    except HomeostatError as error:
        of = next((of for kind, of in problems.items() if isinstance(error, kind)), None)
        if of is None:
            raise
        refused = of(error)
        await refuse(send, *refused.reply, bare=bare, **refused.members)
    else:
        if isinstance(value, Stream):
            await _stream(send, status, value, more, bare)
            return
        if isinstance(value, Text):
            await reply(send, status, value.body, value.kind, more, bare)
            return
        await reply(send, status, encode(value) if status != 304 else b"", JSON, more, bare)


async def _stream(send: Send, status: int, value: Stream, more: Headers, bare: bool) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", value.kind), *more]})
    try:
        async for piece in value.pieces if not bare else _nothing():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except HomeostatError:
        return  # The server closes the connection, since the answer has no end.
    await send({"type": "http.response.body", "body": b""})


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def done(
    opened: Callable[[], _Store] | None, act: Callable[[_Store], _Found], title: str, without: str
) -> _Found:
    """The store's answer, asked for in a thread, since the store waits for a disk or a server. Raises Refused.

    opened : None where this server keeps nothing; then the problem has this title, and its text ends with `without`
    """
    if opened is None:
        fix = "Start the server with --data FOLDER, or on servers with a journal."
        raise Refused(404, title, f"this server keeps nothing, so {without}", fix)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: act(opened()))
