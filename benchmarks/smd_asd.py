"""Server machines with many metrics (SMD, ASD): mean VUS-PR beside peers that learn from the same rows.

    SERIES_PYTHON=... python -m benchmarks.smd_asd [--json]

The training part is unlabelled, each test row is scored from rows up to it, one configuration for all. SERIES_PYTHON
names the interpreter of an environment that has the packages which `benchmarks/peer_series.py` names. HOMEOSTAT_DATA
names the folder of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat import SeriesDetector

PART = "smd_asd"
MARGIN = 1.15
PEER = Path(__file__).with_name("peer_series.py")


def machines(folder: Path) -> list[Path]:
    """The tables of the machines."""
    return sorted([*(folder / "asd").glob("*.parquet"), *(folder / "smd").glob("*.parquet")])


def prepare(path: Path, out: Path) -> None:
    """Write a machine's parts and our scores for the peers' process."""
    table = pq.read_table(path)
    names = [name for name in table.column_names if name.startswith("m")]
    values = np.column_stack([table.column(name).to_numpy().astype(np.float64) for name in names])
    tested = np.array(table.column("split").to_pylist()) == "test"
    detector = SeriesDetector(len(names))
    assert detector.freeze(values[~tested])
    score = detector.add_all(values[tested]).score
    label = table.column("label").to_numpy()[tested]
    np.savez(out / f"{path.stem}.npz", train=values[~tested], test=values[tested], label=label, ours=score)


def compared(part: str, found: dict[str, dict[str, float]]) -> list[Figure]:
    """The mean of each detector, and our margin over the best peer."""
    names = list(next(iter(found.values())))
    means = {name: float(np.mean([of[name] for of in found.values()])) for name in names}
    best = max(value for name, value in means.items() if name != "ours")
    figures = [Figure(part, f"mean VUS-PR, {name}", value) for name, value in means.items()]
    figures.insert(0, Figure(part, "mean VUS-PR over the best peer's", means["ours"] / best, target=f">= {MARGIN}"))
    return figures + [Figure(part, f"VUS-PR, {name}", of["ours"]) for name, of in found.items()]


def judged(folder: Path) -> dict[str, dict[str, float]]:
    """VUS-PR by series and detector of prepared files."""
    asked = [os.environ["SERIES_PYTHON"], str(PEER), str(folder)]
    done = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = os.environ.get("HOMEOSTAT_DATA")
    if not data or "SERIES_PYTHON" not in os.environ:
        sys.exit("set HOMEOSTAT_DATA to the folder of the published data, and SERIES_PYTHON")
    with tempfile.TemporaryDirectory() as scratch:
        for path in machines(Path(data)):
            prepare(path, Path(scratch))
        figures = compared(PART, judged(Path(scratch)))
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
