"""The segments in which a version fares worst: those that a search finds, and the groups that the app names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from homeostat.config.plans import group_name
from homeostat.config.tree import App
from homeostat.jobs.evaluation.deciding import Run
from homeostat.jobs.evaluation.figures import Scene, number, segment
from homeostat.records.arrays import Float
from homeostat.stats.fairness import GROUPS_MAX
from homeostat.stats.slices import Column, Segment, category_column, number_column, worst_segments

COLUMNS_MAX = 40  # Pairs of columns are searched, so the time grows with the square.
ALPHA = 0.05
_SHOWN_MAX = 20


def slices(
    run: Run, scene: Scene, app: App, names: Sequence[str], categories: frozenset[str]
) -> dict[str, Any]:  # fmt: skip
    """The worst segments by the squared error of the risk and, where there are costs, by the cost of an event.

    names : of the features, the declared fields first; categories : those whose values are codes
    Both searches together show a segment wrongly with probability ALPHA at most.
    """
    assert run.features is not None
    searched = min(len(names), COLUMNS_MAX)
    columns = [
        _column(names[place], run.features[scene.known, place], names[place] in categories, scene.truth.texts)
        for place in range(searched)
    ]
    losses = {"squared_error": (run.risk[scene.known] - scene.label) ** 2}
    if scene.priced:
        losses["cost"] = scene.cost(run.action)
    found = {
        name: [
            _shown(one)
            for one in worst_segments(
                loss, columns, scene.truth.person[scene.known], seed=app.seed, alpha=ALPHA / len(losses)
            )[:_SHOWN_MAX]
        ]
        for name, loss in losses.items()
    }
    return {
        "alpha": ALPHA,
        "columns": searched,
        "columns_left_out": len(names) - searched,
        "found": found,
        "named": _named(run, scene, app),
    }


def _column(name: str, values: Float, category: bool, texts: Mapping[float, str]) -> Column:
    if not category:
        return number_column(name, values)
    return category_column(name, [None if np.isnan(v) else texts.get(v, f"{v:.15g}") for v in values.tolist()])


def _shown(one: Segment) -> dict[str, Any]:
    return {
        "segment": list(one.conditions), "rows": one.rows, "persons": one.persons, "mean": number(one.mean),
        "rest": number(one.rest), "excess": {
            "value": number(one.excess), "low": number(one.low), "high": None, "n": one.rows,
        }, "p": one.p, "shown": one.shown, "why": f"not enough data: {one.why}" if one.why else None,
    }  # fmt: skip


def _named(run: Run, scene: Scene, app: App) -> list[dict[str, Any]]:
    """The groups that the app's `fairness` section names, the largest first."""
    fair = app.fairness
    if fair is None:
        return []
    value = scene.truth.numbers[:, list(app.events.fields).index(fair.groups)]
    codes, rows = np.unique(value[~np.isnan(value)], return_counts=True)
    kept = codes[np.argsort(-rows, kind="stable")][:GROUPS_MAX].tolist()
    named = [(code, group_name(app, code, scene.truth.texts)) for code in kept]
    return [
        {"segment": [f"{fair.groups} = {name}"], **segment(run, scene, value == code)} for code, name in named
    ]  # fmt: skip
