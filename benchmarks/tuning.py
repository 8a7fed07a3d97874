"""The findings of tuning on the published payments, and how two workers share a study: `python -m benchmarks.tuning`.

    python -m benchmarks.tuning [--trials 40] [--folds 2018-07-25] [--validation 2] [--sharing 40] [--events F] [--json]

A fold is named as in `benchmarks.quality`: models learn from the week of S, labels are known a week later, and the week
after that is the test. TPE and chance search on validation weeks before it, with the same first trial, which has
the settings of the app file. Then these settings and TPE's are trained and tested by that protocol. Both search
the boosted trees alone, so that the other scorers are trained once a fold.

The made-up objective waits instead of training: the ratio of one worker's time to two workers' is the cost of sharing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import yaml

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.quality import DAY_NS, default_events, fold_scores
from homeostat.checks.servers import postgres_server
from homeostat.config.instants import instant_ns
from homeostat.jobs.training_run import TrainingRequest
from homeostat.jobs.tuning import Found, TuningRequest, tune_on_events

PART = "tuning"
WAIT_S = 0.5  # A made-up trial; a real one is longer, so that sharing costs it less.
SEARCHED = {
    "trees": {"low": 75, "high": 250, "log": True}, "depth": {"low": 3, "high": 7},
    "rate": {"low": 0.02, "high": 0.2, "log": True}, "rows": {"low": 0.5, "high": 1.0},
    "columns": {"low": 0.15, "high": 0.6}, "l2": {"low": 1, "high": 30, "log": True},
    "leaf_weight_min": {"low": 0.3, "high": 10, "log": True}, "positive_weight": {"low": 0.7, "high": 3, "log": True},
}  # fmt: skip
WORKER = """
import sys, time
from homeostat.adapters.optuna.study import Study
from homeostat.models.tuning.space import ranged
space = [ranged(f"made.up{k}", 0.5, 0.0, 1.0) for k in range(5)]
study = Study(sys.argv[1], sys.argv[2], "made up", space, sampler="tpe", seed=1, higher=True, prune=False,
              budget=int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
while (running := study.take()) is not None:
    with study.alive(running):
        time.sleep(float(sys.argv[4]))
        study.complete(running, -sum((float(x) - 0.3) ** 2 for x in running.values.values()))
"""


def app_of(folder: Path, validation: int, settings: dict | None = None) -> Path:
    """The payments app, with what is searched, and other settings in place of its own."""
    app = yaml.safe_load((resources.files("homeostat.apps") / "payments" / "app.yaml").read_text("utf-8"))
    for name, spec in (settings or {}).get("scorers", {}).items():
        app["scorers"][name]["settings"] = spec["settings"]
    others = {name: {} for name, spec in app["scorers"].items() if name != "boosted" and spec["kind"] != "rules"}
    app["tune"] = {"folds": validation, "fold": "7d", "scorers": {"boosted": SEARCHED, **others}}
    path = folder / f"app-{len(list(folder.glob('app-*')))}.yaml"
    path.write_text(yaml.safe_dump(app, sort_keys=False), "utf-8")
    return path


def searched(app: Path, folder: Path, events: Path, fold: str, sampler: str, trials: int) -> Found:
    """A study of one sampler; the events of the test week are not seen."""
    start_ns = instant_ns(fold)
    training = TrainingRequest(events, folder / f"{fold}-{sampler}", start_ns + 14 * DAY_NS, start_ns)
    request = TuningRequest(training, str(folder / f"{fold}-{sampler}.db"), trials, sampler=sampler)
    return tune_on_events(
        app, request, lambda what, share: None, lambda text: print(f"{fold} {sampler} {text}", file=sys.stderr)
    )


def found_on(events: Path, fold: str, trials: int, validation: int) -> list[Figure]:
    """The figures of one fold."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app = app_of(folder, validation)
        tpe, chance = (searched(app, folder, events, fold, sampler, trials) for sampler in ("tpe", "random"))
        tuned = app_of(folder, validation, tpe.settings)
        before, after = (fold_scores(events, fold, 7, str(path))["risk"][1] for path in (app, tuned))
    best = [found.report["best"]["value"] for found in (tpe, chance)]
    note = f"{trials} trials on {validation} validation weeks; tests {after:.4f} and {before:.4f}"
    return [
        Figure(PART, f"{fold}: TPE above the app file, validation", best[0] - tpe.report["hand_made"], "AP", ">= 0"),
        Figure(PART, f"{fold}: TPE above chance, validation", best[0] - best[1], "AP", "> 0"),
        Figure(PART, f"{fold}: TPE below the app file, test", before - after, "AP", "<= 0.005", note),
    ]


def shared(url: str, name: str, workers: int, trials: int) -> float:
    """Seconds that so many workers need for a study of the made-up objective."""
    command = [sys.executable, "-c", WORKER, url, name, str(trials), str(WAIT_S)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(workers)
        ]
        for worker in started:
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        begun = time.perf_counter()
        for worker in started:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in started:
            assert worker.wait() == 0
        return time.perf_counter() - begun


def sharing(trials: int) -> list[Figure]:
    """The figure of two workers on PostgreSQL."""
    with postgres_server() as server:
        shared(server.url, "tables", 1, 1)
        one, two = (shared(server.url, f"by-{workers}", workers, trials) for workers in (1, 2))
    note = f"{trials} trials of {WAIT_S} s: {one:.1f} s and {two:.1f} s"
    return [Figure(PART, "two workers on PostgreSQL against one", one / two, "times", ">= 1.8", note)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--folds", nargs="*", default=["2018-07-25"])
    parser.add_argument("--validation", type=int, default=2)
    parser.add_argument("--sharing", type=int, default=40)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = sharing(options.sharing)
    for fold in options.folds:
        figures += found_on(options.events or default_events(), fold, options.trials, options.validation)
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
