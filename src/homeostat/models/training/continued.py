"""Boosted trees that go on learning: new trees on top of those that a part has, fitted to what these get wrong.

With few new rows, this keeps what the old trees know. It needs a fraction of the time: splits are sought among 256 bins
of each feature, and rare values are known to the old trees already.
Source: Friedman (2001), Annals of Statistics 29, 1189-1232, for boosting from any first model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from homeostat.models.training.boosted_trees import DEFAULTS, parameters, tree_of
from homeostat.models.training.extras import at_least, library, read_settings
from homeostat.models.training.flatten import flatten
from homeostat.records.arrays import Float
from homeostat.records.parts import Part


def continue_boosted(
    start: Part, margin: Float, x: Float, y: Float, settings: Mapping[str, Any], seed: int
) -> Part:  # fmt: skip
    """The part `start` with more trees.

    margin : (n,) what its trees say of the rows, as log-odds
    x : (n, features of the part), NaN where missing; y : (n,) of 0 and 1
    settings : of the new trees, as in `train_boosted`; there is one bag
    """
    chosen = read_settings("boosted_trees", DEFAULTS, settings)
    at_least("boosted_trees", chosen, trees=1, depth=1, rate=1e-9)
    xgboost = library("xgboost")
    matrix = xgboost.DMatrix(x, label=y, base_margin=margin, nthread=chosen["threads"])
    asked = {**parameters(chosen, seed % 2**31), "tree_method": "hist"}
    booster = xgboost.train(asked, matrix, num_boost_round=chosen["trees"])
    model = json.loads(booster.save_raw("json"))["learner"]
    made: dict[str, Any] = flatten([tree_of(one) for one in model["gradient_booster"]["model"]["trees"]])
    old: Mapping[str, Any] = start.arrays
    scale = float(start.settings["scale"])
    nodes = len(old["feature"])
    arrays = {name: np.concatenate([old[name], made[name]]) for name in made if name not in ("start", "left", "value")}
    arrays |= {
        "start": np.concatenate([old["start"], made["start"][1:] + np.int32(nodes)]),
        "left": np.concatenate([old["left"], made["left"] + np.int32(nodes)]),
        "value": np.concatenate([old["value"] * scale, made["value"]]),
    }
    return replace(start, arrays=arrays, settings={**start.settings, "scale": 1.0, "seed": seed})


def log_odds(score: Float) -> Float:
    """(n,) scores of boosted trees as log-odds."""
    inside = np.clip(score, 1e-12, 1 - 1e-12)
    found: Float = np.log(inside) - np.log1p(-inside)
    return found
