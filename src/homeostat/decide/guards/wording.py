"""A ruling for people: who had the last word, and every rule that held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK, GuardPlan
from homeostat.records.decisions import Ruling
from homeostat.records.reasons import Fallback


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that held, whether or not it decided."""

    index: int
    name: str
    action: str
    reason: str
    decided: bool


@dataclass(frozen=True, slots=True)
class WordedRuling:
    """One ruling by names.

    decided_by : the rule's name, `breaker`, `fallback`, or empty where what the policy proposed stands
    reason : a sentence
    """

    action: str
    proposed: str
    decided_by: str
    reason: str
    hits: tuple[Hit, ...]


def hit_indices(bits: int) -> list[int]:
    """The rules whose bits are set.

    >>> hit_indices(0b101)
    [0, 2]
    """
    return [at for at in range(64) if bits >> at & 1]


def worded(plan: GuardPlan, action: int, rule: int, hits: int, proposed: int, fallback: int = 0) -> WordedRuling:
    """One row of a ruling, with the proposal and the fallback bits that it was made on."""
    held = tuple(
        Hit(at, plan.rules[at].name, plan.actions[plan.rules[at].action], plan.rules[at].reason or plan.rules[at].when,
            at == rule) for at in hit_indices(hits)
    )  # fmt: skip
    return WordedRuling(
        action=plan.actions[action],
        proposed=plan.actions[proposed],
        decided_by=plan.rule_name(rule),
        reason=_reason(plan, rule, proposed, fallback),
        hits=held,
    )


def _reason(plan: GuardPlan, rule: int, proposed: int, fallback: int) -> str:
    if rule >= 0:
        return plan.rules[rule].reason or f"rule {plan.rules[rule].name}: {plan.rules[rule].when}"
    if rule == BY_FALLBACK:
        return f"declared fallback, because of {Fallback.text(fallback).replace('+', ' and ').replace('_', ' ')}"
    if rule == BY_BREAKER:
        return f"too large a share of recent decisions was {plan.actions[proposed]} already"
    return "what the policy proposed"


def lines(worded_ruling: WordedRuling) -> Iterable[str]:
    """A worded ruling as lines of text."""
    by = f" by {worded_ruling.decided_by}" if worded_ruling.decided_by else ""
    yield f"{worded_ruling.action}{by}: {worded_ruling.reason}"
    for hit in worded_ruling.hits:
        if not hit.decided:
            yield f"  also held: {hit.name} (would {hit.action}): {hit.reason}"


def worded_row(plan: GuardPlan, ruling: Ruling, row: int, proposed: int, fallback: int = 0) -> WordedRuling:
    """`worded` for one row of a batch."""
    return worded(plan, int(ruling.action[row]), int(ruling.rule[row]), int(ruling.hits[row]), proposed, fallback)
