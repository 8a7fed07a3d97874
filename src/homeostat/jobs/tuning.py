"""Tuning as a task of its own: an app and its recorded events in, the bundle of the best settings out.

The features are computed once. A trial trains on folds over time, each with the outcomes that were known at its moment,
and is judged on the events that follow. The best trial's settings are trained once more, on everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from homeostat.adapters.optuna.storage import unless_refused
from homeostat.adapters.optuna.study import Running, Study
from homeostat.adapters.process.clock import SystemClock, thread_seconds
from homeostat.adapters.process.pause import pause
from homeostat.app import fingerprint, ready_scorers, require_scorers
from homeostat.config.tree import App
from homeostat.config.tune import Tune
from homeostat.decide.scorers.build import serve_part
from homeostat.engine.assembly import Prepared, prepare
from homeostat.jobs.bundling import meaning_of
from homeostat.jobs.censored import read_censored
from homeostat.jobs.history import History as Repeats
from homeostat.jobs.registering import source_of
from homeostat.jobs.training import FOLDS, Collector, teaches, train, trained_tasks, warnings_of
from homeostat.jobs.training_run import TrainingRequest, gather, past_outcomes
from homeostat.jobs.tuning_history import HistoryCollector, Material
from homeostat.jobs.tuning_space import (
    CUT,
    WINDOW,
    applied,
    differences,
    first_cut,
    in_bundle,
    space_of,
    window_start,
    windows_of,
)
from homeostat.models.bundle import BundleError, save_bundle
from homeostat.models.maturity import Maturity
from homeostat.models.training_set import NothingToLearn, Progress
from homeostat.models.tuning.bench import Bench, Outcome
from homeostat.models.tuning.folds import WEEK_NS, Span, spans
from homeostat.models.tuning.measures import HIGHER, measure
from homeostat.models.tuning.space import Dimension, Value, grid_size
from homeostat.models.tuning.trials import State, Tried, best_of
from homeostat.records.times import time_text

_GATHERING, _TRYING = 0.2, 0.7  # Shares of the progress bar.
_LOOK_S = 0.5  # Between looks at trials that run elsewhere.
_NOT_JUDGING = {"trials", "seconds", "sampler", "every", "when", "load_max", "load_patience"}
Judge = Callable[[Mapping[str, Value], int], Outcome]
"""How a point of the space does on a fold, by the fold's number."""


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """A tuning run; what is None follows from the app file.

    training : the events, and what would be trained without tuning: `from_ns` is the hand-made training window
    storage : where the study is kept; see `adapters.optuna.storage`
    study : its name; made of everything that its results depend on when None, so that the same command goes on with it
    carried : whether only that is tried which a bundle holds. The fusion's kind, its weights and cut-offs stand in the
        app file.
    """

    training: TrainingRequest
    storage: str
    trials: int | None = None
    seconds: float | None = None
    sampler: str | None = None
    seed: int | None = None
    study: str | None = None
    carried: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a tuning: what is written, and what is drawn."""

    report: dict[str, Any]
    trials: list[Tried]
    space: list[Dimension]
    settings: dict[str, Any]


@dataclass(slots=True)
class _Setting:
    """All that the trials of one run share."""

    prepared: Prepared
    tune: Tune
    material: Material
    folds: list[Span]
    space: list[Dimension]
    windows: Mapping[str, float]
    maturity: Maturity
    until_ns: int
    seed: int
    bench: Bench

    def judged(self, values: Mapping[str, Value], number: int) -> Outcome:
        """How a point does on a fold."""
        app = applied(self.prepared.app, values, self.space)
        tasks, fusion = trained_tasks(app, tuple(self.bench.ready))
        span = self.folds[number]
        window = str(values.get(WINDOW, next(iter(self.windows))))
        learn = self.material.history.teaching(self.starts(window, span.start_ns), span.start_ns, self.maturity)
        judge = self.material.history.judging(span, self.until_ns, self.maturity)
        cut = float(values[CUT]) if CUT in values else first_cut(app) if self.tune.metric == "f1" else 0.5
        return self.bench.judged(self.material.fold(f"{number} {window}", learn, judge), tasks, fusion, cut)

    def starts(self, window: str, moment_ns: int) -> int | None:
        """Where a training window begins at a moment."""
        first_ns = int(self.material.history.time_ns.min())
        return window_start(self.windows[window], first_ns, moment_ns - self.maturity.age_ns)


def tune_on_events(
    app: str | Path | App, request: TuningRequest, progress: Progress, say: Callable[[str], None]
) -> Found:
    """Search, train the best, and write its bundle.

    say : gets a sentence about each trial
    Raises AppFileError, EventFileError, BundleError, MissingExtra, NothingToLearn, NoneFits, Conflict, Unavailable.
    """
    began_ns = SystemClock.monotonic_ns()
    prepared = prepare(app)
    require_scorers(prepared.app)
    out = request.training.out
    if out.exists() and not (out / "manifest.json").is_file():
        raise BundleError(f"{out} exists and is not a bundle; give another path or remove it")
    tune, training = prepared.app.tune or Tune(), request.training
    maturity = teaches(prepared.app, apart=training.outcomes is not None)
    windows = windows_of(prepared.app, training.from_ns, training.until_ns - maturity.age_ns)
    space = [one for one in space_of(prepared.app, windows) if not request.carried or in_bundle(one.name)]
    seed = prepared.app.seed if request.seed is None else request.seed
    with ExitStack() as opened:
        with unless_refused(request.storage):  # Before the first trial, a study is worth nothing.
            study = _study(prepared.app, request, tune, space, seed)
            opened.callback(study.close)
            material, notes = _material(prepared, training, maturity, tune, windows, progress)
            setting = _setting(prepared, tune, material, space, windows, maturity, training, seed)
        notes += _too_few(tune, setting.folds)
        seconds = request.seconds or tune.seconds
        until_ns = None if seconds is None else began_ns + int(seconds * 1e9)
        search(study, setting.judged, tune, len(setting.folds), until_ns, progress, say)
        trials, importances, lost = study.trials(), study.importances(), study.lost()
    best = best_of(trials, tune.metric in HIGHER)
    return _finished(setting, request, study.name, trials, best, importances, lost, notes, progress)


def search(
    study: Study, judge: Judge, tune: Tune, folds: int, until_ns: int | None, progress: Progress,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Run trials until the budget or the time is used up, and wait for those that run elsewhere.

    until_ns : on the monotonic clock; the settings of the app file come to their end all the same
    """
    clock, higher = SystemClock(), tune.metric in HIGHER

    def late() -> bool:
        return until_ns is not None and clock.monotonic_ns() > until_ns

    while True:
        done = [trial for trial in study.trials() if trial.state is not State.RUNNING]
        values = [trial.value for trial in done if trial.state is State.COMPLETE and trial.feasible and trial.value]
        best = f", best {max(values) if higher else min(values):.4f}" if values else ""
        progress(f"trial {len(done) + 1} of {study.budget}{best}", _GATHERING + _TRYING * len(done) / study.budget)
        if late() and any(trial.slot == 0 for trial in done):
            return
        running = study.take()
        if running is not None:
            with study.alive(running):
                say(_run(study, running, judge, tune, folds, late))
        elif any(trial.state is State.RUNNING for trial in study.trials()):
            pause(_LOOK_S)
        else:
            return


def _run(study: Study, running: Running, judge: Judge, tune: Tune, folds: int, late: Callable[[], bool]) -> str:
    """Run one trial, and store what came of it. Returns a sentence."""
    name = f"trial {running.number}"
    found: list[Outcome] = []
    for number in range(folds):
        try:
            found.append(judge(running.values, number))
            value = _mean(tune.metric, found)
        except Exception as error:
            # Libraries raise what they like; settings that can't be trained are a result, and the others are tried.
            study.fail(running, str(error) or type(error).__name__)
            return f"{name} failed: {error}"
        if number + 1 < folds and running.report(value, number):
            running.note(_facts(tune, found))
            study.prune(running)
            return f"{name} ended after fold {number + 1} of {folds}: {tune.metric} {value:.4f}"
        if number + 1 < folds and running.slot and late():
            study.give_back(running)
            return f"{name} was broken off: the time is over"
    running.note(_facts(tune, found))
    if not study.complete(running, value):
        return f"{name} came too late: another one has its place"
    return f"{name}: {tune.metric} {value:.4f}"


def _mean(metric: str, found: Sequence[Outcome]) -> float:
    return float(sum(measure(metric, one.seen) for one in found) / len(found))


def _facts(tune: Tune, found: Sequence[Outcome]) -> dict[str, Any]:
    """The facts that are kept beside a trial's value, and how far it breaks each constraint."""
    n, limits = len(found), tune.constraints
    took = {
        "latency_us": sum(one.latency_us for one in found) / n, "size": max(one.size for one in found),
        "training_s": sum(one.training_s for one in found) / n,
    }  # fmt: skip
    bounds = {"latency_us": limits.latency_us_max, "size": limits.size_max, "training_s": limits.training_s_max}
    excess = [took[name] / bound - 1.0 for name, bound in bounds.items() if bound is not None]
    broken = [f"{name} {took[name]:.6g}, at most {bound:g}" for name, bound in bounds.items()
              if bound is not None and took[name] > bound]  # fmt: skip
    for floor in limits.floors:
        value = _mean(floor.metric, found)
        short = floor.value - value if floor.metric in HIGHER else value - floor.value
        excess.append(short)
        if short > 0:
            broken.append(f"{floor.metric} {value:.6g}, bound {floor.value:g}")
    folds = [measure(tune.metric, one.seen) for one in found]
    return {"excess": excess, "broken": "; ".join(broken), "folds": folds, **took}


def _study(app: App, request: TuningRequest, tune: Tune, space: Sequence[Dimension], seed: int) -> Study:
    training = request.training
    sources = [
        None if path is None else source_of(path) for path in (training.events, training.outcomes, training.decisions)
    ]
    sampler = request.sampler or tune.sampler
    judged = tune.model_dump(mode="json", exclude=_NOT_JUDGING)
    dimensions = [[one.name, one.hand, one.low, one.high, one.log, list(one.choices or ())] for one in space]
    asked = [
        fingerprint(app), sources, training.from_ns, training.until_ns, judged, sampler, seed, dimensions,
    ]  # fmt: skip
    question = sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    budget = request.trials or tune.trials
    if sampler == "grid" or all(one.choices is not None for one in space):
        budget = min(budget, grid_size(space))
    facts = {"app": app.app, "metric": tune.metric, "sampler": sampler, "seed": seed}
    return Study(
        request.storage, request.study or f"{app.app}-{question[:12]}", question, space, sampler=sampler, seed=seed,
        higher=tune.metric in HIGHER, prune=tune.prune, budget=budget, facts=facts,
    )  # fmt: skip


def _material(
    prepared: Prepared, training: TrainingRequest, maturity: Maturity, tune: Tune, windows: Mapping[str, float],
    progress: Progress,
) -> tuple[Material, list[str]]:  # fmt: skip
    """The history that any trial may ask for, and what is odd about it."""
    lengths = list(windows.values())
    since_ns = None
    if min(lengths) > 1.0:  # None of them reaches back to the first event.
        age_ns = maturity.age_ns
        since_ns = training.until_ns - 2 * age_ns - tune.folds * (tune.fold or WEEK_NS) - round(max(lengths))
    now_ns = SystemClock.now_ns()
    past, bad = past_outcomes(prepared, training, now_ns)
    notes = past.undated(now_ns, "after the moment of learning") if past and training.until_ns <= now_ns else []
    censored = None if training.decisions is None else read_censored(training.decisions, prepared.app, prepared.coding)
    collector, repeats = HistoryCollector.of(prepared, since_ns, past), Repeats()

    def gathering(what: str, share: float) -> None:
        progress(what, share * _GATHERING / 0.3)  # `gather` takes the first 0.3 of a training.

    _, buried = gather(prepared, training, past, censored, collector, repeats, gathering, None)
    notes += repeats.warnings() + (past.warnings() if past else [])
    if buried + bad:
        notes.append(f"{buried + bad:,} events or outcomes could not be read")
    return Material(collector.history(), prepared.features.categories, collector.texts), notes


def _setting(
    prepared: Prepared, tune: Tune, material: Material, space: list[Dimension], windows: Mapping[str, float],
    maturity: Maturity, training: TrainingRequest, seed: int,
) -> _Setting:  # fmt: skip
    """Raises NothingToLearn where no fold has outcomes of both kinds to learn from and to be judged on."""
    app, history = prepared.app, material.history
    first_ns = int(history.time_ns.min())
    cut = spans(first_ns, training.until_ns, maturity.age_ns, tune.folds, tune.fold)
    bench = Bench(
        lambda name, part, features: serve_part(name, part, features, prepared.coding.category),
        ready_scorers(app, prepared.features), thread_seconds, seed, FOLDS, next(iter(app.events.entities), "event"),
    )  # fmt: skip
    found = _Setting(prepared, tune, material, cut, space, windows, maturity, training.until_ns, seed, bench)
    faults = {span: _lacking(found, span) for span in cut}
    found.folds = [span for span in cut if not faults[span]]
    if not found.folds:
        raise NothingToLearn(f"no fold can be used: {next(iter(faults.values()))}")
    return found


def _lacking(setting: _Setting, span: Span) -> str:
    """Why a fold can't be used; empty where it can."""
    history = setting.material.history
    start_ns = setting.starts(next(iter(setting.windows)), span.start_ns)
    for what, (_, y) in (
        ("learn from before", history.teaching(start_ns, span.start_ns, setting.maturity)),
        ("be judged on after", history.judging(span, setting.until_ns, setting.maturity)),
    ):
        if not len(y):
            hint = "" if history.apart else ": if outcomes are in a file of their own, name it with --outcomes"
            return f"no event to {what} {time_text(span.start_ns)} has a known outcome{hint}"
        if not 0 < y.sum() < len(y):
            return (
                f"of {len(y):,} events to {what} {time_text(span.start_ns)} {int(y.sum()):,} are positive, and both "
                "kinds of outcomes are needed"
            )
    return ""


def _too_few(tune: Tune, folds: Sequence[Span]) -> list[str]:
    if len(folds) == tune.folds:
        return []
    return [f"{len(folds)} of {tune.folds} folds can be used: the others lack history, or outcomes of both kinds"]


def _finished(
    setting: _Setting, request: TuningRequest, name: str, trials: list[Tried], best: Tried,
    importances: dict[str, float], lost: int, notes: list[str], progress: Progress,
) -> Found:  # fmt: skip
    """Train the best settings on everything, and write the bundle."""
    base, training = setting.prepared.app, request.training
    tuned = applied(base, best.values, setting.space)
    window = str(best.values.get(WINDOW, next(iter(setting.windows))))
    from_ns = setting.starts(window, setting.until_ns)
    rows = setting.material.training_set(
        *setting.material.history.teaching(from_ns, setting.until_ns, setting.maturity)
    )

    def rest(what: str, share: float) -> None:
        progress(what, _GATHERING + _TRYING + (1 - _GATHERING - _TRYING) * share)

    collector = Collector.of(tuned, from_ns, setting.until_ns, training.outcomes is not None)
    bundle = train(replace(setting.prepared, app=tuned), collector, rest, setting.seed, rows=rows)
    hand = next((trial.value for trial in trials if trial.slot == 0), None)
    study = {
        "name": name, "metric": setting.tune.metric, "value": best.value, "hand_made": hand, "trials": len(trials),
        "params": dict(best.values), "settings": differences(base, tuned), "meaning": meaning_of(base),
    }  # fmt: skip
    bundle = replace(bundle, about={**bundle.about, "study": study})
    version = save_bundle(bundle, training.out)
    states = {state.value: sum(trial.state is state for trial in trials) for state in State if state is not State.LOST}
    report = {
        "app": base.app, "bundle": str(training.out), "version": version, "study": name, "metric": setting.tune.metric,
        "trials": len(trials), "states": {**states, State.LOST.value: lost},
        "best": {"value": best.value, "params": dict(best.values), "trial": best.number,
                 **{name: best.facts.get(name) for name in ("folds", "latency_us", "size", "training_s")}},
        "hand_made": hand, "importances": importances,
        "folds": [{"from": time_text(span.start_ns), "until": time_text(span.end_ns)} for span in setting.folds],
        "rows": bundle.about["rows"], "positives": bundle.about["positives"], "until": time_text(setting.until_ns),
        "warnings": notes + warnings_of(rows),
    }  # fmt: skip
    return Found(report, trials, setting.space, differences(base, tuned))
