"""Repeated incidents: `python -m benchmarks.repeats [--first 0] [--seeds 1-3] [--scenarios S12,S20]`.

The runs of the first seed fill a memory with the causes that investigations named, right or wrong. Each scenario then
comes again on other seeds: with another severity, onset, noise and, for most, another field or source. Each of these is
investigated twice at the same moments, with the memory and without it; again every twelve hours while inconclusive.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.causes import AGAIN_NS, HORIZON_NS, ROUNDS, SETTLE_NS, STEP_HOURS, World, incident_of, is_truth, walk
from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.adapters.memory.listed import ListedCases
from homeostat.adapters.process.clock import thread_seconds
from homeostat.app.investigating import investigator_of
from homeostat.jobs.drill.deciding import Deciding, DrillApp, frame_of
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.running import seeds_of
from homeostat.jobs.drill.watching import Watching
from homeostat.maintain.contracts import Case
from homeostat.maintain.incident.past import past_of
from homeostat.ports.memory import Recalls
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.findings_text import findings_dict
from homeostat.sim.faults.runs import Laid, lay_out, run_of
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS

PART = "repeats"
NEVER_TUNED = ("S27", "S28", "S29")


@dataclass(slots=True)
class Arm:
    """One way to investigate a run: with the memory or without one."""

    memory: Recalls | None
    found: Findings | None = None
    steps: int = 0
    rounds: int = 0
    seconds: float = 0.0
    recalled: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has ended with a cause, or was tried often enough."""
        ended = self.found is not None and self.found.conclusion == Conclusion.CAUSE
        return ended or self.rounds >= ROUNDS

    def investigate(self, drill: DrillApp, cases: DrillCases, case: Case) -> None:
        """One more round."""
        prepared = drill.prepared
        investigator = investigator_of(prepared.app, prepared.features, cases.rehearsal, cases.recent, self.memory)
        begun = thread_seconds()
        self.found = investigator.investigate(case)
        self.seconds += thread_seconds() - begun
        self.steps, self.rounds = self.steps + self.found.steps, self.rounds + 1
        self.recalled += self.found.recalled


def lines(app: str, first: int, seeds: Sequence[int], scenarios: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A line for each run that was noticed, those of the first seed included."""
    drill, memory = DrillApp(app), ListedCases()
    frame = frame_of(30)
    known: set[str] = set()
    for seed in (first, *seeds):
        world = World(drill, frame, seed)
        for scenario in scenarios:
            run = run_of(scenario, seed, frame)
            if not run.scenario.fits(Scene.drawn(drill.form, frame, 0, 1, seed, [0])):
                continue
            laid = lay_out(run, world.traffic, drill.form)
            arms = [Arm(None)] if seed == first else [Arm(None), Arm(memory)]
            case = _run(drill, world, laid, arms)
            if case is None:
                continue
            if seed == first:
                known |= {scenario} if _keep(memory, case, arms[0], scenario) else set()
            yield _line(laid, case, arms, scenario in known)


def _run(drill: DrillApp, world: World, laid: Laid, arms: Sequence[Arm]) -> Case | None:
    """Investigate a run as the loop does; returns the last case, None where nothing was noticed."""
    run = laid.run
    deciding, watching = Deciding(drill, laid.traffic, world.frame, world.seed, laid), Watching(drill, laid.log)
    deciding.resume(world.kept)
    watching.restore(world.watched)
    cases, watch = world.cases.forked(deciding), world.watch.copy(run)
    onset = run.onset_ns or run.fork_ns + DAY_NS
    due, case = 0, None
    while deciding.now_ns < min(onset + HORIZON_NS, world.frame.end_ns) and not all(arm.over for arm in arms):
        walk(deciding, watching, cases, watch, STEP_HOURS)
        incident = incident_of(cases, watch, onset)
        if incident is None:
            continue
        due = due or max(watch.opened_ns.get(incident.id, deciding.now_ns), watch.detected_ns or 0) + SETTLE_NS
        if deciding.now_ns >= due:
            case, due = cases.case(incident, deciding.now_ns), due + AGAIN_NS
            for arm in arms:
                if not arm.over:
                    arm.investigate(drill, cases, case)
    return case


def _keep(memory: ListedCases, case: Case, arm: Arm, scenario: str) -> bool:
    """Keep a run of the first seed as a past case, if it ended with a cause."""
    found = arm.found
    if found is None or found.conclusion != Conclusion.CAUSE:
        return False
    incident = case.incident.investigated(findings_dict(found), case.now_ns)
    past = past_of(incident, case.signals)
    assert past is not None, "it was investigated"
    return memory.keep(replace(past, id=f"{scenario}-{past.id}"))


def _line(laid: Laid, case: Case, arms: Sequence[Arm], repeated: bool) -> dict[str, Any]:
    run = laid.run
    line: dict[str, Any] = {
        "scenario": run.scenario.id, "seed": run.seed, "severity": run.severity, "repeated": repeated,
        "truth": [[one.node, str(one.kind)] for one in laid.truths],
        "hours": round((case.now_ns - (run.onset_ns or case.now_ns)) / HOUR_NS, 1),
    }  # fmt: skip
    for name, arm in zip(("without", "with"), arms, strict=False):
        found = arm.found
        named = [] if found is None else [(one.node, one.kind) for one in found.findings]
        first = None if found is None or not found.ranked else found.ranked[0]
        line[name] = {
            "steps": arm.steps, "rounds": arm.rounds, "seconds": round(arm.seconds, 4), "findings": named,
            "recalled": arm.recalled,
            "right": first is not None and any(is_truth(t, first[0], first[1], case.now_ns) for t in laid.truths),
        }  # fmt: skip
    return line


def figures_of(rows: Sequence[dict[str, Any]]) -> list[Figure]:
    """The figures of runs whose scenario the memory knows, and of those that it does not know."""
    again = [one for one in rows if one["repeated"] and "with" in one]
    fresh = [one for one in rows if not one["repeated"] and "with" in one and one["truth"]]
    verified = [one for one in again if one["with"]["recalled"]]
    return [
        _share("right on repeats", [one["with"]["right"] for one in again], ">= 0.9"),
        _share("right on repeats without a memory", [one["without"]["right"] for one in again]),
        _part("steps on repeats", again, "steps", "<= 0.1"),
        _part("processor time on repeats", again, "seconds"),
        _share("repeats that were verified", [bool(one["with"]["recalled"]) for one in again]),
        _part("steps on those verified", verified, "steps"),
        _part("processor time on those verified", verified, "seconds"),
        _share("right on those verified", [one["with"]["right"] for one in verified]),
        _share("right on those verified, without a memory", [one["without"]["right"] for one in verified]),
        _part("steps on causes that it does not know", fresh, "steps"),
        _share("other causes than without a memory", [
            one["with"]["findings"] != one["without"]["findings"] for one in (*again, *fresh)
        ]),
    ]  # fmt: skip


def _share(name: str, hits: Sequence[bool], target: str = "") -> Figure:
    return Figure(PART, name, sum(hits) / len(hits) if hits else None, f"of {len(hits)}", target=target)


def _part(name: str, rows: Sequence[dict[str, Any]], what: str, target: str = "") -> Figure:
    """The sum with the memory as a part of that without one."""
    whole = sum(one["without"][what] for one in rows)
    part = sum(one["with"][what] for one in rows) / whole if whole else None
    return Figure(PART, name, part, f"of those without a memory, {len(rows)} runs", target=target)


def main() -> None:
    """The figures on standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="payments")
    parser.add_argument("--first", type=int, default=0, help="the seed that fills the memory")
    parser.add_argument("--seeds", type=seeds_of, default=(1,))
    parser.add_argument("--scenarios", default=",".join(one for one in SUITE if one not in (*NEVER_TUNED, "S00")))
    parser.add_argument("--out", type=Path, default=None, help="each run adds a line to this file")
    parser.add_argument("--lines", type=Path, nargs="*", default=None, help="read earlier lines, and make none")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    if arguments.lines is not None:
        rows = [json.loads(one) for path in arguments.lines for one in path.read_text().splitlines()]
    else:
        for line in lines(arguments.app, arguments.first, arguments.seeds, arguments.scenarios.split(",")):
            rows.append(line)
            if arguments.out is not None:
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    figures = figures_of(rows)
    print(json.dumps(packed(figures, [])) if arguments.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()
