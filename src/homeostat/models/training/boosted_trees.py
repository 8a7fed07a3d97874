"""Boosted trees, trained by XGBoost with exact splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from homeostat.models.training.extras import at_least, library, read_settings
from homeostat.models.training.flatten import Tree, flatten
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Float
from homeostat.records.parts import Part

# Exact splits and a base score of 0.5 are not settings: histograms lump rare large values into one bin, and a fitted
# base score starts so low that the first trees' Hessians starve rare frauds; both cost precision on rare events.
DEFAULTS: dict[str, Any] = {
    "trees": 100,
    "depth": 3,
    "rate": 0.1,
    "rows": 1.0,
    "columns": 1.0,
    "columns_level": 1.0,
    "columns_node": 1.0,
    "leaf_weight_min": 1.0,
    "leaf_weight_step_max": 0.0,
    "gamma": 0.0,
    "l1": 0.0,
    "l2": 1.0,
    "positive_weight": 1.0,
    "bags": 1,
    "bag_rows": 1.0,
    "parallel_trees": 1,
    "threads": 1,  # Exact splits gain little from more, and on a busy machine waiting threads eat what others need.
}


def train_boosted(
    x: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any], seed: int, progress: Progress = silent
) -> Part:
    """Train on `x` (n, features), NaN where missing, and `y` (n,) of 0 and 1.

    Settings: trees, depth, rate; rows, columns, columns_level, columns_node, the shares sampled for each tree, level
    and node; leaf_weight_min (Hessian), leaf_weight_step_max, gamma, l1, l2; positive_weight; bags, how many models
    of different seeds are averaged in log-odds, each on a share bag_rows of the rows; parallel_trees; threads.
    """
    chosen = read_settings("boosted_trees", DEFAULTS, settings)
    at_least("boosted_trees", chosen, trees=1, depth=1, rate=1e-9, bags=1, bag_rows=1e-9, parallel_trees=1, threads=1)
    xgboost = library("xgboost")
    trees: list[Tree] = []
    base = 0.0
    for bag in range(chosen["bags"]):
        progress("boosted trees", bag / chosen["bags"])
        bag_seed = (seed + 7919 * bag) % 2**31
        rows = _bag(len(y), chosen["bag_rows"], bag_seed)
        matrix = xgboost.DMatrix(x[rows], label=y[rows], nthread=chosen["threads"])
        booster = xgboost.train(parameters(chosen, bag_seed), matrix, num_boost_round=chosen["trees"])
        model = json.loads(booster.save_raw("json"))["learner"]
        base = _base_log_odds(model["learner_model_param"]["base_score"])
        trees += [tree_of(tree) for tree in model["gradient_booster"]["model"]["trees"]]
    progress("boosted trees", 1.0)
    kept = {name: value for name, value in chosen.items() if name != "threads"}  # Has no part in what comes out.
    return Part(
        "boosted_trees", tuple(names), flatten(trees),
        settings={**kept, "base": base, "scale": 1.0 / chosen["bags"], "seed": seed},
    )  # fmt: skip


def parameters(chosen: dict[str, Any], seed: int) -> dict[str, Any]:
    """The settings as XGBoost names them."""
    return {
        "objective": "binary:logistic",
        "tree_method": "exact",
        "base_score": 0.5,
        "max_depth": chosen["depth"],
        "eta": chosen["rate"],
        "subsample": chosen["rows"],
        "colsample_bytree": chosen["columns"],
        "colsample_bylevel": chosen["columns_level"],
        "colsample_bynode": chosen["columns_node"],
        "min_child_weight": chosen["leaf_weight_min"],
        "max_delta_step": chosen["leaf_weight_step_max"],
        "gamma": chosen["gamma"],
        "alpha": chosen["l1"],
        "lambda": chosen["l2"],
        "scale_pos_weight": chosen["positive_weight"],
        "num_parallel_tree": chosen["parallel_trees"],
        "nthread": chosen["threads"],
        "seed": seed,
        "verbosity": 0,
    }


def _bag(n: int, share: float, seed: int) -> Any:
    """All rows, or a share of them drawn without replacement, in their order."""
    if share >= 1.0:
        return slice(None)
    return np.sort(np.random.default_rng(seed).permutation(n)[: max(1, round(share * n))])


def _base_log_odds(text: str) -> float:
    """XGBoost writes its base score as a probability, in newer versions within brackets."""
    p = float(text.strip("[]"))
    return float(np.log(p / (1.0 - p)))


def tree_of(tree: dict[str, Any]) -> Tree:
    """XGBoost sends float32(x) < threshold (float32) left; a leaf keeps its value where others keep the threshold."""
    left = np.array(tree["left_children"], np.int64)
    condition = np.array(tree["split_conditions"], np.float32)
    return Tree(
        left, np.array(tree["right_children"], np.int64), np.array(tree["split_indices"], np.int64), condition,
        np.array(tree["default_left"]) == 0, condition.astype(np.float64),
        np.array(tree["sum_hessian"], np.float32).astype(np.float64),
    )  # fmt: skip
