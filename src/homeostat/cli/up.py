"""`homeostat up`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle
from homeostat.cli.watched import VARIABLE

if TYPE_CHECKING:
    from homeostat.config.servers import Servers
    from homeostat.serve.supervision import Child, Spawn

DATA = Path("homeostat-data")
_WRITING = threading.Lock()  # Of lines, which come from several children.


def up(
    app: str,
    /,
    *,
    config: Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")] = None,
    bundle: Bundle = None,
    workers: Annotated[int, Parameter(help="Stream workers, where the app's servers have events.")] = 1,
    servers: Annotated[int, Parameter(help="Processes of the HTTP server; 0 for none.")] = 1,
    port: Annotated[int, Parameter(help="Of the HTTP server; 0 takes a free one.")] = 8080,
    metrics_port: Annotated[
        int | None, Parameter(help="Metrics of the first worker; of each further process at the next port.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Without servers of its own: the HTTP server's folder.")] = None,
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
    jobs: Annotated[int, Parameter(help="Run so many jobs at a time beside; 0 for none.")] = 0,
    maintain: Annotated[bool, Parameter(help="Watch the decisions in a process beside.")] = True,
    source: Annotated[
        bool | None, Parameter(help="Write a simulated data centre's metrics to it; app infra alone, where it does.")
    ] = None,
    store: Annotated[str | None, Parameter(help="The address of an InfluxDB that gets these metrics as well.")] = None,
) -> None:
    """Start what an app's file names, keep it running, and stop it at a signal: the first drains, the second stops.

    On servers: workers on the app's events, an HTTP server, maintenance, and a learner where the app learns online, as
    processes that are started again when they die. Their lines come with their names. Without servers: an HTTP server
    that keeps everything in a folder, and maintenance.

    `up infra` without servers also starts a source: a simulated data centre, whose metrics are written to the server.
    They begin two days ago and catch up with the clock. --no-source leaves it out, for metrics of your own.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    """
    from homeostat.adapters.process.environment import servers_of
    from homeostat.adapters.process.logs import configure
    from homeostat.config.learners import learners_of
    from homeostat.config.load import app_file, load_app
    from homeostat.config.servers import PREFIX

    configure(log, app=app)
    addresses = servers_of(config, app)
    alone = addresses.events is None and addresses.features is None and addresses.journal is None
    if (source or store is not None) and not (alone and app == "infra"):
        raise CommandError("--source and --store go with up infra, where it names no servers")
    if alone:
        if app == "infra" and source is not False:
            port = _with_source(port, store)
        _alone(app, bundle, port, metrics_port, data or DATA, log, (jobs, maintain))
        return
    from homeostat.serve.supervision import Child

    tree = load_app(app)  # A fault in it is reported once, not by each child.
    if workers < 0 or servers < 0 or jobs < 0:
        raise CommandError("--workers, --servers and --jobs are 0 or more")
    common = [*_option("--config", config), *_option("--bundle", bundle), *_option("--log", log)]
    children = _children(app, addresses, common, (workers, servers), (port, metrics_port))
    if addresses.journal is not None and (workers or servers) and learners_of(tree):
        children.append(Child("learner", _spawn("learner", ["learn", app, *common])))
    if maintain and children and addresses.journal is not None:
        own = [*common]
        own += _option(
            "--metrics-port", None if metrics_port is None else metrics_port and metrics_port + len(children)
        )
        children.append(Child("maintain", _spawn("maintain", ["maintain", app, *own])))
    if jobs and addresses.journal is not None:
        own = [*_option("--log", log), "--at-once", str(jobs)]
        place = {f"{PREFIX}JOURNAL": addresses.journal}  # The app's own file may name it, and jobs know no app.
        children.append(Child("jobs", _spawn("jobs", ["jobs", "run", *own], place)))
        if tree.retrains:
            named = ["--config", str(app_file(app) if config is None else config)]
            children.append(Child("retraining", _spawn("retraining", ["models", "retraining", app, *named])))
    if not children:
        raise CommandError("there is nothing to start: --workers and --servers are 0, or `servers` names too little")
    sys.exit(_run(tree.app, addresses, children, metrics_port))


def _alone(
    app: str, bundle: Path | None, port: int, metrics_port: int | None, data: Path, log: Literal["text", "json"] | None,
    beside: tuple[int, bool],
) -> None:  # fmt: skip
    from homeostat.cli.serve import Keeping, serve

    jobs, maintain = beside
    keeping = Keeping(jobs=jobs, maintain=maintain)
    serve(app, bundle=bundle, port=port, data=data, metrics_port=metrics_port, log=log, keeping=keeping)


def _with_source(port: int, store: str | None) -> int:
    """Let a source write to a port of this machine, in a thread; returns the port."""
    from socket import create_server
    from urllib.parse import urlsplit

    from homeostat.cli.sources import begin

    if store is not None and (urlsplit(store).scheme not in ("http", "https") or not urlsplit(store).hostname):
        raise CommandError(f"--store {store}: give the address of an InfluxDB, such as http://127.0.0.1:8086")
    if port == 0:
        with create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    begin(f"http://127.0.0.1:{port}", store, _say)
    return port


def _children(
    app: str, addresses: Servers, common: list[str], counts: tuple[int, int], ports: tuple[int, int | None]
) -> list[Child]:
    from homeostat.serve.supervision import Child

    (workers, servers), (port, metrics) = counts, ports
    workers = workers if addresses.events is not None else 0
    if workers > addresses.partitions:
        few = f"{addresses.partitions} partitions (servers.partitions)"
        _say(f"{workers} workers share {few}: some may have nothing to do")
    children = []
    for number in range(workers):
        own = _option("--metrics-port", None if metrics is None else metrics and metrics + number)
        name = f"worker {number + 1}"
        children.append(Child(name, _spawn(name, ["worker", app, *common, *own])))
    if servers and (addresses.features is None or addresses.journal is None):
        _say("no HTTP server: it shares what workers know by servers.features and servers.journal, and one is missing")
    elif servers:
        own = _option("--metrics-port", None if metrics is None else metrics and metrics + workers)
        command = ["serve", app, *common, *own, "--port", str(port), "--workers", str(servers)]
        children.append(Child("server", _spawn("server", command)))
    return children


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def _spawn(name: str, command: list[str], more: Mapping[str, str] | None = None) -> Spawn:
    """Starts `homeostat` with these arguments. Passwords go by files and the environment, never by arguments."""

    def spawn(ready: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own command.
            [sys.executable, "-m", "homeostat", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, pass_fds=(ready,), env={**os.environ, **(more or {}), VARIABLE: str(ready)},
            start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=_pass_on, args=(name, process), daemon=True).start()
        return process

    return spawn


def _pass_on(name: str, process: subprocess.Popen[bytes]) -> None:
    """A child's lines, each with its name; JSON stays JSON, which names its process itself."""
    assert process.stdout is not None
    for line in process.stdout:
        before = b"" if line.startswith(b"{") else f"{name:<9}| ".encode()
        with _WRITING:
            sys.stderr.buffer.write(before + line)
            sys.stderr.buffer.flush()


def _run(app: str, addresses: Servers, children: list[Child], metrics: int | None) -> int:
    from homeostat.adapters.process.logs import redacted
    from homeostat.serve.supervision import Supervisor

    def ready() -> None:
        _say(f"{app} is up; Ctrl-C drains, a second one stops at once")
        for number, child in enumerate(children):
            does = child.said or f"decides the events of {redacted(addresses.events or '')}"
            shown = f", metrics at http://127.0.0.1:{metrics + number}/metrics" if metrics else ""
            _say(f"  {child.name:<9} {does}{shown}")

    def draining() -> None:
        _say("draining")

    _say(
        f"starting {', '.join(child.name for child in children)}; the first start compiles kernels, for a minute or so"
    )
    code = Supervisor(children, _say).run(ready, draining)
    _say("stopped" if code == 0 else "stopped: a process failed, as its lines say")
    return code


def _say(text: str) -> None:
    with _WRITING:
        logging.getLogger("homeostat").info(text)
