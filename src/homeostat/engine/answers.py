"""Decisions as people and programs get to see them: plain dictionaries, in the words that they were made in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK, NO_RULE
from homeostat.decide.stages import Stages
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.features import Freshness
from homeostat.records.identity import text_of
from homeostat.records.reasons import Fallback, Reason
from homeostat.records.vocabulary import Vocabulary

Naming: TypeAlias = Callable[[str, float], float | str | None]

_REASONS_MAX = 5
_RULE, _BREAKER, _HOLDOUT = Reason.RULE.value, Reason.BREAKER.value, Reason.HOLDOUT.value
_LATE = int(Row.LATE_EVENT)
_EPOCH = date(1970, 1, 1)


def time_text(time_ns: int) -> str:
    """ISO 8601 in UTC, with as many decimals as it takes.

    >>> time_text(1_500_000_000), time_text(-1)
    ('1970-01-01T00:00:01.5Z', '1969-12-31T23:59:59.999999999Z')
    """
    seconds, rest = divmod(time_ns, 10**9)
    day, second = divmod(seconds, 86400)
    text = f"{_date_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"


@lru_cache(maxsize=64)
def _date_text(day: int) -> str:
    """The date of a day since 1970: most decisions are of a few days."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def actions_of(words: Vocabulary, count: int) -> tuple[str, ...]:
    """The names of so many actions; their numbers where they have none."""
    return words.actions if len(words.actions) == count else tuple(words.action(number) for number in range(count))


def rule_text(rule: int, fallback: int, words: Vocabulary) -> str:
    """The part that decided: a rule's name, `breaker`, `fallback:<cause>`, or nothing."""
    if rule == NO_RULE:
        return ""
    if rule >= 0:
        return words.rule(rule)
    return {BY_BREAKER: "breaker", BY_FALLBACK: f"fallback:{Fallback.text(fallback)}"}.get(rule, "")


def reasons(decisions: DecisionBatch, row: int) -> list[dict[str, Any]]:
    """Why this decision: what overrode the models, each rule that held, and the scorers by their part of the risk."""
    rule, hits = decisions.ruling.rule.item(row), decisions.ruling.hits.item(row)
    found: list[dict[str, Any]] = []
    if hits:
        words = decisions.words
        for index in (index for index in range(hits.bit_length()) if hits >> index & 1):
            name, why = words.rules[index] if index < len(words.rules) else (words.rule(index), None)
            found.append({"kind": _RULE, "name": name, "decided": index == rule, "text": why or name})
    if rule == BY_BREAKER:
        found.append({"kind": _BREAKER, "name": "breaker", "decided": True})
    fallback = decisions.fallback.item(row)
    if fallback:
        for bit, cause in Fallback.NAMES.items():
            if fallback & bit:
                found.append({"kind": "fallback", "name": cause.value, "decided": rule == BY_FALLBACK})
    if decisions.proposal.explored.item(row):
        found.append({"kind": _HOLDOUT, "name": "chance", "decided": rule == NO_RULE})
    parts = sorted(zip(decisions.fused.contributions[row].tolist(), decisions.scores.names), key=_by_size, reverse=True)
    for contribution, name in parts[:_REASONS_MAX]:
        if contribution != 0:
            found.append({"kind": "scorer", "name": name, "contribution": round(contribution, 6)})
    return found


def _by_size(part: tuple[float, str]) -> float:
    return abs(part[0])


def answer(decisions: DecisionBatch, row: int) -> dict[str, Any]:
    """One decision, in the stable names of the interface."""
    events, ruling, proposal = decisions.events, decisions.ruling, decisions.proposal
    fallback = decisions.fallback.item(row)
    scores, taken = decisions.scores.values[row].tolist(), ruling.action.item(row)
    words, propensity = decisions.words, proposal.propensity[row].tolist()
    return {
        "event_id": events.id_text(row),
        "time": time_text(events.time_ns.item(row)),
        "action": words.action(taken),
        "action_index": taken,
        "proposed": words.action(proposal.action.item(row)),
        "risk": decisions.fused.risk.item(row),
        "reasons": reasons(decisions, row),
        "rule": rule_text(ruling.rule.item(row), fallback, words),
        "fallback": (Fallback.text(fallback) or None) if fallback else None,
        "late": events.kind.item(row) == _LATE,
        "scores": {name: None if value != value else value for name, value in zip(decisions.scores.names, scores)},
        "propensity": dict(zip(actions_of(words, len(propensity)), propensity)),
        "version": decisions.version,
        "took_us": round(decisions.took_us, 1),
    }


def answers(decisions: DecisionBatch) -> Iterator[dict[str, Any]]:
    """`answer` for every row, in half the time: what a batch has in common is looked up once."""
    events, ruling, proposal, scores = decisions.events, decisions.ruling, decisions.proposal, decisions.scores
    names, version, words = scores.names, decisions.version, decisions.words
    actions = actions_of(words, proposal.propensity.shape[1])
    took_us = round(decisions.took_us, 1)
    texts, fallbacks = events.texts, decisions.fallback.tolist()
    rules, taken = ruling.rule.tolist(), ruling.action.tolist()
    odd = (decisions.fallback != 0) | (proposal.explored != 0) | (ruling.hits != 0) | (ruling.rule == BY_BREAKER)
    plain = (~odd).tolist()
    rounded = np.round(decisions.fused.contributions, 6)
    order = np.argsort(-np.abs(decisions.fused.contributions), axis=1, kind="stable")[:, :_REASONS_MAX].tolist()
    parts = rounded.tolist()
    whole = not bool(np.isnan(scores.values).any())
    for row, (code, check, time_ns, kind, proposed, risk, values, propensity) in enumerate(zip(
        events.id_code.tolist(), events.id_check.tolist(), events.time_ns.tolist(), events.kind.tolist(),
        proposal.action.tolist(),
        decisions.fused.risk.tolist(), scores.values.tolist(), proposal.propensity.tolist(), strict=True,
    )):  # fmt: skip
        if plain[row]:
            part = parts[row]
            why = [{"kind": "scorer", "name": names[k], "contribution": part[k]} for k in order[row] if part[k] != 0]
        else:
            why = reasons(decisions, row)
        fallback = fallbacks[row]
        yield {
            "event_id": text_of(code, check, texts),
            "time": time_text(time_ns),
            "action": actions[taken[row]],
            "action_index": taken[row],
            "proposed": actions[proposed],
            "risk": risk,
            "reasons": why,
            "rule": rule_text(rules[row], fallback, words) if rules[row] != NO_RULE else "",
            "fallback": (Fallback.text(fallback) or None) if fallback else None,
            "late": kind == _LATE,
            "scores": dict(zip(names, values)) if whole else {
                name: None if value != value else value for name, value in zip(names, values)
            },
            "propensity": dict(zip(actions, propensity)),
            "version": version,
            "took_us": took_us,
        }  # fmt: skip


def naming(stages: Stages, decisions: DecisionBatch) -> Naming:
    """How the value of a feature is shown: a category by its text, all else as a number; None where there is none."""
    what_if, types = stages.what_if, dict(decisions.words.fields)

    def named(name: str, value: float) -> float | str | None:
        if value != value:
            return None
        # A field is what it was when the decision was made.
        if what_if is None or types.get(name, "category") != "category":
            return value
        if name not in types and name not in what_if.plan.categories:
            return value
        return what_if.text(value, stages.panel, decisions.events)

    return named


def features_of(decisions: DecisionBatch, row: int, named: Naming) -> dict[str, dict[str, Any]]:
    """The features as served: value (None where there is none) and freshness, by name.

    named : how a feature's value is shown, see `naming`
    """
    values, freshness = decisions.features.values[row].tolist(), decisions.features.freshness[row].tolist()
    return {
        name: {"value": named(name, value), "freshness": Freshness(fresh).name.lower()}
        for name, value, fresh in zip(decisions.features.names, values, freshness)
    }
