"""Rises of the means of many series of errors at once: one step takes a value of each."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.stats.detectors import rises


class ManyRises:
    """The detector of `rises` for k series, each with its own mean time to a false alarm.

    It resets nothing by itself: a caller that shares out one budget decides which series to begin again.

    >>> many = ManyRises(np.array([1000.0, 1000.0]))
    >>> for row in range(70):
    ...     passed = many.add(np.array([0.0, float(row >= 50)]))
    >>> passed.tolist(), int(many.evidence().argmax()), int(many.since()[1])
    ([False, True], 1, 50)
    """

    def __init__(self, false_alarms_per: Float) -> None:
        self._per = np.asarray(false_alarms_per, np.float64)
        self._above = np.array([rises.caution(float(per)) for per in self._per])
        self._head = np.zeros((len(self._per), 2))
        self._lanes = np.zeros((len(self._per), len(rises.ODDS), 7))
        self._wealth = np.zeros(len(self._per))
        self.rows = 0

    def add(self, values: Float) -> Mask:
        """(k,) values in [0, 1], NaN where one is missing; returns (k,) whether each series is past its limit."""
        given = np.ascontiguousarray(values, np.float64)
        rises.steps(given, self.rows, self._head, self._lanes, rises.ODDS, rises.SHARES, self._above, self._wealth)
        self.rows += 1
        return np.asarray(self.evidence() > 1.0)

    def evidence(self) -> Float:
        """(k,) wealth as a share of its limit."""
        n, total = self._head.T
        share = rises.LIMIT_SHARE + rises.LIMIT_MORE * total / np.maximum(n, 1.0)
        return np.asarray(self._wealth / (self._per * share), np.float64)

    def since(self) -> Int:
        """(k,) the row at which a change of each series most likely began."""
        best = self._lanes[:, :, rises.WEALTH].argmax(axis=1)
        return np.asarray(self._lanes[np.arange(len(best)), best, rises.ROW], np.int64)

    def reset(self, series: Int) -> None:
        """Begin these series again."""
        self._head[series], self._lanes[series], self._wealth[series] = 0.0, 0.0, 0.0

    def state(self) -> dict[str, Float]:
        """All that it remembers."""
        rows = np.array([float(self.rows)])
        return {
            "rows": rows, "head": self._head.copy(), "lanes": self._lanes.copy(), "wealth": self._wealth.copy()
        }  # fmt: skip

    def restore(self, state: dict[str, Float]) -> None:
        """Go on from what was remembered."""
        self.rows = int(state["rows"][0])
        self._head[:], self._lanes[:], self._wealth[:] = state["head"], state["lanes"], state["wealth"]
