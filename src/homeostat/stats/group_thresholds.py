"""Thresholds by group under which groups are treated alike, at the least cost.

`same_selection_rate` is demographic parity: each group has one share of selected rows. `same_error_rates` is equalised
odds: each group has one true and one false positive rate. A threshold alone seldom meets a rate exactly, so a rule
mixes two thresholds by chance, and equalised odds may need some answers by a coin that does not look at the score.

Source: Hardt, Price, Srebro (2016), Equality of Opportunity in Supervised Learning, NIPS, 3315-3323.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int


@dataclass(frozen=True, slots=True)
class Rule:
    """How one group is selected: by `low` or `high`, or for a share of rows by chance alone.

    low, high : thresholds; inf selects nobody, others scores from there up. `high_share` of rows go by `high`
    coin_share : share of rows that are selected with the chance `coin`, whatever their score
    """

    low: float
    high: float
    high_share: float
    coin_share: float = 0.0
    coin: float = 0.0

    def chance(self, score: Float) -> Float:
        """The chance to be selected, (n,), of rows with these scores, (n,)."""
        judged = (1.0 - self.high_share) * (score >= self.low) + self.high_share * (score >= self.high)
        return (1.0 - self.coin_share) * judged + self.coin_share * self.coin


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A rule for each group, and its cost as a mean over all rows that it was made from.

    selection_rate : None under equalised odds; true_positive_rate, false_positive_rate : None under demographic parity
    """

    rules: tuple[Rule, ...]
    cost: float
    selection_rate: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None


class _Steps(NamedTuple):
    """Thresholds of a group from the highest down, inf first, with the rows of each label at or above each."""

    threshold: Float
    positive: Float
    negative: Float


class _Hull(NamedTuple):
    """Corners of the lower convex hull: x rising from 0 to 1, y, and the index of the step of each corner."""

    x: Float
    y: Float
    step: Int

    def at(self, x: float) -> float:
        return float(np.interp(x, self.x, self.y))


def _steps(label: Float, score: Float) -> _Steps:
    order = np.argsort(-score, kind="stable")
    ranked, positive = score[order], np.cumsum(label[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    rows = (last + 1).astype(np.float64)
    above = positive[last]
    return _Steps(np.append(np.inf, ranked[last]), np.append(0.0, above), np.append(0.0, rows - above))


def _hull(x: Float, y: Float) -> _Hull:
    """The lower hull of points whose x rises, of which the lowest counts where x is equal. Source: Andrew (1979)."""
    kept: list[int] = []
    for i in np.lexsort((y, x)):
        if kept and x[kept[-1]] == x[i]:
            continue
        while len(kept) >= 2 and _turns_down(x, y, kept[-2], kept[-1], int(i)):
            kept.pop()
        kept.append(int(i))
    step = np.array(kept, dtype=np.int64)
    return _Hull(x[step], y[step], step)


def _turns_down(x: Float, y: Float, a: int, b: int, c: int) -> bool:
    return bool((x[b] - x[a]) * (y[c] - y[a]) <= (y[b] - y[a]) * (x[c] - x[a]))


def _rule(hull: _Hull, threshold: Float, x: float) -> Rule:
    """The mixture of the two corners around x that lies on the hull at x."""
    right = int(np.clip(np.searchsorted(hull.x, x), 1, len(hull.x) - 1))
    left = right - 1
    share = float((hull.x[right] - x) / (hull.x[right] - hull.x[left]))
    low, high = threshold[hull.step[right]], threshold[hull.step[left]]
    return Rule(float(low), float(high), min(1.0, max(0.0, share)))


def _each(label: Float, score: Float, group: Int, groups: int) -> list[_Steps]:
    if not len(label) == len(score) == len(group) or np.isnan(score).any() or not np.isin(label, (0.0, 1.0)).all():
        raise ValueError("labels of 0 and 1, scores without NaN and groups must be of one length")
    if absent := [g for g in range(groups) if not (group == g).any()]:
        raise ValueError(f"group {absent[0]} has no rows to make a threshold from")
    return [_steps(label[group == g], score[group == g]) for g in range(groups)]


def same_selection_rate(
    label: Float, score: Float, group: Int, groups: int, cost_selected: float = 1.0, cost_missed: float = 1.0
) -> Thresholds:
    """Demographic parity at the least cost.

    label : (n,) 0 or 1; score : (n,) higher is likelier positive; group : (n,) in [0, groups), others are left out
    cost_selected : of a negative that is selected, above one that is not; cost_missed : of a positive that is not
        selected, above one that is
    Raises ValueError if a group has no rows.

    >>> y, s, g = np.array([0.0, 1, 0, 1]), np.array([0.1, 0.6, 0.4, 0.9]), np.array([0, 0, 1, 1])
    >>> found = same_selection_rate(y, s, g, 2)
    >>> found.cost, found.selection_rate, [rule.chance(np.array([0.4, 0.6, 0.9])).tolist() for rule in found.rules]
    (0.0, 0.5, [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    """
    each = _each(label, score, group, groups)
    n = sum(float(s.positive[-1] + s.negative[-1]) for s in each)
    hulls = []
    for steps in each:
        rows = steps.positive + steps.negative
        cost = cost_selected * steps.negative + cost_missed * (steps.positive[-1] - steps.positive)
        hulls.append(_hull(rows / rows[-1], cost / n))
    rates = np.unique(np.concatenate([hull.x for hull in hulls]))  # The sum is linear between corners.
    costs = sum(np.interp(rates, hull.x, hull.y) for hull in hulls)
    best = int(np.argmin(costs))
    rules = tuple(_rule(hull, steps.threshold, float(rates[best])) for hull, steps in zip(hulls, each, strict=True))
    return Thresholds(rules, float(np.asarray(costs)[best]), selection_rate=float(rates[best]))


def same_error_rates(
    label: Float, score: Float, group: Int, groups: int, cost_selected: float = 1.0, cost_missed: float = 1.0
) -> Thresholds:
    """Equalised odds at the least cost; arguments as of `same_selection_rate`.

    No group can do better than its own curve, so the rates are those of the group with the worst curve. Where
    another group could do better, a share of its rows is selected by chance until it does not.
    Raises ValueError if a group has no rows of either label.

    >>> y, g = np.array([0.0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 1, 1])
    >>> found = same_error_rates(y, np.array([0.1, 0.6, 0.1, 0.4, 0.5, 0.9]), g, 2)
    >>> found.true_positive_rate, found.false_positive_rate, found.rules[0].coin_share
    (0.5, 0.0, 0.5)
    """
    each = _each(label, score, group, groups)
    positives, negatives = (sum(float(counts[-1]) for counts in column) for column in list(zip(*each, strict=True))[1:])
    if any(steps.positive[-1] == 0 or steps.negative[-1] == 0 for steps in each):
        raise ValueError("each group needs rows of both labels to have both rates")
    # Missed rate over false positive rate: a lower hull, as the curve of true positive rates is an upper one.
    hulls = [_hull(s.negative / s.negative[-1], 1.0 - s.positive / s.positive[-1]) for s in each]
    fpr = _corners(hulls)
    missed = np.max([np.interp(fpr, hull.x, hull.y) for hull in hulls], axis=0)
    costs = (cost_selected * negatives * fpr + cost_missed * positives * missed) / (positives + negatives)
    best = int(np.argmin(costs))
    x, y = float(fpr[best]), float(missed[best])
    rules = tuple(_coined(hull, steps.threshold, x, y) for hull, steps in zip(hulls, each, strict=True))
    return Thresholds(rules, float(costs[best]), true_positive_rate=1.0 - y, false_positive_rate=x)


def _corners(hulls: Sequence[_Hull]) -> Float:
    """False positive rates at which the highest of the curves can have a corner: their own, and where two cross."""
    own = np.unique(np.concatenate([hull.x for hull in hulls]))
    heights = [[hull.at(x) for x in own] for hull in hulls]
    crossings = []
    for i, (left, right) in enumerate(pairwise(own.tolist())):
        for a in range(len(hulls)):
            for b in range(a):
                start, end = heights[a][i] - heights[b][i], heights[a][i + 1] - heights[b][i + 1]
                if start * end < 0:
                    crossings.append(left + (right - left) * start / (start - end))
    return np.unique(np.concatenate([own, crossings]))


def _coined(hull: _Hull, threshold: Float, x: float, y: float) -> Rule:
    """The rule on the group's curve at x, mixed with a coin of chance x until it misses y of the positives."""
    rule, own = _rule(hull, threshold, x), hull.at(x)
    luck = 1.0 - x  # A coin that selects x misses so many of the positives.
    share = min(1.0, max(0.0, (y - own) / (luck - own))) if luck > own else 0.0
    return Rule(rule.low, rule.high, rule.high_share, share, x if share else 0.0)
