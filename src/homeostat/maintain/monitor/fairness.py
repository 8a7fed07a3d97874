"""Whether groups of people are treated within the app's bounds, over the last week.

A bound counts as broken where the difference of two groups lies beyond it by more than `CERTAIN` standard errors, so
that a look each day for years raises no alarm by chance. `homeostat report fairness` judges the same bounds by people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import chance_of, seen
from homeostat.records.arrays import Float, Int, State
from homeostat.records.signals import Kind, Measured, Series

CERTAIN = 5.0
GROUPS_MAX = 16
DAYS = 7
_DAY_NS = 86_400 * 10**9
CostOf = Callable[[Known], Float]


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound of the app: by the largest difference of two groups, or by the least ratio of their rates."""

    measure: str
    difference_max: float | None = None
    ratio_min: float | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """The field that names groups, as a column; the actions that select; the rows that a group needs at least."""

    column: int
    selecting: tuple[int, ...]
    rows_least: int = 50


_MEASURES = ("selection_rate", "true_positive_rate", "false_positive_rate", "calibration", "cost_per_person")


class FairnessMonitor:
    """See the module. Series: one for each bound, a fact. `cost_per_person` is taken a decision.

    memory : `sums` (DAYS, measures, groups, 3) numbers, sums and sums of squares of each day, by group
    """

    name = "fairness"

    def __init__(self, names: Names, groups: Groups, bounds: Sequence[Bound], cost: CostOf | None = None) -> None:
        self._groups, self._bounds, self._cost = groups, tuple(bounds), cost
        node = names.node(names.fields[groups.column][0])
        self.series: tuple[Series, ...] = tuple(
            Series(self.name, node, Kind.FAIRNESS, f"{k + 1}: {one.measure}", "difference", "up", "fact")
            for k, one in enumerate(self._bounds)
        )
        self._memory: Memory = {
            "sums": np.zeros((DAYS, len(_MEASURES), GROUPS_MAX, 3)), "codes": np.full(GROUPS_MAX, np.nan),
            "day": np.zeros(1, np.int64),
        }  # fmt: skip
        self._noted: dict[int, dict[str, object]] = {}

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`. The bounds are looked at once a day."""
        found, day = Figures(len(self.series)), int(tick.end_ns // _DAY_NS)
        new_day = day != self._memory["day"][0]
        if new_day:
            for k, bound in enumerate(self._bounds):
                self._look(k, bound, found)
            last = int(self._memory["day"][0])
            for number in range(max(last + 1, day - DAYS + 1), day + 1):
                self._memory["sums"][number % DAYS] = 0.0
            self._memory["day"][0] = day
        self._add(tick, self._memory["sums"][day % DAYS])
        return found.measured()

    def _add(self, tick: Tick, sums: Float) -> None:
        """Put a tick's decisions and mature outcomes to the day's sums."""
        if len(tick):
            group = self._group(tick.events.numbers[:, self._groups.column])
            _count(sums[0], group, np.isin(tick.action, self._groups.selecting).astype(np.float64))
        known, rows = tick.known, seen(tick.known).mature
        if not len(rows):
            return
        group, label = self._group(known.numbers[rows, self._groups.column]), known.label[rows]
        chosen = np.isin(known.action[rows], self._groups.selecting).astype(np.float64)
        _count(sums[1], np.where(label == 1.0, group, -1), chosen)
        _count(sums[2], np.where(label == 0.0, group, -1), chosen)
        _count(sums[3], group, label - chance_of(known.risk[rows]))
        if self._cost is not None:
            cost = self._cost(known)[rows]
            _count(sums[4], np.where(np.isfinite(cost), group, -1), np.nan_to_num(cost))

    def _group(self, codes: Float) -> Int:
        """(n,) the number of each row's group, -1 where it has none; the first GROUPS_MAX have one."""
        known = self._memory["codes"]
        for code in np.unique(codes[~np.isnan(codes)]).tolist():
            free = np.flatnonzero(np.isnan(known))
            if not (known == code).any() and len(free):
                known[free[0]] = code
        equal = codes[:, None] == known
        return np.where(equal.any(axis=1), equal.argmax(axis=1), -1).astype(np.int64)

    def _look(self, k: int, bound: Bound, found: Figures) -> None:
        """The largest excess over a bound among all pairs of groups, 0 where none is certain."""
        n, total, squares = np.moveaxis(self._memory["sums"][:, _MEASURES.index(bound.measure)].sum(axis=0), -1, 0)
        enough = np.flatnonzero(n >= self._groups.rows_least)
        if len(enough) < 2:
            return
        mean = total[enough] / n[enough]
        variance = np.maximum(squares[enough] / n[enough] - mean**2, 1.0 / n[enough] ** 2) / n[enough]
        if bound.difference_max is not None:
            excess = np.abs(mean[:, None] - mean) - bound.difference_max
            error = np.sqrt(variance[:, None] + variance)
        else:
            ratio = float(bound.ratio_min or 0.0)
            excess = ratio * mean[:, None] - mean  # Above 0 where the second is too small against the first.
            error = np.sqrt(ratio**2 * variance[:, None] + variance)
        broken = np.where(excess > CERTAIN * error, excess, 0.0)
        found.set(k, float(broken.max()), float(n[enough].sum()))
        if broken.max() > 0.0:
            one, two = np.unravel_index(int(broken.argmax()), broken.shape)
            codes = self._memory["codes"][enough]
            self._noted[k] = {
                "groups": [float(codes[one]), float(codes[two])], "means": [float(mean[one]), float(mean[two])]
            }  # fmt: skip

    def notes(self, series: int) -> dict[str, object]:
        """The two groups that differ most, as codes, with their figures."""
        return dict(self._noted.get(series, {}))

    def state(self) -> State:
        """All that it remembers."""
        return copied(self._memory)

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self._memory, state)


def _count(into: Float, group: Int, value: Float) -> None:
    """Add numbers, sums and sums of squares by group; rows of group -1 count for nothing."""
    there = group >= 0
    for j, one in enumerate((np.ones(len(group)), value, value**2)):
        into[:, j] += np.bincount(group[there], one[there], GROUPS_MAX)
