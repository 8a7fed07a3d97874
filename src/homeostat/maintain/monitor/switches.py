"""The effect of a switch: whether figures moved at it, by far more than they ever move from tick to tick."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float, Int

_TICKS = 168  # That are remembered: a week of hours.
_LEAST = 48  # Without which nobody knows how much is usual.
_AFTER = 24  # Ticks after a switch in which its effect is looked for.
_FIRST = 2
_AT_ONCE, _JUMP = 3, 4.0  # Ticks right after a switch, and the deviations by which they jump.
_FAR = 8.0  # Deviations, of independent ticks; season and waves are in the deviations.


class Switches:
    """See the module. Of k figures.

    An effect is there at once: the first ticks after the switch differ from the last ones before it.

    memory : `ring` (ticks, k) of the last ticks before the switch; `place`, `filled` (1,); `after` (2, k): count
        and sum since the switch, `soon` of its first ticks; `since` (1,) ticks since then, -1 for none; `code` (1,)
        of what is in force; `effect` (1,)
    """

    def __init__(self, k: int) -> None:
        self.memory: Memory = {
            "ring": np.full((_TICKS, k), np.nan), "place": np.zeros(1, np.int64), "filled": np.zeros(1, np.int64),
            "after": np.zeros((2, k)), "soon": np.zeros((2, k)), "since": np.full(1, -1, np.int64),
            "code": np.zeros(1, np.int64),
            "effect": np.zeros(1),
        }  # fmt: skip

    def effects(self, values: Float, codes: Int) -> Float:
        """(ticks,) the size of the effect of the last switch, in deviations; 0 where there is none.

        values : (ticks, k); codes : (ticks,) of what is in force, 0 where nothing was decided
        """
        found, memory, first = np.zeros(len(codes)), self.memory, 0
        while first < len(codes):
            same = (codes[first:] == 0) | (codes[first:] == memory["code"][0])
            last = first + (len(same) if same.all() else int(same.argmin()))
            if memory["since"][0] >= 0 or last == first:
                found[first] = self.effect(values[first], int(codes[first]))
                first += 1
                continue
            self._remember(values[first:last])
            first = last
        return found

    def effect(self, values: Float, code: int) -> float:
        """The same of one tick. values : (k,)"""
        memory = self.memory
        if code and code != memory["code"][0]:
            if memory["code"][0]:
                memory["since"][0], memory["after"][...], memory["effect"][0] = 0, 0.0, 0.0
            memory["code"][0] = code
        if memory["since"][0] < 0:
            self._remember(values[None, :])
            return 0.0
        there = ~np.isnan(values)
        memory["after"][0] += there
        memory["after"][1] += np.where(there, values, 0.0)
        memory["since"][0] += 1
        if memory["since"][0] <= _AT_ONCE:
            memory["soon"][...] = memory["after"]
        found = self._size() if memory["since"][0] >= _FIRST else 0.0
        memory["effect"][0] = max(float(memory["effect"][0]), found)
        if memory["since"][0] >= _AFTER and not memory["effect"][0]:
            memory["since"][0] = -1  # It did nothing.
        elif memory["since"][0] >= 7 * _AFTER:
            memory["since"][0], memory["effect"][0] = -1, 0.0  # By now, it is how things are.
        return float(memory["effect"][0])

    def _remember(self, values: Float) -> None:
        memory = self.memory
        place, n = int(memory["place"][0]), len(values)
        some = np.arange(max(0, n - _TICKS), n)
        memory["ring"][(place + some) % _TICKS] = values[some]
        memory["place"][0] = (place + n) % _TICKS
        memory["filled"][0] = min(_TICKS, int(memory["filled"][0]) + n)

    def _size(self) -> float:
        """The largest of the figures' effects, each the smaller of two: against the week, and against the last day."""
        memory = self.memory
        filled = int(memory["filled"][0])
        if filled < _LEAST:
            return 0.0
        ring = np.roll(memory["ring"], -int(memory["place"][0]), axis=0)[-filled:]
        there = ~np.isnan(ring)
        count = there.sum(axis=0)
        mean = np.where(there, ring, 0.0).sum(axis=0) / np.maximum(count, 1)
        deviation = np.sqrt(np.where(there, (ring - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1))
        near_count, near = _mean_of(ring[-24:])
        last_count, last = _mean_of(ring[-_AT_ONCE - 1 :])
        soon_count = memory["soon"][0]
        soon = memory["soon"][1] / np.maximum(soon_count, 1)
        after_count = memory["after"][0]
        after = memory["after"][1] / np.maximum(after_count, 1)
        known = (count >= _LEAST) & (after_count >= _FIRST) & (near_count >= 8) & (deviation > 0)
        if not known.any():
            return 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            week = np.abs(after - mean) / (deviation * np.sqrt(1 / after_count + 1 / count))
            day = np.abs(after - near) / (deviation * np.sqrt(1 / after_count + 1 / near_count))
            jump = np.abs(soon - last) / (deviation * np.sqrt(1 / soon_count + 1 / last_count))
        jumped = known & (jump >= _JUMP)
        if not jumped.any():
            return 0.0
        size = float(np.minimum(week, day)[jumped].max())
        return size if size >= _FAR else 0.0


def _mean_of(ticks: Float) -> tuple[Float, Float]:
    """(k,) how many values there are, and their mean."""
    there = ~np.isnan(ticks)
    count = there.sum(axis=0).astype(np.float64)
    return count, np.where(there, ticks, 0.0).sum(axis=0) / np.maximum(count, 1)
