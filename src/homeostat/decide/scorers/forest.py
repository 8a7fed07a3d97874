"""Isolation forests and boosted trees as one compact set of arrays, and the scorer that serves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.scorers import forest_kernel as kernel
from homeostat.decide.scorers.columns import confidence_of, resolve
from homeostat.decide.scorers.tree_contributions import LeafPaths, contributions, leaf_paths
from homeostat.records.arrays import Bytes, Float
from homeostat.records.features import Features
from homeostat.records.parts import Part, PartError

LINKS = {"isolation_forest": kernel.EXPONENTIAL, "boosted_trees": kernel.LOGISTIC}
_DTYPES: dict[str, Any] = {
    "start": np.int32,
    "depth": np.int32,
    "feature": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "nan_right": np.uint8,
    "value": np.float64,
    "cover": np.float64,
}
_SIFT_LEAVES_MAX = 32
_SIFT_ROWS_MIN = 24  # `sift` always works on a whole block: below this, walking is faster.
_NODES_MAX = 1 << 26


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees in breadth-first order, each node's children side by side.

    start : (trees + 1,) first node of each tree
    depth : (trees,) edges of the longest path
    feature, threshold, left, nan_right, value, cover : (nodes,) a leaf is its own left child with a NaN threshold;
        `value` holds for leaves, `cover` is the weight of the training rows that came by
    """

    start: NDArray[np.int32]
    depth: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    nan_right: Bytes
    value: Float
    cover: Float

    @classmethod
    def of(cls, part: Part) -> Forest:
        """The trees of a part, after checks that no walk can leave them; raises PartError."""
        arrays: dict[str, Any] = {}
        for name, dtype in _DTYPES.items():
            array = part.arrays.get(name)
            if array is None or array.dtype != dtype or array.ndim != 1 or len(array) > _NODES_MAX:
                raise PartError(f"a forest needs a flat array {name!r} of {np.dtype(dtype).name}")
            arrays[name] = np.ascontiguousarray(array)
        forest = cls(**arrays)
        forest._check(len(part.features))
        return forest

    def _check(self, features: int) -> None:
        nodes, start = len(self.feature), self.start.astype(np.int64)
        sizes = {len(self.threshold), len(self.left), len(self.nan_right), len(self.value), len(self.cover)}
        if sizes != {nodes} or len(start) != len(self.depth) + 1 or len(self.depth) == 0 or features == 0:
            raise PartError("a forest's arrays differ in length, or it has no trees or features")
        if start[0] != 0 or start[-1] != nodes or np.any(np.diff(start) < 1):
            raise PartError("a forest's trees do not follow one another")
        if np.any(self.feature < 0) or np.any(self.feature >= features):
            raise PartError("a node asks for a feature that the forest does not read")
        if not (np.isfinite(self.value).all() and np.isfinite(self.cover).all() and np.all(self.cover >= 0)):
            raise PartError("a forest's values and covers must be finite")
        at, left = np.arange(nodes), self.left.astype(np.int64)
        end = np.repeat(start[1:], np.diff(start))
        inner = left != at
        if np.any(np.isnan(self.threshold) == inner):
            raise PartError("a leaf must have a NaN threshold, and an inner node must have none")
        if np.any(left[inner] <= at[inner]) or np.any(left[inner] + 1 >= end[inner]):
            raise PartError("a node's children must lie behind it, in its own tree")
        self._check_depths(inner)

    def _check_depths(self, inner: NDArray[np.bool_]) -> None:
        """Each node but a root has one parent, and the longest paths are as long as they say."""
        children = np.concatenate([self.left[inner], self.left[inner] + 1])
        roots = self.start[:-1]
        if len(children) + len(roots) != len(self.left) or len(np.unique(children)) != len(children):
            raise PartError("a node of a forest has no parent, or two")
        level, reached = roots.astype(np.int64), np.zeros(len(self.depth), np.int64)
        tree = np.arange(len(roots))
        for depth in range(len(self.left) + 1):
            reached[tree] = depth
            going = inner[level]
            if not going.any():
                break
            level, tree = self.left[level[going]].astype(np.int64), tree[going]
            level, tree = np.concatenate([level, level + 1]), np.concatenate([tree, tree])
        if np.any(reached != self.depth):
            raise PartError("a forest's trees are not as deep as they say")


@dataclass(frozen=True, slots=True)
class _Sift:
    """The form of `forest_kernel.sift`."""

    first_node: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    keep: NDArray[np.uint32]
    nan_right: Bytes
    first_leaf: NDArray[np.int32]
    leaf: Float


def _sift_form(forest: Forest) -> _Sift | None:
    """The trees as masks over their leaves from left to right; None when a tree has more than 32 leaves."""
    inner = forest.left != np.arange(len(forest.left))
    leaves = np.add.reduceat((~inner).astype(np.int64), forest.start[:-1])
    if leaves.max() > _SIFT_LEAVES_MAX:
        return None
    order: list[int] = []
    masks: list[int] = []
    values: list[float] = []
    first_node, first_leaf = [0], [0]
    for tree in range(len(forest.depth)):
        base = len(values)
        spans: dict[int, tuple[int, int]] = {}
        stack = [(int(forest.start[tree]), False)]
        while stack:
            node, done = stack.pop()
            left = int(forest.left[node])
            if left == node:
                spans[node] = (len(values) - base, len(values) - base + 1)
                values.append(float(forest.value[node]))
            elif not done:
                stack += [(node, True), (left + 1, False), (left, False)]
            else:
                spans[node] = (spans[left][0], spans[left + 1][1])
                low, high = spans[left]
                order.append(node)
                masks.append(0xFFFFFFFF ^ (((1 << (high - low)) - 1) << low))
        first_node.append(len(order))
        first_leaf.append(len(values))
    at = np.array(order, dtype=np.int64)
    return _Sift(
        np.array(first_node, np.int32), forest.feature[at], forest.threshold[at], np.array(masks, np.uint32),
        forest.nan_right[at], np.array(first_leaf[:-1], np.int32), np.array(values),
    )  # fmt: skip


class ForestScorer:
    """Serves a forest. Its raw output is the log-odds of boosted trees, the logarithm of an isolation forest's score,
    and log-odds too where an isolation forest was trained with a contamination.

    An isolation forest's score is 2^(-E[path length] / c): Liu, Ting and Zhou (2008), Isolation Forest, ICDM.
    """

    def __init__(self, name: str, part: Part, available: Sequence[str]) -> None:
        if part.kind not in LINKS:
            raise PartError(f"{part.kind!r} is not a forest")
        base, scale = part.settings.get("base"), part.settings.get("scale")
        if not (isinstance(base, float) and isinstance(scale, float) and np.isfinite([base, scale]).all()):
            raise PartError("a forest's settings must hold finite numbers base and scale")
        self.name = name
        self._columns = resolve(name, part.features, available)
        link = part.settings.get("link")  # Of an isolation forest whose score is .5 at a contamination.
        if link not in (None, "logistic"):
            raise PartError(f"a forest's link is logistic or left out, not {link!r}")
        self._link, self._base, self._scale = LINKS[part.kind] if link is None else kernel.LOGISTIC, base, scale
        self._forest = Forest.of(part)
        self._sift = _sift_form(self._forest)
        self._paths: LeafPaths | None = None

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) the share of its features that are fresh."""
        raw = self.raw(features)
        scores = np.empty(len(raw))
        kernel.link(raw, self._base, self._scale, self._link, scores)
        return scores, confidence_of(features, self._columns)

    def raw(self, features: Features) -> Float:
        """(n,) sums of the leaves."""
        values, out = features.values, np.empty(len(features))
        f, s = self._forest, self._sift
        if s is not None and len(values) >= _SIFT_ROWS_MIN:
            kernel.sift(
                values, self._columns, s.first_node, s.feature, s.threshold, s.keep, s.nan_right, s.first_leaf,
                s.leaf, out,
            )  # fmt: skip
        elif len(values):
            kernel.walk(
                values, self._columns, f.start, f.depth, f.feature, f.threshold, f.left, f.nan_right, f.value, out
            )
        return out

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) each feature's part of the raw output, and the raw output expected of a training row."""
        if self._paths is None:  # Only built when someone asks: most engines never explain.
            self._paths = leaf_paths(self._forest)
        out = np.zeros((len(features), len(features.names)))
        contributions(features.values, self._columns, self._paths, self._scale, out)
        return out, self._base + self._scale * self._paths.expected
