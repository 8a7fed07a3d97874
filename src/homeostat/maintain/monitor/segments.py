"""Whether one part of the traffic goes wrong: each value of a category, each quarter of a number, each part of the day.

First positives at low risk are counted by segment (see `early`): where a part goes wrong, they rise there alone. Mature
outcomes show label less risk in each segment.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.exposure import Exposure
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.first_positives import FirstPositives
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import SEEN, Ripening, chance_of, seen_of
from homeostat.maintain.monitor.quality import LOW
from homeostat.maintain.monitor.reference import Reference, Spans, looked_at
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.signals import Kind, Measured, Scale, Series

FIELDS_MAX = 12
_VALUES = 6  # Of a category, the commonest.
_QUARTERS = 4
_LEARNED_ROWS = 2_000  # Events after which a category's commonest values are chosen.
_SEEN = 64  # Values of a category among which they are chosen.
_HOUR_NS = 3_600 * 10**9


class SegmentsMonitor(Remembering):
    """See the module. Series of kind `segment`, of each segment: first positives at low risk in it, label less risk."""

    name = "segments"

    def __init__(self, names: Names, matures_ns: int) -> None:
        self._ripening, self._first = Ripening(matures_ns), FirstPositives(len(names.entities))
        self._numbers = np.array(names.columns("number", "integer")[:FIELDS_MAX], np.int64)
        self._categories = np.array(names.columns("category", "boolean")[:FIELDS_MAX], np.int64)
        self._texts = [
            *(f"{names.fields[column][0]} in quarter {j + 1}" for column in self._numbers for j in range(_QUARTERS)),
            *(f"{names.fields[column][0]} is value {j + 1}" for column in self._categories for j in range(_VALUES)),
            *(f"hour in [{6 * j}, {6 * j + 6})" for j in range(4)),
        ]
        self.series: tuple[Series, ...] = tuple(
            Series(self.name, f"segment:{text}", Kind.SEGMENT, name, "share", "up", scale, weight=0.5)
            for name, scale in _FIGURES
            for text in self._texts
        )
        self._reference, self._risk, self._exposure = Reference(len(self._numbers)), Reference(1), Exposure()
        c = len(self._categories)
        self._memory: Memory = {
            "codes": np.full((c, _SEEN), np.nan), "often": np.zeros((c, _SEEN)), "rows": np.zeros(1, np.int64),
            "chosen": np.full((c, _VALUES), np.nan),
        }  # fmt: skip
        self._grids: list[Float] = []  # Before each tick of the last block, for notes.
        self._ready, self._chosen = np.zeros(0, np.bool_), 0

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, known, rows = Figures(len(self.series), len(block)), block.whole.known, shared(block, SEEN, seen_of)
        k, place = len(self._texts), self._places(block)
        self._low_risk(block, rows.positives, place, found)
        at, offsets = rows.mature, np.searchsorted(rows.mature, block.known_offsets)
        risk = chance_of(known.risk[at])
        inside = self._inside(block, at, offsets, place, np.stack([known.label[at] - risk, risk * (1.0 - risk)]))
        size = np.maximum(inside.n, 1.0)
        spread = np.where(np.diff(offsets)[:, None] > 0, np.sqrt(inside.noise) / size, np.nan)
        found.set(slice(k, 2 * k), inside.rest / size, inside.n, spread)
        ripe = self._ripening.ripe_ticks(block.end_ns)
        found.value[~ripe], found.n[~ripe], found.spread[~ripe] = np.nan, 0.0, np.nan
        return found.measured()

    def _low_risk(self, block: Block, at: Int, place: Float, found: Figures) -> None:
        """First positives at low risk by segment, of all events that they can be of.

        at : rows of the positives; place : of the numbers of all outcomes
        """
        whole, known = block.whole, block.whole.known
        offsets = np.searchsorted(at, block.known_offsets)
        events = self._exposure.of_block(block, at, offsets).events
        of, edges = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        low, ready = np.zeros(len(known.risk), np.bool_), np.zeros(len(block), np.bool_)
        risk, spans = np.nan_to_num(whole.risk[of], nan=0.0)[:, None], Spans(block.start_ns, block.end_ns)
        for first, stop in self._risk.stretches(risk, edges, spans):
            rows = slice(block.known_offsets[first], block.known_offsets[stop])
            low[rows] = self._risk.places(known.risk[rows, None])[:, 0] < LOW
            ready[first:stop] = self._risk.ready
        at = self._first.of_block(known, at, block)
        at = at[low[at]]
        offsets = np.searchsorted(at, block.known_offsets)
        n = np.where(ready & (events >= 1.0), events, 0.0)[:, None]
        hits = self._inside(block, at, offsets, place, np.zeros((2, len(at)))).n
        found.share(slice(0, len(self._texts)), np.minimum(hits, n), self._there(block) * n)

    def _places(self, block: Block) -> Float:
        """(m, numbers) the places of the numbers of all outcomes; then learn of the block's events."""
        asked = _finite(block.whole.known.numbers[:, self._numbers])
        at, offsets = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        numbers = block.whole.events.numbers[at]
        found, self._grids, self._ready = np.full(asked.shape, np.nan), [], np.zeros(len(block), np.bool_)
        spans = Spans(block.start_ns, block.end_ns)
        for first, stop in self._reference.stretches(_finite(numbers[:, self._numbers]), offsets, spans):
            rows = slice(block.known_offsets[first], block.known_offsets[stop])
            found[rows] = self._reference.places(asked[rows])
            self._ready[first:stop] = self._reference.ready
            self._grids += [self._reference.grid.copy()] * (stop - first)
        self._chosen = self._learn(numbers, offsets)
        return found

    def _learn(self, numbers: Float, offsets: Int) -> int:
        """Choose the commonest values of categories, once; returns the first tick of the block that knows them."""
        memory, ticks = self._memory, len(offsets) - 1
        if not len(self._categories):
            return 0
        for tick in range(ticks):
            if memory["rows"][0] >= _LEARNED_ROWS:
                return tick
            self._count_values(numbers[offsets[tick] : offsets[tick + 1]])
        return ticks

    def _count_values(self, numbers: Float) -> None:
        memory = self._memory
        for c, column in enumerate(self._categories):
            values, counts = np.unique(numbers[~np.isnan(numbers[:, column]), column], return_counts=True)
            codes, often = memory["codes"][c], memory["often"][c]
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                slot = np.flatnonzero((codes == value) | np.isnan(codes))
                if len(slot):
                    codes[slot[0]] = value
                    often[slot[0]] += count
        memory["rows"][0] += len(numbers)
        if memory["rows"][0] >= _LEARNED_ROWS:
            for c in range(len(self._categories)):
                order = np.argsort(-memory["often"][c], kind="stable")[:_VALUES]
                memory["chosen"][c] = memory["codes"][c][order]

    def _there(self, block: Block) -> Float:
        """(k, segments) 1 where a segment is known at a tick, else 0: until then, nothing is in it."""
        ticks = len(block)
        chosen = ~np.isnan(self._memory["chosen"].ravel()) & (np.arange(ticks) >= self._chosen)[:, None]
        of_numbers = np.repeat(self._ready[:, None], len(self._numbers) * _QUARTERS, axis=1)
        return np.concatenate([of_numbers, chosen, np.ones((ticks, 4), np.bool_)], axis=1).astype(np.float64)

    def _inside(self, block: Block, at: Int, offsets: Int, place: Float, sums: Float) -> Inside:
        """Outcomes by tick and segment; nothing is in a segment before it is known.

        at : their rows; offsets : of each tick; place : of all; sums : (2, m) figures to be added up
        """
        known, ticks = block.whole.known, len(block)
        into = Inside(*(np.zeros((ticks, len(self._texts))) for _ in Inside._fields))
        codes, hours = known.numbers[at][:, self._categories], known.time_ns[at] // _HOUR_NS % 24 // 6
        _count(place[at], codes, hours, self._memory["chosen"], self._chosen, offsets, sums, into)
        return into

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The segment's bounds, or its value's code."""
        segment, ticks = series % len(self._texts), len(self._grids)
        after = at % ticks + 1 if ticks else 0
        of_numbers = len(self._numbers) * _QUARTERS
        if segment < of_numbers:
            grids, j = self._grids[after] if after < ticks else self._reference.grid, segment % _QUARTERS
            grid = grids[segment // _QUARTERS]
            low, high = float(grid[16 * j]), float(grid[16 * (j + 1)])
            return {"from": low, "to": high} if low == low else {}
        segment -= of_numbers
        if segment < len(self._categories) * _VALUES and after >= self._chosen:
            code = float(self._memory["chosen"][segment // _VALUES, segment % _VALUES])
            return {"code": code} if code == code else {}
        return {}

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "reference": self._reference.memory, "ripening": self._ripening.memory,
            "first": self._first.memory, "risk": self._risk.memory, "exposure": self._exposure.memory,
        }  # fmt: skip


_FIGURES: tuple[tuple[str, Scale], ...] = (("first positives at low risk", "share"), ("label less risk", "mean"))


def _finite(values: Float) -> Float:
    return np.where(np.isfinite(values), values, np.nan)


class Inside(NamedTuple):
    """Of each tick and segment, (k, segments): how many outcomes are in it, and the sums of two figures of them."""

    n: Float
    rest: Float
    noise: Float


@compiled
def _count(
    place: Float, codes: Float, hours: Int, chosen: Float, since: int, offsets: Int, sums: Float, into: Inside
) -> None:  # fmt: skip
    """Count outcomes. place : (m, numbers); codes : (m, categories), `chosen` from the tick `since` on; hours : (m,)"""
    of_numbers, of_values = place.shape[1] * _QUARTERS, len(chosen) * _VALUES
    for tick in range(len(offsets) - 1):
        for i in range(offsets[tick], offsets[tick + 1]):
            for column in range(place.shape[1]):
                if place[i, column] == place[i, column]:
                    quarter = min(int(place[i, column] * _QUARTERS), _QUARTERS - 1)
                    _add(tick, column * _QUARTERS + quarter, i, sums, into)
            for column in range(len(chosen) if tick >= since else 0):
                for value in range(_VALUES):
                    if codes[i, column] == chosen[column, value]:
                        _add(tick, of_numbers + column * _VALUES + value, i, sums, into)
            _add(tick, of_numbers + of_values + hours[i], i, sums, into)


@compiled
def _add(tick: int, segment: int, i: int, sums: Float, into: Inside) -> None:
    into.n[tick, segment] += 1.0
    into.rest[tick, segment] += sums[0, i]
    into.noise[tick, segment] += sums[1, i]
