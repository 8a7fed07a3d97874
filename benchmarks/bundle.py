"""Rebuild the trained bundle that the wheel carries: `python -m benchmarks.bundle [--out FOLDER]`."""

from __future__ import annotations

import argparse
import sys
import time
from importlib.resources import files
from pathlib import Path

from homeostat.cli.progress import shown
from homeostat.engine.assembly import prepare
from homeostat.jobs.bundling import make_bundle
from homeostat.jobs.simulated import Recipe
from homeostat.models.bundle import save_bundle


def main() -> int:
    """Train, write, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(str(files("homeostat.apps") / "payments" / "bundle")))
    options = parser.parse_args()
    begun = time.perf_counter()
    with shown("bundle") as progress:
        bundle = make_bundle(prepare("payments"), Recipe(), progress)
    version = save_bundle(bundle, options.out)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    print(f"{options.out}: version {version}, {size:,} bytes, {time.perf_counter() - begun:.0f} s")
    for name, metrics in bundle.about["out_of_fold"].items():
        print(f"  {name:10} average precision {metrics['average_precision']:.3f}, ROC AUC {metrics['roc_auc']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
