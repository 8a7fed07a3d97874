"""Signals -> the same with what they do to decisions: the share that came out otherwise, and the cost an hour.

A part of the traffic is remembered: of the last day, and of the last two weeks. Decisions since a change are compared
with those before it at the same time of day.

A signal at one column (a field, a feature, a score, the risk) is charged with the effect of that column alone: the
decisions of the past are weighted so that the column lies as it does now. Values that the past does not have count by
the decisions that they got. Any other signal of the chain from features to actions is charged with the whole change.

A signal of outcomes is charged with the realised cost of a decision since the change against before.

Source: Kitagawa (1955), Components of a difference between two rates, Journal of the American Statistical Association
50, 1168-1194.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.blocks import shared
from homeostat.maintain.contracts import Block, Known
from homeostat.maintain.incident.signatures import class_of
from homeostat.maintain.monitor.figures import Memory, Remembering
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import OUTCOME_COSTS, seen
from homeostat.maintain.moved import CERTAIN, Moved, Rows, mean_of, moved, spread
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.signals import Kind, Signal

CostOf = Callable[[Known], Float]
ROWS = 1024
COLUMNS_MAX = 128
_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS
_RECENT_NS, _PAST_NS = _DAY_NS, 14 * _DAY_NS
_NOW_LEAST, _PAST_LEAST = 30, 100  # Rows without which nothing is known.
_HOURS = 1008
_OF_COLUMN = frozenset({Kind.MISSING, Kind.UNIT, Kind.SCHEMA, Kind.FROZEN, Kind.DISTRIBUTION})
_OF_CHAIN = frozenset({
    "fusion", "scorer", "policy", "guards", "action", "settings", "version", "serving", "environment", "dependency",
})  # fmt: skip
_OF_OUTCOMES = frozenset({"outcome", "segment"})


class DecisionEffects(Remembering):
    """See the module. It implements `maintain.contracts.Effects`.

    cost : of a decision whose outcome is known; None where the app declares no costs
    """

    def __init__(self, names: Names, cost: CostOf | None = None) -> None:
        self._names, self._cost = names, cost
        own = {name for name, _ in names.fields}  # Features begin with the fields themselves.
        computed = [k for k, one in enumerate(names.features) if one not in own]
        nodes = ["fusion", *(f"scorer:{one}" for one in names.scorers), *(names.node(one) for one, _ in names.fields)]
        nodes = [*nodes, *(f"feature:{names.features[k]}" for k in computed)][:COLUMNS_MAX]
        self._columns = {node: column for column, node in enumerate(nodes)}
        scorers, fields = len(names.scorers), len(names.fields)
        self._fields = np.arange(max(0, min(fields, COLUMNS_MAX - 1 - scorers)))
        self._features = np.array(computed[: max(0, COLUMNS_MAX - 1 - scorers - fields)], np.int64)
        self._recent, self._past = _Rows(len(nodes)), _Rows(len(nodes))
        self._hours: Memory = {"hour": np.full(_HOURS, -1, np.int64), "sums": np.zeros((_HOURS, 4))}

    def weigh_block(self, block: Block, signals: Sequence[Sequence[Signal]]) -> list[list[Signal]]:
        """The signals of each tick of a block with their effects, as far as each tick's past tells them."""
        found: list[list[Signal]] = []
        taken_in = 0
        for at, of_tick in enumerate(signals):
            if any(one.still for one in of_tick):
                self._take(block, taken_in, at + 1)
                taken_in = at + 1
            found.append([self._weighed(one) for one in of_tick])
        self._take(block, taken_in, len(block))
        return found

    def _weighed(self, signal: Signal) -> Signal:
        if not signal.still:
            return signal
        moved, costs = self._moved_by(signal), self._costs_more(signal)
        notes = dict(signal.notes)
        if moved is not None:
            notes["risk"] = [round(one, 4) for one in moved.risk]
            notes["actions"] = {
                name: [round(float(one), 4) for one in pair]
                for name, pair in zip(self._names.actions, moved.mix, strict=True)
            }
        share = signal.decisions if moved is None else moved.share
        return replace(signal, decisions=share, cost_per_hour=costs, notes=notes)

    def _moved_by(self, signal: Signal) -> Moved | None:
        """How far a change moved decisions; None where that is not known."""
        if isfinite(signal.decisions):
            return None  # Its monitor has measured it.
        series = signal.series
        column = self._columns.get(series.node) if series.kind in _OF_COLUMN else None
        whole = class_of(series.node) in _OF_CHAIN or (series.node == "source" and series.kind == Kind.DISTRIBUTION)
        if (column is None and not whole) or not self._names.actions:
            return None
        past = self._past.where(self._past.start_ns < signal.since_low_ns)
        now = self._recent.where(self._recent.start_ns >= signal.since_ns)
        if len(past.start_ns) < _PAST_LEAST or len(now.start_ns) < _NOW_LEAST:
            return None
        return moved(past, now, column, len(self._names.actions))

    def _costs_more(self, signal: Signal) -> float:
        """The realised cost an hour beyond that of the past, NaN where it is within what chance explains."""
        if self._cost is None or isfinite(signal.cost_per_hour) or class_of(signal.series.node) not in _OF_OUTCOMES:
            return signal.cost_per_hour
        hour, sums = self._hours["hour"], self._hours["sums"]
        now = sums[hour >= signal.since_ns // _HOUR_NS].sum(axis=0)
        before = sums[(hour >= 0) & (hour < signal.since_low_ns // _HOUR_NS)].sum(axis=0)
        if now[1] < _NOW_LEAST or before[1] < _PAST_LEAST:
            return nan
        (mean_now, error_now), (mean_before, error_before) = mean_of(now), mean_of(before)
        more = mean_now - mean_before
        if more < CERTAIN * sqrt(error_now**2 + error_before**2):
            return nan
        hours = max((signal.at_ns - signal.since_ns) / _HOUR_NS, 1.0)
        return more * float(now[0]) / hours

    def _take(self, block: Block, begin: int, end: int) -> None:
        """Remember ticks `begin` to before `end`."""
        if begin >= end:
            return
        spans = block.end_ns[begin:end] - block.start_ns[begin:end]
        recent = np.maximum(ROWS * spans // _RECENT_NS, 1)
        # Of a tick, so many rows as keep two weeks in memory; of short ticks, not each gives one. Products of a number
        # and a span pass 64 bits after some months, so Python's whole numbers are taken.
        numbered = zip(block.number[begin:end].tolist(), (ROWS * spans).tolist(), strict=True)
        past = np.array([n * rows // _PAST_NS - (n - 1) * rows // _PAST_NS for n, rows in numbered])
        offsets, start_ns = block.offsets[begin : end + 1], block.start_ns[begin:end]
        for of, quota in ((self._recent, recent), (self._past, past)):
            rows, tick = spread(offsets, quota)
            some = slice(max(0, len(rows) - ROWS), None)
            decisions = Rows(self._values(block, rows[some]), block.whole.action[rows[some]], start_ns[tick[some]])
            of.add(decisions, len(rows))
        self._count(block, begin, end)

    def _values(self, block: Block, rows: Int) -> NDArray[np.float32]:
        """(n, columns) of some rows."""
        whole = block.whole
        parts = [whole.risk[rows, None], whole.scores[rows]]
        parts += [whole.events.numbers[rows][:, self._fields], whole.features.values[rows][:, self._features]]
        values = np.concatenate(parts, axis=1)[:, : len(self._columns)]
        return np.clip(values, -1e30, 1e30).astype(np.float32)

    def _count(self, block: Block, begin: int, end: int) -> None:
        """Count decisions, and what those cost whose outcomes are mature, by the hour in which they became so."""
        known, offsets = block.whole.known, block.known_offsets
        sums = np.zeros((end - begin, 4))
        sums[:, 0] = np.maximum(block.events_n, block.rows)[begin:end]
        cost_of = self._cost
        if cost_of is not None and offsets[end] > offsets[begin]:
            mature = seen(known).mature
            mature = mature[(mature >= offsets[begin]) & (mature < offsets[end])]
            cost = shared(block, OUTCOME_COSTS, lambda one: cost_of(one.whole.known))[mature]
            mature, cost = mature[np.isfinite(cost)], cost[np.isfinite(cost)]
            tick = np.searchsorted(offsets, mature, "right") - 1 - begin
            for column, weights in ((1, np.ones(len(cost))), (2, cost), (3, cost * cost)):
                sums[:, column] = np.bincount(tick, weights, end - begin)
        hour = (block.end_ns[begin:end] - 1) // _HOUR_NS
        memory = self._hours
        for number, one in zip(hour.tolist(), sums, strict=True):
            at = number % _HOURS
            if memory["hour"][at] != number:
                memory["hour"][at], memory["sums"][at] = number, 0.0
            memory["sums"][at] += one

    def parts(self) -> dict[str, Memory]:
        return {"recent": self._recent.memory, "past": self._past.memory, "hours": self._hours}


class _Rows:
    """The last ROWS decisions that were handed in. count : of all that came"""

    def __init__(self, columns: int) -> None:
        self.memory: Memory = {
            "values": np.full((ROWS, columns), np.nan, np.float32), "action": np.full(ROWS, -1, np.int16),
            "start_ns": np.zeros(ROWS, np.int64), "count": np.zeros(1, np.int64),
        }  # fmt: skip

    @property
    def start_ns(self) -> Int:
        return self.memory["start_ns"]

    def add(self, decisions: Rows, came: int) -> None:
        """Remember the last of those that came, at most ROWS."""
        memory, n = self.memory, len(decisions.start_ns)
        memory["count"][0] += came
        at = (int(memory["count"][0]) - n + np.arange(n)) % ROWS
        memory["values"][at], memory["action"][at], memory["start_ns"][at] = decisions

    def where(self, chosen: Mask) -> Rows:
        """Those that are chosen, of the ones that were decided."""
        memory = self.memory
        at = np.flatnonzero(chosen & (memory["action"] >= 0))
        return Rows(memory["values"][at], memory["action"][at], memory["start_ns"][at])
