"""Anomalies in the shared half of the Numenta Anomaly Benchmark, beside the scores that other detectors published.

    python -m benchmarks.nab [--json]

One configuration for all files. The threshold of each category is the best one on all other categories. The published
detectors are scored in the same way, from their stored scores. HOMEOSTAT_DATA names the folder of the data and of
`nab_score.py`, whose rules are used as they are.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.stats.series.detector import SeriesDetector

PART = "nab"
TARGETS = {"standard": 75.0, "reward_low_FP_rate": 63.0, "reward_low_FN_rate": 81.0}
NAMES = {
    "standard": "standard",
    "reward_low_FP_rate": "low false positives",
    "reward_low_FN_rate": "low false negatives",
}
PEERS = ("ARTime", "contextOSE", "htmjava", "knncad", "randomCutForest")
Scores = dict[str, tuple[np.ndarray, np.ndarray]]  # File -> times and scores.


def rules(folder: Path) -> ModuleType:
    """The benchmark's scorer, from the data folder."""
    spec = importlib.util.spec_from_file_location("nab_score", folder / "nab_score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_file(path: Path, columns: list[str]) -> dict[str, list[np.ndarray]]:
    """File -> its columns, in the order of its rows."""
    table = pq.read_table(path, columns=["file", *columns])
    files = np.array(table.column("file").to_pylist())
    arrays = [table.column(name).to_numpy() for name in columns]
    return {str(name): [one[files == name] for one in arrays] for name in np.unique(files)}


def own_scores(folder: Path) -> tuple[Scores, float]:
    """Our score of each row, and the microseconds a row."""
    found, rows, spent = {}, 0, 0.0
    SeriesDetector(1).add_all(np.arange(400.0)[:, None])  # Compiles.
    for name, (times, values) in by_file(folder / "nab_data.parquet", ["timestamp", "value"]).items():
        seconds = times.astype("datetime64[s]").astype(np.int64).astype(np.float64)
        began = time.process_time()
        found[name] = (times, SeriesDetector(1).add_all(values.astype(np.float64)[:, None], seconds).score)
        spent += time.process_time() - began
        rows += len(values)
    return found, 1e6 * spent / rows


def left_out(nab: Any, windows: Any, scores: Scores, profile: str) -> float:
    """The score of a profile where each category has the threshold that is best for the others."""
    whole = nab.Corpus(windows)
    for name, (times, values) in scores.items():
        whole.add(name, times, values)
    categories = {name: name.partition("/")[0] for name in scores}
    weight_tp, _, weight_fn = nab.PROFILES[profile]
    raw = null = perfect = 0.0
    for category in sorted(set(categories.values())):
        others, own = nab.Corpus(windows), nab.Corpus(windows)
        for name, one in whole.files.items():
            (own if categories[name] == category else others).files[name] = one
        threshold = others.optimize(profile)["threshold"]
        for name in own.files:
            of_file = own._file_score(name, threshold, profile)
            raw += of_file["score"]
            null -= weight_fn * of_file["windows"]
        perfect += weight_tp * own.n_windows()
    return 100 * (raw - null) / (perfect - null)


def measure(folder: Path) -> list[Figure]:
    """All figures."""
    nab = rules(folder)
    windows = json.loads((folder / "nab_windows.json").read_text())
    own, microseconds = own_scores(folder)
    figures = [
        Figure(PART, NAMES[profile], left_out(nab, windows, own, profile), target=f">= {target:g}")
        for profile, target in TARGETS.items()
    ]
    figures.append(Figure(PART, "a row, with its explanation", microseconds, "us", "<= 300", "of processor time"))
    stored = by_file(folder / "nab_detector_scores.parquet", ["timestamp", *PEERS])
    for place, peer in enumerate(PEERS):
        scores = {name: (columns[0], columns[1 + place]) for name, columns in stored.items()}
        figures += [Figure(PART, f"{peer}, {NAMES[p]}", left_out(nab, windows, scores, p)) for p in TARGETS]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = os.environ.get("HOMEOSTAT_DATA")
    if not data:
        sys.exit("set HOMEOSTAT_DATA to the folder of the published data")
    figures = measure(Path(data))
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
