"""One connection over a transport in memory: what becomes of requests whose client is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from homeostat.serve.protocol import LimitedProtocol

GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Transport(asyncio.Transport):
    """Takes so many bytes before it asks the writer to wait; once lost, it raises when written to, as uvloop's does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.written, self.room, self.lost, self.reading = b"", room, False, True
        self.protocol: Any = None

    def write(self, data) -> None:
        if self.lost:
            raise RuntimeError("unable to perform operation on a closed transport; the handler is closed")
        self.written += data
        if len(self.written) > self.room:
            self.protocol.pause_writing()

    def is_closing(self) -> bool:
        return self.lost

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class App:
    """Answers a little later, and keeps what went wrong."""

    def __init__(self) -> None:
        self.asked, self.faults = 0, []

    async def __call__(self, scope, receive, send) -> None:
        self.asked += 1
        try:
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
        except Exception as error:
            self.faults.append(error)
            raise


def connected(app: App, room: int) -> tuple[LimitedProtocol, Transport]:
    config = uvicorn.Config(app, http=LimitedProtocol, log_config=None, lifespan="off", interface="asgi3")
    config.load()
    protocol, transport = LimitedProtocol(config, ServerState(), {}), Transport(room)
    transport.protocol = protocol
    protocol.connection_made(transport)
    return protocol, transport


async def turns(count: int) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_client_that_resets_while_its_answers_wait_is_no_fault_of_the_application() -> None:
    async def scenario() -> None:
        app = App()
        protocol, transport = connected(app, room=200)
        protocol.data_received(GET * 100)
        await turns(50)
        assert 0 < app.asked < 100 and protocol.flow.write_paused
        transport.lost = True
        protocol.connection_lost(ConnectionResetError())
        asked = app.asked
        await turns(200)
        assert app.faults == [] and app.asked == asked and not protocol.tasks

    asyncio.run(scenario())


def test_no_more_requests_are_held_than_are_answered_soon() -> None:
    async def scenario() -> None:
        app = App()
        protocol, transport = connected(app, room=200)
        protocol.data_received(GET * 6000)
        assert len(protocol.pipeline) < 1000 and not transport.reading
        await turns(50)
        assert len(protocol.pipeline) < 1000 and not transport.reading
        transport.room = 1 << 30
        protocol.resume_writing()
        await turns(60_000)
        assert app.asked == 6000 == transport.written.count(b"ok") and transport.reading and not protocol.pipeline
        protocol.connection_lost(None)

    asyncio.run(scenario())
