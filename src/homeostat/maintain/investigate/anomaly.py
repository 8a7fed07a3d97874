"""How anomalous a window is, against all windows of the normal period of the same length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homeostat.maintain.investigate.excess import Course, spread
from homeostat.maintain.investigate.frames import Key
from homeostat.records.arrays import Float

_TAIL = 0.1  # The share of normal windows from which the tail of their distribution is fitted.
_FEW = 20  # Fewer windows than these say nothing about how rare one is.
_LEVEL_MOST, _MOVE_MOST = 10.0, 60.0  # Of minus the logarithm of a p-value.


@dataclass(frozen=True, slots=True)
class Rareness:
    """How rare a statistic is among those of normal windows: ranks, and an exponential tail beyond them.

    ordered : the normal windows' statistics, ascending
    cut, width : where the tail begins, and its mean excess
    """

    ordered: Float
    cut: float
    width: float

    def p_values(self, values: Float) -> Float:
        """The share of normal windows with at least such a statistic."""
        count = len(self.ordered)
        if count < _FEW:
            return np.full(np.shape(values), 0.5)
        ranks = (1 + count - np.searchsorted(self.ordered, values, side="left")) / (count + 1)
        beyond = np.maximum(values - self.cut, 0.0) / self.width
        return np.where(values > self.cut, np.minimum(_TAIL * np.exp(-np.minimum(beyond, 600.0)), ranks), ranks)


def rareness(statistics: Float) -> Rareness:
    """Fitted to the statistics of normal windows. The median excess sets the tail: an outage in them must not."""
    cut = float(np.quantile(statistics, 1 - _TAIL))
    tail = statistics[statistics > cut]
    width = (float(np.median(tail)) - cut) / np.log(2) if tail.size else 0.0
    return Rareness(np.sort(statistics), cut, max(width, 1e-9 * max(abs(cut), 1.0)))


def deviations(course: Course) -> tuple[Float, Float]:
    """The rows of every normal window, and those of the window, in robust standard deviations from the usual."""
    known = course.normal[np.isfinite(course.normal)]
    level = float(np.median(known)) if known.size else 0.0
    largest = max(float(np.max(np.abs(course.window), initial=0.0, where=np.isfinite(course.window))), abs(level))
    scale = max(spread(course.normal), 1e-6 * largest, 1e-200)
    length = min(len(course.window), len(course.normal))
    windows = np.lib.stride_tricks.sliding_window_view((course.normal - level) / scale, length)
    return np.nan_to_num(windows), np.nan_to_num((course.window - level) / scale)[None]


def lasting(windows: Float) -> Float:
    """Twice the second highest deviation, or more: trouble that lasts for one row only counts little.

    windows : float64[n, rows]
    """
    ordered = np.maximum(np.sort(windows, axis=1), 0.0)
    if windows.shape[1] < 3:
        return np.asarray(ordered[:, -1])
    return np.asarray(ordered[:, -2] + np.minimum(ordered[:, -1], 2 * ordered[:, -2]))


def surprise(course: Course) -> float:
    """The p-value of a target's window."""
    windows, window = deviations(course)
    return float(rareness(lasting(windows)).p_values(lasting(window))[0])


def most_anomalous(courses: Mapping[Key, Course]) -> tuple[Key, float]:
    """The metric whose window is the least normal, and how rare that is among the windows of all metrics.

    Movement within the window counts more than its level, which may have changed for good since the normal period.
    """
    keys = sorted(courses, key=str)
    normal, seen = [], []
    for key in keys:
        windows, window = deviations(courses[key])
        sums = np.zeros(len(windows)), np.zeros(1)
        for floor, most in ((0.0, _LEVEL_MOST), (1.0, _MOVE_MOST)):
            lows = [floor * np.maximum(one.min(axis=1, keepdims=True), 0.0) for one in (windows, window)]
            fitted = rareness(lasting(windows - lows[0]))
            for total, one, low in zip(sums, (windows, window), lows, strict=True):
                total += np.minimum(-np.log(fitted.p_values(lasting(one - low))), most)
        normal.append(sums[0])
        seen.append(float(sums[1][0]))
    best = int(np.argmax(seen))
    among = rareness(np.max(normal, axis=0))
    return keys[best], float(among.p_values(np.array([seen[best]]))[0])


def bayes_factor(p_value: float) -> float:
    """How much a p-value speaks for an anomaly at most (Sellke, Bayarri, Berger 2001).

    >>> bayes_factor(0.5), round(bayes_factor(0.01), 1)
    (1.0, 8.0)
    """
    return 1.0 if p_value >= np.exp(-1) else float(-1 / (np.e * p_value * np.log(p_value)))
