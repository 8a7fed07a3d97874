"""The figures of the whole half over many runs, with bootstrap intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from homeostat.jobs.drill.rivals import NAMES
from homeostat.jobs.drill.summary import DRAWS, LEVEL
from homeostat.sim.faults.suite import SUITE

Line = Mapping[str, Any]
_Figure = Callable[[Sequence[Line]], float]
_SURE = 0.8


def _share(name: str, among: Callable[[Line], bool]) -> _Figure:
    def figure(lines: Sequence[Line]) -> float:
        rows = [bool(one[name]) for one in lines if among(one)]
        return float(np.mean(rows)) if rows else np.nan

    return figure


def _mean(name: str) -> _Figure:
    def figure(lines: Sequence[Line]) -> float:
        rows = [one[name] for one in lines if one[name] is not None]
        return float(np.mean(rows)) if rows else np.nan

    return figure


def _median(name: str) -> _Figure:
    def figure(lines: Sequence[Line]) -> float:
        rows = [one[name] for one in lines if one[name] is not None]
        return float(np.median(rows)) if rows else np.nan

    return figure


def _alone(lines: Sequence[Line]) -> float:
    rows = [one["right"] and one["by_itself"] for one in lines if one["may_act"]]
    return float(np.mean(rows)) if rows else np.nan


def _found(one: Line) -> bool:
    return one["truth"] is not None and one["detected"] is not None


def _sure(one: Line, low: float, high: float) -> bool:
    return low <= (one["confidence"] or 0) < high and bool(one["actions"])


FIGURES: Mapping[str, _Figure] = {
    "right": _share("right", lambda one: True),
    "harmful": _share("harmful", lambda one: True),
    "unauthorised": lambda lines: float(sum(one["unauthorised"] for one in lines)),
    "cause_first": _share("cause_first", _found),
    "cause_in_three": _share("cause_in_three", _found),
    "exact_set": _share("exact_set", _found),
    "grounded": _share("grounded", lambda one: one["grounded"] is not None and one["truth"] is not None),
    "handled_alone": _alone,
    "regret": _mean("regret"),
    "sure_and_right": _share("right", lambda one: (one["confidence"] or 0) >= _SURE and bool(one["actions"])),
    "sure_80_90": _share("right", lambda one: _sure(one, 0.8, 0.9)),
    "sure_90_100": _share("right", lambda one: _sure(one, 0.9, 1.01)),
    "recovered_minutes": _median("recovered"),
}
"""Each over the lines of runs; NaN where no run has one."""


def whole_figures(lines: Sequence[Line]) -> dict[str, Any]:
    """The figures of all tuned scenarios, of each scenario, and of the rivals on the same runs."""
    tuned = [one for one in lines if SUITE[one["scenario"]].tuned]
    held = [one for one in lines if not SUITE[one["scenario"]].tuned]
    found: dict[str, Any] = {"overall": _with_intervals(tuned), "held_out": _with_intervals(held)}
    names = sorted({one["scenario"] for one in lines})
    found["scenarios"] = {name: _with_intervals([one for one in lines if one["scenario"] == name]) for name in names}
    rivals: dict[str, float | None] = {}
    for name in NAMES:
        found_of = [one["others"][name] for one in tuned if "others" in one]
        regrets = [one for one in found_of if one is not None]
        rivals[name] = round(float(np.mean(regrets)), 4) if regrets else None
    if any(value is not None for value in rivals.values()):
        found["regret_of_others"] = rivals
    return found


def _with_intervals(lines: Sequence[Line]) -> dict[str, Any]:
    found: dict[str, Any] = {"runs": len(lines)}
    if not lines:
        return found
    seeds = sorted({one["seed"] for one in lines})
    members = {seed: [one for one in lines if one["seed"] == seed] for seed in seeds}
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([21])))
    drawn = [
        [one for at in rng.integers(0, len(seeds), len(seeds)) for one in members[seeds[at]]] for _ in range(DRAWS)
    ]
    for name, figure in FIGURES.items():
        value = figure(lines)
        if np.isnan(value):
            found[name] = None
            continue
        draws = np.array([figure(part) for part in drawn])
        draws = draws[~np.isnan(draws)]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(draws) else (value, value)
        found[name] = {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return found
