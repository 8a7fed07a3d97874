"""Thresholds by group of people, from risks of rows that the models did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from homeostat.models.training_set import TrainingSet
from homeostat.records.arrays import Float, Int
from homeostat.records.parts import Part
from homeostat.stats.fairness import GROUPS_MAX
from homeostat.stats.group_thresholds import Thresholds, same_error_rates, same_selection_rate

COLUMNS = ("low", "high", "high_share", "coin_share", "coin")


def train_group_thresholds(
    rows: TrainingSet, risk: Float, named: Callable[[float], str], measures: Collection[str], persons_min: int,
    field: str = "",
) -> Part:  # fmt: skip
    """The rule of each group under which groups are treated alike at the least cost, as a part of a bundle.

    rows : with people; those of no group, or of one with fewer than `persons_min` people, say nothing
    risk : (n,) of each row, by models that did not learn from it
    named : a value of the field -> the group's name
    measures : that have bounds: the selection rate alone, else the rates by outcome are equalised
    Costs count as means: of selecting a negative, over negatives; of missing a positive, over positives. With fewer
    than two groups the part has no rules, and `why` says the reason.
    """
    assert rows.people is not None
    value, selected, missed = rows.people.T
    kept, left_out = _large(value, rows.groups, persons_min)
    kept = sorted(kept, key=named)
    group = np.full(len(value), -1, np.int64)
    for index, code in enumerate(kept):
        group[value == code] = index
    here, y = group >= 0, rows.y
    facts: dict[str, Any] = {"field": field, "persons_min": persons_min, "groups_left_out": left_out}
    why = _obstacle(y, group, len(kept), equal_rates := set(measures) <= {"selection_rate"})
    if why:
        return _part((), (), {**facts, "why": why})
    make = same_selection_rate if equal_rates else same_error_rates
    costs = _mean(selected[here & (y == 0.0)]), _mean(missed[here & (y == 1.0)])
    found = make(y[here], risk[here], group[here], len(kept), *costs)
    return _part(tuple(named(code) for code in kept), found, {**facts, "why": "", **_rates(found)})


def _large(value: Float, person: Int, persons_min: int) -> tuple[list[float], int]:
    """The values that enough people have, GROUPS_MAX of them at most; and how many others there are."""
    counts = {}
    for code in np.unique(value[~np.isnan(value)]).tolist():
        counts[code] = len(np.unique(person[value == code]))
    large = sorted((code for code, n in counts.items() if n >= persons_min), key=lambda code: -counts[code])
    kept = large[:GROUPS_MAX]
    return kept, len(counts) - len(kept)


def _obstacle(y: Float, group: Int, groups: int, equal_rates: bool) -> str:
    """The reason why there are no rules; empty where there can be some."""
    if np.isnan(y).any():
        return "not enough data: no outcomes are known"
    if groups < 2:
        return "not enough data: fewer than two groups have enough people"
    if not equal_rates and any(len(np.unique(y[group == index])) < 2 for index in range(groups)):
        return "not enough data: a group has outcomes of one kind only"
    return ""


def _mean(cost: Float) -> float:
    seen = cost[np.isfinite(cost)]
    return float(seen.mean()) if len(seen) else 0.0


def _rates(found: Thresholds) -> dict[str, float]:
    names = ("selection_rate", "true_positive_rate", "false_positive_rate")
    return {name: rate for name in names if (rate := getattr(found, name)) is not None}


def _part(names: tuple[str, ...], found: Any, settings: dict[str, Any]) -> Part:
    rules = found.rules if names else ()
    arrays = {column: np.array([getattr(rule, column) for rule in rules], np.float64) for column in COLUMNS}
    return Part("group_thresholds", (), arrays, {}, {**settings, "groups": list(names)})
