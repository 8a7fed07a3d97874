"""Trouble of kinds that no hypothesis knows: `python -m benchmarks.unlisted [--seeds 3,4] [--kinds rounding] [--json]`.

Loop 2 must come to no cause that it could act on: it changes nothing, and a person is asked. Each kind is a fault of
the drill's own form, laid over the same world as its scenarios, and answered at level `full`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.figures import Figure, as_text, machine
from homeostat.jobs.drill.deciding import DrillApp
from homeostat.jobs.drill.running import Result, SeedTask, frame_of, runs_of, seeds_of
from homeostat.records.arrays import Float
from homeostat.sim.faults.fault import Fault, Scenario, Truth
from homeostat.sim.faults.runs import Run, run_of
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import HOUR_NS, Traffic
from homeostat.stats.chance import uniform

PART = "unlisted"
FIRST = 41  # Numbers of these kinds, beyond those of the suite: chance is drawn by them.
LIKE = "S12"
"""The scenario whose onset, severity, decoy and noise a run of a seed has."""


def _of_sources(
    change: Callable[[Float, Scene, Traffic], Float], *shares: float
) -> Callable[[Traffic, Scene], Traffic]:
    """A fault that changes the number of events of a share of the sources."""

    def happen(traffic: Traffic, scene: Scene) -> Traffic:
        rows = traffic.happened(scene.onset_ns) & scene.among_sources(traffic, scene.by_severity(*shares))
        numbers = traffic.numbers.copy()
        numbers[rows, scene.number] = change(numbers[rows, scene.number], scene, traffic)
        return replace(traffic, numbers=numbers)

    return happen


def _rounded(value: Float, scene: Scene, traffic: Traffic) -> Float:
    """To whole tens."""
    return np.maximum(10.0, np.round(value / 10) * 10)


def _cut(value: Float, scene: Scene, traffic: Traffic) -> Float:
    """Written as text that is cut after three characters."""
    return np.array([float(f"{one:.2f}"[:3].rstrip(".")) for one in value.tolist()])


def _quantised(value: Float, scene: Scene, traffic: Traffic) -> Float:
    """To the nearest of eight levels."""
    levels = np.nanquantile(traffic.numbers[: traffic.since(scene.onset_ns), scene.number], np.linspace(0.05, 0.95, 8))
    return levels[np.abs(value[:, None] - levels).argmin(axis=1)]


def _other_currency(value: Float, scene: Scene, traffic: Traffic) -> Float:
    """Another currency under the name of this one, at a rate that changes by the day."""
    return np.round(value * scene.by_severity(1.17, 0.86, 1.31), 2)


def _swapped(traffic: Traffic, scene: Scene) -> Traffic:
    """Sources answer under each other's names, in pairs."""
    if not traffic.keys.shape[1]:
        return traffic
    keys, rows = traffic.keys.copy(), traffic.happened(scene.onset_ns)
    known = np.unique(traffic.keys[:, -1])
    some = known[uniform(scene.seed, known, 401) < scene.by_severity(0.3, 0.6, 1.0)]
    other = dict(zip(some.tolist(), scene.rng.permutation(some).tolist(), strict=True))
    keys[rows, -1] = [other.get(one, one) for one in keys[rows, -1].tolist()]
    return replace(traffic, keys=keys)


def _holiday(traffic: Traffic, scene: Scene) -> Traffic:
    """A quarter of the people do next to nothing for some days; nobody has written it down."""
    end = scene.onset_ns + int(scene.by_severity(3, 6, 10)) * 24 * HOUR_NS
    away = traffic.happened(scene.onset_ns, end) & scene.of_entities(traffic, 0.25, 403)
    return traffic.rows(~(away & (uniform(scene.seed, traffic.id, 405) < 0.9)))


def _cross_joined(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the events carries the number of another event of the same hour."""
    rows = np.flatnonzero(
        traffic.happened(scene.onset_ns) & (uniform(scene.seed, traffic.id, 407) < scene.by_severity(0.3, 0.6, 1.0))
    )
    numbers, hour = traffic.numbers.copy(), traffic.sent_ns[rows] // HOUR_NS
    order = np.lexsort([scene.rng.random(len(rows)), hour])
    shifted = np.roll(order, 1)
    numbers[rows[order], scene.number] = traffic.numbers[rows[shifted], scene.number]
    return replace(traffic, numbers=numbers)


KINDS: dict[str, Callable[[Traffic, Scene], Traffic]] = {
    "rounding": _of_sources(_rounded, 0.3, 0.6, 1.0),
    "truncated": _of_sources(_cut, 0.3, 0.6, 1.0),
    "quantised": _of_sources(_quantised, 0.3, 0.6, 1.0),
    "currency": _of_sources(_other_currency, 0.3, 0.6, 1.0),
    "swapped sources": _swapped,
    "holiday of some": _holiday,
    "cross-joined": _cross_joined,
}


def scenario_of(kind: str) -> Scenario:
    """A scenario in which any change is wrong: nobody knows a remedy."""
    fault = Fault(lambda scene: Truth("source", kind), KINDS[kind], needs="number")
    return Scenario(
        f"U{FIRST + list(KINDS).index(kind)}", kind, (fault,), ("escalate",), ("retrain", "rollback"), tuned=False
    )


def results_of(kinds: Sequence[str], seeds: Sequence[int], days: int = 30) -> Iterator[Result]:
    """A run of each kind for each seed, all severities in turn."""
    drill = DrillApp("payments")
    frame = frame_of(days)
    for seed in seeds:
        like = run_of(LIKE, seed, frame)
        runs: list[Run] = [
            replace(like, scenario=scenario_of(kind), severity=(seed + at) % 3 + 1) for at, kind in enumerate(kinds)
        ]
        yield from runs_of(SeedTask("payments", seed, (), days, whole=True), drill, runs=runs)


def figures_of(results: Sequence[Result]) -> list[Figure]:
    """The changes that were made, and whether a person was asked."""
    lines = [one.line for one in results]
    seen = [one for one in lines if one["detected"] is not None]
    acted = [one for one in lines if one["actions"]]
    named = [one for one in seen if one["causes"]]
    asked = [one for one in seen if not one["by_itself"]]
    note = ", ".join(sorted({f"{_title(one)}: {one['actions'][0]['kind']}" for one in acted})) or "none"
    kinds = ", ".join(sorted({f"{_title(one)}: {one['causes'][0]['kind']}" for one in named})) or "none"
    return [
        Figure(PART, "changed something", float(len(acted)), f"of {len(lines)} runs", "<= 0", note),
        Figure(PART, "noticed", len(seen) / max(1, len(lines)), "of runs"),
        Figure(PART, "a person was asked, of those noticed", len(asked) / max(1, len(seen)), "of runs"),
        Figure(PART, "a cause was named, of those noticed", len(named) / max(1, len(seen)), "of runs", "", kinds),
    ]


def _title(line: dict[str, Any]) -> str:
    return list(KINDS)[int(line["scenario"][1:]) - FIRST]


def main() -> None:
    """Print the figures, and with `--json` each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="3,4")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results = list(results_of(given.kinds.split(","), seeds_of(given.seeds)))
    if given.json:
        print(json.dumps([one.line for one in results]))
    else:
        print(as_text(figures_of(results), [], machine()))


if __name__ == "__main__":
    main()
