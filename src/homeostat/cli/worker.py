"""`homeostat worker`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.doors import refuse_metrics_to_others, warn_of_plain_connections
from homeostat.cli.options import Bundle
from homeostat.cli.watched import watched

if TYPE_CHECKING:
    from homeostat.worker.worker import Worker

Config = Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")]
Log = Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")]


def worker(
    app: str,
    /,
    *,
    config: Config = None,
    bundle: Bundle = None,
    metrics_port: Annotated[int | None, Parameter(help="Show /metrics, /healthz and /readyz here; 0: any.")] = None,
    metrics_host: str = "127.0.0.1",
    plain_http: Annotated[
        bool, Parameter(negative="", help="Other machines see the metrics, without TLS and without a key.")
    ] = False,
    log: Log = None,
) -> None:
    """Decide events of a stream, and publish the decisions, until a signal says to stop.

    The first signal drains: what was decided is journalled and published. The second stops at once; nothing is lost
    then either, since what is not published is delivered again.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    metrics_host
        The address to show metrics at; beyond this machine only with --plain-http.
    """
    from homeostat.adapters.opening import statements_opener
    from homeostat.adapters.process.collector import collect_seldom
    from homeostat.adapters.process.compiling import said
    from homeostat.adapters.process.environment import allowed_hosts, servers_of
    from homeostat.adapters.process.logs import configure
    from homeostat.adapters.process.tracing import open_tracing
    from homeostat.config.hosts import Hosts
    from homeostat.engine.metrics_endpoint import serve_metrics
    from homeostat.engine.size_record import SizeRecord
    from homeostat.worker.launch import open_worker
    from homeostat.worker.telemetry import Telemetry

    if metrics_port is not None:
        refuse_metrics_to_others(metrics_host, plain_http)
    ready_at = watched()
    logger = configure(log, app=app, worker=f"worker-{os.getpid()}")
    servers = servers_of(config, app)
    tracing = open_tracing(instance=f"worker-{os.getpid()}")
    warn_of_plain_connections(servers)
    signals = _Signals()
    with said(logger.info):
        running = open_worker(
            app, servers, bundle=bundle, note=logger.info, stopping=signals.stopping, tracing=tracing
        )  # fmt: skip
    if running is None:
        logger.info("stopped before its servers were there")
        sys.exit(0)
    with ExitStack() as stack:
        stack.enter_context(closing(running))
        if servers.journal is not None:
            opens = partial(statements_opener(servers.journal), servers.journal, app=running.parts.app.app)
            record = stack.enter_context(closing(SizeRecord(opens, running.parts.name, logger.info)))
            running.sizer.on_choice = running.parts.memory.on_choice = record.put
        running.parts.keep_shadow(app, None if config is None else str(config), logger.warning)
        telemetry = stack.enter_context(closing(Telemetry(running, tracing)))
        if metrics_port is not None:
            endpoint = stack.enter_context(
                serve_metrics(
                    telemetry.registry,
                    metrics_host,
                    metrics_port,
                    lambda: _unready(running),
                    running.parts.notes,
                    Hosts(allowed_hosts()),
                )
            )
            logger.info("metrics at %s/metrics", endpoint.url)
        signals.of(running)
        logger.info("%s decides the events of %s", running.parts.name, _without_secrets(servers.events or ""))
        ready_at("")
        collect_seldom()
        drained = running.run()
    if drained:
        logger.info("drained, stopped")
    else:
        logger.warning("stopped before all was published: the rest is delivered again, here or to another worker")


class _Signals:
    """The first signal drains, the second stops at once."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._worker: Worker | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def of(self, worker: Worker) -> None:
        """From now on, signals are this worker's."""
        self._worker = worker
        if self.stopping.is_set():
            worker.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)  # Journalled decisions are not lost, and unpublished ones are delivered again.
        self.stopping.set()
        if self._worker is not None:
            self._worker.stop()


def _unready(worker: Worker) -> str:
    return "" if worker.ready else worker.trouble or "draining"


def _without_secrets(address: str) -> str:
    from homeostat.adapters.process.logs import redacted

    return redacted(address)
