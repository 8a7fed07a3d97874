"""Tables against a reference: quality without labels on census data, drift's speed, and memory.

    python -m benchmarks.tables [--rows N] [--wide N] [--json]

With HOMEOSTAT_DATA set, the estimates are compared with the realised figures of `census/`: chunks of 5,000 rows. The
noise of such a chunk is printed beside: the mean distance of a figure from its expectation by the chance of labels.
SciPy's bare statistics (a Kolmogorov-Smirnov test a column) run on the same 100 columns by 20,000 rows. Memory is the
peak of a process of its own that compares a file with itself. NannyML and Evidently run on the same files where
NANNYML_PYTHON and EVIDENTLY_PYTHON name the interpreters of environments that have them: `make bench-tables`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import write_csv

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat import monitor
from homeostat.jobs.table_monitor.result import Monitored
from homeostat.stats.label_free.estimates import expected, ranked
from homeostat.stats.label_free.law import calibrate, sigmoid

PART = "tables"
TARGETS_OF = {"auc": "<= 0.0037", "accuracy": "<= 0.0047", "f1": "<= 0.0052"}
NANNYML = {"auc": (0.0040, 2), "accuracy": (0.0051, 2), "f1": (0.0066, 3)}  # Published: its errors, its alerts.
PEER = Path(__file__).with_name("peer_tables.py")
NAMES = {"auc": "ROC AUC", "accuracy": "accuracy", "f1": "F1"}
REPEATS = 5
_CHILD = """
import resource, sys, time
from homeostat.cli import main
begun = time.process_time()
sys.stdout = open("/dev/null", "w")
try:
    main(["monitor", sys.argv[1], "--reference", sys.argv[1]])
except SystemExit as stop:
    assert not stop.code
print(time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def census(folder: Path) -> list[Figure]:
    """Estimates beside the realised figures."""
    say("tables: census")
    begun = time.process_time()
    found = monitor(
        folder / "analysis.parquet", folder / "reference.parquet", chunk=5000, prediction="prediction",
        probability="predicted_probability", target="employed",
    )  # fmt: skip
    taken = time.process_time() - begun
    figures, noise = [], _noise(folder / "analysis.parquet")
    for name, said in NAMES.items():
        theirs, alerts = NANNYML[name]
        figures.append(Figure(PART, f"census, error of {said}", _error(found, name), "", TARGETS_OF[name],
                              f"noise {noise[name]:.4f}, NannyML {theirs:.4f}"))  # fmt: skip
        hits, real, false = _alerts(found, name)
        figures.append(
            Figure(PART, f"census, alerts of {said}", hits, f"of {real}", f">= {alerts}", "NannyML's beside")
        )
        figures.append(Figure(PART, f"census, false alerts of {said}", false, "", "<= 0"))
    covered = [
        100.0 * np.mean([chunk.estimated[name].low <= chunk.realised[name] <= chunk.estimated[name].high
                         for chunk in found.chunks]) for name in NAMES
    ]  # fmt: skip
    each = ", ".join(f"{said} {one:.1f}" for said, one in zip(NAMES.values(), covered, strict=True))
    figures.append(
        Figure(PART, "census, realised figures inside the 95 % band", float(np.mean(covered)), "%", ">= 93", each)
    )
    figures.append(Figure(PART, "census, the same, at most", float(np.mean(covered)), "%", "<= 97"))
    void = sum(chunk.assumption_broken for chunk in found.chunks)
    figures.append(Figure(PART, "census, assumption broken although nothing happened", void, "chunks", "<= 0"))
    figures.append(Figure(PART, "census, processor time", taken, "s"))
    return [*figures, *nannyml(found, folder)]


def _error(found: Monitored, name: str) -> float:
    """Mean absolute error of the estimates."""
    pairs = [
        (chunk.estimated[name].value, chunk.realised[name]) for chunk in found.chunks if chunk.realised is not None
    ]
    return float(np.mean([abs(value - known) for value, known in pairs]))


def _noise(path: Path) -> dict[str, float]:
    """The mean distance of a chunk's figures from their expectation by the chance of labels alone.

    The labels' probabilities are those of the table's own calibrated score. The mean distance of a normal value is .798
    deviations.
    """
    table = pq.read_table(path, columns=["predicted_probability", "employed"])
    score, label = (np.asarray(column.to_numpy(), np.float64) for column in table.columns)
    q = sigmoid(calibrate(score, label).margin(score))
    parts = [slice(first, first + 5000) for first in range(0, len(q), 5000)]
    found = [expected(ranked(score[part], score[part] >= 0.5), q[part]) for part in parts]
    return {name: 0.798 * float(np.median([np.sqrt(one[name].variance) for one in found])) for name in NAMES}


def _alerts(found: Monitored, name: str) -> tuple[int, int, int]:
    bound = found.thresholds[name]
    real = [not bound["low"] <= chunk.realised[name] <= bound["high"] for chunk in found.chunks if chunk.realised]
    raised = [chunk.alert[name] for chunk in found.chunks]
    hits = sum(a and b for a, b in zip(raised, real, strict=True))
    return hits, sum(real), sum(raised) - hits


def peer(name: str, tables: dict[str, pa.Table]) -> dict[str, Any] | None:
    """The results of a peer in its own environment. None where the interpreter's variable is not set.

    It gets the tables as CSV, since not every old version of pandas goes with a PyArrow.
    """
    python = os.environ.get(f"{name.upper()}_PYTHON")
    if not python:
        return None
    say(f"tables: {name}")
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    alone |= {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}  # Both report their use to their makers otherwise.
    with tempfile.TemporaryDirectory(prefix="homeostat-tables-") as folder:
        for part, table in tables.items():
            write_csv(table, Path(folder) / f"{part}.csv")
        done = subprocess.run([python, PEER, name, folder], stdout=subprocess.PIPE, text=True, check=True, env=alone)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def nannyml(found: Monitored, folder: Path) -> list[Figure]:
    """NannyML's estimates and alerts on the same chunks. Real alerts are by the same thresholds for both."""
    theirs = peer("nannyml", {part: pq.read_table(folder / f"{part}.parquet") for part in ("reference", "analysis")})
    if theirs is None:
        return []
    who, figures = f"census, NannyML {theirs['version']}", []
    for name, said in NAMES.items():
        bound, own = found.thresholds[name], theirs["chunks"][name]
        pairs = [(value, chunk.realised[name]) for value, chunk in zip(own["value"], found.chunks, strict=True)
                 if chunk.realised is not None]  # fmt: skip
        real = [not bound["low"] <= known <= bound["high"] for _, known in pairs]
        hits = sum(a and b for a, b in zip(own["alert"], real, strict=True))
        figures += [
            Figure(PART, f"{who}: error of {said}", float(np.mean([abs(value - known) for value, known in pairs]))),
            Figure(PART, f"{who}: alerts of {said}", hits, f"of {sum(real)}", "", f"{sum(own['alert']) - hits} false"),
        ]
    return [*figures, Figure(PART, f"{who}: processor time", theirs["seconds"], "s")]


def evidently(table: pa.Table, own: float) -> list[Figure]:
    """Evidently's preset for drift on the same table."""
    theirs = peer("evidently", {"table": table})
    if theirs is None:
        return []
    who = f"100 columns by 20,000 rows, Evidently {theirs['version']}"
    return [
        Figure(PART, f"{who}: processor time", theirs["seconds"], "s"),
        Figure(PART, f"{who}: times ours", theirs["seconds"] / own, "times", ">= 10"),
    ]


def speed() -> list[Figure]:
    """100 columns by 20,000 rows against the same, and SciPy's bare statistics in the same run."""
    say("tables: 100 columns by 20,000 rows")
    rng = np.random.default_rng(0)
    columns = {f"c{k}": rng.normal(size=20_000) for k in range(100)}
    table = pa.table(columns)
    own, theirs = [], []
    for _ in range(REPEATS + 1):
        begun = time.process_time()
        monitor(table, table)
        own.append(time.process_time() - begun)
        if find_spec("scipy") is not None:
            from scipy.stats import ks_2samp

            begun = time.process_time()
            for column in columns.values():
                ks_2samp(column, column, method="asymp")
            theirs.append(time.process_time() - begun)
    note = f"SciPy's bare statistics {min(theirs[1:]):.2f} s" if theirs else ""
    ours = Figure(PART, "100 columns by 20,000 rows, processor time", min(own[1:]), "s", "<= 0.5", note)
    return [ours, *evidently(table, min(own[1:]))]


def memory(rows: int, columns: int, groups: int) -> list[Figure]:
    """A file of so many rows and columns against itself, in a process of its own; `groups` of rows in the file."""
    say(f"tables: {rows:,} rows by {columns:,} columns")
    with tempfile.TemporaryDirectory(prefix="homeostat-tables-") as folder:
        path = Path(folder) / "table.parquet"
        _write(path, rows, columns, groups)
        done = subprocess.run([sys.executable, "-c", _CHILD, path], stderr=subprocess.PIPE, text=True, check=True)
    taken, peak = map(float, done.stderr.split()[-2:])
    what = f"{rows:,} rows by {columns:,} columns"
    return [
        Figure(PART, f"{what}, peak memory", peak, "MB", "<= 2048"),
        Figure(PART, f"{what}, processor time", taken, "s"),
    ]


def _write(path: Path, rows: int, columns: int, groups: int) -> None:
    rng, each = np.random.default_rng(1), -(-rows // groups)
    writer = None
    for first in range(0, rows, each):
        many = min(each, rows - first)
        part = pa.table({f"c{k}": np.round(rng.standard_normal(many, np.float32), 3) for k in range(columns)})
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part, row_group_size=many)
    assert writer is not None
    writer.close()


def measure(rows: int, wide: int) -> list[Figure]:
    """All figures."""
    folder = Path(os.environ.get("HOMEOSTAT_DATA", "")) / "census"
    figures = census(folder) if folder.is_dir() else [
        Figure(PART, "census, quality without labels", None, note="set HOMEOSTAT_DATA to the folder that holds census/")
    ]  # fmt: skip
    return [*figures, *speed(), *memory(rows, 100, max(1, rows // 100_000)), *memory(wide, 1000, 1)]


def main() -> int:
    """Print the table, or with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--wide", type=int, default=300_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rows, options.wide)
    absent = [name for name in ("NANNYML_PYTHON", "EVIDENTLY_PYTHON") if not os.environ.get(name)]
    notes = [f"tables: {' and '.join(absent)} not set, so these peers were not measured: make bench-tables"] * bool(
        absent
    )
    print(json.dumps(packed(figures, notes)) if options.json else as_text(figures, notes, machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
