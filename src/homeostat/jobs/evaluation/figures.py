"""The figures of one version: how well its risk ranks and is calibrated, its actions and their cost, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.jobs.evaluation.deciding import Run, Truth
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.reasons import Fallback
from homeostat.stats.resampling import BINS, RESAMPLES, People, Sampled

DAY_NS = 86_400 * 10**9
LEVEL = 0.95
_DAYS_MAX = 31  # Of a window whose figures are shown by day; longer ones are shown by week.
RANKED = ("auc", "average_precision")


@dataclass(frozen=True, slots=True)
class Scene:
    """The rows that figures are made of, and the draws that all versions and faults share.

    known : numbers of the rows whose outcome counts
    all, people : the people of all rows, and of those
    """

    truth: Truth
    known: Int
    all: People
    people: People

    @classmethod
    def of(cls, truth: Truth, seed: int, resamples: int = RESAMPLES) -> Scene:
        """Of the decided rows; intervals follow from the app's seed."""
        known = np.flatnonzero(~np.isnan(truth.label))
        everyone = People(truth.person, seed=seed, resamples=resamples)
        return cls(truth, known, everyone, People(truth.person[known], seed=seed, resamples=resamples))

    @property
    def label(self) -> Float:
        """(known,) 1 or 0."""
        return self.truth.label[self.known]

    @property
    def priced(self) -> bool:
        """Whether the app declares costs."""
        return self.truth.positive is not None

    def cost(self, action: Int) -> Float:
        """(known,) the cost of an action for each row, (n,)."""
        return self.truth.cost(action)[self.known]


def figure(found: Sampled | None) -> dict[str, Any]:
    """A figure as JSON: `value`, `low`, `high`, `n`, `persons`, and why a bound is missing."""
    if found is None:
        return {"value": None, "low": None, "high": None, "n": 0, "persons": 0, "why": "not enough data: no rows"}
    bounds = found.interval(LEVEL)
    low, high = (None, None) if bounds is None else bounds
    why = None
    if bounds is None:
        why = f"not enough data: {found.why}" if found.why else "it is not defined for these rows"
    return {
        "value": number(found.value), "low": low, "high": high, "n": found.rows, "persons": found.persons, "why": why
    }  # fmt: skip


def number(value: float) -> float | None:
    """A number for JSON; null where there is none."""
    return float(value) if np.isfinite(value) else None


def measures(run: Run, scene: Scene) -> dict[str, Sampled]:
    """The figures by which versions are compared, by name."""
    y, people = scene.label, scene.people
    risk = run.risk[scene.known]
    p = np.clip(risk, 1e-15, 1 - 1e-15)
    found = ranked(run, scene)
    costs = {name: found.pop(name) for name in ("cost",) if name in found}
    return found | {
        "brier": people.mean((risk - y) ** 2),
        "log_loss": people.mean(-(y * np.log(p) + (1.0 - y) * np.log1p(-p))),
        "calibration_error": people.calibration_error(y, risk),
    } | costs  # fmt: skip


def ranked(run: Run, scene: Scene) -> dict[str, Sampled]:
    """The figures by which faults are compared, by name."""
    found = dict(zip(RANKED, scene.people.ranking(scene.label, run.risk[scene.known]), strict=True))
    if scene.priced:
        found["cost"] = mean_cost(scene, run.action)
    return found


def mean_cost(scene: Scene, action: Int) -> Sampled:
    """The cost of an event under these actions (n,), in the app's currency."""
    cost = scene.cost(action)
    return scene.people.mean(np.nan_to_num(cost), np.isfinite(cost))


def quality(run: Run, scene: Scene, actions: Sequence[str], found: dict[str, Sampled]) -> dict[str, Any]:
    """How well the risk ranks and is calibrated, and the actions as the app's own thresholds and guards took them.

    found : of `measures`
    """
    truth = scene.truth
    return {
        "decisions": len(truth),
        "known": len(scene.known),
        "positives": int(scene.label.sum()),
        "too_young": truth.found.young,
        "without_outcome": truth.found.silent,
        "base_rate": figure(scene.people.share(scene.label == 1.0, np.ones(len(scene.known), bool))),
        **{name: figure(found[name]) for name in (*RANKED, "brier", "log_loss")},
        "actions": _actions(run, scene, actions),
        "served": served(run, actions),
        "by_time": _by_time(run, scene),
    }


def _actions(run: Run, scene: Scene, actions: Sequence[str]) -> list[dict[str, Any]]:
    """Each action: its rate, and rate, precision and recall of itself and all harsher ones together."""
    positive, every = scene.label == 1.0, np.ones(len(scene.truth), bool)
    rows = []
    for index, name in enumerate(actions):
        taken = run.action >= index
        known = taken[scene.known]
        harsher = {
            "rate_or_harsher": figure(scene.all.share(taken, every)),
            "precision": figure(scene.people.share(positive, known)),
            "recall": figure(scene.people.share(known, positive)),
        }
        # All events have the mildest action or a harsher one, so these figures would say nothing of it.
        rate = figure(scene.all.share(run.action == index, every))
        rows.append({"action": name, "rate": rate, **(harsher if index else dict.fromkeys(harsher))})
    return rows


def _by_time(run: Run, scene: Scene) -> dict[str, Any]:
    """The figures of each day, or of each week where there are many."""
    day = scene.truth.time_ns // DAY_NS
    begins = int(day.min())
    unit = 1 if day.max() - begins < _DAYS_MAX else 7
    period = (day - begins) // unit
    return {
        "unit": "day" if unit == 1 else "week",
        "periods": [
            {"from": str(np.datetime64(begins + one * unit, "D")), **_of_part(run, scene, period == one)}
            for one in np.unique(period).tolist()
        ],
    }


def _of_part(run: Run, scene: Scene, inside: Mask) -> dict[str, Any]:
    """The figures of some of the rows."""
    rows = scene.known[inside[scene.known]]
    y, risk = scene.truth.label[rows], run.risk[rows]
    people = People(scene.truth.person[rows], resamples=scene.people.resamples)
    auc, precision = people.ranking(y, risk)
    acted = People(scene.truth.person[inside], resamples=scene.all.resamples)
    found = {
        "decisions": int(np.count_nonzero(inside)), "known": len(rows), "positives": int(y.sum()),
        "auc": figure(auc), "average_precision": figure(precision), "brier": figure(people.mean((risk - y) ** 2)),
        "acted": figure(acted.share(run.action[inside] > 0, np.ones(int(np.count_nonzero(inside)), bool))),
    }  # fmt: skip
    if scene.priced:
        cost = scene.truth.cost(run.action)[rows]
        found["cost"] = figure(people.mean(np.nan_to_num(cost), np.isfinite(cost)))
    return found


def served(run: Run, actions: Sequence[str], base: Run | None = None) -> dict[str, Any]:
    """The shares of decisions by action, of those that lacked a part, by cause, and of those that a guard made.

    base : the same rows without a fault; then also the share of decisions with another action
    """
    n = len(run.action)
    counts = np.bincount(run.action, minlength=len(actions))
    fallbacks = {
        reason.value: float(np.count_nonzero(run.fallback & np.uint8(bit)) / n)
        for bit, reason in Fallback.NAMES.items()
    }
    return {
        "actions": {name: float(count / n) for name, count in zip(actions, counts, strict=True)},
        "fallbacks": {name: share for name, share in fallbacks.items() if share},
        "decided_by": {
            "policy": float(np.mean(run.rule == -1)), "rule": float(np.mean(run.rule >= 0)),
            "breaker": float(np.mean(run.rule == -2)), "fallback": float(np.mean(run.rule == -3)),
        },
        "other_action": None if base is None else float(np.mean(run.action != base.action)),
    }  # fmt: skip


def segment(run: Run, scene: Scene, inside: Mask) -> dict[str, Any]:
    """The figures of a named segment; inside : (n,) whether each row belongs to it."""
    return _of_part(run, scene, inside)


def calibration(run: Run, scene: Scene, found: dict[str, Sampled]) -> dict[str, Any]:
    """The reliability table over bins of equally many rows, and the calibration error."""
    y, risk = scene.label, run.risk[scene.known]
    order = np.argsort(risk, kind="stable")
    bins = []
    for rows in np.array_split(order, BINS):
        if len(rows):
            inside = np.zeros(len(y), bool)
            inside[rows] = True
            share = figure(scene.people.share(y == 1.0, inside))
            bins.append({"risk": float(risk[rows].mean()), "share": share})
    return {"error": figure(found["calibration_error"]), "bins": bins}


def cost(run: Run, scene: Scene, found: dict[str, Sampled], currency: str | None) -> dict[str, Any]:
    """The mean cost of an event, beside that of the mildest action always and of hard rules alone."""
    if not scene.priced:
        return {"currency": currency, "per_event": figure(None), "why": "the app declares no costs"}
    mine = found["cost"]
    nobody = np.zeros(len(scene.truth), np.int64)
    mildest = mean_cost(scene, nobody)
    rules = mean_cost(scene, np.where(run.rule >= 0, run.action, nobody))
    return {
        "currency": currency,
        "per_event": figure(mine),
        "total": float(np.nansum(scene.cost(run.action))),
        "mildest": figure(mildest),
        "rules": figure(rules),
        "saved_against_mildest": figure(mildest.less(mine)),
        "saved_against_rules": figure(rules.less(mine)),
        "why": None,
    }
