"""Why a decision was made: contributions by scorer and by feature, and what would have changed the action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from homeostat.decide.domains import ANY, Domain
from homeostat.decide.stages import Stages
from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.rows import rows_of

_GRID = 48  # Values tried for each feature before the smallest change is narrowed down.
_HALVINGS = 30  # Of the distance between a value that changes the action and one that does not.
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class FeatureContribution:
    """A feature's part of the risk's log-odds, over all scorers that can tell."""

    name: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class ScorerContribution:
    """A scorer's score (NaN if it was missing), its part of the risk's log-odds, and what moved it most."""

    name: str
    score: float
    contribution: float
    features: tuple[FeatureContribution, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change of one feature after which another action would have been taken, all else being equal."""

    feature: str
    was: float
    becomes: float
    action: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one decision was made. Contributions are ordered by size, largest first."""

    scorers: tuple[ScorerContribution, ...]
    features: tuple[FeatureContribution, ...]
    change: Change | None


def explain(
    stages: Stages,
    decisions: DecisionBatch,
    row: int,
    ranges: dict[str, tuple[float, float]] | None = None,
    top: int = 10,
) -> Explanation:
    """Explain row `row` of a batch, from its features as they were served.

    ranges : from where to where each feature may sensibly go, when looking for the smallest change; without one, a
        feature is tried from 0 to ten times its value
    top : how many features are named
    """  # fmt: skip
    one = rows_of(decisions, row, row + 1)
    scorers = tuple(sorted(_scorer_contributions(stages, one, top), key=lambda part: -abs(part.contribution)))
    combined: dict[str, FeatureContribution] = {}
    for part in scorers:
        for feature in part.features:
            earlier = combined.get(feature.name)
            total = feature.contribution + (earlier.contribution if earlier else 0.0)
            combined[feature.name] = replace(feature, contribution=total)
    ordered = sorted(combined.values(), key=lambda feature: -abs(feature.contribution))[:top]
    return Explanation(scorers, tuple(ordered), smallest_change(stages, one, ranges or {}))


def _scorer_contributions(stages: Stages, one: DecisionBatch, top: int) -> list[ScorerContribution]:
    """Each scorer's part of the log-odds, shared out over its features in proportion to their part of its output."""
    parts = []
    for column, seat in enumerate(stages.panel.seats):
        share = float(one.fused.contributions[0, column])
        score = float(one.scores.values[0, column])
        shared = np.zeros(len(one.features.names))
        raw = None if np.isnan(score) else stages.panel.contributions(column, one.features)
        if raw is not None:
            shared = _shared(raw, np.array([share]))[0]
        order = np.argsort(-np.abs(shared), kind="stable")[:top]
        features = tuple(
            FeatureContribution(one.features.names[k], float(one.features.values[0, k]), float(shared[k]))
            for k in order.tolist()
            if shared[k] != 0
        )
        parts.append(ScorerContribution(seat.scorer.name, score, share, features))
    return parts


def shares(stages: Stages, decisions: DecisionBatch) -> tuple[Float, Float]:
    """(n, features) and (n, scorers) what moved the risk's log-odds: each feature's part over all scorers that can
    tell, and the parts of scorers that can't. Together they have the sizes of the fused contributions.
    """
    by_feature, by_scorer = np.zeros(decisions.features.values.shape), decisions.fused.contributions.copy()
    for column in range(len(stages.panel.seats)):
        raw = stages.panel.contributions(column, decisions.features)
        if raw is None:
            continue
        part = _shared(raw, np.where(np.isnan(decisions.scores.values[:, column]), 0.0, by_scorer[:, column]))
        by_feature += part
        by_scorer[np.abs(part).sum(axis=1) > 0, column] = 0.0
    return by_feature, by_scorer


def _shared(raw: Float, share: Float) -> Float:
    """(n, features) a scorer's part of the risk, by feature; signs are those of the features' effect on the score.

    raw : (n, features); share : (n,)
    """
    total = np.abs(raw).sum(axis=1)
    return np.asarray(raw * (np.where(total > _TINY, np.abs(share), 0.0) / np.maximum(total, _TINY))[:, None])


def smallest_change(stages: Stages, one: DecisionBatch, ranges: dict[str, tuple[float, float]]) -> Change | None:
    """The change of one feature, smallest relative to its range, that would have changed the proposed action.

    None where no single feature can, or where a guard decided: then its rule, fallback or breaker is the whole reason.
    Where the app has thresholds it is they that are asked, whose answer hangs on the event alone. Features that follow
    from the changed one change with it, and are not changed by themselves. Another category, or the other of yes and
    no, counts as a change over the whole range.
    Source of the distance: Gower (1971), A general coefficient of similarity, Biometrics 27.
    """
    if one.ruling.rule[0] != -1:
        return None
    values = one.features.values[0]
    proposed = int(_actions(stages, one, np.array([0]), values[:1])[0])
    found = [*_smallest_quantity(stages, one, ranges, proposed), *_choices(stages, one, proposed)]
    if not found:
        return None
    column, becomes, _ = min(found, key=lambda change: change[2])
    action = int(_actions(stages, one, np.array([column]), np.array([becomes]))[0])
    return Change(one.features.names[column], float(values[column]), becomes, action)


_Found = tuple[int, float, float]
"""A column, its value that changes the action, and how far that is from today's, as a share of the range."""


def _smallest_quantity(
    stages: Stages, one: DecisionBatch, ranges: dict[str, tuple[float, float]], proposed: int
) -> list[_Found]:
    """The smallest change of a quantity; empty where none changes the action."""
    names, values, what_if = one.features.names, one.features.values[0], stages.what_if
    domains = [ANY if what_if is None else what_if.domains.get(name, ANY) for name in names]
    lows, highs = _bounds(names, values, ranges, domains)
    steps = np.array([domain.step for domain in domains])
    discrete = () if what_if is None else {*what_if.choices(stages.panel), *what_if.plan.categories}
    candidates = [
        k
        for k, name in enumerate(names)
        if highs[k] > lows[k] and not np.isnan(values[k]) and name not in discrete
        if what_if is None or what_if.movable(name)
    ]
    if not candidates:
        return []
    tried = np.array([_on_steps(np.linspace(lows[k], highs[k], _GRID), steps[k]) for k in candidates])
    actions = _actions(stages, one, np.repeat(candidates, _GRID), tried.ravel()).reshape(tried.shape)
    found: list[tuple[int, float]] = []
    for place, k in enumerate(candidates):
        other = np.flatnonzero(actions[place] != proposed)
        if len(other):
            nearest = other[np.argmin(np.abs(tried[place, other] - values[k]))]
            found.append((k, float(tried[place, nearest])))
    if not found:
        return []
    columns = np.array([k for k, _ in found])
    changed = _narrowed(stages, one, columns, np.array([far for _, far in found]), steps[columns], proposed)
    distance = np.abs(changed - values[columns]) / (highs[columns] - lows[columns])
    best = int(np.argmin(distance))
    return [(int(columns[best]), float(changed[best]), float(distance[best]))]


def _choices(stages: Stages, one: DecisionBatch, proposed: int) -> list[_Found]:
    """The changes of features that are no quantities, the likeliest value first."""
    if stages.what_if is None:
        return []
    names, values = one.features.names, one.features.values[0]
    tried = [
        (names.index(name), value)
        for name, choices in stages.what_if.choices(stages.panel).items()
        if name in names
        for value in choices
        if value != values[names.index(name)]
    ]
    if not tried:
        return []
    actions = _actions(stages, one, np.array([k for k, _ in tried]), np.array([value for _, value in tried]))
    return [(k, value, 1.0) for (k, value), action in zip(tried, actions.tolist(), strict=True) if action != proposed]


def _narrowed(stages: Stages, one: DecisionBatch, columns: Int, far: Float, steps: Float, proposed: int) -> Float:
    """For each column the value nearest to today's that changes the action, by bisection between today's and `far`."""
    near = one.features.values[0, columns].copy()
    far = far.copy()
    for _ in range(_HALVINGS):
        middle = _on_steps((near + far) / 2, steps)
        changes = _actions(stages, one, columns, middle) != proposed
        far = np.where(changes, middle, far)
        near = np.where(changes, near, middle)
    return far


def _on_steps(values: Float, step: Float | float) -> Float:
    """The multiples of a step nearest to some values; the values themselves where it is 0."""
    size = np.where(np.asarray(step) > 0, step, 1.0)
    return np.where(np.asarray(step) > 0, np.round(values / size) * size, values)


def _bounds(
    names: Sequence[str], values: Float, ranges: dict[str, tuple[float, float]], domains: Sequence[Domain]
) -> tuple[Float, Float]:
    """From where to where each feature is tried: within its domain, today's value included."""
    pairs = []
    for name, value, domain in zip(names, values.tolist(), domains, strict=True):
        if value != value:
            pairs.append((0.0, 0.0))
            continue
        usual = min(0.0, 10 * value), max(10 * domain.step or 1.0, 10 * value)
        low, high = ranges.get(name, usual)
        pairs.append((min(value, max(low, domain.low)), max(value, min(high, domain.high))))
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def _actions(stages: Stages, one: DecisionBatch, columns: Int, values: Float) -> Int:
    """The actions that would be proposed with one feature changed in each row: (m,) columns, (m,) values.

    A feature that is a field of the event changes it in the event too, since costs are computed from there; and
    features that follow from it.
    """
    m = len(columns)
    changed = np.repeat(one.features.values, m, axis=0)
    changed[np.arange(m), columns] = values
    features = Features(one.features.names, changed, np.repeat(one.features.freshness, m, axis=0))
    events = _repeated(one.events, m)
    fields = events.numbers.shape[1]
    in_event = columns < fields
    events.numbers[np.flatnonzero(in_event), columns[in_event]] = values[in_event]
    if stages.what_if is not None:
        features = stages.what_if.followed(events, features, columns)
    missing = np.isnan(one.scores.values[0]).tolist()
    fused = stages.fusion.fuse(stages.panel.score_again(features, missing))
    # No hold-out: what value chooses, and where a group's thresholds are mixed by chance, the luck that the event had.
    chance = np.column_stack([np.repeat(stages.chance(one.events.ids)[0, 0], m), np.full(m, 1.0 - _TINY)])
    if stages.thresholds is not None:
        return stages.thresholds.propose(fused, events, features, chance).action.astype(np.int64)
    remembered = stages.policy.state()  # A policy may keep accounts, which no explanation may be charged to.
    try:
        return stages.policy.propose(fused, events, features, chance).action.astype(np.int64)
    finally:
        stages.policy.restore(remembered)


def _repeated(events: EventBatch, m: int) -> EventBatch:
    return events.rows(np.repeat(np.arange(len(events)), m))
