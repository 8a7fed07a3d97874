"""Another revision against this tree, figure by figure: `make bench-compare REV=v1.2`.

    python -m benchmarks.compare REV [--only NAME ...] [--rounds N] [--json]

Both trees run the same benchmarks in turn, so other load on this machine slows both. The best round of each counts. A
ratio above 1 means that this tree needs more time, or memory. Each tree runs its own benchmarks, so only figures that
both have are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.__main__ import BENCHMARKS, Benchmark
from benchmarks.figures import number
from benchmarks.readings import figures_of

ROOT = Path(__file__).parent.parent
PARTS = ("windows", "intake", "latency", "replay")


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both trees, the best round of each."""

    part: str
    name: str
    unit: str
    base: float
    head: float

    @property
    def ratio(self) -> float:
        """How much more this tree needs.

        >>> Compared("replay", "whole replay", "s", 2.0, 3.0).ratio
        1.5
        >>> Compared("replay", "decisions a second", "/s", 200_000, 100_000).ratio
        2.0
        """
        more, less = (self.base, self.head) if is_rate(self.name, self.unit) else (self.head, self.base)
        return more / less if less else float("nan")


def is_rate(name: str, unit: str) -> bool:
    """Whether more of it is better.

    >>> is_rate("decisions a second", "/s"), is_rate("events/s, 15 published features", ""), is_rate("one event us", "")
    (True, True, False)
    """
    return any(mark in f"{name} {unit}" for mark in ("/s", "a second", "per second", "'s speed"))


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A tree of the revision, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="homeostat-base-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, revision], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def measured(tree: Path, benchmark: Benchmark) -> dict[tuple[str, str], float]:
    """Figures of one run in a tree, by name and unit; empty, with a message, where it could not run."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark.name}", *benchmark.quick, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    try:
        figures = figures_of(benchmark.name, json.loads(ran.stdout), {})
    except ValueError:
        print(f"{benchmark.name} in {tree}: {ran.stderr.strip()[-300:]}", file=sys.stderr)
        return {}
    return {(figure.name, figure.unit): figure.value for figure in figures if figure.value is not None}


def compared(base: Path, benchmark: Benchmark, rounds: int) -> list[Compared]:
    """The best of `rounds` runs of each tree, one after the other."""
    trees = (base, ROOT)
    best: list[dict[tuple[str, str], float]] = [{}, {}]
    for turn in range(rounds):
        for k in (0, 1) if turn % 2 == 0 else (1, 0):
            for (name, unit), value in measured(trees[k], benchmark).items():
                better = max if is_rate(name, unit) else min
                best[k][name, unit] = better(best[k].get((name, unit), value), value)
        print(f"{benchmark.name}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    both = [key for key in best[1] if key in best[0]]
    return [Compared(benchmark.name, *key, best[0][key], best[1][key]) for key in both]


def as_text(rows: Sequence[Compared], revision: str) -> str:
    """The table for a terminal."""
    lines = [f"{'':<10}{'':<58}{revision[:14]:>14}{'this tree':>14}{'ratio':>8}"]
    for row in rows:
        values = f"{number(row.base):>14}{number(row.head):>14}"
        lines.append(f"{row.part:<10}{row.name[:56]:<58}{values}{row.ratio:>8.3f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both trees and show them side by side."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="what to compare this tree with: a commit, a tag, a branch")
    parser.add_argument("--only", nargs="+", choices=names, default=PARTS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each tree")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    rows: list[Compared] = []
    with checked_out(options.revision) as base:
        for benchmark in BENCHMARKS:
            if benchmark.name in options.only:
                rows += compared(base, benchmark, options.rounds)
    found = [{**asdict(row), "ratio": row.ratio} for row in rows]
    print(json.dumps(found, indent=1) if options.json else as_text(rows, options.revision))
    return 0


if __name__ == "__main__":
    sys.exit(main())
