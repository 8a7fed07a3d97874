"""Rebuild the trained bundles that the wheel carries: `python -m benchmarks.bundle [--app APP] [--out FOLDER]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from homeostat.cli.progress import Progress, shown
from homeostat.engine.assembly import prepare
from homeostat.jobs.bundling import make_bundle
from homeostat.jobs.infra.bundling import InfraRecipe, make_infra_bundle
from homeostat.jobs.simulated import Recipe
from homeostat.models.bundle import Bundle, save_bundle

MAKERS: dict[str, Callable[[Progress], Bundle]] = {
    "payments": lambda progress: make_bundle(prepare("payments"), Recipe(), progress),
    "infra": lambda progress: make_infra_bundle(prepare("infra"), InfraRecipe(), progress),
}


def main() -> int:
    """Train, write, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", choices=MAKERS, action="append", help="all of them when absent")
    parser.add_argument("--out", type=Path, help="of one app; beside its app file when absent")
    options = parser.parse_args()
    apps = options.app or list(MAKERS)
    if options.out is not None and len(apps) > 1:
        parser.error("--out goes with one --app")
    for app in apps:
        rebuild(app, options.out or Path(str(files("homeostat.apps") / app / "bundle")))
    return 0


def rebuild(app: str, out: Path) -> None:
    """One app's bundle."""
    begun = time.perf_counter()
    with shown("bundle") as progress:
        bundle = MAKERS[app](progress)
    version = save_bundle(bundle, out)
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: version {version}, {size:,} bytes, {time.perf_counter() - begun:.0f} s")
    for name, metrics in bundle.about["out_of_fold"].items():
        print(f"  {name:10} average precision {metrics['average_precision']:.3f}, ROC AUC {metrics['roc_auc']:.3f}")


if __name__ == "__main__":
    sys.exit(main())
