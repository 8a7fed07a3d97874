"""`homeostat maintain`."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from secrets import token_hex
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.doors import refuse_metrics_to_others, warn_of_plain_connections
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.progress import shown
from homeostat.cli.watched import watched

if TYPE_CHECKING:
    from logging import Logger

    from homeostat.config.servers import Servers
    from homeostat.engine.assembly import Prepared
    from homeostat.engine.readings import Value
    from homeostat.jobs.maintaining.running import Announcing, Maintaining, Setting
    from homeostat.ports.language import LanguageModel, Role
    from homeostat.ports.plans import Plans


@Parameter(name="*")
@dataclass(frozen=True)
class Beside:
    """The wishes of a server that starts this process beside itself."""

    owner: Annotated[str | None, Parameter(show=False)] = None
    parent: Annotated[int | None, Parameter(show=False)] = None


def maintain(
    app: str,
    /,
    *,
    data: Annotated[Path | None, Parameter(help="The folder of a server or a replay.")] = None,
    config: Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")] = None,
    role: Annotated[
        Literal["all", "watch", "investigate", "rehearse", "coordinate"],
        Parameter(help="The part of the work; start a `watch` and a `coordinate`, and as many others as you like."),
    ] = "all",
    once: Annotated[bool, Parameter(negative="", help="End when it has caught up with the journal.")] = False,
    bundle: Annotated[Path | None, Parameter(help="The models that the server was started with, if any.")] = None,
    memory_mb: Annotated[int | None, Parameter(help="The most memory; maintain.memory_mb when absent.")] = None,
    metrics_port: Annotated[int | None, Parameter(help="Show metrics there.")] = None,
    metrics_host: Annotated[str, Parameter(help="The address that metrics are shown at.")] = "127.0.0.1",
    plain_http: Annotated[bool, Parameter(negative="", help="Metrics may be shown to other machines.")] = False,
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
    beside: Beside = Beside(),
    json: Json = False,
) -> None:
    """Watch the decisions of an app: find what goes wrong and why, announce it, and answer it within limits.

    It reads the journal beside what decides, with the processor time that is left. Start as many as you like: one
    acts, the others wait.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file: that of the server.
    """
    from homeostat.adapters.process.logs import configure

    if beside.parent is not None:
        from homeostat.adapters.process.background import end_with

        end_with(beside.parent)
    ready_at = watched()
    logger = configure(log, app=app, worker=f"maintain-{os.getpid()}")
    if metrics_port is not None:
        refuse_metrics_to_others(metrics_host, plain_http)
    with ExitStack() as kept:
        owner = beside.owner or _name()
        prepared, setting, servers = kept.enter_context(_opened(app, data, config, owner, bundle, memory_mb))
        plans = kept.enter_context(closing(_plans(data, servers, prepared.app.app)))
        from homeostat.jobs.maintaining.running import Maintaining

        if role not in ("all", "watch"):
            _part(role, setting, once, logger, ready_at, metrics_port, metrics_host)
            return
        if role == "watch":
            setting = replace(setting, open_means=None)
        if once:
            channels = _channels(prepared, servers, setting, plans, data)
            found = _once(Maintaining(setting, _note), setting, channels)
            print(dumps(found) if json else _worded(found))
            return
        from homeostat.adapters.process.background import bound_memory, give_way

        give_way()
        bound_memory(memory_mb or prepared.app.maintain.memory_mb)
        maintaining = Maintaining(setting, logger.info)
        announcing = _channels(prepared, servers, setting, plans, data)(maintaining, logger.warning)
        _stop_at_signals(maintaining.stop)
        with ExitStack() as opened:
            opened.callback(maintaining.close)
            opened.callback(announcing.close)
            if metrics_port is not None:
                opened.enter_context(
                    _metrics(maintaining.readings, lambda: maintaining.trouble, app, metrics_host, metrics_port)
                )
            announcing.start()
            ready_at("watches the journal")
            try:
                maintaining.run()
            except MemoryError:
                raise CommandError("maintenance needs more memory than maintain.memory_mb lets it have") from None
    logger.info("saved, stopped")


def _part(
    role: str, setting: Setting, once: bool, logger: Logger, ready_at: Callable[[str], None], port: int | None,
    host: str,
) -> None:  # fmt: skip
    """Run a part of the work that keeps nothing in memory."""
    from homeostat.adapters.process.background import bound_memory, give_way
    from homeostat.jobs.maintaining.role import MaintainRole, RoleProcess

    part = RoleProcess(setting, MaintainRole(role), _note if once else logger.info)
    with ExitStack() as opened:
        opened.callback(part.close)
        if once:
            stored = 0
            while found := part.turn():
                stored += found
            print(f"{role}: {stored} steps of incidents are stored")
            return
        give_way()
        bound_memory(setting.app.maintain.memory_mb)
        _stop_at_signals(part.stop)
        if port is not None:
            opened.enter_context(_metrics(dict, lambda: part.trouble, setting.app.app, host, port))
        ready_at(f"has the role {role}")
        part.run()
    logger.info("stopped")


def _words(app: str, data: Path | None, config: Path | None) -> list[str]:
    """The arguments of a job of this app, wherever it runs."""
    from homeostat.cli.jobs import place_words

    named, place = place_words(app, data, config)
    return [*named, *place]


@contextmanager
def _opened(
    app: str, data: Path | None, config: Path | None, owner: str, bundle: Path | None, memory_mb: int | None
) -> Iterator[tuple[Prepared, Setting, Servers | None]]:
    """The app with its stores. Raises CommandError where no journal is named."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.adapters.process.environment import servers_of
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.maintaining.answering import Answering
    from homeostat.jobs.maintaining.rehearsal_process import Place
    from homeostat.jobs.maintaining.running import Setting
    from homeostat.jobs.maintaining.source import source_in, source_on, store_in, store_on

    if data is not None:
        if config is not None:
            raise CommandError("is the journal in --data or on the servers of --config? Give one of them")
        if not data.is_dir():
            raise CommandError(f"there is no folder {data}: name the --data folder of a server or a replay")
        prepared = prepare(app)
        folder = data.absolute()
        answering = Answering(
            Place(prepared.app, folder, None, bundle), _words(app, data, None), os.getcwd(), memory_mb
        )
        with ExitStack() as opened, store_in(data, prepared.app.app) as store:
            yield prepared, Setting(
                prepared.app, store, lambda: source_in(folder, prepared, store), owner, SystemClock(),
                answering.opened, _runbooks(app, prepared), _models(prepared, opened),
            ), None  # fmt: skip
        return
    servers = servers_of(config, app)
    if servers.journal is None:
        raise CommandError("which journal? Give --data FOLDER, or --config FILE with servers.journal")
    warn_of_plain_connections(servers, streams=False)
    prepared = prepare(app)
    answering = Answering(
        Place(prepared.app, None, servers, bundle),
        _words(app, None, config),
        os.getcwd(),
        memory_mb,
        config,
    )
    with ExitStack() as opened, store_on(servers, prepared.app.app) as store:
        yield prepared, Setting(
            prepared.app, store, lambda: source_on(servers, prepared, store), owner, SystemClock(),
            answering.opened, _runbooks(app, prepared), _models(prepared, opened),
        ), servers  # fmt: skip


def _models(prepared: Prepared, opened: ExitStack) -> Mapping[Role, LanguageModel]:
    """The app's language models; their calls are traced where an OTLP endpoint is named. Raises AppFileError."""
    declared = prepared.app.maintain.models
    if not declared:
        return {}
    from homeostat.adapters.language.asking import open_models
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.adapters.process.tracing import open_tracing

    tracing = open_tracing("homeostat-maintain")
    opened.callback(tracing.close)
    return open_models(declared, SystemClock(), tracing.provider)


def _runbooks(app: str, prepared: Prepared) -> Path | None:
    """The declared folder of runbooks; a shipped app has none."""
    name, file = prepared.app.maintain.runbooks, Path(app)
    return file.parent / name if name and file.is_file() else None


def _plans(data: Path | None, servers: Servers | None, app: str) -> Plans:
    """The plans of the app, beside its journal. Raises Unavailable."""
    if data is not None:
        from homeostat.adapters.disk.sqlite.plans import SqlitePlans

        return SqlitePlans(data, app=app)
    from homeostat.adapters.opening import plans_opener

    assert servers is not None and servers.journal is not None, "it was looked for before"
    return plans_opener(servers.journal)(servers.journal, app=app)


def _channels(
    prepared: Prepared, servers: Servers | None, setting: Setting, plans: Plans, data: Path | None
) -> Callable[[Maintaining, Callable[[str], None]], Announcing]:
    """Makes what announces incidents. Raises AppFileError where a channel lacks its address."""
    from homeostat.adapters.process import environment
    from homeostat.config.announce import read_channels
    from homeostat.engine.announcing import Asking
    from homeostat.engine.links import Links
    from homeostat.engine.post_mortems import PostMortems
    from homeostat.jobs.maintaining.running import Announcing

    app = prepared.app
    channels, declared = read_channels(app.maintain.announce, os.environ), environment.links()
    kafka = None if servers is None else servers.kafka
    asking = Asking(plans, app.maintain.gate.answer, None if declared is None else Links(declared))
    return lambda maintaining, say: Announcing(
        maintaining, setting.store, channels, setting.clock, currency=app.currency, kafka=kafka, say=say, asking=asking,
        reports=None if data is None else PostMortems(data, setting.store, plans, app.currency, say),
    )  # fmt: skip


def _once(
    maintaining: Maintaining, setting: Setting, announces: Callable[[Maintaining, Callable[[str], None]], Announcing]
) -> dict[str, Any]:
    """Catch up with the journal, and say what was found."""
    from homeostat.jobs.maintaining.estimates import estimates_of, shown_estimates

    announcing = announces(maintaining, _note)
    with shown("watching", _note) as progress, closing(maintaining), closing(announcing):
        counts = dict.fromkeys(("entries", "ticks", "signals", "incidents"), 0)
        while True:
            step = maintaining.turn()
            if step is None:
                held = setting.store.lease()
                who = "another process" if held is None else held.owner
                raise CommandError(f"{who} maintains {setting.app.app}: stop it, or look at homeostat incidents list")
            for name in counts:
                counts[name] += getattr(step, name)
            state = maintaining.state
            progress("watching", state.entry / state.last if state.last else 1.0)
            if step.at_end:
                break
        maintaining.turn(last=True)
        maintaining.advise()
        announcing.step()
        state, steps = maintaining.state, maintaining.steps
        estimates = None if steps is None else estimates_of(steps.loop)
    return {
        "app": setting.app.app, **counts, "series": state.series, "open": len(setting.store.list(_open_phases(), 1000)),
        "quality": shown_estimates(estimates),
    }  # fmt: skip


def _open_phases() -> list[Any]:
    from homeostat.records.incidents import Phase

    return [phase for phase in Phase if phase != Phase.CLOSED]


def _worded(found: dict[str, Any]) -> str:
    """The result, for people."""
    from homeostat.jobs.maintaining.estimates import worded_estimates

    estimated = worded_estimates(found["quality"])
    return (
        f"{found['entries']:,} journal entries, {found['ticks']:,} ticks of {found['series']:,} figures: "
        f"{found['signals']:,} signals and their news; {found['open']:,} incidents are open"
        + (f"\n{estimated}" if estimated else "")
    )


def _metrics(
    readings: Callable[[], Mapping[str, Value]], trouble: Callable[[], str], app: str, host: str, port: int
) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_client.process_collector import ProcessCollector

    from homeostat.adapters.process.environment import allowed_hosts
    from homeostat.config.hosts import Hosts
    from homeostat.engine.metrics_endpoint import serve_metrics
    from homeostat.engine.readings import Readings

    registry = CollectorRegistry()
    registry.register(Readings(app, readings))
    ProcessCollector(registry=registry)
    return serve_metrics(registry, host, port, trouble, hosts=Hosts(allowed_hosts()))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"


def _stop_at_signals(stop: Callable[[], None]) -> None:
    """The first signal saves and stops, the second stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)  # Nothing is lost: it reads on from what was saved.
        asked.append(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
