"""The values of a monitor's series while they are being taken, and what all monitors share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.records.arrays import AnyArray, Bits, Float, Int, State
from homeostat.records.signals import Measured

Memory = dict[str, AnyArray]
"""All that a monitor remembers, as arrays of fixed shapes that are written to in place."""


class Figures:
    """One value for each of `count` series; those that are not set were not measured."""

    def __init__(self, count: int) -> None:
        self.value = np.full(count, np.nan)
        self.n = np.zeros(count)
        self.spread = np.full(count, np.nan)

    def share(self, at: slice | int | Int, hits: AnyArray | float, n: Float | float) -> None:
        """Shares of `n` observations."""
        if isinstance(n, float):
            self.value[at] = hits / n if n > 0 else np.nan
        else:
            found = np.full(len(n), np.nan)
            np.divide(hits, n, out=found, where=n > 0)
            self.value[at] = found
        self.n[at] = n

    def set(
        self, at: slice | int | Int, value: Float | float, n: Float | float, spread: Float | float = np.nan
    ) -> None:
        """Any other values."""
        self.value[at], self.n[at], self.spread[at] = value, n, spread

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


def hashed(*columns: AnyArray) -> Int:
    """(n,) one 63-bit number for the values of each row. Rows of equal bits have equal numbers.

    columns : (n,) or (n, k), of 8 bytes a value
    """
    found = np.zeros(len(columns[0]), np.uint64)
    place = 1
    with np.errstate(over="ignore"):
        for column in columns:
            words = np.ascontiguousarray(column).view(np.uint64)
            words = words if words.ndim == 2 else words[:, None]
            for k in range(words.shape[1]):
                found = _mixed(found ^ (words[:, k] + np.uint64(place) * _GAMMA))
                place += 1
    return (found >> np.uint64(1)).astype(np.int64)


_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(x: Bits) -> Bits:
    x = (x ^ (x >> np.uint64(30))) * _M1
    x = (x ^ (x >> np.uint64(27))) * _M2
    found: Bits = x ^ (x >> np.uint64(31))
    return found
