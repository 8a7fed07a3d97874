"""The changes that another set of rules would have made: their rulings on the proposals of decisions that were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.plan import BY_NAME, GuardPlan
from homeostat.decide.guards.wording import hit_indices
from homeostat.records.arrays import Float, Small
from homeostat.records.decisions import DecisionBatch, Ruling


@dataclass(frozen=True, slots=True)
class Tried:
    """Decisions that were made, and what came of their events.

    label : (n,) 1 where an event turned out positive, 0 where negative, NaN where nobody knows
    cost : (n, actions) what each action costs under the label, NaN where that is unknown; None without costs
    """

    decisions: DecisionBatch
    label: Float
    cost: Float | None = None


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


@dataclass(slots=True)
class RuleFigures:
    """One rule of a set, over all decisions.

    held, decided : events for which it held, and of these those on which it had the last word
    alone : events for which no other rule of the set held
    known, positives : events for which it held whose outcome is known, and of these the positive ones
    cost, proposed_cost : what its decisions with a known outcome cost, and what the proposals would have; None without
        costs
    overlap : for how many events each other rule held, too
    """

    held: int = 0
    decided: int = 0
    alone: int = 0
    known: int = 0
    positives: int = 0
    cost: float | None = None
    proposed_cost: float | None = None
    overlap: dict[str, int] = field(default_factory=dict)

    @property
    def precision(self) -> float | None:
        """The share of positives where the outcome is known; None where none is."""
        return self.positives / self.known if self.known else None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The changes that other rules would have made.

    changes : the most frequent first
    rules_before, rules_after : each rule's figures, as it was decided and as it would have been
    actions_before, actions_after : how many decisions took each action
    known : decisions whose outcome is known
    cost_before, cost_after : of those decisions; None without costs
    """

    decisions: int
    changed: int
    changes: tuple[Change, ...]
    rules_before: dict[str, RuleFigures]
    rules_after: dict[str, RuleFigures]
    actions_before: dict[str, int]
    actions_after: dict[str, int]
    known: int
    cost_before: float | None
    cost_after: float | None

    def as_json(self) -> dict[str, object]:
        """The rehearsal as a JSON object."""
        members = asdict(self)
        for side in ("before", "after"):
            rules: dict[str, RuleFigures] = getattr(self, f"rules_{side}")
            for name, figures in rules.items():
                members[f"rules_{side}"][name]["precision"] = figures.precision
            members[f"hits_{side}"] = {name: figures.held for name, figures in rules.items()}
        return members


class _Side:
    """The tallies of one set of rules."""

    def __init__(self, plan: GuardPlan) -> None:
        self.plan = plan
        self.rules = {rule.name: RuleFigures() for rule in plan.rules}
        self.actions: Counter[str] = Counter(dict.fromkeys(plan.actions, 0))
        self.cost: float | None = None

    def add(self, tried: Tried, ruling: Ruling, names: Sequence[str]) -> None:
        """Count a batch's rulings, whose rules have these names."""
        known = ~np.isnan(tried.label)
        for action, count in zip(*(part.tolist() for part in np.unique(ruling.action, return_counts=True))):
            self.actions[self.plan.actions[action]] += count
        cost = _cost_of(tried, ruling.action)
        if cost is not None:
            self.cost = (self.cost or 0.0) + float(np.nansum(cost))
        self._overlaps(ruling, names)
        proposed = _cost_of(tried, tried.decisions.proposal.action)
        for at, name in enumerate(names):
            figures = self.rules.setdefault(name, RuleFigures())
            held = (ruling.hits >> np.uint64(at)) & np.uint64(1) == 1
            decided = ruling.rule == at
            figures.decided += int(decided.sum())
            figures.known += int((held & known).sum())
            figures.positives += int((held & (tried.label == 1)).sum())
            if cost is not None and proposed is not None:
                figures.cost = (figures.cost or 0.0) + float(np.nansum(cost[decided]))
                figures.proposed_cost = (figures.proposed_cost or 0.0) + float(np.nansum(proposed[decided]))

    def _overlaps(self, ruling: Ruling, names: Sequence[str]) -> None:
        """Which rules held together: by the patterns of their bits, of which there are few."""
        patterns, counts = np.unique(ruling.hits, return_counts=True)
        for bits, count in zip(patterns.tolist(), counts.tolist()):
            together = [names[at] for at in hit_indices(bits)]
            for name in together:
                figures = self.rules.setdefault(name, RuleFigures())
                figures.held += count
                figures.alone += count if len(together) == 1 else 0
                for other in together:
                    if other != name:
                        figures.overlap[other] = figures.overlap.get(other, 0) + count


def rehearse(old: GuardPlan, new: Guards, batches: Iterable[DecisionBatch | Tried], examples_max: int = 5) -> Rehearsal:
    """The decisions, and what the new guards, from their first decision on, make of the same proposals.

    old : the rules under which it was decided, where the decisions don't name them themselves; what they and their
        breakers decided is in the decisions
    batches : decisions in their order; those without a label have no known outcome. The guards are not changed.
    """
    assert old.actions == new.plan.actions, "both guards must be of the same app"
    guards, before, after = new.fresh(), _Side(old), _Side(new.plan)
    counts: Counter[tuple[int, int, str, str]] = Counter()
    examples: dict[tuple[int, int, str, str], list[Example]] = {}
    newer = [rule.name for rule in new.plan.rules]
    decisions = known = 0
    for batch in batches:
        tried = batch if isinstance(batch, Tried) else Tried(batch, np.full(len(batch), np.nan))
        made = tried.decisions
        decisions += len(made)
        known += int(np.count_nonzero(~np.isnan(tried.label)))
        was = made.ruling
        now = guards.rule(
            made.events, made.features, made.scores, made.fused, made.proposal, made.fallback.astype(np.int64)
        )
        older = [name for name, _ in made.words.rules] or [rule.name for rule in old.rules]
        before.add(tried, was, older)
        after.add(tried, now, newer)
        for row in np.flatnonzero(was.action != now.action).tolist():
            key = (int(was.action[row]), int(now.action[row]), _decider(int(was.rule[row]), older),
                   _decider(int(now.rule[row]), newer))  # fmt: skip
            counts[key] += 1
            shown = examples.setdefault(key, [])
            if len(shown) < examples_max:
                shown.append(_example(made, row, old))
    changes = [
        Change(old.actions[key[0]], new.plan.actions[key[1]], key[2], key[3], count, tuple(examples[key]))
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return Rehearsal(
        decisions, counts.total(), tuple(changes), before.rules, after.rules, dict(before.actions),
        dict(after.actions), known, before.cost, after.cost,
    )  # fmt: skip


def _decider(rule: int, names: Sequence[str]) -> str:
    """The part that decided, by name."""
    if rule >= 0:
        return names[rule] if rule < len(names) else f"#{rule}"
    return BY_NAME[rule]


def _cost_of(tried: Tried, action: Small | NDArray[np.int64]) -> Float | None:
    """(n,) what each row's action cost, NaN where its outcome is unknown."""
    if tried.cost is None:
        return None
    cost: Float = tried.cost[np.arange(len(action)), action]
    return cost


def _example(batch: DecisionBatch, row: int, plan: GuardPlan) -> Example:
    return Example(
        event_id=batch.events.id_text(row),
        time_ns=int(batch.events.time_ns[row]),
        risk=float(batch.fused.risk[row]),
        proposed=plan.actions[int(batch.proposal.action[row])],
    )
