"""Features of made-up apps and events against an oracle: `python -m benchmarks.oracle [--features 2000000] [--seed 1]`.

The oracle (`tests/support/oracle.py`) is plain Python, written from the docs alone. Events are of all magnitudes, tied,
late and repeated; outcomes come late and are corrected. Run it from the repository's root. Ends with 1 if anything
differs: a count or an extreme at all, another feature by more than 1e-12 of itself. Two runs with different seeds see
different apps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.judging import Judgement, judge

SHOWN = 20
APPS_OF_A_SEED = 1_000_000


def main() -> int:
    """Judge apps until there are enough features, and say what differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=2_000_000, help="how many are compared")
    parser.add_argument("--seed", type=int, default=1, help="which apps and events")
    given = parser.parse_args()
    judgement, begun = Judgement(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        while judgement.features < given.features:
            judge(given.seed * APPS_OF_A_SEED + judgement.apps, Path(folder), judgement)
            if judgement.apps % 100 == 0:
                print(f"{judgement.features:,} features, {len(judgement.differing)} differ", file=sys.stderr)
    took = time.perf_counter() - begun
    print(
        f"{judgement.features:,} features of {judgement.events:,} events of {judgement.apps:,} apps in {took:.0f} s: "
        f"{len(judgement.differing):,} differ"
    )
    for line in judgement.differing[:SHOWN]:
        print(f"  {line}")
    return 1 if judgement.differing else 0


if __name__ == "__main__":
    sys.exit(main())
