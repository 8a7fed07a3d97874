"""The simulated source of `homeostat up infra`: a thread that writes metrics to the server."""

from __future__ import annotations

import threading
from collections.abc import Callable

_TRIES_S = 1.0
_TRIES = 180


def begin(server: str, store: str | None, say: Callable[[str], None]) -> threading.Event:
    """Start to write once the server answers; set the event that is returned to stop.

    store : the address of an InfluxDB that gets the same lines
    say : takes sentences for people
    """
    stopping = threading.Event()
    threading.Thread(target=_write, args=(server, store, say, stopping), name="source", daemon=True).start()
    return stopping


def _write(server: str, store: str | None, say: Callable[[str], None], stopping: threading.Event) -> None:
    from homeostat.adapters.influx.posting import post_lines
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.jobs.infra.source import Pace, Source
    from homeostat.ports import Unavailable

    def post(lines: bytes) -> None:
        post_lines(f"{server}/write?db=infra&precision=ns", lines)
        if store is not None:
            try:
                post_lines(f"{store.rstrip('/')}/write?db=infra&precision=ns", lines)
            except Unavailable as error:
                say(f"source: {error}")

    source = Source(Pace(), 1, post, SystemClock().now_ns, stopping.wait)
    for _ in range(_TRIES):
        try:
            source.run()
            return
        except Unavailable as error:
            if source.written or "status" in str(error):
                say(f"source: {error}; it stops")
                return
        if stopping.wait(_TRIES_S):
            return
