"""`/v1/stream`: news of decisions, jobs and incidents as server-sent events."""

from __future__ import annotations

import asyncio
from typing import Any

from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, answer
from homeostat.serve.routes.decision_lists import PROBLEMS
from homeostat.serve.routes.resources import Refused, header_of, query_of, unusable
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.streaming import CLIENTS_MAX, TOPICS, Client, Streams, position_text, read_positions

PATH = "/v1/stream"
KIND = "text/event-stream"
_COMMENT_S, _LOOK_S = 15.0, 1.0
_HEAD = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A stream without end, or for who does not accept one, where it is now."""
    joined: list[Client] = []

    async def begun(service: Service, scope: Scope, receive: Receive) -> Answer:
        topics, streams = topics_of(scope), service.streams
        if KIND not in (header_of(scope, b"accept") or "") or scope["method"] == "HEAD":
            here = await streams.positions()
            return 200, {"position": position_text({topic: here[topic] for topic in topics})}, ()
        if len(streams) >= CLIENTS_MAX or streams.closed.is_set():
            detail = f"{len(streams)} streams are open in this process"
            raise Refused(429, "Too many streams", detail, "Close one that nobody looks at, or come back later.", AGAIN)
        seen = read_positions(header_of(scope, b"last-event-id") or "")
        joined.append(await streams.join(topics, seen))
        return 0, None, ()

    async def reply(message: Any) -> None:
        if not joined:
            await send(message)

    await answer(service, scope, receive, reply, begun, PROBLEMS)
    if joined:
        try:
            await _sent(service, scope, receive, send, joined[0])
        finally:
            service.streams.leave(joined[0])


def topics_of(scope: Scope) -> tuple[str, ...]:
    """The topics that are asked for; all where none are. Raises Refused."""
    text = query_of(scope, "topics").get("topics")
    if text is None:
        return TOPICS
    asked = set(text.split(","))
    if not asked <= set(TOPICS):
        raise unusable("topics", text, f"one or several of {','.join(TOPICS)}, with commas between")
    return tuple(topic for topic in TOPICS if topic in asked)


async def _sent(service: Service, scope: Scope, receive: Receive, send: Send, client: Client) -> None:
    """Send until the client is gone, its key no longer holds, or the server stops."""
    streams: Streams = service.streams
    await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
    await _piece(send, b"retry: 2000\nid: %s\n\n" % position_text(client.positions).encode())
    gone = asyncio.create_task(_until_gone(receive))
    gone.add_done_callback(lambda _: client.ready.set())
    quiet_s = 0.0
    try:
        while not streams.closed.is_set():
            try:
                async with asyncio.timeout(_LOOK_S):
                    await client.ready.wait()
                quiet_s = 0.0
            except TimeoutError:
                quiet_s += _LOOK_S
            if gone.done():
                return
            if service.access is not None and not service.access.holds(scope):
                await _piece(send, b'event: end\ndata: {"reason":"the key no longer holds"}\n\n')
                break
            piece = client.take()
            if not piece and quiet_s >= _COMMENT_S:
                quiet_s, piece = 0.0, b": here\n\n"
            await _piece(send, piece)
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _piece(send: Send, piece: bytes) -> None:
    if piece:
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
