"""An evaluation as a task of its own: recorded events and one or two bundles in, a report and a model card out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, replace_file
from homeostat.app import costs_of
from homeostat.config.tree import App
from homeostat.engine.assembly import Prepared, bundle_of, prepare
from homeostat.errors import HomeostatError
from homeostat.jobs.by_group import ByGroup
from homeostat.jobs.evaluation.card import model_card
from homeostat.jobs.evaluation.comparison import judgement, paired
from homeostat.jobs.evaluation.deciding import Decider, Run, scorers_of, truth_of
from homeostat.jobs.evaluation.faults import faults, unknown_code
from homeostat.jobs.evaluation.figures import Scene, calibration, cost, measures, quality
from homeostat.jobs.evaluation.latency import latency
from homeostat.jobs.evaluation.page import report_page
from homeostat.jobs.evaluation.robustness import robustness
from homeostat.jobs.evaluation.segments import slices
from homeostat.jobs.evaluation.window import Window, window_of
from homeostat.jobs.report import Known
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import Progress
from homeostat.records.times import time_text
from homeostat.stats.resampling import RESAMPLES, Sampled

FILES = ("report.json", "report.html", "model-card.md")
ROBUST_ROWS = 100_000
_ABOUT = ("trained_at_ns", "from_ns", "until_ns", "rows", "positives", "seed", "libraries")


class NotAnEvaluation(HomeostatError):
    """The folder of --out holds other files than those of an evaluation, which would replace some of them."""

    why = "an evaluation replaces only an older evaluation"
    remedy = "Give another --out, or empty that folder"


@dataclass(frozen=True, slots=True)
class Request:
    """An evaluation: its events, versions and options.

    bundle, against : folders of bundles; the shipped one when `bundle` is absent
    outcomes : a file that says when each outcome became known; the events' own labels otherwise
    alpha, margin : of the judgement
    robust_rows : events that are decided again under each fault; 0 leaves the faults out
    """

    events: Path
    out: Path
    from_ns: int
    until_ns: int
    bundle: Path | None = None
    against: Path | None = None
    outcomes: Path | None = None
    alpha: float = 0.05
    margin: float = 0.0
    robust_rows: int = ROBUST_ROWS


def evaluate(app: str | Path | App, request: Request, progress: Progress) -> dict[str, Any]:
    """Evaluate, and return the report, which is also in `out`/report.json, report.html and model-card.md.

    Raises AppFileError, EventFileError, BundleError, NoScorers, NotTrained, NothingToEvaluate, NotAnEvaluation;
    Unavailable where the disk fails.
    """
    prepared = prepare(app)
    out = request.out.absolute()  # A plug-in may change the working folder.
    check_folder(out)
    bundles = [bundle_of(prepared, request.bundle)]
    bundles += [] if request.against is None else [bundle_of(prepared, request.against)]
    ready = [scorers_of(prepared, bundle) for bundle in bundles]  # A version that can't decide is found early.
    out.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    span = 0.15

    def part(what: str, begins: float, ends: float) -> Progress:
        return lambda said, share: progress(f"{what}: {said}" if what else said, begins + (ends - begins) * share)

    window = window_of(
        prepared, request.events, request.outcomes, request.from_ns, request.until_ns, part("", 0.0, span)
    )
    each = (0.97 - span) / len(bundles)
    names = ("version", "against")
    deciders = [Decider(prepared, bundle, window, scorers) for bundle, scorers in zip(bundles, ready, strict=True)]
    scene = Scene.of(truth_of(prepared, window), prepared.app.seed)
    few = _few(scene, request.robust_rows, prepared.app)
    found = [
        _Version.of(decider, scene, few, part(name, span + at * each, span + (at + 1) * each))
        for at, (name, decider) in enumerate(zip(names, deciders, strict=False))
    ]
    report = _report(prepared, request, window, found)
    progress("writes the report", 0.98)
    _write(out, report)
    return report


def check_folder(out: Path) -> None:
    """Raises NotAnEvaluation where a folder holds other files than an older evaluation's."""
    if out.exists() and not out.is_dir():
        raise NotAnEvaluation(f"{out} is a file, and an evaluation writes a folder")
    if out.is_dir() and (others := sorted(path.name for path in out.iterdir() if path.name not in FILES)):
        raise NotAnEvaluation(f"{out} holds {others[0]!r}, which is no part of an evaluation")
    if out.is_dir() and (out / FILES[0]).exists() and not (out / FILES[2]).exists():
        raise NotAnEvaluation(f"{out} holds a report without {FILES[2]}, so an evaluation did not write it")


def _write(out: Path, report: dict[str, Any]) -> None:
    """Each file is there whole, or as it was before."""
    replace_file(out / FILES[2], [model_card(report).encode()], mode=FILE_MODE)
    replace_file(out / FILES[1], [report_page(report).encode()], mode=FILE_MODE)
    text = json.dumps(report, indent=2, allow_nan=False)
    replace_file(out / FILES[0], [text.encode(), b"\n"], mode=FILE_MODE)


@dataclass(frozen=True, slots=True)
class _Version:
    """One version's decisions and figures."""

    run: Run
    scene: Scene
    found: dict[str, Sampled]
    sections: dict[str, Any]

    @classmethod
    def of(cls, decider: Decider, scene: Scene, few: Scene | None, progress: Progress) -> _Version:
        """Decide and judge all events of a scene, and `few` under faults."""
        prepared = decider.prepared
        app = prepared.app
        groups = None if app.fairness is None else ByGroup(app, app.fairness)
        run = decider.run(
            features=True, seen=None if groups is None else groups.add,
            progress=lambda share: progress("decides the events", 0.2 * share),
        )  # fmt: skip
        progress("draws the intervals", 0.2)
        found = measures(run, scene)
        sections: dict[str, Any] = {
            "quality": quality(run, scene, app.actions, found),
            "calibration": calibration(run, scene, found),
            "slices": slices(run, scene, app, prepared.features.names, prepared.features.categories),
        }
        progress("decides under faults", 0.35)
        sections["robustness"] = _robustness(decider, run, few, lambda share, said: progress(said, 0.35 + 0.6 * share))
        sections["fairness"] = _fairness(groups, scene, run)
        sections["cost"] = cost(run, scene, found, app.currency)
        run.features = None  # Large, and read by nobody from here on.
        progress("times decisions", 0.96)
        sections["latency_us"] = latency(decider)
        return cls(run, scene, found, {**_about(decider.bundle, run), **sections})


def _few(scene: Scene, most: int, app: App) -> Scene | None:
    """The first so many events of a scene, whose outcomes are the oldest; None for none."""
    if most == 0:
        return None
    return scene if most >= len(scene.truth) else Scene.of(scene.truth.first(most), app.seed)


def _robustness(
    decider: Decider, run: Run, few: Scene | None, progress: Callable[[float, str], None]
) -> dict[str, Any] | None:
    if few is None:
        return None
    rows, prepared = len(few.truth), decider.prepared
    base = run.first(rows)
    all_faults = faults(prepared.app, prepared.features.names, few.truth, base, unknown_code(few.truth))
    return robustness(decider, list(all_faults), few, base, rows, progress)


def _fairness(groups: ByGroup | None, scene: Scene, run: Run) -> dict[str, Any]:
    if groups is None:
        return {"verdict": None, "why": "the app declares no groups", "figures": [], "bounds": []}
    spent = {"decided": scene.cost(run.action)} if scene.priced else {"decided": np.full(len(scene.known), np.nan)}
    known = Known(scene.truth.found, scene.known, scene.label, spent)
    return {**groups.figures(known, scene.priced), "why": None}


def _about(bundle: Bundle | None, run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {"version": run.version, "bundle": None}
    if bundle is not None:
        about = {name: bundle.about[name] for name in _ABOUT if name in bundle.about}
        for name in [name for name in about if name.endswith("_ns")]:
            about[name.removesuffix("_ns").removesuffix("_at")] = time_text(int(about.pop(name)))
        parts = {name: part.kind for name, part in bundle.parts.items()}
        facts["bundle"] = {"version": bundle.version, "features": len(bundle.features), "parts": parts, **about}
    return facts


def _report(prepared: Prepared, request: Request, window: Window, found: list[_Version]) -> dict[str, Any]:
    app, first = prepared.app, found[0]
    report = {
        "app": app.app,
        "description": app.description,
        "actions": list(app.actions),
        "from": time_text(request.from_ns),
        "until": time_text(request.until_ns),
        "events": window.read,
        "repeated": window.repeated,
        "dead_letters": window.dead_letters,
        "unit": next(iter(app.events.entities), "event"),
        "resamples": RESAMPLES,
        "level": 0.95,
        "warnings": list(window.warnings),
        **first.sections,
        "against": None,
        "paired": None,
        "judgement": None,
    }
    if len(found) > 1:
        other = found[1]
        report["against"] = other.sections
        report["paired"] = paired(first.found, other.found)
        report["judgement"] = judgement(first.run, other.run, first.scene, request.alpha, request.margin)
    return report


def priced(app: App) -> bool:
    """Whether an app declares costs, so that versions can be judged."""
    return costs_of(app) is not None
