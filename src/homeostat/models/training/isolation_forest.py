"""Isolation forests, trained by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.models.training.extras import BadSetting, at_least, library, read_settings
from homeostat.models.training.flatten import Tree, flatten
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Float
from homeostat.records.parts import Part

DEFAULTS: dict[str, Any] = {"trees": 100, "rows": 256, "columns": 1.0, "contamination": ()}
_EULER = 0.5772156649015329
_TRAIN, _CHOOSE = 0.70, 0.85  # Up to where rows train, and up to where they choose; the rest only measures.
_ROWS_MIN = 100
_NARROWEST = 1e-3


def train_isolation_forest(
    x: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any], seed: int, progress: Progress = silent
) -> Part:
    """Train on `x` (n, features), the oldest first; `y` is only looked at to choose a contamination.

    Settings: trees; rows, a tree's sample; columns, the share of the features that a tree sees; contamination, none or
    shares of anomalies to choose from. NaN takes the way of its feature's median.

    With contaminations, a forest learns from the oldest 70 % of the rows without its own strangest share, for each of
    them. The next 15 % choose: the best F1 where outcomes of both kinds are known, else the contamination that is
    nearest to the share that is flagged. The last 15 % measure the chosen one. The forest that serves learns from all
    rows; its score is .5 at the quantile that the contamination says, and its log-odds rise by 1 where scores are 2.7
    times as seldom.
    """
    chosen = read_settings("isolation_forest", DEFAULTS, settings)
    at_least("isolation_forest", chosen, trees=1, rows=2, columns=1e-9)
    progress("isolation forest", 0.0)
    fill = medians(x)
    grown = _Grown.of(x, fill, chosen, seed)
    level, slope, facts = 0.0, 1.0, dict[str, Any]()
    if chosen["contamination"]:
        share, facts = _chosen_contamination(x, y, fill, chosen, seed, progress)
        grown, level = _without_strangest(grown, x, fill, chosen, seed, share)
        beyond = float(np.quantile(grown.raw(x), 1.0 - share / 2.0)) - level
        slope = max(beyond / float(np.log(2.0)), _NARROWEST)
        facts |= {"contamination": share, "link": "logistic"}
    progress("isolation forest", 1.0)
    kept = {name: value for name, value in chosen.items() if name != "contamination"}
    served = {"base": 0.0 - level / slope, "scale": grown.scale / slope, "seed": seed}
    return Part("isolation_forest", tuple(names), flatten(grown.trees), settings={**kept, **served, **facts})


@dataclass(frozen=True, slots=True)
class _Grown:
    """A forest of scikit-learn, and its trees as they are served."""

    model: Any
    trees: list[Tree]
    scale: float
    fill: Float

    @classmethod
    def of(cls, x: Float, fill: Float, chosen: Mapping[str, Any], seed: int) -> _Grown:
        rows = min(chosen["rows"], len(x))
        model = library("sklearn.ensemble").IsolationForest(
            n_estimators=chosen["trees"],
            max_samples=rows,
            max_features=min(chosen["columns"], 1.0),
            random_state=seed % 2**32,
        )
        model.fit(filled(x, fill))
        trees = [
            _tree(estimator.tree_, np.asarray(columns), fill)
            for estimator, columns in zip(model.estimators_, model.estimators_features_, strict=True)
        ]
        scale = -float(np.log(2.0)) / (len(trees) * float(_path_length(np.array([rows]))[0]))
        return cls(model, trees, scale, fill)

    def raw(self, x: Float) -> Float:
        """(n,) logarithms of the scores."""
        found: Float = np.log(-self.model.score_samples(filled(x, self.fill)))
        return found


def _without_strangest(
    grown: _Grown, x: Float, fill: Float, chosen: Mapping[str, Any], seed: int, share: float
) -> tuple[_Grown, float]:
    """A forest of the rows without the strangest share, and the logarithm of the score that this share exceeds."""
    raw = grown.raw(x)
    kept = x[raw <= np.quantile(raw, 1.0 - share)]
    again = _Grown.of(kept, fill, chosen, seed) if len(kept) >= 2 else grown
    return again, float(np.quantile(again.raw(x), 1.0 - share))


def _chosen_contamination(
    x: Float, y: Float, fill: Float, chosen: Mapping[str, Any], seed: int, progress: Progress
) -> tuple[float, dict[str, Any]]:
    """The contamination, and what each of them came to."""
    grid = sorted(set(chosen["contamination"]))
    if not all(0.0 < share <= 0.5 for share in grid):
        raise BadSetting("isolation_forest: a contamination is above 0, and at most .5")
    if len(x) < _ROWS_MIN:
        raise BadSetting(f"isolation_forest: contamination is chosen among at least {_ROWS_MIN} rows, not {len(x)}")
    first, second = int(_TRAIN * len(x)), int(_CHOOSE * len(x))
    learn, choose, measure = slice(0, first), slice(first, second), slice(second, len(x))
    start = _Grown.of(x[learn], fill, chosen, seed)
    tried = []
    for place, share in enumerate(grid):
        progress("isolation forest", (place + 1) / (len(grid) + 2))
        tried.append(_without_strangest(start, x[learn], fill, chosen, seed, share))
    flags = [forest.raw(x) >= level for forest, level in tried]
    labelled = bool(0 < np.nansum(y[choose]) < np.count_nonzero(~np.isnan(y[choose])))
    figures = [_figures(share, flag[choose], y[choose]) for share, flag in zip(grid, flags, strict=True)]
    best = max(range(len(grid)), key=lambda place: figures[place]["f1"] if labelled else -figures[place]["apart"])
    facts = {"grid": figures, "chosen_by": "f1" if labelled else "apart"}
    return grid[best], {**facts, "held_out": _figures(grid[best], flags[best][measure], y[measure])}


def _figures(share: float, flags: NDArray[np.bool_], y: Float) -> dict[str, float]:
    """The share that is flagged, how far it is from the contamination (a logarithm), and F1; 0 without outcomes."""
    flagged = float(flags.mean())
    apart = abs(float(np.log((flagged + 0.5 / len(flags)) / share)))
    hits, found = float(np.nansum(y * flags)), float(np.count_nonzero(flags & ~np.isnan(y)) + np.nansum(y))
    return {"contamination": share, "flagged": flagged, "apart": apart, "f1": 2.0 * hits / found if found else 0.0}


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
