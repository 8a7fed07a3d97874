"""Start servers, print their addresses as JSON lines, and run until a signal: `python -m ... kafka redis`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from homeostat.checks.servers import (
    CantBeHad,
    kafka_broker,
    machine,
    postgres_server,
    redis_cluster,
    redis_server,
    s3_server,
)

_SERVERS: dict[str, Callable[[], Any]] = {
    "kafka": kafka_broker, "postgres": postgres_server, "redis": lambda: redis_server(persistence=True),
    "redis-cluster": redis_cluster, "s3": s3_server,
}  # fmt: skip


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m homeostat.checks.servers", description=__doc__)
    parser.add_argument("servers", nargs="+", choices=list(_SERVERS))
    parser.add_argument("--while", dest="owner", type=int, metavar="PID", help="end when this process has ended")
    asked = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    for number in ends:
        signal.signal(number, _leave)
    with ExitStack() as stack:
        for name in asked.servers:
            try:
                server = stack.enter_context(_SERVERS[name]())
            except CantBeHad as error:
                print(json.dumps({"server": name, "missing": str(error)}), flush=True)
                return 1
            said = {"url": server.url, "address": server.address, "port": server.port, "pid": server.pid}
            print(json.dumps({"server": name, **said, "what": server.what}), flush=True)
        while asked.owner is None or machine.lives(asked.owner):
            signal.sigtimedwait(set(), 0.2) if asked.owner is not None else signal.pause()
    return 0


def _leave(number: int, frame: object) -> None:
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
