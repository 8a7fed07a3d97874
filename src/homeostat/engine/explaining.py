"""Explanations as plain dictionaries, and as sentences for people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from homeostat.app import feature_plan
from homeostat.config.tree import App
from homeostat.decide.explanation import Explanation, FeatureContribution, explain
from homeostat.decide.stages import Stages
from homeostat.engine.answers import Naming, naming
from homeostat.records.decisions import DecisionBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.renaming import Unnamed, decisions_as
from homeostat.records.rows import rows_of

TOP = 10
_NAMES_MAX = 8


def explained(stages: Stages, app: App, decisions: DecisionBatch, row: int) -> dict[str, Any]:
    """Why a recorded decision was made, by the parts that decide now.

    `by_version` names them; where it differs from the decision's own version, other parts made the decision. Those
    find its features, scores and action by name; a decision that kept no names that fit has nothing explained.
    """
    try:
        here = as_served_now(stages, app, decisions, row)
    except Unnamed:
        return {"by_version": stages.version, "same_version": False, "features": [], "scorers": [], "change": None}
    found = explain(stages, here, 0, _ranges(app), TOP)
    named = naming(stages, here)
    return {
        "by_version": stages.version,
        "same_version": stages.version == decisions.version,
        "features": [_feature(feature, named) for feature in found.features],
        "scorers": [
            {
                "name": scorer.name,
                "score": _number(scorer.score),
                "contribution": round(scorer.contribution, 6),
                "features": [_feature(feature, named) for feature in scorer.features],
            }
            for scorer in found.scorers
        ],
        "change": _change(found, stages.actions, named),
    }


def as_served_now(stages: Stages, app: App, decisions: DecisionBatch, row: int) -> DecisionBatch:
    """One decision as the present app would hold it, with the features that it was made of: those of the same name.

    Raises Unnamed.
    """
    one = rows_of(decisions, row, row + 1)
    served, names = one.features, feature_plan(app).names
    if served.names != names:
        at = {name: column for column, name in enumerate(served.names)}
        values = np.full((1, len(names)), np.nan)
        freshness = np.full((1, len(names)), int(Freshness.ABSENT), np.uint8)
        for column, name in enumerate(names):
            if name in at:
                values[:, column], freshness[:, column] = served.values[:, at[name]], served.freshness[:, at[name]]
        one = replace(one, features=Features(names, values, freshness))
    return decisions_as(one, stages.words, stages.panel.names, stages.coding)


def _ranges(app: App) -> dict[str, tuple[float, float]]:
    """From where to where the event's own fields may go, where the app declares both."""
    return {
        name: (field.min, field.max)
        for name, field in app.events.fields.items()
        if field.min is not None and field.max is not None
    }


def _feature(feature: FeatureContribution, named: Naming) -> dict[str, Any]:
    return {
        "name": feature.name, "value": named(feature.name, feature.value),
        "contribution": round(feature.contribution, 6),
    }  # fmt: skip


def _change(found: Explanation, actions: tuple[str, ...], named: Naming) -> dict[str, Any] | None:
    change = found.change
    if change is None:
        return None
    return {
        "feature": change.feature,
        "was": named(change.feature, change.was),
        "becomes": named(change.feature, change.becomes),
        "action": actions[change.action],
    }


def _number(value: float) -> float | None:
    return None if value != value else value


def sentences(told: dict[str, Any]) -> list[str]:
    """A decision with its features and explanation, line by line, for a person.

    told : what `Engine.decision` returns with features and explanation
    """
    lines = [f"{told['event_id']}: {told['action']}, at a risk of {told['risk']:.2%} ({told['time']})"]
    if told["proposed"] != told["action"]:
        lines.append(f"The policy proposed {told['proposed']}; {told['rule'] or 'the guards'} overrode it.")
    for reason in told["reasons"]:
        if reason["kind"] == "rule":
            verb = "decided" if reason["decided"] else "held too"
            lines.append(f"Rule {reason['name']} {verb}: {reason['text']}")
        elif reason["kind"] == "breaker":
            lines.append("The circuit breaker decided: the action had become too frequent.")
        elif reason["kind"] == "holdout":
            lines.append("Chance proposed the action, so that its outcomes stay known (hold-out or exploration).")
    if told["fallback"]:
        lines.append(f"Not every part answered ({told['fallback'].replace('_', ' ').replace('+', ', ')}).")
    if told.get("late"):
        lines.append("It came late, after what the app waits for: it was decided, and windows don't count it.")
    lines += _freshness(told.get("features", {}))
    explanation = told["explanation"]
    lines += _table("What moved the risk (log-odds)", explanation["features"], "value")
    lines += _table("Scorers", explanation["scorers"], "score")
    change = explanation["change"]
    if change is not None and isinstance(change["becomes"], str):
        lines.append(
            f"For {change['action']}, {change['feature']} would have to be {change['becomes']} instead of "
            f"{shown(change['was'])}, all else equal."
        )
    elif change is not None:
        lines.append(
            f"With {change['feature']} at {shown(change['becomes'])} instead of {shown(change['was'])}, "
            f"all else equal, the action would have been {change['action']}."
        )
    elif told["rule"]:
        lines.append("No change of a feature alone would have changed the action: the guards decided.")
    else:
        lines.append("No change of one feature alone would have changed the action.")
    lines.append(f"Decided by {told['version']}.")
    if not explanation["same_version"]:
        lines.append(f"Explained by {explanation['by_version']}, which may weigh things differently.")
    return lines


_FRESHNESS = {
    "stale": "Stale, since a part of their past was out of reach",
    "absent": "Absent, since nothing was known of their past",
    "saturated": "Saturated, since they count no further",
}


def _freshness(features: dict[str, dict[str, Any]]) -> list[str]:
    """Which features were not fresh, a line for each way of not being so."""
    lines = []
    for code, words in _FRESHNESS.items():
        names = [name for name, feature in features.items() if feature["freshness"] == code]
        more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
        if names:
            lines.append(f"{words}: {', '.join(names[:_NAMES_MAX])}{more}.")
    return lines


def _table(title: str, rows: list[dict[str, Any]], value: str) -> list[str]:
    if not rows:
        return []
    width = max(len(row["name"]) for row in rows)
    return [
        f"{title}:",
        *(f"  {row['contribution']:+8.3f}  {row['name']:<{width}}  {shown(row[value])}" for row in rows),
    ]


def shown(value: float | str | None) -> str:
    """A feature's value for people.

    >>> shown(12.0), shown(0.123456), shown(1234567.0), shown(None)
    ('12', '0.1235', '1,234,567', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 1e6:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
