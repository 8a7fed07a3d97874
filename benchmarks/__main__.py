"""Speed and quality in one table, each figure beside its target: `make bench`.

    python -m benchmarks [--quick] [--only NAME ...] [--markdown docs/benchmarks.md] [--save FILE] [--json]
    python -m benchmarks --read FILE ... [--markdown docs/benchmarks.md]

Each benchmark is a process of its own, one after the other. Progress goes to standard error. A benchmark that can't be
measured here is named in one line. The exit status is 1 if a benchmark failed to run, or with --strict if a target is
missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, as_markdown, as_text, machine, packed, unpacked, write_markdown
from benchmarks.readings import figures_of

HERE = Path(__file__).parent
SHORT = "This was the short form: on few data, so only an indication."


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One module of this folder, and how it is asked.

    quick : its arguments in the short form
    data : whether it means nothing without the published payments
    bundle : whether it takes --bundle
    """

    name: str
    quick: tuple[str, ...] = ()
    data: bool = False
    bundle: bool = False


BENCHMARKS = (
    Benchmark("windows"),
    Benchmark("redis_windows", ("--rows", "150000")),
    Benchmark("replay", ("--rows", "150000", "--repeats", "1"), bundle=True),
    Benchmark("peers", ("--rows", "150000", "--events", "100", "--river", "1500"), bundle=True),
    Benchmark("latency", bundle=True),
    Benchmark("serving", ("--seconds", "5"), bundle=True),
    Benchmark("due", ("--outcomes", "20000", "--seconds", "5")),
    Benchmark("startup", ("--repeats", "3")),
    Benchmark("scorers", ("--rows", "10000")),
    Benchmark("intake", ("--rows", "200000")),
    Benchmark("line_protocol", ("--lines", "20000", "--repeats", "2")),
    Benchmark("journal", ("--rows", "65536")),
    Benchmark("pipeline", ("--events", "200000", "--ordinary", "200", "--seconds", "15")),
    Benchmark("http_processes", ("--seconds", "6")),
    Benchmark("training_set", ("--rows", "150000", "--repeats", "1")),
    Benchmark("quality", ("--days", "7", "--folds", "2018-07-25"), data=True),
    Benchmark("policies", ("--seeds", "2")),
    Benchmark("online", ("--events", "6000", "--phases", "40", "--kills", "2")),
    Benchmark("settings", ("--runs", "6")),
    Benchmark("jobs", ("--jobs", "4", "--seconds", "3")),
    Benchmark("models", ("--deployments", "1000", "--repeats", "20")),
    Benchmark("shadow", ("--rounds", "4")),
    Benchmark("maintain", ("--rows", "150000", "--repeats", "1")),
    Benchmark("canary", ("--groups", "6")),
    Benchmark("drill", ("--seeds", "100", "--scenarios", "S00,S12,S20")),
    Benchmark("switch", ("--seconds", "4")),
    Benchmark("judge", ("--runs", "100", "--effects", "50")),
    Benchmark("tables", ("--rows", "300000", "--wide", "30000")),
    Benchmark("off_policy", ("--runs", "100")),
    Benchmark("streams", ("--runs", "10", "--seeds", "1")),
    Benchmark("alarms", ("--days", "60")),
    Benchmark("nab", data=True),
    Benchmark("infra", ("--days", "12")),
    Benchmark("ranking", ("--cases", "60", "--step", "25")),
    Benchmark("healing", ("--seeds", "1", "--scale", "0.1")),
    Benchmark("tuning", ("--trials", "6", "--validation", "1", "--sharing", "20"), data=True),
    Benchmark("evaluate", ("--rows", "50000"), bundle=True),
    Benchmark("decision_lists", ("--rows", "200000")),
    Benchmark("live", ("--rounds", "2", "--events", "400")),
)


@dataclass(slots=True)
class Found:
    """The results of a benchmark."""

    figures: list[Figure]
    notes: list[str]
    failed: bool = False


def run(benchmark: Benchmark, quick: bool, bundle: Path | None) -> Found:
    """One benchmark's figures; where there are none, a line that says why."""
    name = benchmark.name
    if not (HERE / f"{name}.py").exists():
        return absent(name, f"there is no benchmarks/{name}.py", failed=True)
    if benchmark.data and not os.environ.get("HOMEOSTAT_DATA"):
        return absent(name, "set HOMEOSTAT_DATA to the folder of the published payments")
    arguments = [*(benchmark.quick if quick else ()), "--json"]
    if benchmark.bundle and bundle is not None:
        arguments += ["--bundle", str(bundle)]
    status, printed, said = ask([sys.executable, "-m", f"benchmarks.{name}", *arguments])
    try:
        found = json.loads(printed)
    except ValueError:
        return absent(name, f"it ended with status {status}: {said}", failed=True)
    targets = getattr(importlib.import_module(f"benchmarks.{name}"), "TARGETS", {})
    figures = figures_of(name, found, targets)
    notes = list(found.get("notes", ())) if isinstance(found, dict) else []
    return Found(figures or absent(name, "nothing could be measured").figures, notes)


def absent(name: str, why: str, failed: bool = False) -> Found:
    """A benchmark that gave nothing."""
    return Found([Figure(name, "all of it", None, note=why)], [f"{name}: not measured, {why}"], failed)


def ask(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Status, standard output and the last line of standard error, which also passes through."""
    last = ""
    with tempfile.TemporaryFile("w+") as printed:
        command = subprocess.Popen(arguments, stdout=printed, stderr=subprocess.PIPE, text=True, cwd=HERE.parent)
        with command as process:
            assert process.stderr is not None
            for line in process.stderr:
                sys.stderr.write(line)
                last = line.strip() or last
        printed.seek(0)
        return process.returncode, printed.read(), last


def chosen_ones(names: Sequence[str] | None) -> list[Benchmark]:
    """The benchmarks of these names, all where none is given."""
    return [benchmark for benchmark in BENCHMARKS if not names or benchmark.name in names]


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """All figures and notes, and whether every benchmark ran."""
    figures: list[Figure] = []
    notes: list[str] = [SHORT] if options.quick else []
    ran, begun = True, time.perf_counter()
    for benchmark in chosen_ones(options.only):
        print(f"{benchmark.name} ...", file=sys.stderr, flush=True)
        found = run(benchmark, options.quick, options.bundle)
        figures += found.figures
        notes += found.notes
        ran = ran and not found.failed
        print(f"{benchmark.name}: {time.perf_counter() - begun:.0f} s so far", file=sys.stderr, flush=True)
    return packed(figures, notes, machine=machine(), quick=options.quick, seconds=time.perf_counter() - begun), ran


def merged(files: Sequence[Path]) -> dict[str, Any]:
    """Results that were saved, put together; a later file's part replaces an earlier one's."""
    loaded = [json.loads(file.read_text()) for file in files]
    parts: dict[str, list[Figure]] = {}
    for found in loaded:
        fresh: dict[str, list[Figure]] = {}
        for figure in unpacked(found):
            fresh.setdefault(figure.part, []).append(figure)
        parts |= fresh
    order = {benchmark.name: place for place, benchmark in enumerate(BENCHMARKS)}
    figures = [figure for part in sorted(parts, key=lambda name: order.get(name, 99)) for figure in parts[part]]
    notes = dict.fromkeys(note for found in loaded for note in found["notes"])
    return {**packed(figures, notes), "machine": loaded[-1]["machine"]}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--bundle", type=Path, help="instead of the shipped one")
    parser.add_argument("--read", type=Path, nargs="+", metavar="FILE", help="measure nothing, show what was saved")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table into this page")
    parser.add_argument("--save", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--strict", action="store_true", help="status 1 if a target is not reached")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or read, and show."""
    options = parse(arguments)
    found, ran = (merged(options.read), True) if options.read else measure(options)
    figures, notes, where = unpacked(found), found["notes"], found["machine"]
    if options.save is not None:
        options.save.write_text(json.dumps(found, indent=1) + "\n")
    if options.markdown is not None:
        write_markdown(options.markdown, as_markdown(figures, notes, where))
    print(json.dumps(found, indent=1) if options.json else as_text(figures, notes, where))
    missed = any(figure.verdict not in ("", "ok") for figure in figures)
    return 1 if not ran or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
