"""A version under faults: what each changes, and what was served meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from homeostat.jobs.evaluation.deciding import Decider, Fault, Run
from homeostat.jobs.evaluation.figures import RANKED, Scene, figure, ranked, served
from homeostat.stats.resampling import Sampled


def robustness(
    decider: Decider, faults: Sequence[Fault], scene: Scene, base: Run, rows_max: int | None,
    progress: Callable[[float, str], None],
) -> dict[str, Any]:  # fmt: skip
    """Each fault's change of the figures beside the same rows without it, and what was served.

    scene, base : of these rows
    """
    actions = decider.prepared.app.actions
    before = ranked(base, scene)
    cases = []
    for index, fault in enumerate(faults):
        progress(index / len(faults), f"{fault.kind}: {fault.target}, {fault.strength}")
        run = decider.run(fault, rows_max)
        cases.append({
            "kind": fault.kind, "target": fault.target, "strength": fault.strength,
            **changes(ranked(run, scene), before), "served": served(run, actions, base),
        })  # fmt: skip
    return {
        "decisions": len(scene.truth),
        "without_fault": {name: figure(before[name]) for name in _compared(before)},
        "served_without_fault": served(base, actions),
        "cases": cases,
    }


def _compared(found: dict[str, Sampled]) -> tuple[str, ...]:
    return (*RANKED, *(("cost",) if "cost" in found else ()))


def changes(after: dict[str, Sampled], before: dict[str, Sampled]) -> dict[str, Any]:
    """The changes of the figures, with paired intervals."""
    return {f"{name}_change": figure(after[name].less(before[name])) for name in _compared(before)}
