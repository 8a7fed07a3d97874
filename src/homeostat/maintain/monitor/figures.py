"""The values of a monitor's series while they are being taken, and what all monitors share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.records.arrays import AnyArray, Bits, Float, Int, State
from homeostat.records.compiled import compiled
from homeostat.records.signals import Measured

Memory = dict[str, AnyArray]
"""All that a monitor remembers, as arrays of fixed shapes that are written to in place."""


class Figures:
    """One value for each of `count` series; those that are not set were not measured.

    ticks : of a block, whose figures have the shape (ticks, series); None for one tick alone, (series,)
    """

    def __init__(self, count: int, ticks: int | None = None) -> None:
        shape = (count,) if ticks is None else (ticks, count)
        self.value, self.n, self.spread = np.full(shape, np.nan), np.zeros(shape), np.full(shape, np.nan)

    def share(self, at: slice | int | Int, hits: AnyArray | float, n: Float | float) -> None:
        """Shares of `n` observations."""
        if isinstance(n, float):
            self.value[..., at] = hits / n if n > 0 else np.nan
        else:
            found = np.full(n.shape, np.nan)
            np.divide(hits, n, out=found, where=n > 0)
            self.value[..., at] = found
        self.n[..., at] = n

    def set(
        self, at: slice | int | Int, value: Float | float, n: Float | float, spread: Float | float = np.nan
    ) -> None:
        """Any other values."""
        self.value[..., at], self.n[..., at], self.spread[..., at] = value, n, spread

    def set_at(self, ticks: Int, at: slice, value: Float, n: Float, spread: Float | float = np.nan) -> None:
        """Values of some ticks of a block."""
        self.value[ticks, at], self.n[ticks, at], self.spread[ticks, at] = value, n, spread

    def set_one(self, tick: int, at: int, value: float, n: float) -> None:
        """One value of one tick of a block."""
        self.value[tick, at], self.n[tick, at] = value, n

    def measured(self) -> Measured:
        """The values; one that is not finite, or rests on nothing, was not measured."""
        nothing = ~np.isfinite(self.value) | (self.n <= 0)
        self.value[nothing], self.n[nothing] = np.nan, 0.0
        return Measured(self.value, self.n, self.spread)


def copied(memory: Memory) -> State:
    """A memory as a state."""
    return {name: column.copy() for name, column in memory.items()}


def taken(memory: Memory, state: Mapping[str, AnyArray]) -> None:
    """A memory's columns, as they were in a state."""
    for name, column in memory.items():
        column[...] = state[name]


def part(state: State, name: str) -> State:
    """The columns of one part, `name/...`, of a state.

    >>> list(part({"a/x": np.zeros(1), "b/x": np.zeros(1)}, "a"))
    ['x']
    """
    mark = f"{name}/"
    return {key.removeprefix(mark): value for key, value in state.items() if key.startswith(mark)}


class Remembering:
    """A monitor that keeps several memories."""

    def parts(self) -> dict[str, Memory]:
        """All that it remembers, by name."""
        raise NotImplementedError

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self.parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self.parts().items():
            taken(memory, part(state, name))


def hashed(*columns: AnyArray) -> Int:
    """(n,) one 63-bit number for the values of each row. Rows of equal bits have equal numbers.

    columns : (n,) or (n, k), of 8 bytes a value
    """
    found = np.zeros(len(columns[0]), np.uint64)
    place = 1
    for column in columns:
        words = np.ascontiguousarray(column).view(np.uint64)
        words = words if words.ndim == 2 else words[:, None]
        _mix_in(found, words, place)
        place += words.shape[1]
    return (found >> np.uint64(1)).view(np.int64)


_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S1, _S2, _S3 = np.uint64(30), np.uint64(27), np.uint64(31)


@compiled
def _mix_in(found: Bits, words: Bits, place: int) -> None:
    """Mix the words (n, k) of each row into its number, as those from `place` on.

    Source: Steele, Lea, Flood (2014), SplitMix64.
    """
    for i in range(len(found)):
        x = found[i]
        for k in range(words.shape[1]):
            x = x ^ (words[i, k] + np.uint64(place + k) * _GAMMA)
            x = (x ^ (x >> _S1)) * _M1
            x = (x ^ (x >> _S2)) * _M2
            x = x ^ (x >> _S3)
        found[i] = x
