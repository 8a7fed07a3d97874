"""Runs the HTTP interface: binds first, says when it is ready, drains when told to stop."""

from __future__ import annotations

import gc
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from homeostat.embedded.engine import Engine
from homeostat.serve.app import create_app

DRAIN_S_MAX = 10
_BACKLOG = 2048
_YOUNG_OBJECTS = 50_000  # Between collections of the youngest objects: a request makes some hundred, none in cycles.


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host's address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address, or an OSError; port 0 takes a free one."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Stops gracefully at the first signal, and at once at the second."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, doesn't raise the signal again when all is done: having drained is a success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)  # The journal has every decision that anyone saw; a restart continues from it.
        self.should_exit = True


def run(engine: Engine, sock: socket.socket, ready: Callable[[], None]) -> bool:
    """Serve until a signal says to stop; the engine is closed then. Returns whether all went well.

    ready : called when requests are answered
    """
    config = uvicorn.Config(
        create_app(engine), loop="auto", http="httptools", ws="none", lifespan="on", interface="asgi3",
        access_log=False, log_level="warning", server_header=False, backlog=_BACKLOG,
        timeout_graceful_shutdown=DRAIN_S_MAX, timeout_keep_alive=75,
    )  # fmt: skip
    server = _Server(config, ready)
    gc.collect()
    gc.freeze()  # What is loaded stays; looking through it again and again would hold requests up.
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    server.run(sockets=[sock])
    return server.started
