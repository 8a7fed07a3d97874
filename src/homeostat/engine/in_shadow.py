"""Challengers' decisions of one event, in the stable names of the interface."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.engine.answer_types import InShadow
from homeostat.engine.answers import rule_text
from homeostat.ports.shadow import ShadowStore
from homeostat.records.decisions import DecisionBatch
from homeostat.records.reasons import Fallback
from homeostat.records.shadowed import Shadowed


def in_shadow(
    store: ShadowStore, actions: Sequence[str], decisions: DecisionBatch, row: int, sequence: int
) -> list[InShadow]:
    """The decisions of each version that has decided an event in shadow.

    actions : the app's
    decisions, row, sequence : the champion's batch and row, and the journal entry that holds it
    Raises Unavailable.
    """
    found = ((version, store.at(version, sequence)) for version in sorted(store.held()))
    return [
        _named(version, made, row, actions, decisions)
        for version, made in found
        if made is not None and row < len(made)
    ]


def _named(version: str, made: Shadowed, row: int, actions: Sequence[str], decisions: DecisionBatch) -> InShadow:
    fallback, words = int(made.fallback[row]), decisions.words
    action = actions[int(made.action[row])]
    return {
        "version": version, "action": action, "risk": float(made.risk[row]),
        "rule": rule_text(int(made.rule[row]), fallback, words),
        "fallback": (Fallback.text(fallback) or None) if fallback else None,
        "propensity": dict(zip(actions, made.propensity[row].tolist(), strict=False)),
        "differs": action != words.action(int(decisions.ruling.action[row])),
    }  # fmt: skip
