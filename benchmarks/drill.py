"""The incident suite, beside its targets: `python -m benchmarks.drill [--half whole] [--seeds 100-119] [--json]`.

Runs `homeostat drill` on payments with its baselines. Of detection, one seed is drilled twice more and compared to the
byte. With `--half whole` incidents are answered, too; `--of DIR,DIR` takes the runs of drills that were made before.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.jobs.drill.drilling import FILES, DrillRequest, drill_runs
from homeostat.jobs.drill.running import SeedTask, seeds_of
from homeostat.jobs.drill.whole_summary import whole_figures
from homeostat.sim.faults.suite import SUITE

PART = "drill"
ANSWERS = "drill, whole half"
WHOLE_RUNS, WHOLE_MINUTES = 600, 20
OF_ANSWERS = (
    ("right", "right action", "of runs", ">= 0.90"),
    ("harmful", "harmful action", "of runs", "<= 0.02"),
    ("unauthorised", "unauthorised actions, counted from outside", "", "<= 0"),
    ("cause_first", "true cause (node and kind) first", "of runs", ">= 0.85"),
    ("cause_in_three", "true cause in the first three", "of runs", ">= 0.95"),
    ("grounded", "evidence path measured", "of findings", ">= 0.95"),
    ("handled_alone", "handled without a person, of what may be", "of runs", ">= 0.70"),
    ("regret", "mean regret against the oracle", "", "<= 0.15"),
    ("sure_80_90", "right, of those at confidence .8 to .9", "of runs", ">= 0.80"),
    ("sure_90_100", "right, of those at confidence .9 and above", "of runs", ">= 0.80"),
    ("recovered_minutes", "recovery after detection, median", "minutes", "<= 60"),
)
"""Of the summary: key, name, unit, target."""


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


def answers_of(lines: list[dict[str, Any]], timings: list[dict[str, Any]]) -> list[Figure]:
    """The figures of the whole half beside their targets. timings : of the same runs"""
    found = whole_figures(lines)
    overall = found["overall"]
    figures = [
        Figure(
            ANSWERS, name, None if not overall.get(key) else overall[key]["value"], unit, target,
            "no run has it" if not overall.get(key) else f"{overall[key]['low']:g} to {overall[key]['high']:g}",
        )
        for key, name, unit, target in OF_ANSWERS
    ]  # fmt: skip
    others = found.get("regret_of_others", {})
    rivals = {name: one for name, one in others.items() if name != "oracle" and one is not None}
    if rivals and overall.get("regret"):
        best = min(rivals, key=lambda name: rivals[name])
        gap = overall["regret"]["value"] - rivals[best]
        figures.append(Figure(ANSWERS, "regret beyond the best baseline's", gap, "", "< 0", f"that of {best}"))
    two = found["scenarios"].get("S27")
    if two and two.get("exact_set"):
        figures.append(_of_answers("exact set of two faults at once (S27)", two["exact_set"], ">= 0.70"))
    if found["held_out"]["runs"]:
        figures.append(_of_answers("S27 to S29: right action", found["held_out"]["right"]))
        figures.append(_of_answers("S27 to S29: unauthorised actions", found["held_out"]["unauthorised"], "<= 0"))
    ruling = [one["ruling"] for one in timings if "ruling" in one]
    if ruling:
        note = "processor time of the slowest"
        figures.append(Figure(ANSWERS, "incident to ruling", max(ruling), "s", "<= 60", note))
    spent = sum(value for one in timings for key, value in one.items() if key in ("deciding", "watching", "quiet"))
    if lines and spent:
        hours = spent * WHOLE_RUNS / len(lines) / 2 / 3600
        note = f"{len(lines)} runs took {spent / 60:.1f} minutes of processor time"
        figures.append(Figure(ANSWERS, "600 runs on two cores, by processor time", hours, "h", "<= 2", note))
    for name, one in found["scenarios"].items():
        figures.append(_of_answers(f"{name} {SUITE[name].title}: right", one["right"]))
    return figures


def _of_answers(name: str, found: dict[str, float] | None, target: str = "") -> Figure:
    return replace(_figure(name, found, "", target), part=ANSWERS)


def _figure(name: str, found: dict[str, float] | None, unit: str, target: str = "") -> Figure:
    if not found:
        return Figure(PART, name, None, unit, target, "no run has it")
    return Figure(PART, name, found["value"], unit, target, f"{found['low']:g} to {found['high']:g}")


def _answered(given: argparse.Namespace, seeds: tuple[int, ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines and timings of the runs: of new ones, or of folders."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(one) for one in given.of.split(",") if one] or [Path(folder)]
        if not given.of:
            like = SeedTask("payments", 0, (), baselines=True, whole=True)
            drill_runs(DrillRequest(like, tuple(given.scenarios.split(",")), seeds, given.jobs, folders[0]), quiet)
        lines = [line for one in folders for line in _lines(one / "runs.jsonl")]
        return lines, [line for one in folders for line in _lines(one / "timings.jsonl")]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="100-119")
    parser.add_argument("--scenarios", default=",".join(SUITE))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--half", choices=("detect", "whole"), default="detect")
    parser.add_argument("--of", default="", help="folders of drills of the whole half, instead of a new one")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = seeds_of(given.seeds)
    if given.half == "whole":
        figures = answers_of(*_answered(given, seeds))
        print(json.dumps(packed(figures, [])) if given.json else as_text(figures, [], machine()))
        return
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
