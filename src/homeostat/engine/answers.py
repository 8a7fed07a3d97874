"""Decisions as people and programs get to see them: plain dictionaries, in the words that they were made in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK, NO_RULE
from homeostat.decide.stages import Stages
from homeostat.engine.answer_types import Decision, OverridingReason, RuleReason, ScorerReason, ServedFeature
from homeostat.records.decisions import BY_CHANCE, BY_GROUP, DecisionBatch
from homeostat.records.events import EventBatch, Row
from homeostat.records.features import Freshness
from homeostat.records.identity import ABSENT, text_of
from homeostat.records.reasons import Fallback, Reason
from homeostat.records.times import time_text as time_text
from homeostat.records.vocabulary import Vocabulary

Naming: TypeAlias = Callable[[str, float], float | str | None]
Why: TypeAlias = RuleReason | OverridingReason | ScorerReason

_REASONS_MAX = 5
BY_SETTINGS = "settings"  # The cause of a fallback that no part brought about.
_RULE: Final = Reason.RULE.value
_BREAKER: Final = Reason.BREAKER.value
_HOLDOUT: Final = Reason.HOLDOUT.value
_LATE = int(Row.LATE_EVENT)
_OF_SCORERS = Fallback.SCORER_FAILED | Fallback.SCORER_LATE


def actions_of(words: Vocabulary, count: int) -> tuple[str, ...]:
    """The names of so many actions; their numbers where they have none."""
    return words.actions if len(words.actions) == count else tuple(words.action(number) for number in range(count))


def rule_text(rule: int, fallback: int, words: Vocabulary) -> str:
    """The part that decided: a rule's name, `breaker`, `fallback:<cause>`, or nothing."""
    if rule == NO_RULE:
        return ""
    if rule >= 0:
        return words.rule(rule)
    return {BY_BREAKER: "breaker", BY_FALLBACK: f"fallback:{Fallback.text(fallback) or BY_SETTINGS}"}.get(rule, "")


def reasons(decisions: DecisionBatch, row: int) -> list[Why]:
    """Why this decision: what overrode the models, each rule that held, and the scorers by their part of the risk."""
    rule, hits = decisions.ruling.rule.item(row), decisions.ruling.hits.item(row)
    found: list[Why] = []
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
    elif rule == BY_FALLBACK:
        found.append({"kind": "fallback", "name": BY_SETTINGS, "decided": True})
    explored = decisions.proposal.explored.item(row)
    if explored & BY_CHANCE:
        found.append({"kind": _HOLDOUT, "name": "chance", "decided": rule == NO_RULE})
    if explored & BY_GROUP:
        found.append({"kind": "fairness", "name": "group", "decided": rule == NO_RULE})
    parts = sorted(zip(decisions.fused.contributions[row].tolist(), decisions.scores.names), key=_by_size, reverse=True)
    for contribution, name in parts[:_REASONS_MAX]:
        if contribution != 0:
            found.append({"kind": "scorer", "name": name, "contribution": round(contribution, 6)})
    return found


def fallback_text(decisions: DecisionBatch, row: int) -> str | None:
    """The causes of a fallback, None where every part answered: those of `Fallback`, and a scorer that was left out.

    A scorer without a score has failed or was late, which is flagged; where nothing is, the settings left it out.
    """
    bits = decisions.fallback.item(row)
    found = [Fallback.text(bits)] if bits else []
    if not bits & _OF_SCORERS and bool(np.isnan(decisions.scores.values[row]).any()):
        found.append(Reason.SCORER_SHED.value)
    return "+".join(found) or None


def _by_size(part: tuple[float, str]) -> float:
    return abs(part[0])


def _is_copy(events: EventBatch, row: int) -> bool:
    return events.came is not None and bool(events.came.copy[row])


def answer(decisions: DecisionBatch, row: int) -> Decision:
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
        "fallback": fallback_text(decisions, row),
        "late": events.kind.item(row) == _LATE and not _is_copy(events, row),
        "scores": {name: None if value != value else value for name, value in zip(decisions.scores.names, scores)},
        "propensity": dict(zip(actions_of(words, len(propensity)), propensity)),
        "version": decisions.made_by(row),
        "settings": decisions.settings,
        "took_us": round(decisions.took_us, 1),
    }


def answers(decisions: DecisionBatch) -> Iterator[Decision]:
    """`answer` for every row, in half the time: what a batch has in common is looked up once."""
    events, ruling, proposal, scores = decisions.events, decisions.ruling, decisions.proposal, decisions.scores
    names, makers, words = scores.names, decisions.makers, decisions.words
    actions = actions_of(words, proposal.propensity.shape[1])
    took_us, settings = round(decisions.took_us, 1), decisions.settings
    texts, fallbacks = events.texts, decisions.fallback.tolist()
    rules, taken = ruling.rule.tolist(), ruling.action.tolist()
    odd = (decisions.fallback != 0) | (proposal.explored != 0) | (ruling.hits != 0) | (ruling.rule <= BY_BREAKER)
    plain = (~odd).tolist()
    rounded = np.round(decisions.fused.contributions, 6)
    order = np.argsort(-np.abs(decisions.fused.contributions), axis=1, kind="stable")[:, :_REASONS_MAX].tolist()
    parts = rounded.tolist()
    why: list[Why]
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
            "fallback": fallback_text(decisions, row) if fallback or not whole else None,
            "late": kind == _LATE and not _is_copy(events, row),
            "scores": dict(zip(names, values)) if whole else {
                name: None if value != value else value for name, value in zip(names, values)
            },
            "propensity": dict(zip(actions, propensity)),
            "version": makers[row],
            "settings": settings,
            "took_us": took_us,
        }  # fmt: skip


def entities_of(decisions: DecisionBatch, row: int) -> dict[str, str]:
    """The keys of a decision's entities, by their kinds; an absent one is left out."""
    events, names = decisions.events, decisions.words.entities
    keys = zip(events.keys[row].tolist(), events.key_checks[row].tolist(), strict=True)
    return {
        names[k][0] if k < len(names) else f"#{k}": text_of(code, check, events.texts)
        for k, (code, check) in enumerate(keys)
        if code != ABSENT
    }


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


def features_of(decisions: DecisionBatch, row: int, named: Naming) -> dict[str, ServedFeature]:
    """The features as served: value (None where there is none) and freshness, by name.

    named : how a feature's value is shown, see `naming`
    """
    values, freshness = decisions.features.values[row].tolist(), decisions.features.freshness[row].tolist()
    return {
        name: {"value": named(name, value), "freshness": Freshness(fresh).name.lower()}
        for name, value, fresh in zip(decisions.features.names, values, freshness)
    }
