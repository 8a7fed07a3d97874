"""Quality by outcomes: how decisions rank, how well risk is calibrated, what they cost, whether the law has changed.

Positive outcomes speak as soon as they are reported: their number against the events of the time that they can be of,
and their place among the risks of all decisions, whose mean is the area under the ROC curve. All else waits until the
outcomes of an event are mature, so that late outcomes bias nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Known, Tick
from homeostat.maintain.monitor.exposure import Exposure
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import OUTCOME_COSTS, SEEN, Ripening, chance_of, seen_of
from homeostat.maintain.monitor.reference import Reference, Spans, looked_at, take_held
from homeostat.maintain.monitor.rows_of_ticks import counts_of, offsets_among, ticks_of, totals_of
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.signals import Kind, Measured, Series
from homeostat.stats.metrics import ranking
from homeostat.stats.place import count_below, place_of, ties_of

CostOf = Callable[[Known], Float]
"""Outcomes -> what each decision cost in the end, (m,)."""

BANDS = (0.0, 0.5, 0.8, 0.95, 1.0)
FEATURES_MAX = 32
LOW = 0.8  # A positive whose risk lies below that of so many decisions is a surprise.
_DAY_NS = 86_400 * 10**9
_FIXED = 9


class QualityMonitor(Remembering):
    """See the module. Series at the node `outcome`, by kind:

    base_rate : positives reported, of the events that they can be of; share of positives among mature outcomes; mean
        risk, for positives whose outcome an action hides
    quality : mean place of positives; log loss beyond the expected; average precision of a day; cost of a decision
    calibration : label less risk
    concept : share of the reported positives that are surprises; share of positives in each band of places of the risk;
        for each feature, how label less risk leans on it

    matures_ns : the age at which outcomes are mature
    cost : of a decision; None where the app declares no costs
    """

    name = "quality"

    def __init__(self, names: Names, matures_ns: int, cost: CostOf | None = None) -> None:
        self._cost, self._matures_ns = cost, max(matures_ns, 1)
        self._features = min(len(names.features), FEATURES_MAX)
        name, at = self.name, "outcome"
        self.series: tuple[Series, ...] = (
            Series(name, at, Kind.BASE_RATE, "positives reported", seasonal=True),
            Series(name, at, Kind.BASE_RATE, "share of positives"),
            Series(name, at, Kind.QUALITY, "mean place of positives", "place", "down", "mean"),
            Series(name, at, Kind.QUALITY, "log loss beyond the expected", "nats", "up", "mean"),
            Series(name, at, Kind.QUALITY, "average precision", "precision", "down", "mean"),
            Series(name, at, Kind.QUALITY, "cost of a decision", "money", "up", "mean", weight=0.3),
            Series(name, at, Kind.CALIBRATION, "label less risk", "share", "both", "mean"),
            Series(name, at, Kind.CONCEPT, "surprising positives", side="up"),
            Series(name, at, Kind.BASE_RATE, "positives expected by risk", "share", "both", "mean", seasonal=True),
            *(
                Series(name, at, Kind.CONCEPT, f"positives between places {low:g} and {high:g}",
                       side="down" if high == 1.0 else "up", weight=0.5)
                for low, high in pairwise(BANDS)
            ),
            *(
                Series(name, at, Kind.CONCEPT, f"label less risk by {one}", "share", "both", "mean", weight=0.1,
                       alone=False)
                for one in names.features[: self._features]
            ),
        )  # fmt: skip
        self._risk, self._of_features = Reference(1), Reference(self._features)
        self._ripening, self._exposure = Ripening(matures_ns), Exposure()
        self._memory: Memory = {
            "day": np.full((2, 4096), np.nan),
            "of_day": np.zeros(2, np.int64),
        }
        self._ages: list[float] = []  # The mean age of positives at each tick of the last block, for notes.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, whole, rows = Figures(len(self.series), len(block)), block.whole, shared(block, SEEN, seen_of)
        at, offsets = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        place = self._risk.places_of(
            whole.known.risk[:, None], block.known_offsets, np.nan_to_num(whole.risk[at], nan=0.0)[:, None], offsets,
            Spans(block.start_ns, block.end_ns),
        )[:, 0]  # fmt: skip
        self._positives(block, rows.positives, place, found)
        fine = np.isfinite(whole.risk)
        among = offsets_among(block.offsets, fine)
        found.set(8, *_means(whole.risk[fine], among))
        mature = np.searchsorted(rows.mature, block.known_offsets)
        if len(rows.mature):
            self._mature(block, rows.mature, mature, place, found)
        self._whole_day(block, rows.mature, mature, found)
        ripe = self._ripening.ripe_ticks(block.end_ns)
        found.value[~ripe], found.n[~ripe], found.spread[~ripe] = np.nan, 0.0, np.nan
        return found.measured()

    def _positives(self, block: Block, at: Int, place: Float, found: Figures) -> None:
        """Positives as they are reported.

        at : rows of the block's outcomes; place : of all outcomes among the risks
        """
        offsets = np.searchsorted(at, block.known_offsets)
        there = ~np.isnan(place[at])
        among, placed = offsets_among(offsets, there), place[at][there]
        found.set(2, *_means(placed, among))
        found.share(7, counts_of(among, placed < LOW), np.diff(among).astype(np.float64))
        exposed = self._exposure.of_block(block, at, offsets)
        events, self._ages = np.where(exposed.events >= 1.0, exposed.events, 0.0), exposed.ages
        found.share(0, np.minimum(np.diff(offsets), events), events)

    def _mature(self, block: Block, at: Int, offsets: Int, place: Float, found: Figures) -> None:
        """Mature outcomes: calibration, loss, cost, bands and features."""
        known = block.whole.known
        label, risk = known.label[at], chance_of(known.risk[at])
        n, rest, noise = np.diff(offsets).astype(np.float64), label - risk, risk * (1.0 - risk)
        odds, size = np.log(risk / (1.0 - risk)), np.maximum(n, 1.0)
        found.share(1, np.array(totals_of(label, offsets)), n)
        wide = np.where(n > 0, np.sqrt(totals_of(noise, offsets)) / size, np.nan)
        found.set(6, *_means(rest, offsets), wide)
        # The expectation of -y log r - (1 - y) log(1 - r), taken away, leaves (r - y) times the log-odds.
        wide = np.where(n > 0, np.sqrt(totals_of(noise * odds**2, offsets)) / size, np.nan)
        found.set(3, *_means(-rest * odds, offsets), wide)
        cost_of = self._cost
        if cost_of is not None:
            cost = shared(block, OUTCOME_COSTS, lambda one: cost_of(one.whole.known))[at]
            there = np.isfinite(cost)
            found.set(5, *_means(cost[there], offsets_among(offsets, there)))
        self._bands(place[at], label, offsets, found)
        self._leaning(block, at, offsets, rest, noise, found)

    def _bands(self, place: Float, label: Float, offsets: Int, found: Figures) -> None:
        """The share of positives in each band of places, of ticks all of whose risks have one."""
        ticks, bands = len(offsets) - 1, len(BANDS) - 1
        absent = np.isnan(place)
        fine = (counts_of(offsets, absent) == 0)[ticks_of(offsets)]
        band = np.clip(np.searchsorted(BANDS, place[fine], "right") - 1, 0, bands - 1)
        cell = ticks_of(offsets)[fine] * bands + band
        size = np.bincount(cell, minlength=ticks * bands).reshape(ticks, bands).astype(np.float64)
        positives = np.bincount(cell, label[fine], ticks * bands).reshape(ticks, bands)
        found.share(slice(_FIXED, _FIXED + bands), positives, size)

    def _leaning(self, block: Block, at: Int, offsets: Int, rest: Float, noise: Float, found: Figures) -> None:
        """How label less risk leans on each feature. Only ticks with mature outcomes teach their places."""
        features, some = self._features, np.flatnonzero(np.diff(offsets))
        values = np.empty((features, len(at)), np.float32)
        take_held(block.whole.known.features, np.arange(features), at, values)
        offsets, spans = offsets[np.append(some, some[-1] + 1)], Spans(block.start_ns[some], block.end_ns[some])
        sums = Leanings(*(np.zeros((len(some), features)) for _ in Leanings._fields))
        reference = self._of_features
        for first, stop in reference.stretches(values.T, offsets, spans):
            if reference.ready:
                grid = reference.grid
                small, ties = grid.astype(np.float32), ties_of(grid).astype(np.float32)
                _lean(values, offsets, first, stop, small, ties, rest, noise, sums)
        size = np.maximum(sums.n, 1.0)
        spread = np.sqrt(sums.noise) / size
        begin = _FIXED + len(BANDS) - 1
        found.set_at(
            some, slice(begin, begin + features), sums.rest / size, sums.n, np.where(spread > 0, spread, np.nan)
        )  # fmt: skip

    def _whole_day(self, block: Block, rows: Int, offsets: Int, found: Figures) -> None:
        """Average precision of the mature outcomes of a day, when it ends."""
        known, days = block.whole.known, block.end_ns // _DAY_NS
        kept, of_day = self._memory["day"], self._memory["of_day"]
        begins = np.flatnonzero(np.diff(days, prepend=of_day[0])).tolist()
        for first, stop in pairwise([0, *begins, len(block)]):
            if first == stop:
                continue
            if days[first] != of_day[0]:
                n = int(of_day[1])
                positives = float(kept[0, :n].sum())
                if positives >= 3:
                    found.set_one(first, 4, ranking(kept[0, :n], kept[1, :n])[1], positives)
                of_day[:] = days[first], 0
            begin = int(of_day[1])
            at = rows[offsets[first] : offsets[stop]][: kept.shape[1] - begin]
            kept[0, begin : begin + len(at)], kept[1, begin : begin + len(at)] = known.label[at], known.risk[at]
            of_day[1] = begin + len(at)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The mean age of positives when they are reported."""
        age = self._ages[at] if self._ages else float(self._exposure.memory["age"][0])
        return {"age of positives in hours": round(age / 3.6e12, 1)} if series < 3 else {}

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "risk": self._risk.memory, "features": self._of_features.memory,
            "ripening": self._ripening.memory, "exposure": self._exposure.memory,
        }  # fmt: skip


class Leanings(NamedTuple):
    """Of each tick and feature, (k, features): how many values have a place, and sums of label less risk and of noise.

    rest : weighted by twice the place less 1; noise : by the square of this
    """

    n: Float
    rest: Float
    noise: Float


@compiled
def _lean(
    values: NDArray[np.float32], offsets: Int, first: int, stop: int, grid: NDArray[np.float32],
    ties: NDArray[np.float32], rest: Float, noise: Float, into: Leanings,
) -> None:  # fmt: skip
    """Add up the ticks from `first` to before `stop`. values : (features, n); grid, ties : see `stats.place`"""
    below = np.empty(np.diff(offsets).max(), np.int32)
    for tick in range(first, stop):
        start, end = offsets[tick], offsets[tick + 1]
        for column in range(len(values)):
            of, past, equal = values[column, start:end], grid[column], ties[column]
            n, total, square = 0, 0.0, 0.0
            count_below(of, past, below)
            for i in range(end - start):
                place = place_of(of[i], below[i], past, equal)
                if place == place:
                    lean = 2.0 * place - 1.0
                    n += 1
                    total += rest[start + i] * lean
                    square += noise[start + i] * (lean * lean)
            into.n[tick, column], into.rest[tick, column], into.noise[tick, column] = n, total, square


def _means(values: Float, offsets: Int) -> tuple[Float, Float]:
    """(k,) the mean of each tick's values, 0 where there are none; and how many there are."""
    n = np.diff(offsets).astype(np.float64)
    return np.array(totals_of(values, offsets)) / np.maximum(n, 1.0), n
