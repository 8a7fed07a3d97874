"""Causes that investigations name in drills: `python -m benchmarks.causes [--seeds 0-3] [--scenarios S12,S20]`.

Each run is investigated two hours after its fault was noticed, and again up to twice, every twelve hours, while the
result is inconclusive. With `--out`, each run adds a line to a file; with `--calibrate`, the lines of seeds below 100
become the table by which shares turn into probabilities.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.adapters.process.clock import thread_seconds
from homeostat.app.investigating import investigator_of
from homeostat.config.causal import causal_graph
from homeostat.jobs.drill.deciding import Deciding, DrillApp, Kept, frame_of, quiet_traffic
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.records import Watch
from homeostat.jobs.drill.running import seeds_of
from homeostat.jobs.drill.watching import Watching
from homeostat.maintain.investigate.investigator import CauseInvestigator
from homeostat.maintain.investigate.library import shipped
from homeostat.maintain.investigate.posterior import Table
from homeostat.records.arrays import State
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.incidents import Incident
from homeostat.sim.faults.fault import Truth
from homeostat.sim.faults.runs import Laid, lay_out, run_of
from homeostat.sim.faults.scene import Frame, Scene
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, Traffic

PART = "causes"
SETTLE_NS, AGAIN_NS, ROUNDS = 2 * HOUR_NS, 12 * HOUR_NS, 3
STEP_HOURS = 2  # So many hours are watched at once.
HORIZON_NS = 14 * DAY_NS  # After the onset.
RAW = Table((0.0, 1.0), (0.0, 1.0))
TUNED_BELOW = 100
TABLE = Path(__file__).parent.parent / "src/homeostat/maintain/investigate/calibration.json"


class World:
    """The quiet world of a seed up to its fork."""

    def __init__(self, drill: DrillApp, frame: Frame, seed: int) -> None:
        self.drill, self.frame, self.seed = drill, frame, seed
        self.traffic: Traffic = quiet_traffic(drill, frame, seed)
        quiet = run_of("S00", seed, frame)
        deciding, watching = Deciding(drill, self.traffic, frame, seed), Watching(drill)
        deciding.warm()
        self.cases, self.watch = DrillCases.of(deciding), Watch(quiet)
        while deciding.now_ns < quiet.fork_ns:
            hours = min(24, (quiet.fork_ns - deciding.now_ns) // HOUR_NS)
            walk(deciding, watching, self.cases, self.watch, hours)
        self.kept: Kept = deciding.kept()
        self.watched: State = watching.state()


def walk(deciding: Deciding, watching: Watching, cases: DrillCases, watch: Watch, count: int) -> None:
    hours = []
    for _ in range(count):
        hour = deciding.hour()
        cases.decided(hour)
        hours.append(hour)
    seen = watching.take(hours)
    cases.seen(seen)
    for hour, one in zip(hours, seen, strict=True):
        watch.take(hour, one)


def runs(app: str, seeds: Sequence[int], scenarios: Sequence[str], raw: bool) -> Iterator[dict[str, Any]]:
    """A line for each run whose fault the app has a place for and that was noticed.

    raw : whether shares are left as they are
    """
    drill, frame = DrillApp(app), frame_of(30)
    for seed in seeds:
        world = World(drill, frame, seed)
        for scenario in scenarios:
            if run_of(scenario, seed, frame).scenario.fits(Scene.drawn(drill.form, frame, 0, 1, seed, [0])):
                line = _line(drill, world, lay_out(run_of(scenario, seed, frame), world.traffic, drill.form), raw)
                if line is not None:
                    yield line


def _line(drill: DrillApp, world: World, laid: Laid, raw: bool) -> dict[str, Any] | None:
    run = laid.run
    deciding, watching = Deciding(drill, laid.traffic, world.frame, world.seed, laid), Watching(drill, laid.log)
    deciding.resume(world.kept)
    watching.restore(world.watched)
    cases, watch = world.cases.forked(deciding), world.watch.copy(run)
    onset = run.onset_ns or run.fork_ns + DAY_NS
    due, rounds, found, took = 0, 0, None, 0.0
    while deciding.now_ns < min(onset + HORIZON_NS, world.frame.end_ns) and rounds < ROUNDS:
        walk(deciding, watching, cases, watch, STEP_HOURS)
        incident = incident_of(cases, watch, onset)
        if incident is None:
            continue
        due = due or max(watch.opened_ns.get(incident.id, deciding.now_ns), watch.detected_ns or 0) + SETTLE_NS
        if deciding.now_ns >= due:
            begun = thread_seconds()
            found = _investigated(drill, cases, incident, raw)
            took = thread_seconds() - begun
            rounds, due = rounds + 1, due + AGAIN_NS
            if found.conclusion == Conclusion.CAUSE:
                break
    return None if found is None else _scored(found, laid, deciding.now_ns, rounds, took)


def incident_of(cases: DrillCases, watch: Watch, onset: int) -> Incident | None:
    """The incident with the most signals among those that were opened, or went on, since the onset."""
    if watch.detected_ns is None and not any(at > onset for at in watch.opened_ns.values()):
        return None
    open_ = [one for one in cases.incidents.values() if one.closed_ns == 0 or one.closed_ns > onset]
    return max(open_, key=lambda one: (len(one.signals), one.id), default=None)


def _investigated(drill: DrillApp, cases: DrillCases, incident: Incident, raw: bool) -> Findings:
    prepared, case = drill.prepared, cases.case(incident, cases.deciding.now_ns)
    if raw:
        return CauseInvestigator(
            causal_graph(prepared.app), cases.recent, cases.rehearsal, shipped(), calibration=RAW
        ).investigate(case)
    return investigator_of(prepared.app, prepared.features, cases.rehearsal, cases.recent).investigate(case)


def _scored(found: Findings, laid: Laid, now_ns: int, rounds: int, took: float) -> dict[str, Any]:
    truths, run = laid.truths, laid.run
    right = [any(is_truth(truth, node, kind, now_ns) for truth in truths) for node, kind, _ in found.ranked]
    named = [any(is_truth(truth, one.node, one.kind, now_ns) for truth in truths) for one in found.findings]
    return {
        "scenario": run.scenario.id, "seed": run.seed, "severity": run.severity,
        "truth": [[one.node, str(one.kind)] for one in truths], "conclusion": str(found.conclusion),
        "findings": [[one.node, one.kind, one.probability] for one in found.findings],
        "ranked": [list(one) for one in found.ranked[:5]], "first": bool(right[:1] and right[0]),
        "three": any(right[:3]), "grounded": all(one.grounded for one in found.findings),
        "exact": bool(truths) and all(named) and len(named) == len(truths), "steps": found.steps, "rounds": rounds,
        "hours": round((now_ns - (run.onset_ns or now_ns)) / HOUR_NS, 1), "seconds": round(took, 3),
        "missing": list(found.missing[:3]),
    }  # fmt: skip


def is_truth(truth: Truth, node: str, kind: str, now_ns: int) -> bool:
    return kind == str(truth.kind) and truth.at(node, now_ns)


def reliability(lines: Sequence[dict[str, Any]]) -> list[tuple[float, float, int]]:
    """By tenth of the first one's probability: its mean, the share that was right, and how many."""
    found = []
    for tenth in range(10):
        rows = [one for one in lines if one["ranked"] and min(9, int(one["ranked"][0][2] * 10)) == tenth]
        if rows:
            mean = sum(one["ranked"][0][2] for one in rows) / len(rows)
            found.append((mean, sum(one["first"] for one in rows) / len(rows), len(rows)))
    return found


def calibrated(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The table of lines with raw shares: isotonic regression of right on the share, by pools of equal rows.

    Source: Ayer et al. (1955), Annals of Mathematical Statistics 26, 641-647: pool adjacent violators. Each pool counts
    half a hit and half a miss more, so that none is certain.
    """
    rows = sorted(
        (one["ranked"][0][2], float(one["first"])) for one in lines if one["ranked"] and one["seed"] < TUNED_BELOW
    )
    pools: list[list[float]] = []  # Sum of shares, sum of hits, rows.
    for share, hit in rows:
        pools.append([share, hit, 1.0])
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    raw = [0.0, *(one[0] / one[2] for one in pools)]
    right = [0.0, *((one[1] + 0.5) / (one[2] + 1) for one in pools)]
    right = np.maximum.accumulate(right).tolist()
    seeds = sorted({one["seed"] for one in lines if one["seed"] < TUNED_BELOW})
    return {
        "made_by": "python -m benchmarks.causes --calibrate", "seeds": seeds, "runs": len(rows),
        "raw": [round(one, 6) for one in raw], "right": [round(one, 6) for one in right],
    }  # fmt: skip


def figures_of(lines: Sequence[dict[str, Any]]) -> list[Figure]:
    """The figures of runs with a fault beside their targets."""
    faults = [one for one in lines if one["truth"]]
    named = [one for one in faults if one["findings"]]
    two = [one for one in faults if len(one["truth"]) > 1]
    figures = [
        _share("cause in first place", [one["first"] for one in faults], ">= 0.85"),
        _share("cause in the first three", [one["three"] for one in faults], ">= 0.95"),
        _share("grounded", [one["grounded"] for one in named], ">= 0.95"),
        _share("ended with a cause", [bool(one["findings"]) for one in faults]),
        _share("of these exact", [one["exact"] for one in named]),
    ]
    if two:
        figures.append(_share("two at once: exact", [one["exact"] for one in two], ">= 0.7"))
    if lines:
        figures.append(Figure(PART, "steps", float(np.median([one["steps"] for one in lines])), "median"))
        figures.append(
            Figure(PART, "processor time", max(one["seconds"] for one in lines), "s at most", target="<= 60")
        )
    for mean, right, count in reliability(lines):
        figures.append(Figure(PART, f"right at a probability of {mean:.2f}", right, f"of {count}"))
    return figures


def _share(name: str, hits: Sequence[bool], target: str = "") -> Figure:
    value = sum(hits) / len(hits) if hits else float("nan")
    return Figure(PART, name, value, f"of {len(hits)}", target=target)


def main() -> None:
    """The figures on standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="payments")
    parser.add_argument("--seeds", type=seeds_of, default=(0, 1))
    parser.add_argument("--scenarios", default=",".join(SUITE))
    parser.add_argument("--out", type=Path, default=None, help="each run adds a line to this file")
    parser.add_argument("--lines", type=Path, default=None, help="read the lines of earlier runs, and make none")
    parser.add_argument("--raw", action="store_true", help="shares as they are, for --calibrate")
    parser.add_argument("--calibrate", action="store_true", help="make the table of raw lines")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lines = []
    if arguments.lines is not None:
        lines = [json.loads(one) for one in arguments.lines.read_text().splitlines()]
    else:
        for line in runs(
            arguments.app, arguments.seeds, arguments.scenarios.split(","), arguments.raw or arguments.calibrate
        ):
            lines.append(line)
            if arguments.out is not None:
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    if arguments.calibrate:
        TABLE.write_text(json.dumps(calibrated(lines)) + "\n")
    figures = figures_of(lines)
    print(json.dumps(packed(figures, [])) if arguments.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
