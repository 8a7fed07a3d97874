"""One decision in this process: `engine.decide` of one event, journal on disk, explanations off.

    python -m benchmarks.latency [--app payments] [--events 20000] [--json]

`wall` is what a caller waits; `cpu` is this thread's own time, which tells a slow program from a busy machine. A core
that others use too takes longer for the same work, in processor time as well: its caches are theirs. So decisions take
turns with a *yardstick* that does the same work each time: the scorers of the app, of one and the same row, as often as
takes as long as a decision. The yardstick has no journal, no trail and nothing that grows; where its p99 stands as far
above its p50 as the decisions' does, the tail is the machine's.
Target: p99 at most 300 us.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.serving import events_of
from homeostat import load
from homeostat.decide.intake.objects import read_objects

TARGET_P99_US = 300.0
WARMING = 2000
TURN = 100  # Decisions, and then as often the yardstick.
QUANTILES = (("p50", 50), ("p99", 99), ("p999", 99.9))


def yardstick(engine, event: dict, target_ns: float) -> Callable[[], None]:
    """Fixed work that takes about so long: the scorers, of one row."""
    schema, stages = engine.parts.schema, engine.parts.loop.stages
    batch, _, _ = read_objects([{**event, "event_id": -1}], schema, 2**62)
    features = stages.featurizer.features(batch)
    taken = []
    for _ in range(200):
        begun = time.perf_counter_ns()
        stages.panel.score(features)
        taken.append(time.perf_counter_ns() - begun)
    times = max(1, round(target_ns / float(np.median(taken))))

    def run() -> None:
        for _ in range(times):
            stages.panel.score(features)

    return run


def measure(app: str, count: int, bundle: str | None = None) -> dict:
    wall, cpu = np.empty((2, count)), np.empty((2, count))
    with tempfile.TemporaryDirectory() as folder, load(app, bundle=bundle, data=Path(folder)) as engine:
        events = events_of(app, count + WARMING)
        usual = np.empty(WARMING)
        for k, event in enumerate(events[:WARMING]):
            begun = time.perf_counter_ns()
            engine.decide(event)
            usual[k] = time.perf_counter_ns() - begun
        fixed = yardstick(engine, events[0], float(np.median(usual[WARMING // 2 :])))
        gc.collect()
        gc.freeze()
        for start in range(0, count, TURN):
            for row in range(2):
                for k in range(start, min(start + TURN, count)):
                    event = events[WARMING + k]
                    begun, begun_cpu = time.perf_counter_ns(), time.thread_time_ns()
                    if row == 0:
                        engine.decide(event)
                    else:
                        fixed()
                    cpu[row, k], wall[row, k] = time.thread_time_ns() - begun_cpu, time.perf_counter_ns() - begun
        gc.unfreeze()
    figures: dict = {"app": app, "events": count}
    for row, prefix in enumerate(("", "yardstick_")):
        for name, taken in (("wall_us", wall[row]), ("cpu_us", cpu[row])):
            figures[prefix + name] = {label: round(float(np.percentile(taken, q)) / 1e3, 1) for label, q in QUANTILES}
    for name in ("wall_us", "cpu_us"):
        ours, theirs = (figures[prefix + name]["p99"] / figures[prefix + name]["p50"] for prefix in ("", "yardstick_"))
        figures[f"tail_over_yardstick_{name.removesuffix('_us')}"] = round(ours / theirs, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="payments")
    parser.add_argument("--bundle")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.app, given.events, given.bundle)
    if given.json:
        print(json.dumps(figures))
        return
    for name in ("wall_us", "cpu_us", "yardstick_wall_us", "yardstick_cpu_us"):
        print(f"{name:<18} " + "   ".join(f"{label} {value:8.1f}" for label, value in figures[name].items()))
    for name in ("wall", "cpu"):
        print(f"p99 over p50, against the yardstick's: {figures[f'tail_over_yardstick_{name}']:.2f} times ({name})")
    print(f"target: p99 at most {TARGET_P99_US:g} us")


if __name__ == "__main__":
    main()
