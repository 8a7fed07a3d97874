"""The traffic of the last weeks by the hour: how many decisions and entities a span had, and what they cost.

Entities are counted by HyperLogLog (Flajolet et al. 2007) with 512 registers an hour: its standard error is 4.6 %.
Sketches of several hours are joined by their maxima. The memory is fixed: six weeks of hours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import log, nan
from typing import NamedTuple

import numpy as np

from homeostat.maintain.contracts import Block
from homeostat.records.arrays import Bytes, Float, Int, Mask, State
from homeostat.records.compiled import compiled

HOUR_NS = 3_600_000_000_000
HOURS = 1008
_REGISTERS, _BITS = 512, 9
_LOW = np.uint64((1 << 52) - 1)
_HIGH = np.uint64(64 - _BITS)
_GAMMA, _M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_FIRST, _SECOND, _THIRD = np.uint64(30), np.uint64(27), np.uint64(31)
_NO_COST: Float = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Span:
    """The traffic since a time.

    decisions, entities : how many; entities by estimate
    hours : that had any decision
    per_hour : the expected cost an hour, NaN where costs are not declared
    ordinary : that of the calm hours before, NaN where there were none
    """

    decisions: int
    entities: int
    hours: float
    per_hour: float
    ordinary: float


class Hours(NamedTuple):
    """The figures of each hour, at its number modulo HOURS.

    hour : (HOURS,) its number, -1 for none; n : decisions; cost : what they are expected to cost, NaN for unknown
    calm : whether no incident was open; seen : (HOURS, registers) the sketch of its entities
    """

    hour: Int
    n: Int
    cost: Float
    calm: Mask
    seen: Bytes


class Traffic:
    """See the module."""

    def __init__(self) -> None:
        self._hours = Hours(
            np.full(HOURS, -1, np.int64), np.zeros(HOURS, np.int64), np.full(HOURS, nan), np.zeros(HOURS, bool),
            np.zeros((HOURS, _REGISTERS), np.uint8),
        )  # fmt: skip

    def add(self, block: Block, begin: int, end: int, cost: Float | None, calm: Mask) -> None:
        """Count ticks `begin` to `end` of a block.

        cost : (n,) the expected cost of each decision of the block, None where costs are not declared
        calm : (k,) whether no incident is open, by tick
        """
        if begin < end:
            events = block.whole.events
            _count_all(
                self._hours, (block.end_ns[begin:end] - 1) // HOUR_NS, block.offsets[begin : end + 1], calm[begin:end],
                _NO_COST if cost is None else cost, events.keys, events.key_checks,
            )  # fmt: skip

    def since(self, time_ns: int) -> Span:
        """The traffic since a time, its first hour in full."""
        first, of = time_ns // HOUR_NS, self._hours
        inside, before = of.hour >= first, (of.hour >= 0) & (of.hour < first) & of.calm
        n = int(of.n[inside].sum())
        hours = int((of.n[inside] > 0).sum())
        cost = of.cost[inside & (of.n > 0)]
        cost = cost[np.isfinite(cost)]
        usual = of.cost[before & (of.n > 0)]
        usual = usual[np.isfinite(usual)]
        entities = _estimate(of.seen[inside].max(axis=0)) if hours else 0
        return Span(
            n, min(entities, n), float(hours),
            float(cost.mean()) if len(cost) else nan, float(usual.mean()) if len(usual) else nan,
        )  # fmt: skip

    def state(self) -> State:
        """All hours."""
        return {name: column.copy() for name, column in self._hours._asdict().items()}

    def restore(self, state: State) -> None:
        """Go on from what was remembered."""
        for name, column in self._hours._asdict().items():
            column[...] = state[name]


@compiled
def _count_all(
    hours: Hours, hour: Int, offsets: Int, calm: Mask, cost: Float, keys: Int, checks: Int
) -> None:  # fmt: skip
    """Count ticks of the hours (t,), whose rows are `offsets` (t + 1,) of cost (n,), keys and checks (n, entities)."""
    for t in range(len(hour)):
        at = hour[t] % HOURS
        if hours.hour[at] != hour[t]:
            hours.hour[at], hours.n[at], hours.cost[at], hours.calm[at] = hour[t], 0, np.nan, True
            hours.seen[at, :] = 0
        hours.calm[at] &= calm[t]
        begin, end = offsets[t], offsets[t + 1]
        hours.n[at] += end - begin
        if len(cost) and end > begin:
            total = 0.0
            for i in range(begin, end):
                if cost[i] == cost[i]:
                    total += cost[i]
            hours.cost[at] = total if np.isnan(hours.cost[at]) else hours.cost[at] + total
        for i in range(begin, end):
            for column in range(keys.shape[1]):
                mixed = _mix(np.uint64(keys[i, column] ^ checks[i, column]) + np.uint64(column))
                # The place of the first bit among 52, from 1; 53 where there is none.
                zeros = np.uint8(53 - math.frexp(float(mixed & _LOW))[1])
                register = np.int64(mixed >> _HIGH)
                hours.seen[at, register] = max(hours.seen[at, register], zeros)


@compiled
def _mix(x: np.uint64) -> np.uint64:
    """64 bits, each depending on all. Source: Steele, Lea, Flood (2014), SplitMix64."""
    x = x + _GAMMA
    x = (x ^ (x >> _FIRST)) * _M1
    x = (x ^ (x >> _SECOND)) * _M2
    return x ^ (x >> _THIRD)


def _estimate(registers: Bytes) -> int:
    """The number of different keys in a sketch."""
    empty = int((registers == 0).sum())
    raw = 0.7213 / (1 + 1.079 / _REGISTERS) * _REGISTERS**2 / float(np.exp2(-registers.astype(np.float64)).sum())
    if raw <= 2.5 * _REGISTERS and empty:
        return round(_REGISTERS * log(_REGISTERS / empty))
    return round(raw)
