"""Trees of any library as one set of flat arrays, in the order that serves them fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, its nodes in any order but the root first.

    left, right : (nodes,) children, negative in a leaf
    feature, threshold : (nodes,) float32; x goes left when x < threshold
    nan_right : (nodes,) whether NaN goes right
    value : (nodes,) read in leaves
    cover : (nodes,) weight of the training rows that came by
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    nan_right: NDArray[np.bool_]
    value: Float
    cover: Float


def flatten(trees: list[Tree]) -> dict[str, NDArray[np.generic]]:
    """The arrays that serve the trees: breadth first, siblings side by side, a leaf its own left child."""
    columns: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _DTYPES}
    starts, depths = [0], []
    for tree in trees:
        order, left, depth = _breadth_first(tree)
        leaf = tree.left[order] < 0
        base = starts[-1]
        columns["feature"].append(np.where(leaf, 0, tree.feature[order]))
        columns["threshold"].append(np.where(leaf, np.float32(np.nan), tree.threshold[order]))
        columns["left"].append(np.where(leaf, np.arange(len(order)), left) + base)
        columns["nan_right"].append(np.where(leaf, False, tree.nan_right[order]))
        columns["value"].append(np.where(leaf, tree.value[order], 0.0))
        columns["cover"].append(tree.cover[order])
        starts.append(base + len(order))
        depths.append(depth)
    flat: dict[str, NDArray[np.generic]] = {
        name: np.concatenate(parts).astype(_DTYPES[name]) for name, parts in columns.items()
    }
    return {"start": np.array(starts, np.int32), "depth": np.array(depths, np.int32), **flat}


_DTYPES: dict[str, type] = {
    "feature": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "nan_right": np.uint8,
    "value": np.float64,
    "cover": np.float64,
}


def _breadth_first(tree: Tree) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The nodes in order, where each one's left child comes to lie, and the edges of the longest path."""
    order, left, depth = [0], [], [0]
    for at in order:  # Grows while it is walked.
        left.append(len(order))
        if tree.left[at] >= 0:
            order += [int(tree.left[at]), int(tree.right[at])]
            depth += [depth[len(left) - 1] + 1] * 2
    return np.array(order, np.int64), np.array(left, np.int64), max(depth)
