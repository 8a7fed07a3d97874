"""The whole replay against its floor: reading the same file, plus one-batch inference of the same models.

    python -m benchmarks.replay [--rows N] [--repeats 3] [--bundle FOLDER] [--json]

A replay goes from a parquet file to decisions, journal and audit. The floor is what no replay can do without: the file
is read, and the bundle's models score the whole matrix of features in one batch, in their served forms. A second,
independent floor runs the same models in ONNX Runtime on one thread, and checks that they say the same. Floor and
replay take turns in one process; each ratio is of neighbours, and the median is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.floors import GraphFloor
from benchmarks.transactions import Transactions, the_bundle, transactions
from homeostat.decide.scorers.build import serve_part
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.bundle import Bundle
from homeostat.records.features import Features

WARM_ROWS = 20_000
NEEDS_BUNDLE = "replay: skipped, the payments app has no bundle here: name one with --bundle, or make one: make bundle"


@dataclass(slots=True)
class Turn:
    """One replay between two floors, in seconds; and in processor time, of which a busy machine takes less away."""

    replay: float
    floor: float
    replay_cpu: float
    floor_cpu: float
    graphs: float | None
    report: dict[str, Any]


def replay_once(events: Path, bundle: Path | None, features: bool = False) -> tuple[float, dict[str, Any], Any]:
    """Seconds, report, and the features of all rows where they are wanted."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        begun = time.perf_counter()
        report = replay_events("payments", Request(events, out, bundle=bundle), lambda what, share: None)
        taken = time.perf_counter() - begun
        return taken, report, features_in(out / "decisions.parquet") if features else None


def features_in(path: Path) -> Features:
    """The matrix of features that a replay served."""
    names = [name for name in pq.ParquetFile(path).schema_arrow.names if name.startswith("feature.")]
    rows = pq.ParquetFile(path).metadata.num_rows
    values = np.empty((rows, len(names)))
    for column, name in enumerate(names):  # One by one: the table and the matrix together would need twice the memory.
        values[:, column] = pq.read_table(path, columns=[name])[name].to_numpy()
    plain = tuple(name.removeprefix("feature.") for name in names)
    return Features(plain, values, np.zeros(values.shape, np.uint8))


def served_floor(events: Path, bundle: Bundle, features: Features) -> Callable[[], tuple[float, float]]:
    """A run of the floor with the bundle's models as they are served; answers its seconds, also in processor time."""
    scorers = [serve_part(name, part, features.names) for name, part in bundle.scorers.items()]

    def run() -> tuple[float, float]:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        pq.read_table(events)
        for scorer in scorers:
            scorer.score(features)
        return time.perf_counter() - begun, time.process_time() - begun_cpu

    return run


def measure(data: Transactions, path: Path | None, bundle: Bundle, repeats: int) -> list[Turn]:
    """Floors and replays in turn, after one replay of everything that warms up and gives the features."""
    say(f"replay: warming up on {data.said}")
    _, _, features = replay_once(data.path, path, features=True)
    floor = served_floor(data.path, bundle, features)
    floor()
    graphs = GraphFloor.build(bundle, features)
    if graphs is not None:
        graphs.check(features, {name: serve_part(name, part, features.names) for name, part in bundle.scorers.items()})
    turns = []
    before = floor()
    for turn in range(repeats):
        say(f"replay: turn {turn + 1} of {repeats}")
        begun_cpu = time.process_time()
        taken, report, _ = replay_once(data.path, path)
        taken_cpu = time.process_time() - begun_cpu
        after = floor()
        wall, cpu = ((first + second) / 2 for first, second in zip(before, after, strict=True))
        independent = None if graphs is None else graphs.run(data.path, features)
        turns.append(Turn(taken, wall, taken_cpu, cpu, independent, report))
        before = floor()
    return turns


def figures_of(turns: list[Turn], rows: int) -> list[Figure]:
    """The table's rows."""
    part = "replay"
    middle = sorted(turns, key=lambda turn: turn.replay)[len(turns) // 2]
    seconds = median(turn.replay for turn in turns)
    figures = [
        Figure(part, "time against the floor", median(t.replay / t.floor for t in turns), "times", "<= 2"),
        Figure(part, "the same in processor time", median(t.replay_cpu / t.floor_cpu for t in turns), "times"),
        Figure(part, "decisions a second", rows / seconds, "/s", ">= 120,000"),
        Figure(part, "whole replay", seconds, "s"),
        Figure(part, "floor: file and served models in one batch", median(t.floor for t in turns), "s"),
    ]
    independent = [t.graphs for t in turns if t.graphs is not None]
    if independent:
        ratios = [t.replay / t.graphs for t in turns if t.graphs is not None]
        figures += [
            Figure(part, "independent floor: file and ONNX Runtime, one thread", median(independent), "s"),
            Figure(part, "time against the independent floor", median(ratios), "times"),
        ]
    skip = ("total", "train")
    stages = {name: value for name, value in middle.report["seconds"].items() if name not in skip}
    return figures + [Figure(part, f"stage {name}", value, "s") for name, value in stages.items()]


def say(text: str) -> None:
    """Progress, for who waits."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="only the file's first rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bundle", type=Path, help="instead of the shipped one")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures: list[Figure] = []
    notes = [NEEDS_BUNDLE]
    bundle = the_bundle(chosen.bundle)
    if bundle is not None:
        with tempfile.TemporaryDirectory() as folder:
            data = transactions(Path(folder), chosen.rows)
            figures = figures_of(measure(data, chosen.bundle, bundle, chosen.repeats), data.rows)
            notes = [f"replay: {data.said}, bundle {bundle.version}"]
            if not any("independent" in figure.name for figure in figures):
                notes.append("replay: no independent floor, it needs homeostat[train]")
    found = packed(figures, notes)
    print(json.dumps(found) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
