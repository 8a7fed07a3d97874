"""Small apps with a bundle each that together have every kind of part, so that a case of corruption costs little."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from homeostat.models.bundle import Bundle, save_bundle
from homeostat.models.training.flatten import Tree, flatten
from homeostat.models.training.network import network_graph
from homeostat.records.parts import Part
from homeostat.stats.categories import SETTING, Encoder, Encoding, written

_APP = """
homeostat: 1
app: small
currency: EUR
events:
  id: {name: event_id}
  time: {name: time}
  entities: {customer: {}}
  fields:
    amount: {type: number}
    country: {type: category}
  label: {name: fraud}
  lateness: 1h
features:
  windows:
    - entity: customer
      lengths: [1d]
      compute: {"count_{length}": count, "mean_{length}": mean(amount)}
  derived: {large: amount > 10}
scorers:
  {scorer}
  rules: {kind: rules, rules: [{name: large, when: large, score: 0.9}]}
fusion: {kind: learned}
actions: [allow, challenge, block]
costs:
  allow: {positive: amount, negative: "0"}
  challenge: {positive: 0.2 * amount, negative: "1"}
  block: {positive: "0", negative: "5"}
policy: {kind: thresholds}
guards: {fallback: {scorers_absent: challenge, policy: thresholds}}
outcomes: {label: fraud, delay: 7d, censoring: [block]}
"""
SCORERS = {
    "boosted": "boosted: {kind: boosted_trees, features: [amount, country, large, count_1d]}",
    "forest": "forest: {kind: isolation_forest, features: [amount, mean_1d]}",
    "network": "network: {kind: network, features: [amount, country, mean_1d]}",
}
_BLOCK, _HIDDEN, _TREES = 8, 5, 3
_ENCODINGS = {
    "boosted": {"country": Encoding("target", ("DE", "FR", "é"), (0.1, 0.2, 0.3), 0.15)},
    "network": {"country": Encoding("one_hot", ("DE", "FR"))},
}


def small_app(scorer: str) -> str:
    """The file of the app with one of the scorers, and rules."""
    return _APP.replace("{scorer}", SCORERS[scorer])


def small_bundle(out: Path, scorer: str, features: tuple[str, ...], definitions: Mapping[str, str], ppo: bytes) -> None:
    """Write the bundle of an app above; the same bytes at each call.

    ppo : the ONNX graph of a policy of three actions without context
    """
    rng = np.random.default_rng(0)
    reads = tuple(SCORERS[scorer].partition("[")[2].rstrip("]}").split(", "))
    parts = {
        f"scorer.{scorer}": _network(rng, reads) if scorer == "network" else _trees(rng, scorer, reads),
        "fusion": _fusion(rng, (scorer, "rules")),
        "policy.ppo": Part("ppo", (), {}, {"model": ppo}, {"seed": 0}),
    }
    save_bundle(Bundle("small", features, {"rows": 100, "note": "é"}, parts, definitions=definitions), out)


def _encoded(features: tuple[str, ...], scorer: str) -> tuple[tuple[str, ...], dict[str, object]]:
    """The columns that a scorer's model sees, and the setting that says so."""
    encodings = _ENCODINGS.get(scorer)
    if encodings is None:
        return features, {}
    encoder = Encoder(features, np.arange(len(features)), encodings, lambda text: float(len(text)))
    return encoder.names, {SETTING: written(encodings)}


def _trees(rng: np.random.Generator, scorer: str, features: tuple[str, ...]) -> Part:
    columns, setting = _encoded(features, scorer)
    arrays = flatten([_tree(rng, len(columns)) for _ in range(_TREES)])
    kind = "boosted_trees" if scorer == "boosted" else "isolation_forest"
    return Part(kind, features, arrays, {}, {"base": -0.3, "scale": 0.8, "trees": _TREES, **setting})


def _tree(rng: np.random.Generator, columns: int) -> Tree:
    """A root, two inner nodes below it, and five leaves, one of them a level deeper."""
    left = np.array([1, 3, 5, 7, -1, -1, -1, -1, -1])
    right = np.where(left < 0, -1, left + 1)
    n = len(left)
    return Tree(
        left, right, rng.integers(0, columns, n), rng.normal(5, 3, n).astype(np.float32), rng.random(n) < 0.5,
        rng.normal(size=n), rng.random(n) * 50 + 1,
    )  # fmt: skip


def _network(rng: np.random.Generator, features: tuple[str, ...]) -> Part:
    columns, setting = _encoded(features, "network")
    wide = (len(columns), _HIDDEN, 1)
    layers = [
        (rng.normal(size=pair).astype(np.float32), rng.normal(size=pair[1]).astype(np.float32))
        for pair in pairwise(wide)
    ]
    n = len(columns)
    transform = {
        "fill": np.zeros(n), "logarithmic": (np.arange(n) % 2).astype(np.uint8), "center": np.ones(n),
        "scale": np.ones(n),
    }  # fmt: skip
    flat = np.concatenate([array.ravel() for layer in layers for array in layer])
    settings = {"members": 1, "block": _BLOCK, "clip": 8.0, **setting}
    graph = network_graph([layers], _BLOCK)
    return Part(
        "network", features, {**transform, "sizes": np.array(wide, np.int64), "weights": flat}, {"network": graph},
        settings,
    )  # fmt: skip


def _fusion(rng: np.random.Generator, scorers: tuple[str, ...]) -> Part:
    s = len(scorers)
    there = (np.arange(1 << s)[:, None] >> np.arange(s)) & 1
    arrays = {"weights": rng.random((1 << s, s)) * there, "reference": np.full((1 << s, s), -2.0)}
    return Part("learned_fusion", scorers, arrays, {}, {"base": -2.0, "limit": 20.0, "bend": 12.0, "ridge": 0.1})
