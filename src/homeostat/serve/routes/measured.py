"""Shared by the routes that take metrics: their bodies are unpacked and read here, and their points taken in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from homeostat.adapters.influx.line_protocol import BadLine, LineProtocol, Parsed
from homeostat.engine.measuring import Measuring, text_of
from homeostat.serve.inflating import NotGzip, TooLarge, inflated
from homeostat.serve.replies import Receive
from homeostat.serve.requests import BODY_BYTES_MAX, BodyTooLarge, Scope, body_of, content
from homeostat.serve.routes.resources import Refused
from homeostat.serve.routes.route import Service

T = TypeVar("T")
_INLINE_BYTES = 16 << 10  # Read in a millisecond, for which the event loop may well be kept busy.
_PARSERS_MAX = 8
_parsers: list[LineProtocol] = []  # Each remembers the series it has seen; one is used by one thread at a time.


def measuring_of(service: Service) -> Measuring:
    """Takes metrics for the app. Raises Refused where nothing does."""
    found = service.engine.parts.measuring
    if found is not None:
        return found
    if service.engine.app.metrics is None:
        detail, fix = "this app takes no metrics", "Add a section `metrics` to the app file, which says what they are."
    else:
        detail = "metrics become events in one process, and this server shares its app with others"
        fix = "Serve the app with --data FOLDER instead of servers, or send events to /v1/decide."
    raise Refused(404, "No metrics", detail, fix)


async def body_in(service: Service, scope: Scope, receive: Receive) -> bytes:
    """The body, unpacked where it is gzip. Raises Refused; BodyTooLarge; Gone."""
    _, coding = content(scope)
    if coding not in (b"", b"identity", b"gzip"):
        shown = coding[:100].decode("latin-1")
        more = ((b"accept-encoding", b"gzip"),)
        raise Refused(
            415, "Unknown encoding", f"the content encoding is {shown}", "Send it as it is, or as gzip.", more
        )
    body = await body_of(receive)
    if coding != b"gzip":
        return body
    try:  # In a thread, since a few bytes may grow to the most that is read.
        return await asyncio.get_running_loop().run_in_executor(None, inflated, body, BODY_BYTES_MAX)
    except TooLarge as error:
        raise BodyTooLarge from error
    except NotGzip as error:
        raise await broken(service, body, str(error)) from error


async def broken(service: Service, body: bytes, why: str) -> Refused:
    """The refusal of a body that can't be read as a whole, which goes to the dead letters."""
    await service.turns.submit(measuring_of(service).take, [BadLine(1, body[:1000], why)])
    return Refused(400, "Unreadable metrics", why, "Nothing was taken. Correct the body, and send it again.")


async def parsed(body: bytes, parse: Callable[[bytes], T]) -> T:
    """The body as `parse` reads it, in a thread where it is large."""
    if len(body) <= _INLINE_BYTES:
        return parse(body)
    return await asyncio.get_running_loop().run_in_executor(None, parse, body)


def lines(body: bytes, precision: str) -> Parsed:
    """A body of line protocol. Raises ValueError if the precision is unknown."""
    try:
        parser = _parsers.pop()
    except IndexError:
        parser = LineProtocol()
    try:
        return parser.parse(body, precision)
    finally:
        if len(_parsers) < _PARSERS_MAX:
            _parsers.append(parser)


async def taken(service: Service, found: Parsed) -> list[BadLine]:
    """Take the points in; returns the bad lines, and the points that the app can't use."""
    items = [*found.points, *found.bad]
    if not items:
        return []
    answers = await service.turns.submit(measuring_of(service).take, items)
    unusable = [
        BadLine(0, text_of(point), why) for point, why in zip(found.points, answers, strict=False) if why
    ]  # fmt: skip
    return [*found.bad, *unusable]
