"""One decision in this process: `engine.decide` of one event, journal on disk, explanations off.

    python -m benchmarks.latency [--app payments] [--events 20000] [--json]

`wall` is what a caller waits; `cpu` is this thread's own time, which tells a slow program from a busy machine.
Target: p99 at most 300 us.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.serving import events_of
from homeostat import load

TARGET_P99_US = 300.0
WARMING = 2000


def measure(app: str, count: int, bundle: str | None = None) -> dict:
    wall, cpu = np.empty(count), np.empty(count)
    with tempfile.TemporaryDirectory() as folder, load(app, bundle=bundle, data=Path(folder)) as engine:
        events = events_of(app, count + WARMING)
        for event in events[:WARMING]:
            engine.decide(event)
        gc.collect()
        gc.freeze()
        for k, event in enumerate(events[WARMING:]):
            begun, begun_cpu = time.perf_counter_ns(), time.thread_time_ns()
            engine.decide(event)
            cpu[k], wall[k] = time.thread_time_ns() - begun_cpu, time.perf_counter_ns() - begun
        gc.unfreeze()
    figures: dict = {"app": app, "events": count}
    for name, taken in (("wall_us", wall), ("cpu_us", cpu)):
        quantiles = (("p50", 50), ("p99", 99), ("p999", 99.9))
        figures[name] = {label: round(float(np.percentile(taken, q)) / 1e3, 1) for label, q in quantiles}
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
    for name in ("wall_us", "cpu_us"):
        print(f"{name:<8} " + "   ".join(f"{label} {value:8.1f}" for label, value in figures[name].items()))
    print(f"target   p99 at most {TARGET_P99_US:g} us")


if __name__ == "__main__":
    main()
