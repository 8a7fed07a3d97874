"""`homeostat serve`."""

from __future__ import annotations

import logging
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from socket import socket
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.beside import jobs_beside
from homeostat.cli.doors import refuse_metrics_to_others, warn_of_plain_connections
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle
from homeostat.cli.progress import shown
from homeostat.cli.retrain import leave_retraining
from homeostat.cli.watched import watched

if TYPE_CHECKING:
    from homeostat.config.servers import Servers
    from homeostat.engine.engine import Engine
    from homeostat.serve.options import ServerOptions
    from homeostat.serve.processes import Task

# The maker, in each of several processes, of an engine whose windows and journal are on servers, called with `app`,
# `bundle` and `config` as texts or None.
SHARED_ENGINE = "homeostat.engine.shared.serving:open_engine"
_SECONDS_MIN, _SECONDS_MAX = 0.001, 86_400.0
_CONNECTIONS_MAX = 1_000_000


@Parameter(name="*")
@dataclass(frozen=True)
class Doors:
    """The callers that are let in, and how."""

    tls_cert: Annotated[Path | None, Parameter(help="The server's certificate (PEM, with its chain).")] = None
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM, unencrypted).")] = None
    client_ca: Annotated[Path | None, Parameter(help="Let in only clients with a certificate of these.")] = None
    keys: Annotated[
        bool | None, Parameter(help="Ask for API keys; else from the first one made, beyond this machine always.")
    ] = None
    plain_http: Annotated[
        bool,
        Parameter(
            negative="",
            help="Other machines come in without TLS, where what is in front encrypts; metrics may be shown to them.",
        ),
    ] = False
    allow_host: Annotated[
        tuple[str, ...],
        Parameter(
            help="Another name by which clients call it, `*.` in front for all below; once for each.", negative=""
        ),
    ] = ()
    expose: Annotated[
        bool, Parameter(negative="", help="Other machines come in without TLS, and without a key while there is none.")
    ] = False


@Parameter(name="*")
@dataclass(frozen=True)
class Bounds:
    """How much of everything."""

    rate: Annotated[float | None, Parameter(help="Requests a second of all clients together.")] = None
    connections: Annotated[int, Parameter(help="At a time, in each process.")] = 1000
    request_timeout: Annotated[str, Parameter(help="How long a client may take to send a request.")] = "30s"
    idle_timeout: Annotated[str, Parameter(help="How long a connection is kept between requests.")] = "75s"


@Parameter(name="*")
@dataclass(frozen=True)
class Keeping:
    """The treatment of the --data folder."""

    plan: Annotated[
        bool,
        Parameter(negative="", help="Say what a start would take over, and what it would make again, and end."),
    ] = False
    history: Annotated[
        Literal["continue", "journal", "new"],
        Parameter(
            help="The part that counts where files disagree: the journal alone, or nothing; the rest is put aside."
        ),
    ] = "continue"
    open_files: Annotated[
        bool, Parameter(negative="", help="Let the umask say who may read new files, not their owner alone.")
    ] = False
    jobs: Annotated[int, Parameter(help="Run so many jobs of the folder at a time, in a process beside.")] = 0
    maintain: Annotated[
        bool | None, Parameter(help="Watch the decisions in a process beside; maintain.start when absent.")
    ] = None


def serve(
    app: str,
    /,
    *,
    bundle: Bundle = None,
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 8080,
    host: str = "127.0.0.1",
    data: Annotated[
        Path | None, Parameter(help="The folder of its journal, snapshot and API keys; a restart on it continues.")
    ] = None,
    config: Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")] = None,
    workers: Annotated[int, Parameter(help="Server processes; more than one share the servers of --config.")] = 1,
    metrics_port: Annotated[
        int | None, Parameter(help="Show metrics there, without a key; process n at port + n.")
    ] = None,
    metrics_host: Annotated[str, Parameter(help="The address that metrics are shown at.")] = "127.0.0.1",
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
    doors: Doors = Doors(),
    bounds: Bounds = Bounds(),
    keeping: Keeping = Keeping(),
) -> None:
    """Decide over HTTP, until a signal says to stop: the first drains and saves, the second stops at once.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    host
        The address to listen at; beyond this machine only with TLS and API keys, or a word that says otherwise.
    """
    from homeostat.adapters.process.environment import servers_of
    from homeostat.adapters.process.logs import configure
    from homeostat.config.loopback import is_loopback
    from homeostat.serve.options import serve_with
    from homeostat.serve.sockets import url_of

    configure(log, app=app)
    if keeping.plan:
        _print_plan(app, bundle, data)
        return
    ready_at = watched()
    servers = servers_of(config, app)
    if metrics_port is not None:
        refuse_metrics_to_others(metrics_host, doors.plain_http or doors.expose)
    settings = replace(
        _settings(doors, bounds, host, metrics_port, _place_of_keys(data, config, servers)),
        metrics_host=metrics_host, log=log, effects=_named_again(app, data, config, servers),
    )  # fmt: skip
    task = _task(app, bundle, data, config, servers, workers, settings)
    if keeping.jobs and (task is not None or data is None):
        raise CommandError("--jobs needs the --data folder that keeps them; on servers, homeostat up runs jobs")
    if keeping.maintain and (task is not None or data is None):
        raise CommandError("--maintain needs the --data folder that is watched; on servers, homeostat up watches")
    with closing(_bound(host, port)) as sock:
        where = url_of(sock, settings.secure)
        _announce(settings, data, task is None, is_loopback(host))
        if task is not None:
            warn_of_plain_connections(servers, streams=False)
        if task is not None:
            from homeostat.serve.processes import run_many

            def answers() -> None:
                _say(f"{app} decides at {where}, {workers} process{'es' * (workers > 1)}")
                ready_at(where)

            code = run_many(task, sock, workers, answers, _say)
            _say("stopped")
            sys.exit(code)

        def ready(engine: Engine) -> None:
            _say(f"{engine.app.app} decides at {where}")
            if keeping.jobs and data is not None and engine.app.retrains:
                leave_retraining(app, data)
            ready_at(where)

        with jobs_beside(keeping.jobs, data):
            started = serve_with(settings, lambda: _open(app, bundle, data, keeping, servers), sock, ready)
        if not started:
            raise CommandError("the server did not start; the lines above say why")
    _say("stopped" if data is None else f"saved to {data}, stopped")


def _print_plan(app: str, bundle: Path | None, data: Path | None) -> None:
    from homeostat.engine.assembly import preview

    if data is None:
        raise CommandError("what is to be planned? Give the --data folder")
    print("\n".join(preview(app, bundle, data).sentences()))


def _open(app: str, bundle: Path | None, data: Path | None, keeping: Keeping, servers: Servers) -> Engine:
    from homeostat.engine.assembly import open_engine
    from homeostat.engine.sizing import served_sizer

    with shown("starting", _say) as progress:
        engine = open_engine(
            app,
            bundle=bundle,
            data=data,
            on_error=_tell,
            recovering=progress,
            tell=_say,
            history=keeping.history,
            private=not keeping.open_files,
        )
    engine.parts.sizer = served_sizer(servers, engine.parts.clock)
    if data is not None:
        from homeostat.engine.shadowing import keeper_in

        engine.parts.shadow = keeper_in(engine.parts.loop, engine.app.shadow, app, data, _say)
        engine.parts.opened.callback(engine.parts.shadow.close)
        watched = engine.app.maintain
        if watched.start if keeping.maintain is None else keeping.maintain:
            from homeostat.engine.maintaining import keeper_in as maintained_in

            engine.parts.maintenance = maintained_in(app, data, watched.memory_mb, _say, bundle)
            engine.parts.opened.callback(engine.parts.maintenance.close)
        if engine.app.predictions:
            from homeostat.engine.predicting import keeper_in as predicting_in

            engine.parts.predictions = predicting_in(app, list(engine.app.predictions), data, _say, bundle)
            engine.parts.opened.callback(engine.parts.predictions.close)
    return engine


def _place_of_keys(data: Path | None, config: Path | None, servers: Servers) -> dict[str, str]:
    """Beside the data, or in PostgreSQL, and the versions' files with it; nowhere without either."""
    if data is not None:
        return {"keys_folder": str(data), "place": f"--data {quote(str(data.absolute()))}"}
    if servers.journal is None:
        return {}
    files = {} if servers.models is None else {"models": servers.models, "models_cache": str(servers.models_cache)}
    place = {} if config is None else {"place": f"--config {quote(str(config.absolute()))}"}
    return {"keys_url": servers.journal, **files, **place}


def _named_again(app: str, data: Path | None, config: Path | None, servers: Servers) -> tuple[str, ...]:
    """The options by which another command finds the same app and stores; none where nothing is kept."""
    if data is not None:
        return f"--app={app}", f"--data={data}"
    if config is None or servers.journal is None or servers.models is None:
        return ()
    return f"--app={app}", f"--config={config}"


def _settings(
    doors: Doors, bounds: Bounds, host: str, metrics_port: int | None, place: dict[str, str]
) -> ServerOptions:
    """The command's settings, checked. Raises CommandError."""
    from homeostat.config.hosts import is_address
    from homeostat.config.loopback import is_loopback
    from homeostat.errors import HomeostatError
    from homeostat.serve.limits import Limits
    from homeostat.serve.options import ServerOptions

    if (doors.tls_cert is None) != (doors.tls_key is None):
        raise CommandError("TLS takes both --tls-cert and --tls-key")
    if doors.client_ca is not None and doors.tls_cert is None:
        raise CommandError("clients show certificates over TLS only: give --tls-cert and --tls-key, too")
    required = doors.keys
    if not is_loopback(host):
        if doors.tls_cert is None and not (doors.plain_http or doors.expose):
            raise CommandError(
                f"{host} is reached from other machines: give --tls-cert and --tls-key, or say --plain-http where "
                "what is in front encrypts"
            )
        required = True if required is None and not doors.expose else required
    if required and not place:
        raise CommandError("where are the API keys? Give --data FOLDER or --config FILE; or say --no-keys")
    if bounds.rate is not None and not 1e-6 <= bounds.rate <= 1e9:
        raise CommandError("--rate is a positive number of requests a second, from 1e-6 to 1e9")
    if not 1 <= bounds.connections <= _CONNECTIONS_MAX:
        raise CommandError(f"--connections is from 1 to {_CONNECTIONS_MAX:,}")
    limits = Limits(
        request_s_max=_seconds("--request-timeout", bounds.request_timeout),
        idle_s_max=_seconds("--idle-timeout", bounds.idle_timeout),
        connections_max=bounds.connections, rate=bounds.rate,
    )  # fmt: skip
    own = () if is_address(host) else (host,)
    files = {"tls_certificate": doors.tls_cert, "tls_key": doors.tls_key, "client_ca": doors.client_ca}
    named: dict[str, Any] = {name: None if path is None else str(path) for name, path in files.items()} | place
    options = ServerOptions(
        **named, keys_required=required, metrics_port=metrics_port, limits=limits, hosts=(*doors.allow_host, *own)
    )  # fmt: skip
    try:
        options.names()
    except ValueError as error:
        if isinstance(error, HomeostatError):
            raise
        raise CommandError(f"--allow-host or HOMEOSTAT_ALLOW_HOSTS: {error}") from error
    return options


def _seconds(option: str, text: str) -> float:
    """A time that a client may take. Raises CommandError."""
    from homeostat.config.tree import duration_ns

    try:
        seconds = duration_ns(text) / 1e9
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error
    if not _SECONDS_MIN <= seconds <= _SECONDS_MAX:
        raise CommandError(f"{option} is from 1ms to 1d: with {text} no request would be answered, or none cut off")
    return seconds


def _task(
    app: str, bundle: Path | None, data: Path | None, config: Path | None, servers: Servers, workers: int,
    settings: ServerOptions,
) -> Task | None:  # fmt: skip
    """The task of each process where there are several; None where this one decides by itself. Raises CommandError."""
    if workers < 1:
        raise CommandError("--workers is 1 or more")
    if servers.features is None or servers.journal is None:
        if workers > 1:
            raise CommandError(
                "several processes would each remember their own events only: name the servers that they share "
                "(servers.features and servers.journal) in --config, or leave --workers away"
            )
        return None
    from importlib.util import find_spec

    from homeostat.serve.processes import Task

    if find_spec(SHARED_ENGINE.partition(":")[0]) is None:
        raise CommandError("serving on shared servers is not a part of this version: leave --config away")
    if data is not None:
        raise CommandError("servers remember, or the folder of --data does: give one of them")
    texts = {"bundle": bundle, "config": config}
    arguments = {"app": app, **{name: None if path is None else str(path) for name, path in texts.items()}}
    return Task(SHARED_ENGINE, arguments, settings)


def _bound(host: str, port: int) -> socket:
    from homeostat.serve.sockets import bound

    try:
        return bound(host, port)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"can't listen at {host} port {port}: {getattr(error, 'strerror', None) or error}; choose another --port "
            "(0 takes a free one), or end what listens there"
        ) from error


def _announce(settings: ServerOptions, data: Path | None, alone: bool, loopback: bool) -> None:
    if not loopback and settings.keys_required is not True:
        _say("warning: whoever reaches this address can have events decided; only API keys would keep them out")
    if not loopback and not settings.secure:
        _say("warning: events and API keys pass in plain text; let what is in front of this encrypt them")
    if data is None and alone:
        _say("everything is in memory and gone when this stops; --data FOLDER keeps it")


def _tell(stage: str, error: Exception) -> None:
    from homeostat.serve.headers import masked

    _say(masked(f"{stage} failed: {type(error).__name__}: {error}"))


def _say(text: str) -> None:
    logging.getLogger("homeostat").info(text)
