"""The rows of a block's ticks: sums and firsts of each tick. Cuts between blocks change no bit of them."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import AnyArray, Float, Int, Mask
from homeostat.records.compiled import compiled

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def ticks_of(offsets: Int) -> Int:
    """(n,) the tick of each row.

    >>> ticks_of(np.array([0, 2, 2, 3])).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def offsets_among(offsets: Int, chosen: Mask) -> Int:
    """(k + 1,) the offsets of the chosen rows.

    >>> offsets_among(np.array([0, 2, 3]), np.array([True, False, True])).tolist()
    [0, 1, 2]
    """
    before = np.zeros(len(chosen) + 1, np.int64)
    np.cumsum(chosen, out=before[1:])
    found: Int = before[offsets]
    return found


def counts_of(offsets: Int, chosen: Mask) -> Float:
    """(k,) how many rows of each tick are chosen."""
    return np.diff(offsets_among(offsets, chosen)).astype(np.float64)


def sums_of(values: Float, offsets: Int) -> Float:
    """(k, columns) the sums of each tick's rows (n, columns), added up one row after the other.

    >>> sums_of(np.array([[1.0], [2.0], [4.0]]), np.array([0, 2, 2, 3])).ravel().tolist()
    [3.0, 0.0, 4.0]
    """
    found = np.zeros((len(offsets) - 1, values.shape[1]))
    _add_up(values, offsets, found)
    return found


def totals_of(values: Float, offsets: Int) -> list[float]:
    """The sum of each tick's values (n,), as `values.sum()` has it for a tick alone."""
    edges = offsets.tolist()
    return [float(np.add.reduce(values[edges[j] : edges[j + 1]])) for j in range(len(edges) - 1)]


def firsts(values: AnyArray, offsets: Int) -> Int:
    """(n,) the first row of its tick that has the row's value.

    values : (n,) of 8 bytes each, compared by their bits

    >>> firsts(np.array([7, 8, 7, 7]), np.array([0, 3, 4])).tolist()
    [0, 1, 0, 3]
    """
    found = np.empty(len(values), np.int64)
    most = int(np.diff(offsets).max(initial=0))
    if most:
        table = np.empty(1 << (2 * most - 1).bit_length(), np.int64)
        _find_firsts(np.ascontiguousarray(values).view(np.int64), offsets, table, found)
    return found


def pairs_of(first: Int, offsets: Int) -> Float:
    """(k,) the number of pairs of equal values in each tick.

    first : see `firsts`

    >>> pairs_of(np.array([0, 1, 0, 0, 4]), np.array([0, 4, 5])).tolist()
    [3.0, 0.0]
    """
    counts = np.bincount(first, minlength=len(first)).astype(np.float64)
    halves = counts * (counts - 1.0) / 2.0  # Whole numbers, so their order does not matter.
    return np.asarray(np.bincount(ticks_of(offsets), halves, len(offsets) - 1), np.float64)


@compiled
def _add_up(values: Float, offsets: Int, into: Float) -> None:
    for tick in range(len(offsets) - 1):
        for i in range(offsets[tick], offsets[tick + 1]):
            for column in range(values.shape[1]):
                into[tick, column] += values[i, column]


@compiled
def _find_firsts(values: Int, offsets: Int, table: Int, found: Int) -> None:
    """table : at least twice as long as a tick has rows, a power of two."""
    for tick in range(len(offsets) - 1):
        start, stop = offsets[tick], offsets[tick + 1]
        bits = 1
        while (1 << bits) < 2 * (stop - start):
            bits += 1
        mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
        for place in range(mask + 1):
            table[place] = -1
        for i in range(start, stop):
            place = int(np.int64((np.uint64(values[i]) * _GAMMA) >> shift))  # Not of an unsigned one.
            while table[place] >= 0 and values[table[place]] != values[i]:
                place = (place + 1) & mask
            if table[place] < 0:
                table[place] = i
            found[i] = table[place]
