"""An evaluation of payments: its time, and its figures beside scikit-learn's.

    python -m benchmarks.evaluate [--rows 300000] [--bundle FOLDER] [--json]

The last `--rows` payments are evaluated, and as many before them fill the windows. Times are of the processor. The time
of a replay of the same payments, in the same process, says what of it is deciding.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn import metrics as theirs

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.transactions import the_bundle, transactions
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.jobs.evaluation.deciding import Decider, scorers_of, truth_of
from homeostat.jobs.evaluation.evaluate import Request, evaluate
from homeostat.jobs.evaluation.window import window_of
from homeostat.jobs.replay import Request as Replay
from homeostat.jobs.replay import replay_events
from homeostat.models.training_set import silent

PART = "evaluate"


def decided(events: Path, bundle: Path | None, from_ns: int, until_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Label and risk of the evaluated payments, decided once more."""
    prepared = prepare("payments")
    models = bundle_of(prepared, bundle)
    window = window_of(prepared, events, None, from_ns, until_ns, silent)
    run = Decider(prepared, models, window, scorers_of(prepared, models)).run()
    label = truth_of(prepared, window).label
    known = ~np.isnan(label)
    return label[known], run.risk[known]


def away(report: dict[str, Any], label: np.ndarray, risk: np.ndarray) -> float:
    """The largest difference of a figure from scikit-learn's."""
    held = np.clip(risk, 1e-15, 1 - 1e-15)
    quality = report["quality"]
    expected = {
        "auc": theirs.roc_auc_score(label, risk), "average_precision": theirs.average_precision_score(label, risk),
        "brier": theirs.brier_score_loss(label, risk), "log_loss": theirs.log_loss(label, held),
    }  # fmt: skip
    return max(abs(quality[name]["value"] - value) for name, value in expected.items())


def measure(rows: int, bundle: Path | None, folder: Path) -> tuple[list[Figure], list[str]]:
    """All figures. The events of `rows` payments are evaluated."""
    events = transactions(folder, 2 * rows)
    times = pq.read_table(events.path, columns=["TX_DATETIME"])["TX_DATETIME"].to_numpy()
    from_ns = int(times[len(times) - min(rows, len(times) // 2)].astype("datetime64[ns]").astype(np.int64))
    until_ns = int(times[-1].astype("datetime64[ns]").astype(np.int64)) + 1
    taken = {}

    def timed(name: str, robust_rows: int) -> dict[str, Any]:
        begun = time.process_time()
        request = Request(events.path, folder / name, from_ns, until_ns, bundle, robust_rows=robust_rows)
        report = evaluate("payments", request, silent)
        taken[name] = time.process_time() - begun
        print(f"{PART}: {name} {taken[name]:.1f} s", file=sys.stderr, flush=True)
        return report

    timed("warm", 1_000)
    without, report = timed("without faults", 0), timed("whole", 100_000)
    begun = time.process_time()
    replay_events("payments", Replay(events.path, folder / "replay", bundle=bundle), silent)
    replayed = time.process_time() - begun
    decisions, faults = report["quality"]["decisions"], len(report["robustness"]["cases"])
    label, risk = decided(events.path, bundle, from_ns, until_ns)
    figures = [
        Figure(PART, "whole, processor time", taken["whole"], "s", note=f"{decisions:,} decisions, {faults} faults"),
        Figure(PART, "without faults, processor time", taken["without faults"], "s"),
        Figure(PART, "without faults, against a replay", taken["without faults"] / replayed, "times", "<= 2"),
        Figure(PART, "a fault, of 100,000 decisions", (taken["whole"] - taken["without faults"]) / faults, "s"),
        Figure(PART, "largest difference from scikit-learn", away(report, label, risk), "", "<= 1e-12"),
        Figure(PART, "report.html", (folder / "whole" / "report.html").stat().st_size / 1024, "KiB"),
    ]
    same = without["quality"] == report["quality"]
    return figures, [f"{PART}: {events.said}", *([] if same else [f"{PART}: two evaluations differ"])]


def main() -> int:
    """Print the table, or with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if the_bundle(options.bundle) is None:
        print(f"{PART}: skipped, the payments app has no bundle here: name one with --bundle", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        figures, notes = measure(options.rows, options.bundle, Path(folder))
    print(json.dumps(packed(figures, notes)) if options.json else as_text(figures, notes, machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
