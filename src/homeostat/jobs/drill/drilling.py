"""The drill as a job: runs on all cores, and the files that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import replace_file
from homeostat.adapters.process.clock import SystemClock
from homeostat.jobs.drill.deciding import START_NS
from homeostat.jobs.drill.page import drill_page
from homeostat.jobs.drill.running import Result, SeedTask, drill_of, run_task, runs_of, tasks_of
from homeostat.jobs.drill.summary import summary
from homeostat.jobs.drill.whole_summary import whole_figures

Progress = Callable[[str, float], None]
FILES = ("runs.jsonl", "summary.json", "signals.jsonl", "timings.jsonl", "report.html")


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """The wanted runs.

    like : what all tasks have in common
    jobs : processes at once
    """

    like: SeedTask
    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]
    jobs: int
    out: Path


def drill_runs(request: DrillRequest, progress: Progress) -> dict[str, Any]:
    """Make all runs, write the files, and return the summary.

    Raises AppFileError, BundleError, NotTrained; Unavailable where the disk fails.
    """
    clock = SystemClock()
    begun = clock.monotonic_ns()
    results = sorted(_all(request, progress), key=lambda one: (one.line["scenario"], one.line["seed"]))
    name = Path(request.like.app).stem if request.like.app.endswith((".yaml", ".yml")) else request.like.app
    found = summary(results, name, request.like.days, START_NS)
    seconds = (clock.monotonic_ns() - begun) / 1e9
    out = request.out
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "runs.jsonl", [one.line for one in results])
    _write(out / "signals.jsonl", [
        {"scenario": one.line["scenario"], "seed": one.line["seed"], **signal}
        for one in results for signal in one.signals
    ])  # fmt: skip
    if request.like.whole:
        found["whole"] = whole_figures([one.line for one in results])
        _write(out / "executor.jsonl", [line for one in results for line in one.executed])
        if request.like.models:
            _write(out / "advice.jsonl", [line for one in results for line in one.advised])
    replace_file(out / "summary.json", [json.dumps(found, indent=2).encode(), b"\n"])
    replace_file(out / "report.html", [drill_page(found).encode()])
    timings: list[dict[str, Any]] = [
        {"scenario": one.line["scenario"], "seed": one.line["seed"],
         **{key: round(value, 3) for key, value in one.seconds.items()}}
        for one in results
    ]  # fmt: skip
    _write(out / "timings.jsonl", [*timings, {"total": round(seconds, 3), "processes": request.jobs}])
    return found


def _all(request: DrillRequest, progress: Progress) -> Iterator[Result]:
    tasks = tasks_of(request.seeds, request.scenarios, request.jobs, request.like)
    if request.jobs == 1 or len(tasks) == 1:
        yield from _here(tasks, progress)
        return
    with ProcessPoolExecutor(min(request.jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(run_task, task) for task in tasks]
        for done, future in enumerate(as_completed(waiting), 1):
            yield from future.result()
            progress("drilling", done / len(tasks))


def _here(tasks: Sequence[SeedTask], progress: Progress) -> Iterator[Result]:
    drill = drill_of(tasks[0])
    total, done = sum(len(task.scenarios) for task in tasks), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress("drilling", done / total)

    for task in tasks:
        yield from runs_of(task, drill, step)


def _write(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    replace_file(path, [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines])
