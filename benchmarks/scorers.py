"""Scores a second of each served form, against the libraries that trained it, on the same rows in one run.

    python benchmarks/scorers.py [--rows N] [--json]

Microseconds a row in a large batch and alone, one thread, best of several runs; the ratio is the library's time over
ours. Contributions are measured too, against `shap`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from homeostat.decide.scorers.build import serve_part
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.isolation_forest import train_isolation_forest
from homeostat.models.training.network import train_network
from homeostat.records.features import Features

NAMES = tuple(f"f{k}" for k in range(40))
TARGETS = {"isolation forest": (1.5, 15.0), "boosted trees, depth 4": (1.0, 15.0), "network": (0.3, 20.0)}


def best_us(run: Callable[[], object], rows: int, seconds: float = 0.6) -> float:
    """The shortest of several runs, in microseconds a row."""
    run()
    shortest, end = np.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - start)
        if time.perf_counter() > end:
            return shortest / rows * 1e6


def measure(rows: int) -> list[dict[str, object]]:
    import shap
    import torch
    import xgboost
    from sklearn.ensemble import IsolationForest

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, len(NAMES)))
    y = (rng.random(rows) < 1 / (1 + np.exp(3 - 2 * x[:, 0] - x[:, 1] * x[:, 2]))).astype(float)
    learn, few = slice(0, 8000), 200
    x32 = x.astype(np.float32)

    def features(values: np.ndarray) -> Features:
        return Features(NAMES, values, np.zeros(values.shape, np.uint8))

    table: list[dict[str, object]] = []

    def add(name, part, batch_of, one_of, explain):
        scorer = serve_part("s", part, NAMES)
        whole, one, some = features(x), features(x[:1].copy()), features(x[:few].copy())
        ours = best_us(lambda: scorer.score(whole), rows), best_us(lambda: scorer.score(one), 1)
        theirs = best_us(batch_of, rows), best_us(one_of, 1)
        mine, peer = best_us(lambda: scorer.contributions(some), few), best_us(explain, few) if explain else None
        targets = TARGETS.get(name, (None, None))
        table.append({
            "scorer": name, "batch_us": ours[0], "one_us": ours[1], "library_batch_us": theirs[0],
            "library_one_us": theirs[1], "batch_ratio": theirs[0] / ours[0], "one_ratio": theirs[1] / ours[1],
            "contributions_us": mine, "library_contributions_us": peer, "target_batch_us": targets[0],
            "target_one_us": targets[1],
        })  # fmt: skip

    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=0).fit(x[learn])
    explainer = shap.TreeExplainer(forest)
    add("isolation forest", train_isolation_forest(x[learn], y[learn], NAMES, {"trees": 100}, 0),
        lambda: forest.score_samples(x), lambda: forest.score_samples(x[:1]),
        lambda: explainer.shap_values(x[:few]))  # fmt: skip
    for depth in (4, 5):
        params = {"objective": "binary:logistic", "tree_method": "exact", "base_score": 0.5, "eta": 0.1, "nthread": 1}
        booster = xgboost.train({**params, "max_depth": depth}, xgboost.DMatrix(x[learn], label=y[learn]), 300)
        add(f"boosted trees, depth {depth}",
            train_boosted(x[learn], y[learn], NAMES, {"trees": 300, "depth": depth}, 0),
            lambda b=booster: b.inplace_predict(x32), lambda b=booster: b.inplace_predict(x32[:1]),
            lambda b=booster: b.predict(xgboost.DMatrix(x32[:few]), pred_contribs=True))  # fmt: skip
    part = train_network(x[learn], y[learn], NAMES, {"epochs": 1, "hidden": (64, 32), "members": 1}, 0)
    layers, flat, at = [], part.arrays["weights"], 0
    for wide, narrow in ((40, 64), (64, 32), (32, 1)):
        layer = torch.nn.Linear(wide, narrow)
        layer.weight.data = torch.from_numpy(flat[at : at + wide * narrow].reshape(wide, narrow).T.copy())
        layer.bias.data = torch.from_numpy(flat[at + wide * narrow : at + (wide + 1) * narrow].copy())
        at += (wide + 1) * narrow
        layers += [layer, torch.nn.ReLU()]
    model, tensor = torch.nn.Sequential(*layers[:-1]), torch.from_numpy(x32)
    with torch.inference_mode():
        add("network", part, lambda: model(tensor), lambda: model(tensor[:1]), None)
    return table


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rows", type=int, default=50_000)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    table = measure(chosen.rows)
    if chosen.json:
        json.dump(table, sys.stdout, indent=1)
        print()
        return
    print(f"{'us a row, one thread':24}" + "".join(f"{heading:>9}" for heading, _ in COLUMNS))
    for row in table:
        cells = ("-" if row[key] is None else f"{row[key]:.2f}" for _, key in COLUMNS)
        print(f"{row['scorer']:24}" + "".join(f"{cell:>9}" for cell in cells))


COLUMNS = (
    ("batch", "batch_us"), ("target", "target_batch_us"), ("library", "library_batch_us"), ("ratio", "batch_ratio"),
    ("alone", "one_us"), ("target", "target_one_us"), ("library", "library_one_us"), ("ratio", "one_ratio"),
    ("explain", "contributions_us"), ("library", "library_contributions_us"),
)  # fmt: skip


if __name__ == "__main__":
    main()
