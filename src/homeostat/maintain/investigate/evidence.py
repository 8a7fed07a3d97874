"""How strongly each node's own excess speaks for it as the cause of the target's, as logarithms of odds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from homeostat.maintain.investigate.excess import Course, own
from homeostat.maintain.investigate.graph import Calls, cycles_of, widest_paths
from homeostat.records.arrays import Float

Odds = dict[Hashable, float]
_CAUSE = 0.35  # How far the share of the target's excess that a cause explains lies from 1.
_OTHER = 0.12  # How far that of any other node lies from 0, beside its noise.
_NOISE = 0.5  # Of a node's noise, the part by which a cause's share is less certain.
_FREEDOM = 4.0  # Degrees of freedom of Student's t: shares far off are rare, and not impossible.
_UNSEEN = -3.0  # A node without the metric.
UNREACHED = -9.0  # A node that the target does not reach by calls.


@dataclass(frozen=True, slots=True)
class Weighing:
    """The target's excess by row, which weighs the rows in which a cause has to show.

    weights : float64[rows], from 0 to 1
    """

    weights: Float
    highest: float

    def share(self, excess: Float) -> float:
        """The share of the target's excess that this excess makes up, by least squares; NaN rows are left out."""
        known = np.isfinite(excess)
        by = self.weights[known]
        return float(excess[known] @ by / self.highest / (by @ by)) if by.any() else 0.0

    def noise(self, excess: Float) -> float:
        """The root of the mean square of that share over all windows of the normal period."""
        rows = len(self.weights)
        filled = np.nan_to_num(excess)
        if len(filled) < rows:
            filled = np.concatenate([filled, np.zeros(rows - len(filled))])
        windows = np.lib.stride_tricks.sliding_window_view(filled, rows)
        shares = windows @ self.weights / self.highest / (self.weights @ self.weights)
        return float(np.sqrt(np.mean(np.minimum(np.abs(shares), 10.0) ** 2)))


def weighing(target: Course) -> Weighing | None:
    """By the target's excess; None if it has none."""
    weights = np.maximum(np.nan_to_num(target.window), 0.0)
    highest = float(weights.max(initial=0.0))
    return Weighing(weights / highest, highest) if highest > 1e-100 else None


def by_excess(target: Hashable, courses: Mapping[Hashable, Course], calls: Calls) -> Odds:
    """The log odds of each node by the share of the target's excess that its own excess explains.

    courses : the excess of the nodes that have the metric
    calls : by node, those it calls
    """
    rows = weighing(courses[target])
    if rows is None:
        return {node: log_odds(0.0, 0.0) for node in calls}
    whole = {node: rows.share(one.window) for node, one in courses.items()}
    paths = widest_paths(target, calls, whole)
    cycle = cycles_of(calls)
    found: Odds = {}
    for node, callees in calls.items():
        if node not in paths:
            found[node] = UNREACHED
        elif node not in courses:
            found[node] = _UNSEEN
        else:
            deeper = (callee for callee in callees if callee in courses and cycle[callee] != cycle[node])
            alone = own(courses[node], [courses[callee] for callee in deeper])
            share = min(max(rows.share(alone.window), -1.0), 1.0, paths[node])
            found[node] = log_odds(share, rows.noise(alone.normal))
    return found


def log_odds(share: float, noise: float) -> float:
    """How much better "the cause" predicts a share than "not the cause".

    share : of the target's excess, at most 1
    noise : standard deviation of the share while nothing is wrong

    >>> round(log_odds(0.9, 0.05), 1), round(log_odds(0.1, 0.05), 1)
    (5.4, -3.1)
    """
    cause, other = np.hypot(_CAUSE, _NOISE * min(noise, 1.0)), np.hypot(_OTHER, noise)
    return _log_density(share - 1.0, float(cause)) - _log_density(share, float(other))


def _log_density(distance: float, scale: float) -> float:
    """Of Student's t, without its constant."""
    return float(-np.log(scale) - (_FREEDOM + 1) / 2 * np.log1p((distance / scale) ** 2 / _FREEDOM))
