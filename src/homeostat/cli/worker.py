"""`homeostat worker`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.options import Bundle

if TYPE_CHECKING:
    from homeostat.worker.assembly import RunningWorker

Config = Annotated[Path | None, Parameter(help="A YAML file with a `world` section: which servers to use.")]


def worker(
    app: str,
    /,
    *,
    config: Config = None,
    bundle: Bundle = None,
    metrics_port: Annotated[int | None, Parameter(help="Serve /metrics, /healthz and /readyz here; 0: any.")] = None,
    metrics_host: str = "127.0.0.1",
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
) -> None:
    """Decide events of a stream, and publish the decisions, until a signal says to stop.

    The first signal drains: what was pulled is decided, journalled and published. The second stops at once; nothing is
    lost then either.

    Parameters
    ----------
    app
        A shipped app (payments, access) or an app file.
    metrics_host
        The address to serve metrics at.
    """
    from homeostat.adapters.logs import configure
    from homeostat.config.world import read_world
    from homeostat.worker.assembly import open_worker

    servers = read_world(config, os.environ)
    logger = configure(log, app=app)
    stopping = threading.Event()
    running: RunningWorker | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)  # What is journalled is not lost, and what is not published is delivered again.
        stopping.set()
        if running is not None:
            running.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    running = open_worker(
        app, servers, bundle=bundle, note=logger.info, metrics=None if metrics_port is None else (metrics_host, metrics_port),
        stopping=stopping,
    )  # fmt: skip
    if running is None:
        sys.exit(0)
    with running:
        if stopping.is_set():
            running.stop()
        running.run()
    logger.info("drained, stopped")
