"""Thresholds on the risk by group of people: each group is selected by its own rule, and the rest is by cost.

A group's rule mixes two thresholds and a coin, see `stats.group_thresholds`; the mixture is drawn by the event's own
chance, so a replay draws the same. Among the actions that the rule leaves, the one of least expected cost is proposed.

Source: Hardt, Price, Srebro (2016), Equality of Opportunity in Supervised Learning, NIPS, 3315-3323.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.decide.policy.thresholds import CostFunction, Holdout, expected_costs
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.decisions import BY_CHANCE, BY_GROUP, Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.parts import Part, PartError

KIND, PART = "group_thresholds", "fairness"
COLUMNS = ("low", "high", "high_share", "coin_share", "coin")


@dataclass(frozen=True, slots=True)
class GroupRules:
    """The rule of each group, ready to decide.

    column : of the field in `EventBatch.numbers` that says the group
    values : (g,) of that field, rising; names : (g,) as people read them
    selecting : (actions,) whether an action selects
    rules : (g, 5) see `COLUMNS`
    """

    column: int
    values: Float
    names: tuple[str, ...]
    selecting: Mask
    rules: Float

    def group(self, events: EventBatch) -> Int:
        """(n,) index of each event's group; -1 where it has none, or one without a rule."""
        found, at = events.numbers[:, self.column], np.full(len(events), -1, np.int64)
        if len(self.values):
            place = np.minimum(np.searchsorted(self.values, found), len(self.values) - 1)
            at = np.where(self.values[place] == found, place, -1)
        return at

    def chance(self, group: Int, risk: Float) -> Float:
        """(n,) the chance that each row is selected; NaN where no rule says it."""
        if not len(self.values):
            return np.full(len(risk), np.nan)
        low, high, high_share, coin_share, coin = self.rules[group].T
        judged = (1.0 - high_share) * (risk >= low) + high_share * (risk >= high)
        return np.where(group < 0, np.nan, (1.0 - coin_share) * judged + coin_share * coin)


def group_rules(part: Part, column: int, selecting: Sequence[bool], values: Sequence[float]) -> GroupRules:
    """The rules of a trained part.

    values : of the field, for each of the part's groups
    Raises PartError where it is no such part.
    """
    names = part.settings.get("groups")
    if part.kind != KIND or not isinstance(names, list | tuple) or len(names) != len(values):
        raise PartError(f"the part {PART} of kind {part.kind} does not name its groups")
    arrays = [np.asarray(part.arrays.get(name, np.empty(0)), np.float64) for name in COLUMNS]
    if any(array.shape != (len(names),) or np.isnan(array).any() for array in arrays):
        raise PartError(f"the part {PART} needs a number of {', '.join(COLUMNS)} for each group")
    if any(((array < 0) | (array > 1)).any() for array in arrays[2:]):
        raise PartError(f"the part {PART} has shares outside of [0, 1]")
    order = np.argsort(np.asarray(values, np.float64), kind="stable")
    rules = np.stack(arrays, axis=1)[order]
    named = tuple(str(names[at]) for at in order)
    return GroupRules(column, np.asarray(values, np.float64)[order], named, np.asarray(selecting, np.bool_), rules)


class GroupThresholdPolicy:
    """The action of least expected cost among those that the rule of the person's group leaves.

    An event without a group, or of a group without a rule, gets the action of least expected cost. Without memory.
    """

    def __init__(self, costs: CostFunction, censoring: Sequence[bool], rules: GroupRules, holdout: float = 0.0) -> None:
        self.rules = rules
        self._costs, self._holdout = costs, Holdout(censoring, holdout)

    def least(self, risk: Float, events: EventBatch, features: Features) -> Int:
        """(n,) the action of least expected cost, whatever the group."""
        found: Int = np.argmin(expected_costs(risk, *self._costs(events, features)), axis=1)
        return found

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2): the first column draws a rule's mixture, the second the hold-out."""
        positive, negative = self._costs(events, features)
        cost, selecting = expected_costs(fused.risk, positive, negative), self.rules.selecting
        best = np.argmin(cost, axis=1)
        within = np.argmin(np.where(selecting, cost, np.inf), axis=1)
        without = np.argmin(np.where(selecting, np.inf, cost), axis=1)
        # A row whose costs are all infinite has no least one on either side: the mildest action of the side.
        within = np.where(selecting[within], within, int(np.argmax(selecting)))
        without = np.where(selecting[without], int(np.argmin(selecting)), without)
        share = self.rules.chance(self.rules.group(events), fused.risk)
        ruled = ~np.isnan(share)
        selected = chance[:, 0] < np.where(ruled, share, 0.0)
        greedy = np.where(ruled, np.where(selected, within, without), best)
        made = self._holdout.apply(greedy.astype(np.int64), chance[:, 1])
        other = self._holdout.apply(np.where(selected, without, within).astype(np.int64), chance[:, 1])
        taken = np.where(ruled, np.where(selected, share, 1.0 - share), 1.0)[:, None]
        propensity = taken * made.propensity + (1.0 - taken) * other.propensity
        mixed = ruled & (share > 0.0) & (share < 1.0)
        bits = made.explored | np.where(mixed, BY_CHANCE, 0) | np.where(greedy != best, BY_GROUP, 0)
        return Proposal(made.action, propensity, bits.astype(np.uint8), made.fallback)

    def learn(self, experience: Experience) -> None:
        """Nothing to learn."""

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """Nothing to restore."""
