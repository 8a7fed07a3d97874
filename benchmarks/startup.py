"""How long `homeostat --help` takes, as a person waits for it: `python -m benchmarks.startup [--json]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, as_text, machine, packed


def command() -> list[str]:
    """The installed command, or the same from source."""
    installed = Path(sys.executable).parent / "homeostat"
    return [str(installed)] if installed.exists() else [sys.executable, "-c", "from homeostat.cli import main; main()"]


def seconds(arguments: list[str], repeats: int) -> list[float]:
    """Of several processes, after one that fills the file cache."""
    found = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        found.append(time.perf_counter() - begun)
    return found[1:]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    taken = seconds([*command(), "--help"], chosen.repeats)
    python = seconds([sys.executable, "-c", "pass"], chosen.repeats)
    figures = [
        Figure("startup", "homeostat --help, median", median(taken), "s", "<= 0.2"),
        Figure("startup", "homeostat --help, fastest", min(taken), "s"),
        Figure("startup", "Python alone, median", median(python), "s"),
    ]
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
