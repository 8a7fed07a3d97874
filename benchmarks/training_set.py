"""Training sets in shares, by Ray on one and two processes, against a local replay: run with --json for machines."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.transactions import transactions
from homeostat.adapters.disk.event_files import read_events
from homeostat.adapters.ray.cluster import RayCluster
from homeostat.decide.admission import Watermark
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.engine.assembly import prepare
from homeostat.jobs.training_set import Executor, ThisProcess, training_features
from homeostat.jobs.training_set_parts import features_of_part
from homeostat.jobs.training_set_run import SHARES
from homeostat.ports import Unavailable
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

PART = "training_set"
NOW_NS = 2 * 10**18  # After every event.


def replayed(plan: FeaturePlan, rows: list[EventBatch]) -> tuple[Features, float]:
    """The features as serving computes them, put together, and how long that took."""
    begun = time.perf_counter()
    featurizer = WindowFeaturizer(plan)
    values = np.empty((sum(map(len, rows)), len(plan.names)))
    freshness = np.empty(values.shape, np.uint8)
    start = 0
    for batch in rows:
        made = featurizer.features(batch)
        values[start : start + len(batch)], freshness[start : start + len(batch)] = made.values, made.freshness
        start += len(batch)
    return Features(plan.names, values, freshness), time.perf_counter() - begun


def in_shares(plan: FeaturePlan, rows: list[EventBatch], executor: Executor, shares: int) -> tuple[Features, float]:
    """The same in shares."""
    begun = time.perf_counter()
    made = training_features(plan, rows, executor=executor, partitions=shares)
    return made, time.perf_counter() - begun


def differing(found: Features, expected: Features) -> int:
    """How many numbers are not the same bit for bit."""
    same = found.values.view(np.int64) == expected.values.view(np.int64)
    return int((~same).sum() + (found.freshness != expected.freshness).sum())


def measure(path: Path, repeats: int) -> tuple[list[Figure], list[str]]:
    """Every way of computing the features of a file of payments; the best of some repetitions each."""
    prepared = prepare("payments")
    plan = prepared.features
    watermark = Watermark(prepared.app.events.lateness)
    begun = time.perf_counter()
    read = [events for events, _ in read_events(path, prepared.schema, NOW_NS)]
    reading = time.perf_counter() - begun
    rows = [watermark.mark_late(events, watermark.advance(events.time_ns)) for events in read]
    replayed(plan, rows[:1])
    expected, local = min((replayed(plan, rows) for _ in range(repeats)), key=lambda found: found[1])
    figures = [Figure(PART, "reading the events, once", reading, "s"), Figure(PART, "local replay", local, "s")]
    here = min(in_shares(plan, rows, ThisProcess(), SHARES)[1] for _ in range(repeats))
    figures.append(Figure(PART, "in shares, in this process", here, "s"))
    taken: dict[int, float] = {}
    wrong = 0
    for processes in (1, 2):
        print(f"{PART}: {processes} processes", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        try:
            cluster = RayCluster(features_of_part, processes=processes)
        except Unavailable as error:
            return figures, [f"{PART}: {error}"]
        with cluster:
            started = time.perf_counter() - begun
            in_shares(plan, rows[:1], cluster, SHARES * processes)  # Each process loads its kernels.
            warmed = time.perf_counter() - begun - started
            for _ in range(repeats):
                found, seconds = in_shares(plan, rows, cluster, SHARES * processes)
                taken[processes] = min(seconds, taken.get(processes, seconds))
                wrong += differing(found, expected)
        figures += [
            Figure(PART, f"{processes} process{'es' * (processes > 1)}", taken[processes], "s"),
            Figure(PART, f"{processes}: start of a local cluster", started, "s"),
            Figure(PART, f"{processes}: kernels loaded", warmed, "s"),
        ]
    figures += [
        Figure(PART, "two processes against one", taken[1] / taken[2], "times"),
        Figure(PART, "two processes against local replay", local / taken[2], "times"),
        Figure(PART, "numbers that differ from local replay", float(wrong), "", "<= 0"),
    ]
    return figures, []


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="only the file's first rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = transactions(Path(folder), chosen.rows)
        figures, notes = measure(data.path, chosen.repeats)
    notes = [f"{PART}: {data.said}", *notes]
    print(json.dumps(packed(figures, notes)) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
