"""All runs of one seed: its quiet world is decided and watched once, and each run goes on from its fork."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from homeostat.adapters.language.asking import open_models
from homeostat.adapters.process.clock import SystemClock, thread_seconds
from homeostat.app.responding import means_of
from homeostat.engine.assembly import champion_in
from homeostat.jobs.drill.baselines import Baselines
from homeostat.jobs.drill.deciding import Deciding, DrillApp, Hour, Kept, frame_of, quiet_traffic
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.records import RANKED_AFTER_NS, Watch, line_of, named
from homeostat.jobs.drill.rivals import regret_of, rivals_of
from homeostat.jobs.drill.watching import HOURS, Watching
from homeostat.jobs.drill.whole import Whole
from homeostat.ports.language import LanguageModel, Role
from homeostat.records.arrays import State
from homeostat.sim.faults.runs import Run, lay_out, run_of
from homeostat.sim.faults.scene import Frame, Scene
from homeostat.sim.faults.traffic import HOUR_NS, Traffic


@dataclass(frozen=True, slots=True)
class SeedTask:
    """Runs of one seed that one process makes.

    app : a shipped name, or the path of an app file
    journal : a data folder whose record is the world; None for a simulated one
    whole : whether what is noticed is also answered
    bundle : the folder of the app's trained models; None for the champion of the data folder, or the shipped ones
    models : whether the app's language models are asked about it
    """

    app: str
    seed: int
    scenarios: tuple[str, ...]
    days: int = 30
    past_days: int = 28
    warm_days: int = 120
    baselines: bool = False
    journal: str | None = None
    whole: bool = False
    bundle: str | None = None
    models: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    line : for runs.jsonl
    also : figures for the summary that the line does not have: whether the true node was among the first three, and the
        alarms of the baselines
    signals : all signals, for people who look closer
    seconds : processor time of deciding and of watching; of the seed's quiet world, too, in its first run
    executed : for executor.jsonl; advised : for advice.jsonl
    """

    line: dict[str, Any]
    also: dict[str, Any]
    signals: list[dict[str, Any]]
    seconds: dict[str, float]
    executed: list[dict[str, Any]] = field(default_factory=list)
    advised: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Fork:
    """The quiet world of a seed at its fork."""

    traffic: Traffic
    kept: Kept
    watched: State
    watch: Watch
    baselines: Baselines | None
    cases: DrillCases | None
    models: Mapping[Role, LanguageModel] | None


def runs_of(
    task: SeedTask, drill: DrillApp | None = None, done: Callable[[], None] = lambda: None,
    runs: Sequence[Run] | None = None,
) -> Iterator[Result]:  # fmt: skip
    """The runs of a task, in order; those whose fault the app has no place for are left out.

    done : is called after each run
    runs : others than those of the task's scenarios, of its seed and days
    """
    drill = drill or drill_of(task)
    frame = frame_of(task.days, task.past_days, task.warm_days)
    begun = thread_seconds()
    traffic = quiet_traffic(drill, frame, task.seed)
    fork = _fork(drill, task, frame, traffic)
    prefix = thread_seconds() - begun
    made = [run_of(scenario, task.seed, frame) for scenario in task.scenarios] if runs is None else runs
    for run in made:
        if run.scenario.fits(Scene.drawn(drill.form, frame, 0, 1, task.seed, [0])):
            result = _run(drill, run, task, fork)
            if task.whole:
                gc.collect()  # Answers and the stages that they ask know each other, and hold 100 MB of arrays or more.
            yield replace(result, seconds={**result.seconds, "quiet": prefix})
            prefix = 0.0
        done()


def drill_of(task: SeedTask) -> DrillApp:
    """The app of a task, with its world and its trained models."""
    bundle = None if task.bundle is None else Path(task.bundle)
    if task.journal is None:
        return DrillApp(task.app, bundle=bundle)
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal
    from homeostat.jobs.drill.recorded import recorded_drill

    data = Path(task.journal)
    with SqliteJournal(data / "journal.db", readonly=True) as journal:
        return recorded_drill(task.app, journal, bundle or champion_in(data, task.app))


def _fork(drill: DrillApp, task: SeedTask, frame: Frame, traffic: Traffic) -> _Fork:
    run = run_of("S00", task.seed, frame)
    deciding, watching = Deciding(drill, traffic, frame, task.seed), Watching(drill)
    deciding.warm()
    cases = DrillCases.of(deciding) if task.whole else None
    watch, baselines = Watch(run), Baselines.from_start(frame.start_ns, task.days) if task.baselines else None
    while deciding.now_ns < run.fork_ns:
        hours = _hours(deciding, run.fork_ns, cases)
        for hour, seen in zip(hours, watching.take(hours), strict=True):
            watch.take(hour, seen)
            if cases is not None:
                cases.seen([seen])
            if baselines is not None:
                baselines.take(hour)
    models = open_models(drill.prepared.app.maintain.models, SystemClock()) if task.models else None
    return _Fork(traffic, deciding.kept(), watching.state(), watch, baselines, cases, models)


def _run(drill: DrillApp, run: Run, task: SeedTask, fork: _Fork) -> Result:
    frame = run.frame
    begun = thread_seconds()
    laid = lay_out(run, fork.traffic, drill.form)
    deciding, watching = Deciding(drill, laid.traffic, frame, task.seed, laid), Watching(drill, laid.log)
    deciding.resume(fork.kept)
    watching.restore(fork.watched)
    watch = fork.watch.copy(run)
    baselines = None if fork.baselines is None else fork.baselines.copy()
    watched = 0.0
    whole = None if fork.cases is None else Whole.of(drill, laid, fork.cases, deciding, fork.models)
    while whole is not None and deciding.now_ns < frame.end_ns:
        for hour, seen in whole.hours(deciding, watching, frame.end_ns):
            watch.take(hour, seen)
            if baselines is not None:
                baselines.take(hour)
    while deciding.now_ns < frame.end_ns:
        hours = _hours(deciding, frame.end_ns)
        before = thread_seconds()
        for hour, seen in zip(hours, watching.take(hours), strict=True):
            watch.take(hour, seen)
        watched += thread_seconds() - before
        if baselines is not None:
            for hour in hours:
                baselines.take(hour)
    line = line_of(watch, laid)
    if whole is not None:
        line |= whole.fields(watch.detected_ns)
    also: dict[str, Any] = {
        "top3": watch.detected_ns is not None and named(watch.ranked, laid.truths, watch.detected_ns + RANKED_AFTER_NS),
        "onset_day": None if not run.onset_ns else (run.onset_ns - frame.start_ns) / 86_400e9,
    }
    if baselines is not None:
        also["ddm"] = [at for at in baselines.ddm.alarms if at > frame.start_ns]
        also["ks"] = [at for at in baselines.ks.alarms if at > frame.start_ns]
    if whole is not None and baselines is not None:
        means = means_of(drill.prepared.app)
        costs = rivals_of(laid, watch.detected_ns, baselines.ddm.alarms, watch.ranked, means)
        line["others"] = {name: None if (at := regret_of(cost, costs)) is None else round(at, 4)
                          for name, cost in costs.items()}  # fmt: skip
    took = thread_seconds() - begun
    executed = [] if whole is None else whole.executor_lines()
    seconds = {"deciding": took - watched, "watching": watched}
    if whole is not None:
        seconds["ruling"] = whole.responding.ruling_s
    advised = [] if whole is None else whole.advice_lines()
    return Result(line, also, watch.signals, seconds, executed, advised)


def _hours(deciding: Deciding, end_ns: int, cases: DrillCases | None = None) -> list[Hour]:
    """The next hours that are watched at once, up to an end. cases : know them at once"""
    count = min(HOURS, (end_ns - deciding.now_ns) // HOUR_NS)
    found = []
    for _ in range(count):
        found.append(deciding.hour())
        if cases is not None:
            cases.decided(found[-1])
    return found


def run_task(task: SeedTask) -> list[Result]:
    """The same in a process of its own."""
    return list(runs_of(task))


def tasks_of(seeds: Sequence[int], scenarios: Sequence[str], processes: int, like: SeedTask) -> list[SeedTask]:
    """A task for each seed; where there are fewer seeds than processes, their scenarios are shared out."""
    parts = max(1, min(len(scenarios), -(-processes // max(1, len(seeds)))))
    return [
        replace(like, seed=seed, scenarios=tuple(scenarios[part::parts])) for seed in seeds for part in range(parts)
    ]


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds of a text, in order, each once; 10,000 at most. Raises ValueError where it names none.

    >>> seeds_of("100-102, 7")
    (100, 101, 102, 7)
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        found += range(int(first), min(int(last or first), int(first) + 10_000) + 1)
    if not 0 < len(found) <= 10_000:
        raise ValueError("no seeds, or more than 10,000")
    return tuple(dict.fromkeys(found))
