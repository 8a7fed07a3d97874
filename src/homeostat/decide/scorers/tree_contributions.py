"""Exact path-dependent Shapley contributions of a forest, leaf by leaf.

A leaf contributes its value v if a row meets all conditions on its path. Conditions of one feature are merged into
one element with a share z (of the training rows that came to its nodes, how many went on along the path) and, for a
row, an answer: met or not. With the features of a set S known, the leaf is worth v times the z of all elements outside
of S, or 0 when an element of S is not met. So only subsets of the met elements matter, and they enter through the
elementary symmetric polynomials of their z: O(path^2) a leaf and row, less the fewer conditions are met.

Source of the definition: Lundberg, Erion, Lee (2018), Consistent Individualized Feature Attribution for Tree
Ensembles, arXiv 1802.03888 (the tree-path-dependent expectation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled


class Trees(Protocol):
    """The numbers that are read of a forest."""

    @property
    def start(self) -> NDArray[np.int32]: ...
    @property
    def feature(self) -> NDArray[np.int32]: ...
    @property
    def threshold(self) -> NDArray[np.float32]: ...
    @property
    def left(self) -> NDArray[np.int32]: ...
    @property
    def nan_right(self) -> Bytes: ...
    @property
    def value(self) -> Float: ...
    @property
    def cover(self) -> Float: ...


@dataclass(frozen=True, slots=True)
class LeafPaths:
    """Every leaf's path with its conditions merged by feature.

    start : (leaves + 1,) first element of each leaf
    value : (leaves,)
    feature, low, high, takes_nan, share : (elements,) met when low <= x < high, or when x is NaN and `takes_nan`
    weight : (k, k) weight[d, s] = s! (d - s - 1)! / d!, of a set of s features out of d
    expected : the sum of the leaves' values times their shares
    """

    start: Int
    value: Float
    feature: NDArray[np.int32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    takes_nan: Bytes
    share: Float
    weight: Float
    expected: float


_Element = tuple[float, float, bool, float]


def _narrowed(path: dict[int, _Element], forest: Trees, node: int, right: bool) -> dict[int, _Element]:
    """The path with the condition of taking one branch of `node`; an element is (low, high, takes NaN, share)."""
    feature, limit = int(forest.feature[node]), float(forest.threshold[node])
    low, high, takes_nan, share = path.get(feature, (-np.inf, np.inf, True, 1.0))
    child = int(forest.left[node]) + right
    cover = float(forest.cover[node])
    share *= float(forest.cover[child]) / cover if cover > 0 else 0.5
    takes_nan = takes_nan and bool(forest.nan_right[node]) == right
    low, high = (max(low, limit), high) if right else (low, min(high, limit))
    return {**path, feature: (low, high, takes_nan, share)}


def leaf_paths(forest: Trees) -> LeafPaths:
    """The merged paths of all leaves, once per forest."""
    start, values = [0], []
    elements: list[tuple[int, _Element]] = []
    expected, longest = 0.0, 1
    for root in forest.start[:-1]:
        stack: list[tuple[int, dict[int, _Element]]] = [(int(root), {})]
        while stack:
            node, path = stack.pop()
            left = int(forest.left[node])
            if left != node:
                stack.append((left, _narrowed(path, forest, node, right=False)))
                stack.append((left + 1, _narrowed(path, forest, node, right=True)))
                continue
            elements += path.items()
            start.append(len(elements))
            values.append(float(forest.value[node]))
            longest = max(longest, len(path))
            expected += values[-1] * float(np.prod([element[3] for element in path.values()]))
    merged = [element for _, element in elements]
    return LeafPaths(
        np.array(start, np.int64), np.array(values), np.array([feature for feature, _ in elements], np.int32),
        np.array([e[0] for e in merged], np.float32), np.array([e[1] for e in merged], np.float32),
        np.array([e[2] for e in merged], np.uint8), np.array([e[3] for e in merged], np.float64), _weights(longest),
        expected,
    )  # fmt: skip


def _weights(longest: int) -> Float:
    """s! (d - s - 1)! / d!, built up row by row: w(d, s) = w(d, s - 1) * s / (d - s), w(d, 0) = 1 / d."""
    table = np.zeros((longest + 1, longest + 1))
    for d in range(1, longest + 1):
        table[d, 0] = 1.0 / d
        for s in range(1, d):
            table[d, s] = table[d, s - 1] * s / (d - s)
    return table


def contributions(values: Float, columns: Int, paths: LeafPaths, scale: float, out: Float) -> None:
    """Add `scale` times each feature's contributions to `out` (n, all features)."""
    _contributions(
        values, columns, paths.start, paths.value, paths.feature, paths.low, paths.high, paths.takes_nan, paths.share,
        paths.weight, scale, out,
    )  # fmt: skip


@compiled
def _contributions(
    values: Float,
    columns: Int,
    start: Int,
    leaf: Float,
    feature: NDArray[np.int32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    takes_nan: Bytes,
    share: Float,
    weight: Float,
    scale: float,
    out: Float,
) -> None:
    width = len(columns)
    x = np.empty(width, np.float32)
    part = np.empty(width)
    longest = len(weight)
    met = np.empty(longest, np.int64)
    p = np.empty(longest + 1)
    for row in range(len(values)):
        for column in range(width):
            x[column] = np.float32(values[row, columns[column]])
            part[column] = 0.0
        for at in range(len(leaf)):
            _leaf(x, start[at], start[at + 1], leaf[at], feature, low, high, takes_nan, share, weight, met, p, part)
        for column in range(width):
            out[row, columns[column]] += scale * part[column]


@compiled
def _leaf(
    x: NDArray[np.float32],
    first: int,
    last: int,
    value: float,
    feature: NDArray[np.int32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    takes_nan: Bytes,
    share: Float,
    weight: Float,
    met: Int,
    p: Float,
    part: Float,
) -> None:
    """Add one leaf's contributions. p[k] sums, over the sets of k met elements, the product of the others' shares."""
    length, count, outside = last - first, 0, value
    p[0] = 1.0
    for e in range(first, last):
        v = x[feature[e]]
        if (v >= low[e] and v < high[e]) or (v != v and takes_nan[e] != 0) or (v == np.inf and high[e] == np.inf):
            met[count] = e
            count += 1
            z = share[e]
            p[count] = p[count - 1]
            for k in range(count - 1, 0, -1):
                p[k] = p[k - 1] + z * p[k]
            p[0] *= z
        else:
            outside *= share[e]
    if count < length:  # An unmet element turns each such set's worth into 0, whichever element it is.
        lost = 0.0
        for k in range(count + 1):
            lost += weight[length, k] * p[k]
        lost *= outside
        for e in range(first, last):
            part[feature[e]] -= _if_unmet(e, met, count, lost)
    for m in range(count):
        # Divide the polynomial by (z + y) from the top, where it is stable, as z <= 1.
        z = share[met[m]]
        quotient, total = p[count], weight[length, count - 1] * p[count]
        for k in range(count - 1, 0, -1):
            quotient = p[k] - z * quotient
            total += weight[length, k - 1] * quotient
        part[feature[met[m]]] += outside * (1.0 - z) * total


@compiled
def _if_unmet(element: int, met: Int, count: int, amount: float) -> float:
    """`amount` unless the element is among the met ones, which are in ascending order."""
    for m in range(count):
        if met[m] == element:
            return 0.0
    return amount
