"""Detection on the incident suite, beside its targets: `python -m benchmarks.drill [--seeds 100-119] [--json]`.

Runs `homeostat drill` on payments with both baselines; one seed is drilled twice more and compared to the byte.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.jobs.drill.drilling import FILES, DrillRequest, drill_runs
from homeostat.jobs.drill.running import SeedTask, seeds_of
from homeostat.sim.faults.suite import SUITE

PART = "drill"
WHOLE_RUNS, WHOLE_MINUTES = 600, 20


def quiet(what: str, share: float) -> None:
    """Nobody looks."""


def same_bytes(out: Path, seed: int) -> bool:
    """Whether two drills of a seed write the same bytes."""
    like = SeedTask("payments", 0, (), baselines=True)
    for name in ("once", "twice"):
        drill_runs(DrillRequest(like, ("S00", "S12"), (seed,), 1, out / name), quiet)
    stable = [name for name in FILES if name != "timings.jsonl"]
    return all((out / "once" / name).read_bytes() == (out / "twice" / name).read_bytes() for name in stable)


def figures_of(found: dict[str, Any], minutes: float, same: bool) -> list[Figure]:
    """The summary's figures beside their targets."""
    overall, baselines = found["overall"], found["baselines"]
    best = min(one["median_delay_minutes"]["value"] for one in baselines.values())
    figures = [
        _figure("false alarms", overall["false_alarms_per_30d"], "in 30 days", "<= 1"),
        _figure("detected before the horizon", overall["detected"], "of runs", ">= 0.95"),
        _figure("median delay", overall["median_delay_minutes"], "minutes", f"<= {best / 2:.0f}"),
        _figure("true node in the first three", overall["top3"], "of runs", ">= 0.85"),
    ]
    for name, one in baselines.items():
        figures.append(_figure(f"{name}: median delay", one["median_delay_minutes"], "minutes"))
        figures.append(_figure(f"{name}: false alarms", one["false_alarms_per_30d"], "in 30 days"))
    if "held_out" in found:
        figures.append(_figure("S27 to S29: detected", found["held_out"]["detected"], "of runs"))
        figures.append(_figure("S27 to S29: true nodes in the first three", found["held_out"]["top3"], "of runs"))
    for level, one in found["severities"].items():
        if one["runs"]:
            figures.append(_figure(f"severity {level}: detected", one["detected"], "of runs"))
    runs = sum(one["runs"] for one in found["scenarios"].values())
    scaled = minutes * WHOLE_RUNS / max(1, runs)
    note = f"{runs} runs took {minutes:.1f} minutes on {os.cpu_count()} cores"
    figures.append(Figure(PART, "thirty scenarios by twenty seeds", scaled, "minutes", f"<= {WHOLE_MINUTES}", note))
    figures.append(Figure(PART, "two drills are the same to the byte", float(same), "", ">= 1"))
    return figures


def _figure(name: str, found: dict[str, float] | None, unit: str, target: str = "") -> Figure:
    if not found:
        return Figure(PART, name, None, unit, target, "no run has it")
    return Figure(PART, name, found["value"], unit, target, f"{found['low']:g} to {found['high']:g}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="100-119")
    parser.add_argument("--scenarios", default=",".join(SUITE))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = seeds_of(given.seeds)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        request = DrillRequest(
            SeedTask("payments", 0, (), baselines=True), tuple(given.scenarios.split(",")), seeds, given.jobs, out
        )
        found = drill_runs(request, quiet)
        minutes = json.loads((out / "timings.jsonl").read_text().splitlines()[-1])["total"] / 60
        figures = figures_of(found, minutes, same_bytes(out, seeds[0]))
    print(json.dumps(packed(figures, [])) if given.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
