"""Runs the HTTP interface: binds first, says when it is ready, drains when asked to stop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import cast

import uvicorn

from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.collector import collect_seldom
from homeostat.adapters.process.standing import Standing
from homeostat.engine.engine import Engine
from homeostat.serve.access import Access
from homeostat.serve.app import create_app
from homeostat.serve.headers import ENCRYPTED, SECURE, mask_logs
from homeostat.serve.limits import Limits, connections_possible
from homeostat.serve.naming import Naming
from homeostat.serve.protocol import LimitedProtocol, within
from homeostat.serve.sharing import Acceptor, Counts
from homeostat.serve.stores import Stores
from homeostat.serve.tls import Tls

DRAIN_S_MAX = 10
_BACKLOG = 2048
_TICKS_A_SECOND, _TICKS_TO_RENEWAL = 10, 600  # uvicorn ticks ten times a second.
_SAY_CERTIFICATE_S = 3600.0  # Certificates are renewed by people, or once in weeks.


class _Server(uvicorn.Server):
    """Stops gracefully at the first signal, and at once at the second; cuts off clients that keep it waiting."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], tls: Tls | None, end_streams: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._tls = ready, tls
        clock, say = SystemClock(), logging.getLogger("homeostat").warning
        self._clock = clock
        self._renewal = Standing(say, clock, "the renewed certificate is used", _SAY_CERTIFICATE_S)
        self._unwise = Standing(say, clock, "nothing is unwise about the certificate any more", _SAY_CERTIFICATE_S)
        self.shared: tuple[socket.socket, Counts] | None = None
        self._acceptor: Acceptor | None = None
        self._end_streams = end_streams

    def _share(self, sock: socket.socket, counts: Counts) -> Acceptor:
        """Takes this process's share of the connections."""

        def protocol() -> asyncio.Protocol:
            kind = cast(type[LimitedProtocol], self.config.http_protocol_class)
            return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        return Acceptor(sock, counts, lambda: len(self.server_state.connections), protocol, self.config.ssl)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and drain."""
        if self._acceptor is not None:
            self._acceptor.close()
        self._end_streams()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Once a second, look at the connections; now and then, for a renewed certificate."""
        if counter % _TICKS_A_SECOND == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.sweep(now)
        if counter % _TICKS_TO_RENEWAL == 0:
            self._look_at_certificate()
        return await super().on_tick(counter)

    def _look_at_certificate(self) -> None:
        """Take a renewed certificate in, and say what is wrong with it or with the one in use."""
        if self._tls is None:
            return
        trouble = self._tls.refresh()
        self._renewal.now(f"the renewed certificate is not used: {trouble}" if trouble else "")
        warnings = [] if trouble else self._tls.warnings(self._clock.now_ns())
        self._unwise.now("; ".join(warnings))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.shared is not None:
            self._acceptor = self._share(*self.shared)
            self._acceptor.start()
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


def run(
    engine: Engine,
    sock: socket.socket,
    ready: Callable[[], None],
    limits: Limits | None = None,
    tls: Tls | None = None,
    access: Access | None = None,
    counts: Counts | None = None,
    stores: Stores | None = None,
    naming: Naming | None = None,
) -> bool:
    """Serve until a signal says to stop; the engine is closed then. Returns whether all went well.

    ready : called when requests are answered
    limits : the usual ones when absent
    tls : None for plain HTTP
    access : lets requests in; None lets all in
    counts : of connections, among the processes that share the socket; None where this one has it alone
    stores : behind jobs and settings; none where there is no place for them
    naming : the names by which it may be called; this machine's own when absent
    """
    most = limits or Limits()
    most = replace(most, connections_max=connections_possible(most.connections_max))
    context = None if tls is None else tls.context
    app = create_app(engine, access, stores, naming)
    config = uvicorn.Config(
        app, loop="auto", http=within(most, counts), ws="none", lifespan="on",
        interface="asgi3",
        access_log=False, log_level="error", log_config=None,  # Its log lines go where all go (adapters.logs).
        server_header=False, proxy_headers=False, backlog=_BACKLOG,
        timeout_graceful_shutdown=DRAIN_S_MAX, timeout_keep_alive=math.ceil(most.idle_s_max),
        headers=[*SECURE, *(ENCRYPTED if tls is not None else ())],
        ssl_context_factory=None if context is None else lambda *_: context,
    )  # fmt: skip
    mask_logs()
    server = _Server(config, ready, tls, app.end_streams)
    app.count_connections(lambda: len(server.server_state.connections))
    collect_seldom()
    if counts is None:
        server.run(sockets=[sock])
    else:
        server.shared = sock, counts
        server.run(sockets=[])
    return server.started
