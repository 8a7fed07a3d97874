"""Whether groups of people are treated within the app's bounds, over the last week.

A bound counts as broken where the difference of two groups lies beyond it by more than `CERTAIN` standard errors, so
that a look each day for years raises no alarm by chance. `homeostat report fairness` judges the same bounds by people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Known, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.noted import Noted
from homeostat.maintain.monitor.outcomes import SEEN, chance_of, seen_of
from homeostat.maintain.monitor.rows_of_ticks import offsets_among, ticks_of
from homeostat.records.arrays import Float, Int, Mask, State
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
        self._noted = Noted()

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`. The bounds are looked at once a day."""
        found, days = Figures(len(self.series), len(block)), block.end_ns // _DAY_NS
        self._noted.begin()
        decided, outcomes = self._decided(block), self._outcomes(block)
        begins = np.flatnonzero(np.diff(days, prepend=self._memory["day"][0]))
        edges = [0, *begins.tolist(), len(block)]
        for first, stop in pairwise(edges):
            if first == stop:
                continue
            day = int(days[first])
            if day != self._memory["day"][0]:
                self._begin_day(day, first, found)
            sums = self._memory["sums"][day % DAYS]
            for one in decided, outcomes:
                group = self._groups_of(one.codes, one.offsets, first, stop)
                at = ticks_of(one.offsets[first : stop + 1] - one.offsets[first])
                rows = slice(one.offsets[first], one.offsets[stop])
                for measure, there, value in one.counted:
                    some = (group >= 0) & there[rows]
                    _count(sums[measure], group[some], value[rows][some], at[some], stop - first)
        return found.measured()

    def _begin_day(self, day: int, tick: int, found: Figures) -> None:
        """Look at the bounds, and forget the days that are over."""
        for k, bound in enumerate(self._bounds):
            self._look(k, bound, tick, found)
        last = int(self._memory["day"][0])
        for number in range(max(last + 1, day - DAYS + 1), day + 1):
            self._memory["sums"][number % DAYS] = 0.0
        self._memory["day"][0] = day

    def _decided(self, block: Block) -> Counted:
        """The decisions of a block."""
        action, column = block.whole.action, self._groups.column
        chosen = np.isin(action, self._groups.selecting).astype(np.float64)
        return Counted(
            block.whole.events.numbers[:, column], block.offsets, [(0, np.ones(len(action), np.bool_), chosen)]
        )

    def _outcomes(self, block: Block) -> Counted:
        """The mature outcomes of a block."""
        known = block.whole.known
        rows = shared(block, SEEN, seen_of).mature
        among = np.zeros(len(known.label), np.bool_)
        among[rows] = True
        label, every = known.label[rows], np.ones(len(rows), np.bool_)
        chosen = np.isin(known.action[rows], self._groups.selecting).astype(np.float64)
        counted = [
            (1, label == 1.0, chosen), (2, label == 0.0, chosen), (3, every, label - chance_of(known.risk[rows])),
        ]  # fmt: skip
        if self._cost is not None and len(rows):
            cost = self._cost(known)[rows]
            counted.append((4, np.isfinite(cost), np.nan_to_num(cost)))
        offsets = offsets_among(block.known_offsets, among)
        return Counted(known.numbers[rows, self._groups.column], offsets, counted)

    def _groups_of(self, codes: Float, offsets: Int, first: int, stop: int) -> Int:
        """(n,) the number of each row's group in ticks from `first` to before `stop`, -1 where it has none.

        The first GROUPS_MAX groups have one.
        """
        known, of = self._memory["codes"], codes[offsets[first] : offsets[stop]]
        strange = ~np.isnan(of) & ~(of[:, None] == known).any(axis=1)
        if strange.any() and np.isnan(known).any():
            for tick in range(first, stop):
                for code in np.unique(codes[offsets[tick] : offsets[tick + 1]]).tolist():
                    free = np.flatnonzero(np.isnan(known))
                    if code == code and not (known == code).any() and len(free):
                        known[free[0]] = code
        equal = of[:, None] == known
        return np.where(equal.any(axis=1), equal.argmax(axis=1), -1).astype(np.int64)

    def _look(self, k: int, bound: Bound, tick: int, found: Figures) -> None:
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
        found.set_one(tick, k, float(broken.max()), float(n[enough].sum()))
        if broken.max() > 0.0:
            one, two = np.unravel_index(int(broken.argmax()), broken.shape)
            codes = self._memory["codes"][enough]
            groups, means = [float(codes[one]), float(codes[two])], [float(mean[one]), float(mean[two])]
            self._noted.put(k, tick, {"groups": groups, "means": means})

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The two groups that differ most, as codes, with their figures."""
        return self._noted.get(series, at)

    def state(self) -> State:
        """All that it remembers."""
        return copied(self._memory)

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self._memory, state)


class Counted(NamedTuple):
    """Rows of a block to be counted by group.

    codes : (n,) of their groups; offsets : (k + 1,) of each tick
    counted : measures by number, each with (n,) whether a row counts, and its value
    """

    codes: Float
    offsets: Int
    counted: list[tuple[int, Mask, Float]]


def _count(into: Float, group: Int, value: Float, at: Int, ticks: int) -> None:
    """Add numbers, sums and sums of squares by group: those of each tick, then one tick after the other.

    at : (n,) the tick of each row
    """
    place = at * GROUPS_MAX + group
    for j, one in enumerate((np.ones(len(group)), value, value**2)):
        of_ticks = np.bincount(place, one, ticks * GROUPS_MAX).reshape(ticks, GROUPS_MAX)
        into[:, j] = np.add.accumulate(np.concatenate([into[None, :, j], of_ticks]))[-1]
