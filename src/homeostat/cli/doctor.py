"""`homeostat doctor`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.options import Bundle, Json
from homeostat.engine.shared.health import Diagnosis, examine, is_broken, newest_event, of_settings
from homeostat.errors import install

if TYPE_CHECKING:
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal
    from homeostat.config.tree import App

_BASE = (
    "cyclopts", "fastapi", "httptools", "msgspec", "numba", "numpy", "onnxruntime", "opentelemetry-proto",
    "prometheus-client", "protobuf", "pyarrow",
    "pydantic", "pyyaml", "rich", "uvicorn",
)  # fmt: skip
_TRAIN = ("gymnasium", "onnx", "scikit-learn", "stable-baselines3", "torch", "xgboost-cpu")
_PYTHON_MIN = (3, 11)
_FREE_BYTES_MIN = 1 << 30
_BUILT_S = 1_767_225_600  # 2026-01-01: a clock before this is wrong.
_LATEST_S = 4_102_444_800  # 2100-01-01: so is one after this.


def doctor(
    app: str | None = None,
    /,
    *,
    bundle: Bundle = None,
    data: Annotated[Path | None, Parameter(help="The --data folder of a server.")] = None,
    config: Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")] = None,
    json: Json = False,
) -> None:
    """Check this machine, an app if one is given, and its servers; say how to mend what is wrong.

    Servers that don't answer are given up after some seconds. Nothing is changed. Exits 1 if something is broken.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    """
    checks: list[Callable[[], Iterator[Diagnosis]]] = [
        _python, _packages, _compiler_cache, _clock, lambda: _disk(data or Path()),
    ]  # fmt: skip
    if app is not None:
        checks.append(lambda: _app(app, bundle, data))
    if data is not None:
        checks.append(lambda: _data(data, app, bundle))
    checks.append(lambda: _servers(app, config))
    diagnoses = [diagnosis for check in checks for diagnosis in check()]
    broken = is_broken(diagnoses)
    if json:
        print(dumps({"ok": not broken, "findings": [asdict(diagnosis) for diagnosis in diagnoses]}))
    else:
        for diagnosis in diagnoses:
            print(f"{diagnosis.health:>8}  {diagnosis.what}: {diagnosis.seen}")
            if diagnosis.mend:
                print(f"{'':>8}  -> {diagnosis.mend}")
    sys.exit(1 if broken else 0)


def _python() -> Iterator[Diagnosis]:
    seen = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= _PYTHON_MIN:
        yield Diagnosis("python", "ok", seen)
    else:
        yield Diagnosis("python", "broken", seen, f"Install Python {'.'.join(map(str, _PYTHON_MIN))} or later.")


def _packages() -> Iterator[Diagnosis]:
    found = {name: _version(name) for name in (*_BASE, *_TRAIN)}
    missing = [name for name in _BASE if found[name] is None]
    seen = ", ".join(f"{name} {found[name]}" for name in _BASE if found[name] is not None)
    if missing:
        yield Diagnosis(
            "packages",
            "broken",
            f"missing: {', '.join(missing)}",
            "pip install homeostat (from a checkout: pip install .)",
        )
    else:
        yield Diagnosis("packages", "ok", seen)
    missing = [name for name in _TRAIN if found[name] is None]
    if missing:
        seen = f"missing: {', '.join(missing)}"
        yield Diagnosis("training", "warning", seen, f"{install('train')}, if models are to be trained here.")
    else:
        yield Diagnosis("training", "ok", ", ".join(f"{name} {found[name]}" for name in _TRAIN))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _compiler_cache() -> Iterator[Diagnosis]:
    """Where compiled kernels are kept; without it each start compiles them again, for most of a minute."""
    import homeostat

    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(homeostat.__file__).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        mend = "Set NUMBA_CACHE_DIR to a folder that can be written to; each start compiles again without one."
        yield Diagnosis("compiler cache", "warning", f"{folder} can't be written: {error.strerror}", mend)
    else:
        yield Diagnosis("compiler cache", "ok", str(folder))


def _clock() -> Iterator[Diagnosis]:
    now = time.time()
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if _BUILT_S <= now < _LATEST_S:
        yield Diagnosis("clock", "ok", seen)
    else:
        yield Diagnosis("clock", "broken", seen, "Set the clock: events would seem to come from the future.")


def _disk(folder: Path) -> Iterator[Diagnosis]:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    seen = f"{free / 1e9:,.1f} GB free at {there}"
    if free >= _FREE_BYTES_MIN:
        yield Diagnosis("disk", "ok", seen)
    else:
        yield Diagnosis("disk", "warning", seen, "Free some space: a journal takes about 200 bytes a decision.")


def _app(app: str, bundle: Path | None, data: Path | None) -> Iterator[Diagnosis]:
    from homeostat.cli.failures import expected
    from homeostat.engine.assembly import prepare

    try:
        prepared = prepare(app)
    except expected() as error:
        if Path(app).suffix in {".yaml", ".yml"} and not Path(app).exists():
            mend = "Check the name, or write an app file with `homeostat init`."
            yield Diagnosis("app file", "broken", f"{app}: no such file", mend)
            return
        mend = "Mend what is listed; `homeostat schema` helps an editor do it."
        yield Diagnosis("app file", "broken", str(error), mend)
        return
    tree = prepared.app
    counts = {"features": prepared.features.names, "scorers": tree.scorers, "actions": tree.actions}
    seen = f"{tree.app}: {', '.join(f'{len(those)} {what}' for what, those in counts.items())}"
    yield Diagnosis("app file", "ok", seen)
    yield from _metrics(tree)
    yield from _brain(app, bundle, data)


def _metrics(tree: App) -> Iterator[Diagnosis]:
    """The lines of metrics that the app takes, and what may be meant otherwise."""
    from homeostat.config.metric_faults import unwise
    from homeostat.config.scalars import duration_text

    if tree.metrics is None:
        return
    measurements = sorted({source.measurement for source in tree.metrics.fields.values()})
    seen = f"{len(tree.metrics.fields)} of {', '.join(measurements)}, a step every {duration_text(tree.metrics.step)}"
    warnings = unwise(tree)
    if warnings:
        yield Diagnosis("metrics", "warning", "; ".join(warnings), "Correct the section metrics of the app file.")
    else:
        yield Diagnosis("metrics", "ok", f"{seen}; agents write to /write with --data: see docs/metrics.md")


def _brain(app: str, bundle: Path | None, data: Path | None) -> Iterator[Diagnosis]:
    """Whether the app's parts are there, fit, and decide: those of a data folder's champion where there is one."""
    from homeostat.adapters.process.compiling import said
    from homeostat.app import feature_plan
    from homeostat.cli.failures import expected
    from homeostat.cli.progress import say
    from homeostat.engine.assembly import bundle_of, champion_in, open_engine, prepare
    from homeostat.engine.readiness import try_learning
    from homeostat.records.parts import PartError

    begun = time.perf_counter()
    unfit: tuple[type[Exception], ...] = (*expected(), PartError)
    try:
        bundle = bundle or (None if data is None else champion_in(data, app))
        with said(say), open_engine(app, bundle=bundle) as engine:
            loop, plan = engine.parts.loop, feature_plan(engine.app)
            version_, out, failing = loop.stages.version, loop.stages.panel.out(), try_learning(loop, engine.app, plan)
        models = bundle_of(prepare(app), bundle)
    except unfit as error:
        yield _without_models(app, bundle, error)
    else:
        yield Diagnosis("models", "ok", f"{version_}, ready in {time.perf_counter() - begun:.1f} s")
        for name, why in out.items():
            mend = "Decisions go on without it: mend the plug-in, or give it more time by `start` or `deadline`."
            yield Diagnosis(f"scorer {name}", "broken", why, mend)
        for name, why in failing.items():
            yield Diagnosis(
                f"learning of the {name}", "broken", why, "Mend its settings, or switch it off by `learning`."
            )
        if models is not None and not models.definitions:
            seen = "the bundle is of an older version and does not say what its features meant"
            mend = "Train it again, so that a feature whose definition changes is found."
            yield Diagnosis("features", "warning", seen, mend)


def _without_models(app: str, bundle: Path | None, error: Exception) -> Diagnosis:
    """The models are missing or unfit: with a remedy that starts from a bundle at hand, where there is one."""
    from homeostat.app.brains import NotTrained
    from homeostat.cli.bundles_near import bundle_near
    from homeostat.engine.assembly import prepare

    near = bundle_near(prepare(app), app) if bundle is None and isinstance(error, NotTrained) else None
    if near is None:
        train = f"homeostat train {app} EVENTS --until TIME --out B"
        mend = f"Train one: `{train}`; then name it: `homeostat doctor {app} --bundle B`."
        return Diagnosis("models", "broken", str(error), mend)
    seen = f"no bundle is named, and the app needs one; {near} was trained for it and fits"
    mend = f"Name it: `homeostat doctor {app} --bundle {near}`; serve, replay and drill take it, too."
    return Diagnosis("models", "warning", seen, mend)


def _data(folder: Path, app: str | None, bundle: Path | None) -> Iterator[Diagnosis]:
    from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal
    from homeostat.adapters.disk.sqlite.settings import SqliteSettings
    from homeostat.adapters.disk.sqlite.shadow import ShadowFile
    from homeostat.adapters.disk.sqlite.statements import SqliteStatements
    from homeostat.adapters.journals.entries import JournalError
    from homeostat.adapters.process.environment import servers_of
    from homeostat.engine.folders import check_history, disagreements
    from homeostat.engine.shared.maintenance_health import of_maintenance
    from homeostat.engine.shared.shadow_health import of_shadow
    from homeostat.engine.shared.size_health import of_sizes
    from homeostat.ports import Unavailable
    from homeostat.ports.incidents import IncidentsError
    from homeostat.ports.settings import SettingsError

    path = folder / "journal.db"
    try:
        yield from _privacy(folder)
        check_history(folder)
        if not path.is_file():
            yield Diagnosis("data", "ok", f"{folder} has no journal yet: a server would begin one")
            return
        with SqliteJournal(path, readonly=True) as journal:
            yield Diagnosis("journal", "ok", f"{len(journal):,} decisions of {journal.app} in {journal.last:,} entries")
            newest_ns = journal.newest_ns()
            if newest_ns is not None:
                yield newest_event(newest_ns - time.time_ns(), _skew_ns(app))
            apart = disagreements(folder, journal)
            yield from _fairness(journal, app)
        with closing(SqliteSettings(folder)) as settings:
            yield from of_settings(settings, time.time_ns())
            with ShadowFile(folder, readonly=True) as store:
                yield from of_shadow(settings, store, time.time_ns())
            if (folder / "statements.db").is_file() and app is not None:
                with closing(SqliteStatements(folder)) as statements:
                    yield from of_sizes(servers_of(None, app), settings, statements, time.time_ns())
        with closing(SqliteIncidents(folder)) as incidents:
            yield from of_maintenance(incidents, time.time_ns())
        if app is not None:
            yield from _predictions(app, folder)
            yield from _recovery(app, bundle, folder)
        if apart:
            yield Diagnosis("audit", "broken", apart[0])
        elif (folder / "audit.jsonl").is_file():
            yield _audit(folder / "audit.jsonl")
    except IncidentsError as error:
        yield Diagnosis("incidents", "broken", str(error), f"{error.remedy}.")
    except SettingsError as error:
        yield Diagnosis("settings", "broken", str(error), "Restore settings.db from a copy.")
    except (JournalError, Unavailable) as error:
        yield Diagnosis("journal", "broken", str(error), "Restore the folder from a copy, or begin another --data.")


def _predictions(app: str, folder: Path) -> Iterator[Diagnosis]:
    """How the targets of predictions are; nothing for an app without any. Raises Unavailable."""
    from homeostat.config.load import load_app

    targets = load_app(app).predictions
    if targets:
        from homeostat.adapters.disk.prediction_progress import load_progress
        from homeostat.engine.predicting import of_predictions

        yield from of_predictions(list(targets), load_progress(folder), time.time_ns())


def _fairness(journal: SqliteJournal, app: str | None) -> Iterator[Diagnosis]:
    """Whether the last decisions keep to the bounds of fairness; nothing for an app without any."""
    from homeostat.config.load import load_app

    tree = None if app is None else load_app(app)
    if tree is None or tree.fairness is None or not tree.fairness.bounds:
        return
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.fair_evidence import ALL_HOURS, evidence_of, recorded_fairness
    from homeostat.jobs.preview import last_decisions

    found = evidence_of(recorded_fairness(prepare(tree).keyed(journal.coding), *last_decisions(journal, ALL_HOURS)))
    seen = f"{found.verdict.value}: {found.why}"
    if found.verdict.value == "FAIL":
        mend = "Look at homeostat report fairness, and train a version that keeps to the bounds."
        yield Diagnosis("fairness", "warning", seen, mend)
    else:
        yield Diagnosis("fairness", "ok", seen)


def _privacy(folder: Path) -> Iterator[Diagnosis]:
    """Whether the folder's files are its owner's alone."""
    if not folder.is_dir():
        return
    paths = [folder, *(path for path in sorted(folder.iterdir()) if not path.is_symlink())]
    open_ = [path.name if path != folder else str(folder) for path in paths if path.stat().st_mode & 0o077]
    if open_:
        seen = f"others on this machine may look at {', '.join(open_[:6])}" + " and more" * (len(open_) > 6)
        yield Diagnosis("privacy", "warning", seen, f"Events and keys are in there: chmod -R go= {folder}")


def _recovery(app: str, bundle: Path | None, folder: Path) -> Iterator[Diagnosis]:
    """The state that a start would take over, and the state that it would make again."""
    from homeostat.cli.failures import expected
    from homeostat.engine.assembly import preview

    try:
        planned = preview(app, bundle, folder)
    except expected() as error:
        yield Diagnosis("recovery", "broken", str(error))
        return
    changed = bool(planned.renamed or planned.rebuilt or planned.passed_over)
    mend = "The start takes longer; nothing needs to be done." if changed else ""
    yield Diagnosis("recovery", "warning" if changed else "ok", "; ".join(planned.sentences()), mend)


def _skew_ns(app: str | None) -> int:
    """How much clocks differ for this app, by default where it is not named or can't be read."""
    from homeostat.cli.failures import expected
    from homeostat.config.load import load_app
    from homeostat.decide.intake.schema import SKEW_NS

    with suppress(*expected()):  # Its faults are a diagnosis of their own.
        return SKEW_NS if app is None else load_app(app).events.skew
    return SKEW_NS


def _audit(trail: Path) -> Diagnosis:
    """The verdict of `homeostat audit verify`."""
    from homeostat.adapters.disk.audit.verification import verify
    from homeostat.adapters.disk.sqlite.auditing import tables_beside

    found = verify(trail, tables_beside(trail))
    if found.ok:
        return Diagnosis("audit", "ok", f"whole, {found.entries:,} entries")
    if found.unaudited and found.fault_count == 1:
        return Diagnosis("audit", "warning", found.why, "A server that starts adds what a killed one left out.")
    mend = "Something changed the trail or the journal: compare them with a copy that is kept elsewhere."
    return Diagnosis("audit", "broken", found.why, mend)


def _servers(app: str | None, config: Path | None) -> Iterator[Diagnosis]:
    """The servers that the app's file, another file and the environment name."""
    from homeostat.adapters.process.environment import servers_of
    from homeostat.cli.failures import expected

    prepared = None
    if app is not None or config is not None:
        from homeostat.engine.assembly import prepare

        with suppress(*expected()):  # A fault of the app's file is a diagnosis of its own.
            prepared = prepare(app or str(config))
    try:
        servers = servers_of(config, app if prepared is not None else None)
    except expected() as error:
        yield Diagnosis("servers", "broken", str(error), "Mend what is listed: see docs/app-file.md, `servers`.")
        return
    named = [name for name in ("events", "outcomes", "decisions", "dead_letters", "features", "journal")
             if getattr(servers, name) is not None]  # fmt: skip
    if named:
        yield Diagnosis("servers", "ok", f"names {', '.join(named)}")
        yield from examine(servers, prepared)
    elif config is not None:
        yield Diagnosis(
            "servers", "warning", f"{config} names no servers", "Say which: see docs/app-file.md, `servers`."
        )
