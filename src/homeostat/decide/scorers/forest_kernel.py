"""The kernels that serve forests: the same walk for isolation forests and boosted trees.

A row's leaves are added up tree after tree in float64, whatever the rows beside it, so that a result has the same
bits in any batch. Both walks find the same leaves:

- `walk` goes down all trees level by level, a block of rows at a time. It takes any tree.
- `sift` takes trees of at most 32 leaves: each inner node strikes the leaves out that can't be reached, as bits of a
  word, for a whole block of rows at once, so that the compiler can compare sixteen rows in one instruction.
  Source: Lucchese et al. (2015), QuickScorer, SIGIR; Ye et al. (2018), RapidScorer, KDD.

A value goes right when it is not below the threshold; both are float32, as in the libraries that train. NaN goes the
way that the node declares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import exp, sigmoid

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
UInt32 = NDArray[np.uint32]

BLOCK = 256  # Rows; 40 features in float32 are 40 kB, which stay in the cache while the trees go by.
LOGISTIC = 0
EXPONENTIAL = 1
_ALL = np.uint32(0xFFFFFFFF)


@compiled
def walk(
    values: Float,
    columns: Int,
    start: Int32,
    depth: Int32,
    feature: Int32,
    threshold: Float32,
    left: Int32,
    nan_right: Bytes,
    leaf: Float,
    out: Float,
) -> None:
    """(n,) sums of the leaves that each row falls into. A leaf is its own left child and has a NaN threshold."""
    n, width, block = len(values), len(columns), min(BLOCK, len(values))
    x = np.empty(block * width, np.float32)
    node = np.empty(block, np.uint32)
    for first in range(0, n, block):
        rows = min(block, n - first)
        gaps = False
        for row in range(rows):
            for column in range(width):
                value = np.float32(values[first + row, columns[column]])
                x[row * width + column] = value
                gaps |= value != value
        for row in range(rows):
            out[first + row] = 0.0
        for tree in range(len(depth)):
            for row in range(rows):
                node[row] = start[tree]
            for _ in range(depth[tree]):
                if gaps:
                    for row in range(rows):
                        at = node[row]
                        value = x[row * width + feature[at]]
                        node[row] = left[at] + ((value >= threshold[at]) | ((value != value) & (nan_right[at] != 0)))
                else:
                    for row in range(rows):
                        at = node[row]
                        node[row] = left[at] + (x[row * width + feature[at]] >= threshold[at])
            for row in range(rows):
                out[first + row] += leaf[node[row]]


@compiled
def sift(
    values: Float,
    columns: Int,
    first_node: Int32,
    feature: Int32,
    threshold: Float32,
    keep: UInt32,
    nan_right: Bytes,
    first_leaf: Int32,
    leaf: Float,
    out: Float,
) -> None:
    """(n,) the same sums for trees of at most 32 leaves; `keep` has a 0 bit for each leaf left of its node."""
    n, width = len(values), len(columns)
    x = np.zeros((width, BLOCK), np.float32)
    alive = np.empty(BLOCK, np.uint32)
    for first in range(0, n, BLOCK):
        rows = min(BLOCK, n - first)
        for row in range(rows):
            for column in range(width):
                x[column, row] = np.float32(values[first + row, columns[column]])
        for row in range(rows):
            out[first + row] = 0.0
        for tree in range(len(first_leaf)):
            for row in range(BLOCK):
                alive[row] = _ALL
            for at in range(first_node[tree], first_node[tree + 1]):
                column_values, limit, kept = x[feature[at]], threshold[at], keep[at]
                if nan_right[at]:
                    for row in range(BLOCK):
                        alive[row] &= _ALL if column_values[row] < limit else kept
                else:
                    for row in range(BLOCK):
                        alive[row] &= kept if column_values[row] >= limit else _ALL
            base = first_leaf[tree]
            for row in range(BLOCK):
                alive[row] = _lowest_bit(alive[row])
            for row in range(rows):
                out[first + row] += leaf[base + np.int64(alive[row])]


@compiled
def _lowest_bit(word: np.uint32) -> np.uint32:
    """Index of the lowest set bit of a 32-bit word, by counting the ones below it, without a branch."""
    w = np.uint32((word & (np.uint32(~word) + np.uint32(1))) - np.uint32(1))
    w = np.uint32(w - ((w >> np.uint32(1)) & np.uint32(0x55555555)))
    w = np.uint32((w & np.uint32(0x33333333)) + ((w >> np.uint32(2)) & np.uint32(0x33333333)))
    w = np.uint32((w + (w >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    return np.uint32(np.uint32(w * np.uint32(0x01010101)) >> np.uint32(24))


@compiled
def link(raw: Float, base: float, scale: float, kind: int, out: Float) -> None:
    """Sums of leaves -> scores in [0, 1]; `raw` becomes base + scale * sum, the scorer's raw output."""
    for row in range(len(raw)):
        raw[row] = base + scale * raw[row]
        if kind == LOGISTIC:
            out[row] = sigmoid(raw[row])
        else:
            out[row] = min(exp(raw[row]), 1.0)
