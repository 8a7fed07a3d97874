"""Puts a worker together: the shared parts, the streams, and what shows how it fares."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.standing import Standing
from homeostat.adapters.process.tracing import Tracing
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.config.servers import Servers
from homeostat.config.tree import App
from homeostat.engine.shared.connecting import ServersIncomplete, SharedParts, open_shared
from homeostat.ports import Journal, Unavailable
from homeostat.ports.shared import SharedJournal
from homeostat.worker.in_flight import InFlightJournal
from homeostat.worker.worker import Worker

_BACKOFF = Backoff(1.0, 5.0)  # Between two attempts at servers that are away when a worker starts.
Note = Callable[[str], None]


def open_worker(
    app: str | Path | App,
    servers: Servers,
    *,
    bundle: Path | None = None,
    note: Note = lambda text: None,
    stopping: threading.Event | None = None,
    tracing: Tracing | None = None,
) -> Worker | None:
    """A worker of an app on its servers, where it creates what it needs. Waits for servers that are away.

    stopping : ends the waiting; None is returned then
    tracing : gives each decision the trace context that goes out with it
    Raises AppFileError, BundleError, NotTrained, ServersIncomplete; ValueError for addresses that can't work.
    """
    stop = threading.Event() if stopping is None else stopping
    made: list[InFlightJournal] = []

    def in_flight(journal: SharedJournal) -> Journal:
        made[:] = [InFlightJournal(journal)]
        return made[0]

    def on_error(stage: str, error: Exception) -> None:
        note(f"{stage} failed: {type(error).__name__}: {error}")

    parts: SharedParts | None = None
    standing, pauses = Standing(note, SystemClock(), "all servers are there"), Pauses(_BACKOFF)
    while not stop.is_set():
        try:
            if parts is None:
                parts = open_shared(app, servers, bundle=bundle, on_error=on_error, wrap=in_flight)
            ensure_topics(servers, parts.app.app)
            stream = open_stream(servers, parts.app.app, client_id=parts.name)
        except Unavailable as error:
            standing.now(f"waits: {error}")
            stop.wait(pauses.next_s())
            continue
        except ValueError as error:
            raise ServersIncomplete(str(error)) from error
        standing.now("")
        return Worker(parts, made[0], stream, note, (tracing or Tracing()).traceparent)
    if parts is not None:
        parts.close()
    return None
