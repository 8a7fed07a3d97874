"""Decisions as people and programs get to see them: plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.features import Freshness
from homeostat.records.reasons import Fallback, Reason

_REASONS_MAX = 5


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the indices in a decision stand for.

    rules : name and reason of each guard rule, in file order
    """

    actions: tuple[str, ...]
    rules: tuple[tuple[str, str | None], ...]


def time_text(time_ns: int) -> str:
    """ISO 8601 in UTC, with as many decimals as it takes.

    >>> time_text(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    text = str(np.datetime64(time_ns, "ns"))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def rule_text(rule: int, fallback: int, words: Vocabulary) -> str:
    """What decided: a rule's name, `breaker`, `fallback:<cause>`, or nothing."""
    if rule >= 0:
        return words.rules[rule][0]
    return {BY_BREAKER: "breaker", BY_FALLBACK: f"fallback:{Fallback.text(fallback)}"}.get(rule, "")


def reasons(decisions: DecisionBatch, row: int, words: Vocabulary) -> list[dict[str, Any]]:
    """Why this decision: what overrode the models, each rule that held, and the scorers by their part of the risk."""
    rule, hits = int(decisions.ruling.rule[row]), int(decisions.ruling.hits[row])
    found: list[dict[str, Any]] = []
    for index, (name, why) in enumerate(words.rules):
        if hits >> index & 1:
            found.append({"kind": Reason.RULE.value, "name": name, "decided": index == rule, "text": why or name})
    if rule == BY_BREAKER:
        found.append({"kind": Reason.BREAKER.value, "name": "breaker", "decided": True})
    for bit, cause in Fallback.NAMES.items():
        if int(decisions.fallback[row]) & bit:
            found.append({"kind": "fallback", "name": cause.value, "decided": rule == BY_FALLBACK})
    if decisions.proposal.explored[row]:
        found.append({"kind": Reason.HOLDOUT.value, "name": "chance", "decided": rule == -1})
    contributions = decisions.fused.contributions[row]
    for column in sorted(range(len(contributions)), key=lambda k: -abs(contributions[k]))[:_REASONS_MAX]:
        if contributions[column] != 0:
            found.append(
                {
                    "kind": "scorer",
                    "name": decisions.scores.names[column],
                    "contribution": round(float(contributions[column]), 6),
                }
            )
    return found


def answer(decisions: DecisionBatch, row: int, words: Vocabulary) -> dict[str, Any]:
    """One decision, in the stable names of the interface."""
    events, scores = decisions.events, decisions.scores.values[row]
    fallback = int(decisions.fallback[row])
    return {
        "event_id": events.id_text(row),
        "time": time_text(int(events.time_ns[row])),
        "action": words.actions[decisions.ruling.action[row]],
        "proposed": words.actions[decisions.proposal.action[row]],
        "risk": float(decisions.fused.risk[row]),
        "reasons": reasons(decisions, row, words),
        "rule": rule_text(int(decisions.ruling.rule[row]), fallback, words),
        "fallback": Fallback.text(fallback) or None,
        "late": bool(events.kind[row] == Row.LATE_EVENT),
        "scores": {
            name: None if np.isnan(value) else float(value) for name, value in zip(decisions.scores.names, scores)
        },
        "propensity": dict(zip(words.actions, decisions.proposal.propensity[row].tolist())),
        "version": decisions.version,
        "took_us": round(decisions.took_us, 1),
    }


def features_of(decisions: DecisionBatch, row: int) -> dict[str, dict[str, Any]]:
    """The features as served: value (None where there is none) and freshness, by name."""
    values, freshness = decisions.features.values[row].tolist(), decisions.features.freshness[row].tolist()
    return {
        name: {"value": None if value != value else value, "freshness": Freshness(fresh).name.lower()}
        for name, value, fresh in zip(decisions.features.names, values, freshness)
    }


def answers(decisions: DecisionBatch, rows: Sequence[int], words: Vocabulary) -> list[dict[str, Any]]:
    """Several decisions of one batch."""
    return [answer(decisions, row, words) for row in rows]
