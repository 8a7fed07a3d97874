"""Puts an app, its bundle and the ports of one process together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.dead_letters import DeadLetterFile
from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, OPEN_FILE_MODE, OPEN_FOLDER_MODE, find_room
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.collector import freeze_objects
from homeostat.app import OnError, Ports, brain, build, feature_plan
from homeostat.config.definitions import feature_definitions
from homeostat.config.load import load_app
from homeostat.config.plans import category_literals, event_schema, vocabulary
from homeostat.config.tree import App
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.features import FeaturePlan
from homeostat.engine.engine import Engine
from homeostat.engine.folders import History, check_history, open_history
from homeostat.engine.measuring import measuring_of
from homeostat.engine.parts import Parts
from homeostat.engine.readiness import warm_up
from homeostat.engine.recovery import Recovery, plan, recover
from homeostat.engine.setups import Setups
from homeostat.engine.stores import stores_in
from homeostat.engine.watching import Watcher, name_of
from homeostat.models.bundle import Bundle, load_bundle
from homeostat.models.deployments import CHAMPION
from homeostat.records.changes import ChangeKind, Scope
from homeostat.records.identity import Coding
from homeostat.records.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Prepared:
    """An app file, checked and resolved.

    coding : how its texts become codes; by the app's seed, until `keyed` says otherwise
    """

    app: App
    features: FeaturePlan
    schema: EventSchema
    words: Vocabulary
    coding: Coding

    def keyed(self, coding: Coding) -> Prepared:
        """The same app whose texts are coded by the secret of a journal."""
        coding = coding.with_literals(self.coding.literals)
        return replace(self, coding=coding, schema=event_schema(self.app, coding))


def prepare(app: str | Path | App) -> Prepared:
    """Load and resolve an app: a shipped name, a path, or a tree that is loaded already."""
    tree = app if isinstance(app, App) else load_app(app)
    coding = Coding.of_seed(tree.seed, category_literals(tree))
    return Prepared(tree, feature_plan(tree), event_schema(tree, coding), vocabulary(tree), coding)


def shipped_bundle(app: App) -> Path | None:
    """Where the wheel carries this app's trained bundle, None if it has none."""
    folder = Path(str(files("homeostat.apps") / app.app / "bundle"))
    return folder if folder.is_dir() else None


def bundle_of(prepared: Prepared, path: Path | None) -> Bundle | None:
    """The bundle at `path`, or the shipped one if it fits; None where the app needs none."""
    chosen = path or shipped_bundle(prepared.app)
    return None if chosen is None else fitting_bundle(chosen, prepared)


def champion_in(data: Path, app: str | Path | App) -> Path | None:
    """The files of the version that decides on a data folder; None where none was promoted, or there is no folder.

    Raises AppFileError, UnknownVersion, SettingsError, Unavailable.
    """
    if not data.is_dir():
        return None
    with closing(stores_in(data, prepare(app).app.app, SystemClock())) as stores:
        return stores.champion_files()


def fitting_bundle(path: Path, prepared: Prepared) -> Bundle:
    """The bundle in a folder, which must have been trained on features that mean what those of the app do.

    Raises BundleError.
    """
    app = prepared.app
    return load_bundle(path, prepared.features.names, feature_definitions(app), app.features.redefined)


def open_engine(
    app: str | Path | App,
    *,
    bundle: Path | None = None,
    data: Path | None = None,
    audit: bool = True,
    on_error: OnError | None = None,
    recovering: Callable[[str, float], None] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    history: History = "continue",
    private: bool = True,
) -> Engine:
    """An engine that decides in this process.

    bundle : a trained bundle; the shipped one when absent
    data : the folder of its journal, snapshot, audit and dead letters; a restart on it continues where it ended.
        Without one everything is in memory, and gone with the process.
    tell : is given what the folder's owner should read: that a changed app has what it remembers made again, say
    history : see `open_history`
    private : files and folders that are created are their owner's alone; if not, the process's umask decides
    Raises AppFileError, BundleError, NotTrained, JournalError, LostHistory; Unavailable where the folder can't be used.
    """
    prepared, parted = prepare(app), None
    data = None if data is None else data.absolute()  # A plug-in may change the working folder.
    mode = FILE_MODE if private else OPEN_FILE_MODE

    secret, clock = prepared.coding.secret if data is None else None, SystemClock()

    def open_journal(path: Path | str) -> SqliteJournal:
        return SqliteJournal(
            path, app=prepared.app.app, words=prepared.words, secret=secret, mode=mode, clock=clock
        )  # fmt: skip

    with ExitStack() as opened:  # All that was opened is closed, the last first, whatever fails half-way.
        if data is None:
            journal = open_journal(":memory:")
        else:
            data.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE if private else OPEN_FOLDER_MODE)
            journal, parted = open_history(data, history, open_journal, tell)
        opened.callback(journal.close)
        prepared = prepared.keyed(journal.coding)
        ports = Ports(journal, clock, prepared.coding, bounded=True, on_error=on_error, served=journal.served)
        stores = stores_in(data, prepared.app.app, clock, mode)
        opened.callback(stores.close)
        load = partial(fitting_bundle, prepared=prepared)
        given = bundle_of(prepared, bundle)
        models = given or stores.champion(load)
        ready = brain(prepared.app, prepared.features, models)
        setups = Setups(prepared, models, ready, ports, stores.fetch(load), base=stores.base(given))
        warm_up(prepared.app, prepared.features, models, clock, ready)
        freeze_objects()
        brains = [ready]

        def make() -> DecisionLoop:
            """A loop that has seen nothing; of a brain of its own, since brains learn."""
            own = brains.pop() if brains else brain(prepared.app, prepared.features, models)
            return build(prepared.app, prepared.features, own, ports)

        snapshots = None if data is None else FileSnapshots(data, mode)
        loop = recover(make, journal, snapshots, recovering, tell, setups)
        opened.callback(loop.close)
        watcher = Watcher(stores.settings, setups, loop, clock, "" if data is None else name_of(data))
        opened.callback(watcher.close)
        watcher.look()
        loop.change()  # Changes made while nothing decided are in force from the first batch on.
        for note in [*watcher.notes(), *overruled(bundle, models, loop)]:
            tell(note)
        parts = Parts(prepared.app, loop, prepared.schema, prepared.words, journal, clock)

        def begin_again() -> None:
            loop.begin_again(recover(make, journal, parts.snapshots, tell=tell, setups=setups))

        parts.begin_again, parts.watcher = begin_again, watcher
        if data is not None:
            parts.room = partial(find_room, data)
            parts.snapshots, parts.kept = snapshots, journal
            parts.dead_letters = opened.enter_context(DeadLetterFile(data / "dead_letters.jsonl", mode))
            if audit:
                trail = opened.enter_context(AuditLog(data / "audit.jsonl", journal, checkpoint_every=1000, mode=mode))
                now_ns = clock.now_ns()
                if parted is not None:
                    trail.record("parted", parted.facts(), now_ns)
                trail.holds(journal.says(), now_ns)
                trail.follow(journal, now_ns)  # The decisions of a killed process that it had not audited yet.
                trail.started(loop.stages.version, now_ns)
                parts.audit, parts.stated = trail, opened.enter_context(closing(SqliteStatements(data))).head
            watcher.start()  # Where all is in memory, only this process can change anything: it starts it then.
        engine = Engine(parts)
        parts.measuring = measuring_of(engine, prepared.app, prepared.schema, clock, data)
        if parts.measuring is not None:
            opened.callback(parts.measuring.close)
        parts.opened = opened.pop_all()  # They are the engine's to close now.
        return engine


def overruled(bundle: Path | None, models: Bundle | None, loop: DecisionLoop) -> list[str]:
    """That another version decides than the one that was named, in a sentence."""
    deployed = next((c for c in loop.stages.in_force if c.where == Scope(ChangeKind.DEPLOY, CHAMPION)), None)
    if bundle is None or models is None or deployed is None or loop.stages.version.endswith(f"+{models.version}"):
        return []
    return [
        f"{bundle} holds version {models.version}, but change {deployed.number} by {deployed.actor} made another the "
        f"champion, which decides: {loop.stages.version}. To decide with the former, promote it or undo the change"
    ]


def preview(app: str | Path | App, bundle: Path | None, data: Path) -> Recovery:
    """The steps of a server that starts on a data folder; nothing is changed.

    Raises AppFileError, BundleError, NotTrained, JournalError, LostHistory, Unavailable.
    """
    prepared = prepare(app)
    check_history(data)
    path = data / "journal.db"
    if not path.is_file():
        return Recovery(0, 0, None, (), {}, ())
    with SqliteJournal(path, app=prepared.app.app, words=prepared.words, readonly=True) as journal:
        prepared = prepared.keyed(journal.coding)
        stores = stores_in(data, prepared.app.app, SystemClock())
        given = bundle_of(prepared, bundle)
        models = given or stores.champion(partial(fitting_bundle, prepared=prepared))
        base = stores.base(given)
        stores.close()
        ready = brain(prepared.app, prepared.features, models)
        ports = Ports(journal, SystemClock(), prepared.coding, bounded=False, served=journal.served)
        setups = Setups(prepared, models, ready, ports, base=base)
        loop = build(prepared.app, prepared.features, ready, ports)
        try:
            return plan(loop, journal, FileSnapshots(data), setups)
        finally:
            loop.close()
