"""The traffic of the last weeks by the hour: how many decisions and entities a span had, and what they cost.

Entities are counted by HyperLogLog (Flajolet et al. 2007) with 512 registers an hour: its standard error is 4.6 %.
Sketches of several hours are joined by their maxima. The memory is fixed: six weeks of hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, nan

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.records.arrays import Bits, Bytes, Float, Int, Mask, State
from homeostat.records.events import EventBatch

HOUR_NS = 3_600_000_000_000
HOURS = 1008
_REGISTERS, _BITS = 512, 9
_LOW = np.uint64((1 << 52) - 1)


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


class Traffic:
    """See the module."""

    def __init__(self) -> None:
        self._hour: Int = np.full(HOURS, -1, np.int64)
        self._n: Int = np.zeros(HOURS, np.int64)
        self._cost: Float = np.full(HOURS, nan)
        self._calm: Mask = np.zeros(HOURS, bool)
        self._seen: Bytes = np.zeros((HOURS, _REGISTERS), np.uint8)

    def add(self, tick: Tick, cost: Float | None, calm: bool) -> None:
        """Count a tick.

        cost : (n,) the expected cost of each decision, None where costs are not declared
        calm : whether no incident is open
        """
        hour = (tick.end_ns - 1) // HOUR_NS
        at = hour % HOURS
        if self._hour[at] != hour:
            self._hour[at], self._n[at], self._cost[at], self._calm[at] = hour, 0, nan, True
            self._seen[at] = 0
        self._calm[at] &= calm
        self._n[at] += len(tick)
        if cost is not None and len(cost):
            before = float(self._cost[at])
            self._cost[at] = (0.0 if np.isnan(before) else before) + float(np.nansum(cost))
        _count(self._seen[at], tick.events)

    def since(self, time_ns: int) -> Span:
        """The traffic since a time, its first hour in full."""
        first = time_ns // HOUR_NS
        inside, before = self._hour >= first, (self._hour >= 0) & (self._hour < first) & self._calm
        n = int(self._n[inside].sum())
        hours = int((self._n[inside] > 0).sum())
        cost = self._cost[inside & (self._n > 0)]
        cost = cost[np.isfinite(cost)]
        usual = self._cost[before & (self._n > 0)]
        usual = usual[np.isfinite(usual)]
        entities = _estimate(self._seen[inside].max(axis=0)) if hours else 0
        return Span(
            n, min(entities, n), float(hours),
            float(cost.mean()) if len(cost) else nan, float(usual.mean()) if len(usual) else nan,
        )  # fmt: skip

    def state(self) -> State:
        """All hours."""
        return {
            "hour": self._hour.copy(), "n": self._n.copy(), "cost": self._cost.copy(),
            "calm": self._calm.copy(), "seen": self._seen.copy(),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Go on from what was remembered."""
        self._hour, self._n = state["hour"].astype(np.int64), state["n"].astype(np.int64)
        self._cost, self._calm = state["cost"].astype(np.float64), state["calm"].astype(bool)
        self._seen = state["seen"].astype(np.uint8)


def _count(registers: Bytes, events: EventBatch) -> None:
    """Put the entities of a batch into a sketch, each kind of entity apart."""
    for column in range(events.keys.shape[1]):
        mixed = _mix((events.keys[:, column] ^ events.key_checks[:, column]).astype(np.uint64) + np.uint64(column))
        low = (mixed & _LOW).astype(np.float64)
        zeros = 53 - np.frexp(low)[1]  # The place of the first bit among 52, from 1; 53 where there is none.
        np.maximum.at(registers, (mixed >> np.uint64(64 - _BITS)).astype(np.int64), zeros.astype(np.uint8))


def _mix(x: Bits) -> Bits:
    """(n,) 64 bits, each depending on all. Source: Steele, Lea, Flood (2014), SplitMix64."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Bits = x ^ (x >> np.uint64(31))
        return mixed


def _estimate(registers: Bytes) -> int:
    """The number of different keys in a sketch."""
    empty = int((registers == 0).sum())
    raw = 0.7213 / (1 + 1.079 / _REGISTERS) * _REGISTERS**2 / float(np.exp2(-registers.astype(np.float64)).sum())
    if raw <= 2.5 * _REGISTERS and empty:
        return round(_REGISTERS * log(_REGISTERS / empty))
    return round(raw)
