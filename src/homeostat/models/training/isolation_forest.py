"""Isolation forests, trained by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.models.training.extras import at_least, library, read_settings
from homeostat.models.training.flatten import Tree, flatten
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Float
from homeostat.records.parts import Part

DEFAULTS: dict[str, Any] = {"trees": 100, "rows": 256, "columns": 1.0}
_EULER = 0.5772156649015329


def train_isolation_forest(
    x: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any], seed: int, progress: Progress = silent
) -> Part:
    """Train on `x` (n, features); `y` is not looked at.

    Settings: trees; rows, a tree's sample; columns, the share of the features that a tree sees. NaN takes the way of
    its feature's median.
    """
    del y
    chosen = read_settings("isolation_forest", DEFAULTS, settings)
    at_least("isolation_forest", chosen, trees=1, rows=2, columns=1e-9)
    ensemble = library("sklearn.ensemble")
    fill = medians(x)
    rows = min(chosen["rows"], len(x))
    model = ensemble.IsolationForest(
        n_estimators=chosen["trees"],
        max_samples=rows,
        max_features=min(chosen["columns"], 1.0),
        random_state=seed % 2**32,
    )
    progress("isolation forest", 0.0)
    model.fit(filled(x, fill))
    trees = [
        _tree(estimator.tree_, np.asarray(columns), fill)
        for estimator, columns in zip(model.estimators_, model.estimators_features_, strict=True)
    ]
    progress("isolation forest", 1.0)
    scale = -float(np.log(2.0)) / (len(trees) * float(_path_length(np.array([rows]))[0]))
    return Part(
        "isolation_forest", tuple(names), flatten(trees), settings={**chosen, "base": 0.0, "scale": scale, "seed": seed}
    )


def medians(x: Float) -> Float:
    """(features,) medians of the values that are there; 0 where there is none.

    >>> medians(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()
    [2.0, 0.0]
    """
    return np.array([np.median(column[there]) if (there := ~np.isnan(column)).any() else 0.0 for column in x.T])


def filled(x: Float, fill: Float) -> Float:
    """`x` with NaN replaced by each feature's `fill`."""
    return np.where(np.isnan(x), fill, x)


def _path_length(rows: NDArray[np.int64]) -> Float:
    """Expected path length of an unsuccessful search in a binary tree of so many rows (Liu et al. 2008, equation 1)."""
    n = rows.astype(np.float64)
    many = np.maximum(n, 3.0)
    average = 2.0 * (np.log(many - 1.0) + _EULER) - 2.0 * (many - 1.0) / many
    return np.where(n <= 1, 0.0, np.where(n <= 2, 1.0, average))


def _tree(tree: Any, columns: NDArray[np.int64], fill: Float) -> Tree:
    """scikit-learn sends float32(x) <= threshold (float64) left: x < the next float32 above the threshold's floor."""
    left, right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
    feature = columns[np.maximum(tree.feature, 0)]
    threshold = above(tree.threshold)
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # Parents come before their children.
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    return Tree(
        left, right, feature, threshold, fill[feature].astype(np.float32) >= threshold,
        depth + _path_length(tree.n_node_samples), tree.weighted_n_node_samples.astype(np.float64),
    )  # fmt: skip


def above(threshold: Float) -> NDArray[np.float32]:
    """The least float32 above each float64, so that x < it exactly when x <= the threshold, for float32 x.

    >>> bool(above(np.array([1.0]))[0] > 1.0)
    True
    """
    near = threshold.astype(np.float32)
    return np.where(near.astype(np.float64) > threshold, near, np.nextafter(near, np.float32(np.inf)))
