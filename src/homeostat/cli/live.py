"""`homeostat live`."""

from __future__ import annotations

import sys
import threading
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError


def live(
    *,
    port: Annotated[int, Parameter(help="Where to listen at 127.0.0.1; 0 takes a free one.")] = 9105,
) -> None:
    """Serve a small service whose metrics are real, to watch and to put under load. This machine alone reaches it.

    GET /metrics shows its metrics in Prometheus' text format. POST /stress really loads its process for a while:
    {"kind": "cpu", "amount": 1, "seconds": 20}, where kind is cpu (threads), memory (MB) or latency (ms a request).
    """
    if not 0 <= port <= 65_535:
        raise CommandError(f"--port {port}: give a port from 0 to 65535")
    from homeostat.adapters.machine.service import LiveService

    with LiveService(port) as service:
        address = f"http://127.0.0.1:{service.port}"
        print(f"{address}/metrics", flush=True)
        print(f"next: homeostat watch --source {address}/metrics", file=sys.stderr, flush=True)
        threading.Event().wait()
