"""How often two rows have the same value: by pairs, which does not depend on how many rows there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import AnyArray, Float, Int
from homeostat.records.compiled import compiled

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def pairs(values: AnyArray) -> float:
    """The number of pairs of equal values.

    >>> pairs(np.array([1, 1, 1, 2]))
    3.0
    """
    if len(values) < 2:
        return 0.0
    ordered = np.sort(values)
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(ordered)]])).astype(np.float64)
    return float((counts * (counts - 1.0)).sum() / 2.0)


class Coincidences(NamedTuple):
    """Of each tick (k,): rows that have a value; the chance that two of them, of different owners, have the same one.

    share : NaN where all rows have one owner
    spread : the standard error of the chance of any two rows (Simpson's index), by the delta method; never that of no
        equal pair at all

    Source: Simpson (1949), Measurement of diversity, Nature 163, 688.
    """

    n: Float
    share: Float
    spread: Float


def coincidences(values: Float, owners: Int, offsets: Int, rows_max: int) -> Coincidences:
    """How often two rows of a tick have the same value; of the first `rows_max` rows of each.

    values, owners : (n,) NaN where a row has none; offsets : (k + 1,) of the ticks' rows

    >>> found = coincidences(np.array([1.0, 1.0, 2.0, 2.0]), np.arange(4), np.array([0, 4]), 100)
    >>> found.n.tolist(), round(float(found.share[0]), 4), round(float(found.spread[0]), 2)
    ([4.0], 0.3333, 0.19)
    """
    k = len(offsets) - 1
    sums = np.zeros((5, k))
    most = max(min(int(np.diff(offsets).max(initial=0)), rows_max), 1)
    bits = (values + 0.0).view(np.int64)  # 0.0 and -0.0 are equal.
    table = np.empty((2, 1 << (2 * most - 1).bit_length()), np.int64)
    _count(values, bits, np.ascontiguousarray(owners), offsets, rows_max, table, sums)
    n, own, both, second, third = sums
    whole, size = n * (n - 1.0) / 2.0, np.maximum(n, 1.0)
    equal = (second - n) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > own, (equal - both) / (whole - own), np.nan)
        simpson = np.maximum(equal / whole, 1.0 / whole)
        second, third = second / (size * size), third / (size * size * size)
        wide = 4.0 / n * np.maximum(third - second * second, 0.0) + simpson * (1.0 - simpson) / whole
        return Coincidences(n, share, np.where(n > 1, np.sqrt(wide), np.nan))


@compiled
def _count(
    values: Float, bits: Int, owners: Int, offsets: Int, rows_max: int, table: Int, sums: Float
) -> None:  # fmt: skip
    """Of each tick: rows, pairs of one owner, pairs of one owner and value; sums of squares and cubes of the counts of
    each value, into sums (5, k).

    table : (2, size) room for a row of each group and how many there are; size is a power of two
    """
    for k in range(sums.shape[1]):
        begin, end = offsets[k], min(offsets[k + 1], offsets[k] + rows_max)
        size = 2
        while size < 2 * (end - begin):
            size *= 2
        for kind in range(3):  # Of owners, of owners with values, of values.
            table[0, :size] = -1
            for i in range(begin, end):
                if values[i] != values[i]:
                    continue
                mixed = np.uint64(0)
                if kind > 0:
                    mixed = np.uint64(bits[i]) * _GAMMA
                    mixed ^= mixed >> np.uint64(29)
                if kind < 2:
                    mixed = (mixed ^ np.uint64(owners[i])) * _GAMMA
                place = int(mixed >> np.uint64(32)) & (size - 1)
                while table[0, place] >= 0 and not (
                    (kind == 0 or bits[table[0, place]] == bits[i])
                    and (kind == 2 or owners[table[0, place]] == owners[i])
                ):
                    place = (place + 1) & (size - 1)
                if table[0, place] < 0:
                    table[0, place], table[1, place] = i, 0
                table[1, place] += 1
                if kind == 0:
                    sums[0, k] += 1.0
            for place in range(size):
                if table[0, place] >= 0:
                    count = float(table[1, place])
                    if kind < 2:
                        sums[1 + kind, k] += count * (count - 1.0) / 2.0
                    else:
                        sums[3, k] += count * count
                        sums[4, k] += count * count * count
