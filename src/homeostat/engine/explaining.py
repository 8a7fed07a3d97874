"""Explanations as plain dictionaries, and as sentences for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from homeostat.app import feature_plan
from homeostat.config.definitions import durations
from homeostat.config.tree import App
from homeostat.decide.canary import instead_of
from homeostat.decide.contracts import Policy
from homeostat.decide.explanation import Explanation, FeatureContribution, explain
from homeostat.decide.policy.bounded import BoundedPolicy
from homeostat.decide.policy.by_group import GroupThresholdPolicy
from homeostat.decide.stages import Stages
from homeostat.engine.answer_types import (
    Decision,
    Explained,
    FeatureShare,
    GroupRule,
    OtherwiseAction,
    ServedFeature,
)
from homeostat.engine.answers import Naming, naming
from homeostat.records.decisions import DecisionBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.renaming import Unnamed, decisions_as
from homeostat.records.rows import rows_of

TOP = 10
_NAMES_MAX = 8


def explained(stages: Stages, app: App, decisions: DecisionBatch, row: int) -> Explained:
    """Why a recorded decision was made, by the parts that decide now.

    `by_version` names them; where it differs from the decision's own version, other parts made the decision. Those
    find its features, scores and action by name; a decision that kept no names that fit has nothing explained.
    """
    canary, made_by = stages.canary, decisions.made_by(row)
    if canary is not None and made_by == canary.version:
        stages = instead_of(stages, canary)
        if _by_group(stages.policy) is not None:  # They stand in for themselves.
            stages = replace(stages, thresholds=stages.policy)
    try:
        here = as_served_now(stages, app, decisions, row)
    except Unnamed:
        return {"by_version": stages.version, "same_version": False, "features": [], "scorers": [], "change": None}
    found = explain(stages, here, 0, _ranges(app), TOP)
    named, spans = naming(stages, here), durations(app)
    group = _group(stages, here)
    answer: Explained = {
        "by_version": stages.version,
        "same_version": stages.version == made_by,
        "features": [_feature(feature, named, spans) for feature in found.features],
        "scorers": [
            {
                "name": scorer.name,
                "score": _number(scorer.score),
                "contribution": round(scorer.contribution, 6),
                "features": [_feature(feature, named, spans) for feature in scorer.features],
            }
            for scorer in found.scorers
        ],
        "change": _change(found, stages.actions, named, spans),
    }
    if group is not None:
        answer["group"] = group[0]
    return answer


def _by_group(policy: Policy) -> GroupThresholdPolicy | None:
    """The thresholds by group that decide, within those of the settings; None where there are none."""
    inner = policy.inner if isinstance(policy, BoundedPolicy) else policy
    return inner if isinstance(inner, GroupThresholdPolicy) else None


def _group(stages: Stages, one: DecisionBatch) -> tuple[GroupRule | None] | None:
    """The rule of the person's group, in a tuple; None of an app without such rules."""
    policy = _by_group(stages.policy)
    if policy is None:
        return None
    rules = policy.rules
    at = rules.group(one.events)
    if at[0] < 0:
        return (None,)
    without = stages.actions[int(policy.least(one.fused.risk, one.events, one.features)[0])]
    chance = float(rules.chance(at, one.fused.risk)[0])
    field = one.words.fields[rules.column][0]
    return ({"field": field, "group": rules.names[int(at[0])], "chance": chance, "without": without},)


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


def _feature(feature: FeatureContribution, named: Naming, spans: Collection[str]) -> FeatureShare:
    share: FeatureShare = {
        "name": feature.name, "value": named(feature.name, feature.value),
        "contribution": round(feature.contribution, 6),
    }  # fmt: skip
    if feature.name in spans:
        share["unit"] = "s"
    return share


def _change(
    found: Explanation, actions: tuple[str, ...], named: Naming, spans: Collection[str]
) -> OtherwiseAction | None:
    change = found.change
    if change is None:
        return None
    other: OtherwiseAction = {
        "feature": change.feature,
        "was": named(change.feature, change.was),
        "becomes": named(change.feature, change.becomes),
        "action": actions[change.action],
    }
    if change.feature in spans:
        other["unit"] = "s"
    return other


def _number(value: float) -> float | None:
    return None if value != value else value


def sentences(answer: Decision) -> list[str]:
    """A decision with its features and explanation, line by line, for a person.

    answer : what `Engine.decision` returns with features and explanation
    """
    lines = [f"{answer['event_id']}: {answer['action']}, at a risk of {answer['risk']:.2%} ({answer['time']})"]
    if answer["proposed"] != answer["action"]:
        lines.append(f"The policy proposed {answer['proposed']}; {answer['rule'] or 'the guards'} overrode it.")
    for reason in answer["reasons"]:
        if reason["kind"] == "rule":
            verb = "decided" if reason["decided"] else "held too"
            lines.append(f"Rule {reason['name']} {verb}: {reason['text']}")
        elif reason["kind"] == "breaker":
            lines.append("The circuit breaker decided: the action had become too frequent.")
        elif reason["kind"] == "holdout":
            if answer["explanation"].get("group") is None:
                lines.append("Chance proposed the action, so that its outcomes stay known (hold-out or exploration).")
            else:
                lines.append("Chance had a part in the action: the thresholds of a group are mixed, or the hold-out.")
        elif reason["kind"] == "fairness":
            lines.append("The thresholds of the person's group proposed another action than the one of least cost.")
    lines += _group_lines(answer["explanation"].get("group"))
    if answer["fallback"]:
        lines.append(f"Not every part answered ({answer['fallback'].replace('_', ' ').replace('+', ', ')}).")
    if answer.get("late"):
        lines.append("It came late, after what the app waits for: it was decided, and windows don't count it.")
    lines += _freshness(answer.get("features", {}))
    explanation = answer["explanation"]
    features = [
        (one["name"], one["contribution"], shown(one["value"], "unit" in one)) for one in explanation["features"]
    ]
    scorers = [(one["name"], one["contribution"], shown(one["score"])) for one in explanation["scorers"]]
    lines += _table("Contributions to the risk (log-odds)", features) + _table("Scorers", scorers)
    change = explanation["change"]
    if change is not None and isinstance(change["becomes"], str):
        lines.append(
            f"For {change['action']}, {change['feature']} would have to be {change['becomes']} instead of "
            f"{shown(change['was'])}, all else equal."
        )
    elif change is not None:
        lines.append(
            f"With {change['feature']} at {shown(change['becomes'], 'unit' in change)} instead of "
            f"{shown(change['was'], 'unit' in change)}, "
            f"all else equal, the action would have been {change['action']}."
        )
    elif answer["rule"]:
        lines.append("No change of a feature alone would have changed the action: the guards decided.")
    else:
        lines.append("No change of one feature alone would have changed the action.")
    lines.append(f"Decided by {answer['version']}.")
    if not explanation["same_version"]:
        lines.append(f"Explained by {explanation['by_version']}, which may weigh things differently.")
    return lines


def _group_lines(group: GroupRule | None) -> list[str]:
    if group is None:
        return []
    return [
        f"By the thresholds of {group['field']} {group['group']}, a person of this risk is selected with a chance of "
        f"{group['chance']:.2%}; by cost alone the action were {group['without']}."
    ]


_FRESHNESS = {
    "stale": "Stale, since a part of their past was out of reach",
    "absent": "Absent, since the event left them out or nothing was known of the past",
    "saturated": "Saturated, since they count no further",
}


def _freshness(features: Mapping[str, ServedFeature]) -> list[str]:
    """Which features were not fresh, a line for each way of not being so."""
    lines = []
    for code, words in _FRESHNESS.items():
        names = [name for name, feature in features.items() if feature["freshness"] == code]
        more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
        if names:
            lines.append(f"{words}: {', '.join(names[:_NAMES_MAX])}{more}.")
    return lines


def _table(title: str, rows: Sequence[tuple[str, float, str]]) -> list[str]:
    """Lines of a name, its contribution and its value each; none where there is no row."""
    if not rows:
        return []
    width = max(len(name) for name, _, _ in rows)
    return [
        f"{title}:",
        *(f"  {contribution:+8.3f}  {name:<{width}}  {value}" for name, contribution, value in rows),
    ]


_SPANS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


def shown(value: float | str | None, seconds: bool = False) -> str:
    """A feature's value for people. seconds : it is a time that has passed

    >>> shown(12.0), shown(0.123456), shown(1234567.0), shown(None)
    ('12', '0.1235', '1,234,567', 'none')
    >>> shown(2_646_000.0, seconds=True), shown(5_400.0, seconds=True), shown(12.5, seconds=True)
    ('30.6 days', '1.5 hours', '12.5 s')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if seconds:
        size, unit = next(((size, unit) for size, unit in _SPANS if abs(value) >= 2 * size), (1.0, "s"))
        size, unit = (3_600.0, "hours") if unit == "minutes" and abs(value) >= 5_400.0 else (size, unit)
        return f"{value / size:.3g} {unit}"
    if value == int(value) or abs(value) >= 1e6:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
