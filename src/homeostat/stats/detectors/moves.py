"""Moves of a stream of numbers: its mean rises or falls, or its values lie wider or narrower.

The first values teach where numbers lie. Their order alone counts: each further number becomes the cell between two of
the learned quantiles in which it lies, and a cell stands for a range of ranks. So any distribution will do, however
heavy its tails, and one wild value weighs no more than the rarest learned ones.

A lane bets on one change: had ranks been normal scores, they would now be moved by a shift or stretched by a factor.
Its odds for a cell are the ratio of both probabilities of that cell, whose mean is exactly 1 while nothing changes.
Wealth is summed up over starts and lanes, and the limit is set by the wanted time to a false alarm, as in `rises`.

Learned quantiles are those of a sample, so each bet pays a little for their standard error. Neighbouring values that
are alike (autocorrelation of the first order) repeat the same evidence: bets are raised to the power
(1 - r) / (1 + r), with r taken one standard error above its estimate. Quantiles are learned again whenever half as many
values again are known, from up to `KEPT_MAX` of them; that waits while a change is suspected.

Sources: Shin, Ramdas, Rinaldo (2022), E-detectors: a nonparametric framework for sequential change detection. Gordon,
Pollak (1995), A robust surveillance scheme for stochastically ordered alternatives, Annals of Statistics 23, 1350-1375,
for ranks. Bartlett (1946), JRSS Supplement 8, 27-41, for autocorrelation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled
from homeostat.stats.detectors.alarms import Alarm, Change
from homeostat.stats.detectors.cells import cells_of, edges_of, odds_of

SHIFTS = (0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
STRETCHES = (1.5, 2.5, 1 / 1.5, 1 / 3.0)
CHANGES: tuple[Change, ...] = ("rise", "fall") * 3 + ("wider", "wider", "narrower", "narrower")
LANES = len(SHIFTS) + len(STRETCHES)
LEARN_MIN = 64
KEPT_MAX = 4096
LARGEST = 1e150  # The square of a larger value is no number.
LIMIT_SHARE = 0.85  # As in `rises`.
_GROWTH = 1.5
_ONE_SIDED = 4.0  # Standard errors. Values beyond all that were seen look as wide as they look far.

WEALTH, PATH, ROW, COUNT, SUM, SQUARES = range(6)
N, TOTAL, SQUARED, CENTER, DUE = range(5)


class Ranks(NamedTuple):
    """The learned ranks: (q,) edges, (2 q + 1,) counts of the cells, (lanes, 2 q + 1) odds."""

    edges: Float
    counts: Float
    odds: Float


@compiled
def watch(
    values: Float, first: int, row: int, head: Float, lanes: Float, kept: Float, edges: Float, counts: Float,
    odds: Float, limit: float, calm: float,
) -> tuple[int, int]:  # fmt: skip
    """The index after the last value that was taken in, and why: 0 the end, 1 an alarm, 2 to learn, 3 a bad value."""
    share = 1.0 / len(lanes)
    for i in range(first, len(values)):
        x = values[i]
        if x != x:
            continue
        if not abs(x) <= LARGEST:
            return i, 3
        n = int(head[N])
        if n == 0:
            head[CENTER] = x  # Sums are of what lies beyond it, so that a far constant does not swallow them.
        if n < len(kept):
            kept[n] = x
        wealth = 0.0
        if len(edges) > 0:
            left, right = 0, len(edges)
            while left < right:
                middle = (left + right) >> 1
                if edges[middle] < x:
                    left = middle + 1
                else:
                    right = middle
            cell = 2 * left + int(left < len(edges) and edges[left] == x)
            counts[cell] += 1.0
            for j in range(len(lanes)):
                if lanes[j, PATH] <= 1.0:
                    lanes[j, PATH], lanes[j, ROW], lanes[j, COUNT] = 1.0, row + i, n
                    lanes[j, SUM], lanes[j, SQUARES] = head[TOTAL], head[SQUARED]
                factor = odds[j, cell]
                lanes[j, WEALTH] = (share + lanes[j, WEALTH]) * factor
                lanes[j, PATH] *= factor
                wealth += lanes[j, WEALTH]
        away = x - head[CENTER]
        head[N], head[TOTAL], head[SQUARED] = n + 1.0, head[TOTAL] + away, head[SQUARED] + away * away
        if wealth > limit:
            return i + 1, 1
        if head[N] >= head[DUE] and wealth <= calm:
            return i + 1, 2
    return len(values), 0


class Moves:
    """Finds changes of mean and spread of numbers."""

    fault = f"is not within {LARGEST:g} of 0. Leave the value empty if it is missing"

    def __init__(self, false_alarms_per: float) -> None:
        self._limit = LIMIT_SHARE * false_alarms_per
        self._calm = math.sqrt(self._limit)
        self._head, self._lanes, self._kept = np.zeros(5), np.zeros((LANES, 6)), np.zeros(KEPT_MAX)
        self._begin()

    def _begin(self) -> None:
        self._head[:], self._lanes[:], self._kept[:] = 0.0, 0.0, 0.0
        self._head[DUE] = LEARN_MIN
        self._ranks = Ranks(np.zeros(0), np.zeros(1), np.zeros((LANES, 1)))

    def watch(self, values: Float, first: int, row: int) -> tuple[int, Alarm | None]:
        """Go on until an alarm or the end; returns the index of the next value.

        row : of values[0]. Without an alarm, an index before the end is that of a value too large to be taken in.
        """
        while True:
            at, why = watch(
                values, first, row, self._head, self._lanes, self._kept, *self._ranks, self._limit, self._calm
            )
            if why == 1:
                alarm = self._alarm(row + at - 1)
                self._begin()
                return at, alarm
            if why != 2:
                return at, None
            self._learn()
            first = at

    def _learn(self) -> None:
        n = int(self._head[N])
        self._head[DUE] = math.ceil(n * _GROWTH)
        kept = self._kept[: min(n, KEPT_MAX)]
        if len(self._ranks.edges) == 0 or n <= KEPT_MAX or self._ranks.counts.sum() < KEPT_MAX:
            edges = edges_of(kept)
            counts = np.bincount(cells_of(kept, edges), minlength=2 * len(edges) + 1).astype(np.float64)
        else:
            edges, counts = self._ranks.edges, self._ranks.counts
        self._ranks = Ranks(edges, counts, odds_of(kept, edges, counts, SHIFTS, STRETCHES))

    def _alarm(self, row: int) -> Alarm:
        found = int(np.argmax(self._lanes[:, WEALTH]))
        lane, head = self._lanes[found], self._head
        n, total, squares = lane[COUNT], lane[SUM], lane[SQUARES]
        before = _summary(n, total, squares)
        after = _summary(head[N] - n, head[TOTAL] - total, head[SQUARED] - squares)
        change = CHANGES[found]
        moved = (after[0] - before[0]) * math.sqrt(head[N] - n)
        if change == "wider" and abs(moved) > _ONE_SIDED * after[1]:
            change = "rise" if moved > 0.0 else "fall"
        of_spread = change in ("wider", "narrower")
        center = 0.0 if of_spread else float(head[CENTER])
        return Alarm(
            row, int(lane[ROW]), center + before[of_spread], center + after[of_spread], change
        )  # fmt: skip

    def state(self) -> dict[str, Float]:
        """All that it remembers."""
        parts = {"head": self._head, "lanes": self._lanes, "kept": self._kept, **self._ranks._asdict()}
        return {name: np.array(part) for name, part in parts.items()}

    def restore(self, state: dict[str, Float]) -> None:
        """Go on from what was remembered."""
        self._head[:], self._lanes[:], self._kept[:] = state["head"], state["lanes"], state["kept"]
        self._ranks = Ranks(*(np.array(state[name], np.float64) for name in Ranks._fields))


def _summary(n: float, total: float, squares: float) -> tuple[float, float]:
    """Mean and standard deviation of n values with this sum and sum of squares."""
    if n < 1:
        return 0.0, 0.0
    mean = total / n
    return float(mean), math.sqrt(max(0.0, squares / n - mean * mean))
