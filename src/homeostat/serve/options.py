"""How a server is reached and by whom, as plain values, so that several processes can be given the same."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from homeostat.config.fair import EVERY_NS
from homeostat.config.hosts import Hosts, name_of
from homeostat.ports.decision_lists import DecisionLists
from homeostat.ports.incidents import Incidents
from homeostat.ports.memory import Memory
from homeostat.ports.plans import Plans
from homeostat.serve.limits import Limits

if TYPE_CHECKING:
    from homeostat.engine.engine import Engine
    from homeostat.engine.fair_watch import FairnessWatch
    from homeostat.engine.size_record import SizeRecord
    from homeostat.ports.keys import ApiKeys
    from homeostat.ports.statements import Statements
    from homeostat.serve.sharing import Counts
    from homeostat.serve.stores import Stores
    from homeostat.serve.tls import Tls


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of `homeostat serve`.

    keys_folder, keys_url : where API keys are kept; at most one of them, and neither where there are none
    models, models_cache : where the versions' files are, and those that were fetched; of a database at `keys_url`
    effects : the options of `homeostat models promote --preview` that name the app and its stores
    place : the options by which a command names the place of keys and stores
    keys_required : ask for a key even while there is none; None asks from the first one made, False never
    metrics_port, metrics_host : where metrics are shown without a key; None for nowhere
    hosts : names by which it may be called beside its address and this machine's own
    log : text or json; HOMEOSTAT_LOG when absent
    """

    tls_certificate: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    keys_folder: str | None = None
    keys_url: str | None = field(default=None, repr=False)  # It may hold a password.
    models: str | None = None
    models_cache: str = ""
    effects: tuple[str, ...] = ()
    place: str = ""
    keys_required: bool | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    log: str | None = None
    limits: Limits = field(default_factory=Limits)

    def stores(self) -> Stores:
        """The stores beside the keys: in the data folder or the database; none where there is neither.

        Raises AppFileError where the settings of links can't be used.
        """
        from homeostat.adapters.process import environment
        from homeostat.engine.links import Links
        from homeostat.serve.effects import Effects
        from homeostat.serve.stores import Once, Stores

        effects = Effects(self.effects) if self.effects else None

        opens = self.opens_statements()
        statements = None if opens is None else Once(opens)
        declared = environment.links()
        links = None if declared is None else Links(declared)
        if self.keys_url is not None:
            from homeostat.adapters.opening import (
                decision_lists_opener,
                incidents_opener,
                jobs_opener,
                memory_opener,
                plans_opener,
                registry_opener,
                settings_opener,
                shadow_opener,
            )

            url, models, cache = self.keys_url, self.models, Path(self.models_cache)
            jobs, settings = Once(lambda: jobs_opener(url)(url)), Once(lambda: settings_opener(url)(url))
            incidents: Once[Incidents] = Once(lambda: incidents_opener(url)(url))
            plans: Once[Plans] = Once(lambda: plans_opener(url)(url))
            memory: Once[Memory] = Once(lambda: memory_opener(url)(url))
            decisions: Once[DecisionLists] = Once(lambda: decision_lists_opener(url)(url))
            if models is None:
                return Stores(
                    jobs,
                    settings,
                    statements=statements,
                    incidents=incidents,
                    plans=plans,
                    place=self.place,
                    links=links,
                    memory=memory,
                    decisions=decisions,
                )
            shadow = Once(lambda: shadow_opener(url)(url))
            registry = Once(lambda: registry_opener(url)(url, models, cache))
            return Stores(
                jobs, settings, registry, effects, shadow, statements, incidents, plans, self.place, links, memory,
                decisions,
            )  # fmt: skip
        if self.keys_folder is None:
            return Stores()
        from homeostat.adapters.disk.audit.growing import GrowingChain
        from homeostat.adapters.disk.sqlite.decision_pages import open_decision_lists
        from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
        from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
        from homeostat.adapters.disk.sqlite.memory import SqliteMemory
        from homeostat.adapters.disk.sqlite.plans import SqlitePlans
        from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
        from homeostat.adapters.disk.sqlite.settings import SqliteSettings
        from homeostat.adapters.disk.sqlite.shadow import ShadowFile

        folder = Path(self.keys_folder)
        return Stores(
            Once(lambda: SqliteJobs(folder)), Once(lambda: SqliteSettings(folder)),
            Once(lambda: SqliteRegistry(folder)), effects, Once(lambda: ShadowFile(folder, readonly=True)),
            statements, Once(lambda: SqliteIncidents(folder)), Once(lambda: SqlitePlans(folder)),
            self.place or f"--data {quote(str(folder.absolute()))}", links, Once(lambda: SqliteMemory(folder)),
            Once(lambda: open_decision_lists(folder)), GrowingChain(folder / "audit.jsonl"),
        )  # fmt: skip

    def opens_statements(self) -> Callable[[], Statements] | None:
        """Opens what people and processes state, in the data folder or the database; None where there is neither."""
        if self.keys_url is not None:
            from homeostat.adapters.opening import statements_opener

            return partial(statements_opener(self.keys_url), self.keys_url)
        if self.keys_folder is None:
            return None
        from homeostat.adapters.disk.sqlite.statements import SqliteStatements

        return partial(SqliteStatements, Path(self.keys_folder))

    def names(self) -> Hosts:
        """The names by which it may be called: those that are declared, and that of the links to answer plans with.

        Raises AppFileError where the settings of links can't be used.
        """
        from homeostat.adapters.process import environment

        links = environment.links()
        public = () if links is None else (name_of(links.url),)
        return Hosts([*self.hosts, *environment.allowed_hosts(), *public])

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls_certificate is not None

    def as_json(self) -> dict[str, Any]:
        """The settings as a JSON object."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> ServerOptions:
        """The settings that `as_json` wrote.

        >>> ServerOptions.of_json(ServerOptions(metrics_port=9000).as_json()) == ServerOptions(metrics_port=9000)
        True
        """
        listed = {name: tuple(values[name]) for name in ("effects", "hosts")}
        return cls(**{**values, **listed, "limits": Limits(**values["limits"])})

    def tls(self) -> Tls | None:
        """The TLS context; None for plain HTTP. Raises TlsError."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        from homeostat.serve.tls import Tls

        client_ca = None if self.client_ca is None else Path(self.client_ca)
        return Tls(Path(self.tls_certificate), Path(self.tls_key), client_ca)

    def keys(self) -> ApiKeys | None:
        """The API keys; None where there is no place for any, or none are asked for.

        Raises Unavailable.
        """
        from homeostat.adapters.disk.api_keys import FileApiKeys
        from homeostat.adapters.opening import keys_opener

        if self.keys_required is False:
            return None
        if self.keys_url is not None:
            keys = keys_opener(self.keys_url)(self.keys_url)
            keys.prepare()  # A new database has no tables yet.
            return keys
        return None if self.keys_folder is None else FileApiKeys(Path(self.keys_folder))


def serve_with(
    settings: ServerOptions,
    make_engine: Callable[[], Engine],
    sock: socket.socket,
    ready: Callable[[Engine], None],
    counts: Counts | None = None,
) -> bool:
    """Serve an engine, which is made and closed here, as the settings say. Returns whether all went well.

    counts : of connections, among the processes that share the socket; None where this one has it alone

    Raises TlsError; Unavailable where the keys can't be read; OSError where the port for metrics is taken.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.engine.metrics import engine_registry
    from homeostat.engine.metrics_endpoint import serve_metrics
    from homeostat.serve.access import Access
    from homeostat.serve.naming import Naming
    from homeostat.serve.server import run

    hosts = settings.names()
    tls, keys, access = settings.tls(), settings.keys(), None
    if keys is not None or settings.keys_required or settings.limits.rate is not None:
        access = Access(SystemClock(), keys, bool(settings.keys_required), settings.limits.rate)
    engine = make_engine()
    with ExitStack() as opened:
        watch = _watch_of(engine, settings.effects)
        if watch is not None:
            engine.parts.fairness = watch
            opened.callback(watch.close)
            watch.start()
        record = sizes_of(engine, settings)
        if record is not None:
            opened.callback(record.close)
        if settings.metrics_port is not None:
            where = settings.metrics_host, settings.metrics_port
            try:
                notes = engine.notes
                opened.enter_context(
                    serve_metrics(engine_registry(engine), *where, lambda: engine.trouble, notes, hosts)
                )
            except OSError:
                engine.close()
                raise
        stores, naming = settings.stores(), Naming(hosts)
        return run(engine, sock, lambda: ready(engine), settings.limits, tls, access, counts, stores, naming)


def sizes_of(engine: Engine, settings: ServerOptions) -> SizeRecord | None:
    """Puts the sizes that the engine's batches come to have on the record; None where none is chosen, or kept."""
    from homeostat.engine.size_record import SizeRecord

    sizer, watcher, opens = engine.parts.sizer, engine.parts.watcher, settings.opens_statements()
    if sizer is None or watcher is None or opens is None:
        return None
    record = SizeRecord(opens, watcher.process, logging.getLogger("homeostat").info)
    sizer.on_choice = record.put
    if engine.parts.memory is not None:
        engine.parts.memory.on_choice = record.put
    return record


def _watch_of(engine: Engine, words: tuple[str, ...]) -> FairnessWatch | None:
    """Looks at the fairness of what the engine decides; None where no bound is declared, or nothing is kept."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.engine.fair_watch import FairnessWatch

    fair = engine.app.fairness
    if fair is None or not fair.bounds or not words:
        return None
    return FairnessWatch(words, (EVERY_NS if fair.every is None else fair.every) / 1e9, SystemClock())
