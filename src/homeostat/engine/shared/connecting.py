"""Puts an app, its bundle and the servers that several processes share together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FOLDER_MODE
from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.adapters.opening import journal_opener, store_opener
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.collector import freeze_objects
from homeostat.adapters.process.memory import memory_now
from homeostat.app import Brain, OnError, Ports, brain, build
from homeostat.config import plans
from homeostat.config.learners import learners_of
from homeostat.config.servers import Servers
from homeostat.config.tree import App
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.plan import SPAN_NS_MAX
from homeostat.decide.windows.shared import SharedFeaturizer, log_version
from homeostat.engine.assembly import Prepared, bundle_of, fitting_bundle, prepare
from homeostat.engine.memory_sizing import MemorySizer, memory_sizer
from homeostat.engine.readiness import made_up, warm_up
from homeostat.engine.setups import Setups
from homeostat.engine.shadowing import ShadowKeeper, keeper_on
from homeostat.engine.shared.moments import Moments
from homeostat.engine.shared.rejoining import Progress, adopt_behind, rejoin
from homeostat.engine.shared.taught import Taught
from homeostat.engine.shared.upkeep import Upkeep
from homeostat.engine.stores import Stores, stores_on
from homeostat.engine.watching import Watcher, name_of
from homeostat.errors import DataFolderInUse, HomeostatError
from homeostat.models.bundle import Bundle
from homeostat.ports import Clock, Journal, Unavailable
from homeostat.ports.shared import FeatureStore, SharedJournal

FOLDERS_MAX = 1000
BUDGET_ROWS = 32  # Streams come in batches of a thousand; the app's budgets are for what is decided at once.
_TAKEN = "another process uses this folder"


class ServersIncomplete(HomeostatError):
    """`servers` names none for a part that several processes must share; the text says which."""

    why = "several processes share what they remember through servers"
    remedy = "Name the missing server in the app file, in --config or in the environment"


@dataclass(slots=True)
class SharedParts:
    """The parts of one process that decides together with others.

    memory : chooses how much the process remembers of the feature store's logs
    """

    prepared: Prepared
    servers: Servers
    loop: DecisionLoop
    featurizer: SharedFeaturizer
    store: FeatureStore
    journal: SharedJournal
    clock: Clock
    name: str
    folder: Path
    lock: FileLock
    memory: MemorySizer
    upkeep: Upkeep | None = None
    stores: Stores | None = None
    watcher: Watcher | None = None
    taught: Taught | None = None
    moments: Moments | None = None
    shadow: ShadowKeeper | None = None

    def keep_shadow(self, app: str, config: str | None, say: Callable[[str], None]) -> None:
        """Look after the challenger's process from now on, together with the other processes on these servers.

        app, config : as this process was given them
        say : gets a sentence when that process fails
        """
        self.shadow = keeper_on(self.loop, self.app.shadow, app, config, self.servers, self.name, say)

    def close(self) -> None:
        """Let go of servers, and of the folder."""
        with ExitStack() as opened:  # The last opened goes first, and each is let go whatever became of the others.
            opened.callback(self.lock.release)
            opened.callback(self.journal.close)
            opened.callback(self.store.close)
            if self.upkeep is not None:
                opened.callback(self.upkeep.close)
            if self.stores is not None:
                opened.callback(self.stores.close)
            if self.watcher is not None:
                opened.callback(self.watcher.close)
            if self.taught is not None:
                opened.callback(self.taught.close)
            if self.shadow is not None:
                opened.callback(self.shadow.close)

    def notes(self) -> list[str]:
        """The notices for people though decisions go on, a sentence each."""
        notes = self.loop.notes() + ([] if self.watcher is None else self.watcher.notes())
        notes += [] if self.taught is None else self.taught.notes()
        return notes + ([] if self.shadow is None else self.shadow.notes())

    @property
    def app(self) -> App:
        """The app file as a typed tree."""
        return self.prepared.app


def own_folder(root: Path) -> tuple[Path, FileLock]:
    """The first folder below `root` that no other process has, and the lock on it: a restart finds what it left.

    Raises Unavailable where the disk can't be written.
    """
    for number in range(FOLDERS_MAX):
        folder = root / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        except OSError as error:
            raise Unavailable(
                f"{folder} can't be made: {error.strerror}; name another folder: servers.spool"
            ) from error
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(_TAKEN)
        except DataFolderInUse:
            continue
        return folder, lock
    raise DataFolderInUse(f"{FOLDERS_MAX} processes use {root} already")


def open_journal(prepared: Prepared, servers: Servers, clock: Clock) -> SharedJournal:
    """The journal on PostgreSQL, with a spool on this machine's disk for when that is away.

    Entries that dead processes left in their spools are taken over.
    """
    from homeostat.adapters.disk.spool import POLICY, SpooledJournal

    if servers.journal is None:
        raise ServersIncomplete("no journal is named: say servers.journal, such as postgresql://user@host/database")
    inner = journal_opener(servers.journal)(
        servers.journal, app=prepared.app.app, words=prepared.words, clock=clock,
        retention_ns=servers.retention, deadline_s=POLICY.deadline_s,
    )  # fmt: skip
    with ExitStack() as opened:
        opened.callback(inner.close)
        spooled = SpooledJournal(
            inner, Path(servers.spool) / prepared.app.app, max_bytes=servers.spool_max_mb << 20, clock=clock,
            words=prepared.words,
        )  # fmt: skip
        opened.pop_all()  # The spool closes the journal.
        return spooled


def open_store(prepared: Prepared, servers: Servers, journal: SharedJournal, process: str) -> FeatureStore:
    """The feature store on Redis; one in this process's memory where none is named.

    process : the name of this process among its like
    """
    if servers.features is None:
        return MemoryFeatures()
    version = log_version(prepared.features, journal.identity, prepared.words)
    opener = store_opener(servers.features)
    return opener(servers.features, version, show_every_s=servers.show_every / 1e9, process=process)


def open_shared(
    app: str | Path | App,
    servers: Servers,
    *,
    bundle: Path | None = None,
    on_error: OnError | None = None,
    progress: Progress | None = None,
    judges_lateness: bool = False,
    wrap: Callable[[SharedJournal], Journal] = lambda journal: journal,
    journal: SharedJournal | None = None,
    store: FeatureStore | None = None,
    stores: Stores | None = None,
) -> SharedParts:
    """A decision loop whose memory is shared, ready to decide.

    judges_lateness : whether the loop decides which events are late, by the newest that this process has seen;
        otherwise the reader of the streams decides it, for each partition by itself
    wrap : what the loop journals through, if it is not the journal itself
    journal, store, stores : to be used instead of those that the servers are; a journal that is given comes without
        settings unless they are given as well
    Raises AppFileError, BundleError, NotTrained, ServersIncomplete; Unavailable where a server can't be reached.
    """
    prepared = prepare(app)
    clock = SystemClock()
    root = Path(servers.spool) / prepared.app.app / "workers"
    load = partial(fitting_bundle, prepared=prepared)
    with ExitStack() as opened:  # The next attempt must find the folder free; what was given is the caller's to close.
        if stores is None and journal is None:
            stores = stores_on(servers, prepared.app.app, learning=True)
            opened.callback(lambda: None if stores is None else stores.close())
        given = bundle_of(prepared, bundle)
        models = given or (None if stores is None else stores.champion(load))
        ready = brain(prepared.app, prepared.features, models)
        warm_up(prepared.app, prepared.features, models, clock, ready)
        freeze_objects()
        folder, lock = own_folder(root)
        opened.callback(lock.release)
        adopt_behind(root, folder)
        if journal is None:
            journal = open_journal(prepared, servers, clock)
            opened.callback(journal.close)
        if store is None:
            store = open_store(prepared, servers, journal, name_of(folder))
            opened.callback(store.close)
        parts = _assembled(
            prepared.keyed(journal.coding), servers, ready, journal, store, folder, lock,
            Ports(wrap(journal), clock, journal.coding, bounded=True, on_error=on_error,
                  judges_lateness=judges_lateness, budget_rows=BUDGET_ROWS),
            progress,
        )  # fmt: skip
        learning = None if stores is None else stores.learning
        parts.taught = Taught(prepared.app, parts.loop, learning, clock, servers.learning_stale)
        if stores is not None:
            _watch_settings(parts, stores, models, ready, stores.base(given))
        parts.taught.start()
        wait_ns = servers.learning_wait if learners_of(prepared.app) else 0
        parts.moments = Moments(parts.loop, learning, parts.watcher, clock, wait_ns)
        opened.pop_all()  # They are the parts' to close now.
        return parts


def _assembled(
    prepared: Prepared, servers: Servers, ready: Brain, journal: SharedJournal, store: FeatureStore,
    folder: Path, lock: FileLock, ports: Ports, progress: Progress | None,
) -> SharedParts:  # fmt: skip
    featurizer = SharedFeaturizer(
        prepared.features, store, tuple(prepared.app.events.entities),
        # The span that a log keeps is counted from its newest event, which may be that far ahead of the clock.
        skew_ns=min(servers.skew + prepared.app.events.ahead_max, SPAN_NS_MAX),
        when_down=servers.features_down,
        lists=plans.membership(prepared.app, prepared.coding), places=prepared.coding.places,
    )  # fmt: skip
    _warm_up(prepared)
    loop = build(prepared.app, prepared.features, ready, replace(ports, coding=prepared.coding, featurizer=featurizer))
    name = name_of(folder)
    memory = memory_sizer(servers, ports.clock, memory_now, logging.getLogger("homeostat").info)
    featurizer.holds = memory.holds
    parts = SharedParts(prepared, servers, loop, featurizer, store, journal, ports.clock, name, folder, lock, memory)
    if servers.retention is not None:
        parts.upkeep = Upkeep(journal.retire)
    try:
        rejoin(featurizer, store, journal, progress=progress)
    except Unavailable as error:
        featurizer.behind, featurizer.trouble = True, str(error)
    return parts


def _watch_settings(parts: SharedParts, stores: Stores, models: Bundle | None, ready: Brain, base: str) -> None:
    """Put in force what the settings say, and go on watching them.

    base : see `Setups`
    """
    loop, prepared = parts.loop, parts.prepared
    journal = loop.recording.journal
    ports = Ports(journal, parts.clock, prepared.coding, featurizer=parts.featurizer)
    states = None if stores.learning is None else stores.learning.state
    fetch = stores.fetch(partial(fitting_bundle, prepared=prepared))
    setups = Setups(prepared, models, ready, ports, fetch, states, base)
    parts.stores = stores
    parts.watcher = Watcher(stores.settings, setups, loop, parts.clock, parts.name)
    parts.watcher.look()
    with suppress(Unavailable):  # The first batch tries again.
        loop.change()
    parts.watcher.start()


def _warm_up(prepared: Prepared) -> None:
    """Load the kernels that read shared logs, before the first event waits for the compiler."""
    store, entities = MemoryFeatures(), tuple(prepared.app.events.entities)
    lists = plans.membership(prepared.app, prepared.coding)
    two = [SharedFeaturizer(prepared.features, store, entities, lists=lists) for _ in range(2)]
    for rows in (1, 64):  # Each reads what the other has written.
        for featurizer in two:
            featurizer.features(made_up(rows, prepared.features))
    two[0].behind = True
    two[0].features(made_up(64, prepared.features))
