"""What another set of rules would have changed: both guards' rulings on the same proposals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.plan import GuardPlan
from homeostat.decide.guards.wording import hit_indices
from homeostat.records.decisions import DecisionBatch, Ruling


@dataclass(frozen=True, slots=True)
class Example:
    """One decision that would have been another."""

    event_id: str
    time_ns: int
    risk: float
    proposed: str


@dataclass(frozen=True, slots=True)
class Change:
    """Decisions that would have changed in the same way.

    before, after : actions
    rule_before, rule_after : what decided: a rule's name, `breaker`, `fallback` or empty for the policy
    """

    before: str
    after: str
    rule_before: str
    rule_after: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would have changed.

    changes : the most frequent first
    hits_before, hits_after : how many events each rule held for, deciding or not
    actions_before, actions_after : how many decisions took each action
    """

    decisions: int
    changed: int
    changes: tuple[Change, ...]
    hits_before: dict[str, int]
    hits_after: dict[str, int]
    actions_before: dict[str, int]
    actions_after: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """The rehearsal as a JSON object."""
        return asdict(self)


class _Side:
    """One guard's tallies."""

    def __init__(self, guards: Guards) -> None:
        self.guards = guards.fresh()
        self.plan: GuardPlan = guards.plan
        self.hits: Counter[str] = Counter({rule.name: 0 for rule in self.plan.rules})
        self.actions: Counter[str] = Counter(dict.fromkeys(self.plan.actions, 0))

    def rule(self, batch: DecisionBatch) -> Ruling:
        ruling = self.guards.rule(
            batch.events, batch.features, batch.scores, batch.fused, batch.proposal, batch.fallback.astype(np.int64)
        )
        patterns, counts = np.unique(ruling.hits, return_counts=True)
        for bits, count in zip(patterns.tolist(), counts.tolist()):
            for at in hit_indices(bits):
                self.hits[self.plan.rules[at].name] += count
        for action, count in zip(*(part.tolist() for part in np.unique(ruling.action, return_counts=True))):
            self.actions[self.plan.actions[action]] += count
        return ruling


def rehearse(old: Guards, new: Guards, batches: Iterable[DecisionBatch], examples_max: int = 5) -> Rehearsal:
    """Both guards, from their first decision on, on the same proposals; neither is changed.

    batches : decisions in their order; what they finally decided is not looked at
    """
    assert old.plan.actions == new.plan.actions, "both guards must be of the same app"
    before, after = _Side(old), _Side(new)
    counts: Counter[tuple[int, int, int, int]] = Counter()
    examples: dict[tuple[int, int, int, int], list[Example]] = {}
    decisions = 0
    for batch in batches:
        decisions += len(batch)
        was, now = before.rule(batch), after.rule(batch)
        for row in np.flatnonzero(was.action != now.action).tolist():
            key = (int(was.action[row]), int(now.action[row]), int(was.rule[row]), int(now.rule[row]))
            counts[key] += 1
            shown = examples.setdefault(key, [])
            if len(shown) < examples_max:
                shown.append(_example(batch, row, old.plan))
    changes = [
        Change(old.plan.actions[key[0]], new.plan.actions[key[1]], old.plan.rule_name(key[2]),
               new.plan.rule_name(key[3]), count, tuple(examples[key]))
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip
    return Rehearsal(
        decisions, counts.total(), tuple(changes), dict(before.hits), dict(after.hits), dict(before.actions),
        dict(after.actions),
    )  # fmt: skip


def _example(batch: DecisionBatch, row: int, plan: GuardPlan) -> Example:
    return Example(
        event_id=batch.events.id_text(row),
        time_ns=int(batch.events.time_ns[row]),
        risk=float(batch.fused.risk[row]),
        proposed=plan.actions[int(batch.proposal.action[row])],
    )
