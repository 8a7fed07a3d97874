"""The figures of many runs, with bootstrap intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.jobs.drill.running import Result
from homeostat.records.arrays import Float, Int
from homeostat.sim.faults.suite import SUITE

DRAWS = 400
LEVEL = 0.95
_MINUTE_NS = 60_000_000_000
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """The figures of n runs, NaN where one has none.

    seed : (n,)
    detected, delay, events, top3 : of runs with a fault; an undetected one has the time to the horizon as its delay
    false, days : alarms while nothing was wrong, and for how long nothing was
    """

    seed: Int
    detected: Float
    delay: Float
    events: Float
    top3: Float
    false: Float
    days: Float


def rows_of(results: Sequence[Result], days: int, start_ns: int, detector: str = "") -> Rows:
    """The figures of runs; of homeostat, or of the baseline of that name."""
    found = [_row(one, days, start_ns, detector) for one in results]
    columns = np.array(found, np.float64).reshape(-1, 7).T
    return Rows(columns[0].astype(np.int64), *columns[1:])


def _row(result: Result, days: int, start_ns: int, detector: str) -> tuple[float, ...]:
    line, nan = result.line, float("nan")
    seed, harmless = line["seed"], SUITE[line["scenario"]].harmless
    onset_day = result.also["onset_day"]
    if not detector:
        if harmless:
            return seed, nan, nan, nan, nan, line["false_alarms"], days
        return (
            seed, line["detected"] is not None, line["delay_minutes"], line["delay_events"], result.also["top3"],
            line["alarms_before_onset"], onset_day,
        )  # fmt: skip
    alarms = np.array(result.also[detector], np.int64)
    if harmless:
        return seed, nan, nan, nan, nan, len(alarms), days
    onset = start_ns + int(onset_day * _DAY_NS)
    after = alarms[alarms > onset]
    first = int(after[0]) if len(after) else start_ns + days * _DAY_NS
    return seed, len(after) > 0, (first - onset) // _MINUTE_NS, nan, nan, int((alarms <= onset).sum()), onset_day


_FIGURES: dict[str, Callable[[Rows], float]] = {
    "detected": lambda rows: _mean(rows.detected),
    "median_delay_minutes": lambda rows: _median(rows.delay),
    "median_delay_events": lambda rows: _median(rows.events),
    "top3": lambda rows: _mean(rows.top3),
    "false_alarms_per_30d": lambda rows: float(rows.false.sum() / rows.days.sum() * 30) if rows.days.sum() else np.nan,
}


def _mean(values: Float) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _median(values: Float) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def figures(rows: Rows) -> dict[str, Any]:
    """Each figure with its interval, null where the runs have none."""
    if not len(rows.seed):
        return {}
    seeds = np.unique(rows.seed)
    members = [np.flatnonzero(rows.seed == seed) for seed in seeds]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([20])))
    drawn = [np.concatenate([members[k] for k in rng.integers(0, len(seeds), len(seeds))]) for _ in range(DRAWS)]
    found: dict[str, Any] = {}
    for name, figure in _FIGURES.items():
        value = figure(rows)
        if np.isnan(value):
            found[name] = None
            continue
        draws = np.array([figure(_at(rows, at)) for at in drawn])
        draws = draws[~np.isnan(draws)]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(draws) else (value, value)
        found[name] = {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return found


def _at(rows: Rows, at: Int) -> Rows:
    return Rows(
        rows.seed[at], rows.detected[at], rows.delay[at], rows.events[at], rows.top3[at], rows.false[at], rows.days[at]
    )  # fmt: skip


def summary(results: Sequence[Result], app: str, days: int, start_ns: int) -> dict[str, Any]:
    """The whole summary: all tuned scenarios, each scenario, each severity, and the baselines on the same runs."""
    tuned = [one for one in results if SUITE[one.line["scenario"]].tuned]
    apart = [one for one in results if not SUITE[one.line["scenario"]].tuned]
    faulty = [one for one in tuned if not SUITE[one.line["scenario"]].harmless]
    groups: dict[str, Sequence[Result]] = {"overall": tuned, "held_out": apart}

    def made(of: Sequence[Result], detector: str = "") -> dict[str, Any]:
        return {"runs": len(of), **figures(rows_of(of, days, start_ns, detector))}

    found: dict[str, Any] = {"app": app, "days": days, "seeds": sorted({one.line["seed"] for one in results})}
    found |= {name: made(of) for name, of in groups.items() if of}
    names = sorted({one.line["scenario"] for one in results})
    found["scenarios"] = {
        name: {"title": SUITE[name].title, **made([one for one in results if one.line["scenario"] == name])}
        for name in names
    }  # fmt: skip
    found["severities"] = {
        str(level): made([one for one in faulty if one.line["severity"] == level]) for level in (1, 2, 3)
    }
    if results and "ddm" in results[0].also:
        found["baselines"] = {
            name: {
                **made(tuned, name),
                "scenarios": {
                    one: made([r for r in results if r.line["scenario"] == one], name) for one in names
                },
            }
            for name in ("ddm", "ks")
        }  # fmt: skip
    return found
