"""Peers of the series benchmarks, in an environment of their own, and the volume under the surface for all.

    PYTHON benchmarks/peer_series.py FOLDER      # NAME.npz: train, test (rows, metrics), label (rows,), ours (rows,)

Needs pyod, scikit-learn, pandas and `tsb-ad==1.5` (of which only the measure is imported: its models want much more).
The peers learn from `train` and score each row of `test` from rows up to it. Prints JSON: name -> detector -> VUS-PR.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

WINDOW, CLUSTERS = 20, 20  # Of KMeansAD, as the package has them.
TREES, SAMPLE = 100, 256


def measure() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The package's curve and its rule for the window, without its models."""
    spec = find_spec("TSB_AD")
    assert spec is not None and spec.submodule_search_locations
    for name in ("TSB_AD", "TSB_AD.evaluation", "TSB_AD.utils"):
        module = ModuleType(name)
        module.__path__ = [str(Path(spec.submodule_search_locations[0], *name.split(".")[1:]))]
        sys.modules[name] = module
    from TSB_AD.evaluation.basic_metrics import generate_curve
    from TSB_AD.utils.slidingWindows import find_length_rank

    return generate_curve, find_length_rank


def windows(x: np.ndarray) -> np.ndarray:
    """(n, WINDOW * metrics) the rows up to each; the first ones repeat the first row."""
    padded = np.concatenate([np.repeat(x[:1], WINDOW - 1, axis=0), x])
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0).reshape(len(x), -1)


def extended_forest(train: np.ndarray, test: np.ndarray, seed: int = 0) -> np.ndarray:
    """Isolation by random hyperplanes. Source: Hariri, Kind, Brunner (2021), IEEE TKDE 33, 1479-1489."""
    rng = np.random.default_rng(seed)
    depths = np.zeros(len(test))
    limit = int(np.ceil(np.log2(SAMPLE)))

    def rest(n: int) -> float:
        return 0.0 if n <= 1 else 2.0 * (np.log(n - 1) + 0.5772156649) - 2.0 * (n - 1) / n if n > 2 else 1.0

    def descend(rows: np.ndarray, asked: np.ndarray, depth: int) -> None:
        low, high = rows.min(axis=0), rows.max(axis=0)
        if depth >= limit or len(rows) <= 1 or (low == high).all():
            depths[asked] += depth + rest(len(rows))
            return
        normal, point = rng.normal(size=rows.shape[1]), rng.uniform(low, high)
        left, asked_left = (rows - point) @ normal <= 0, (test[asked] - point) @ normal <= 0
        for side, theirs in ((left, asked_left), (~left, ~asked_left)):
            if side.any():
                descend(rows[side], asked[theirs], depth + 1)
            else:
                depths[asked[theirs]] += depth + 1

    for _ in range(TREES):
        descend(train[rng.choice(len(train), min(SAMPLE, len(train)), replace=False)], np.arange(len(test)), 0)
    return -depths


def peers(train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Each peer's scores of the test rows."""
    from pyod.models.iforest import IForest
    from pyod.models.pca import PCA
    from sklearn.cluster import KMeans
    from sklearn.covariance import EmpiricalCovariance

    centre, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread < 1e-6, 1.0, spread)
    one, other = (train - centre) / spread, (test - centre) / spread
    means = KMeans(CLUSTERS, n_init=1, random_state=0).fit(windows(one)[:: max(1, len(one) // 20_000)])
    return {
        "PCA": PCA(random_state=0).fit(one).decision_function(other),
        "KMeansAD": means.transform(windows(other)).min(axis=1),
        "extended isolation forest": extended_forest(one, other),
        "isolation forest": IForest(n_estimators=TREES, random_state=0).fit(one).decision_function(other),
        "Mahalanobis": EmpiricalCovariance().fit(one).mahalanobis(other),
    }


def main() -> None:
    curve, length = measure()
    found: dict[str, dict[str, float]] = {}
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        data = np.load(path)
        train, test, label = data["train"], data["test"], data["label"].astype(int)
        window = length(test[:, 0].reshape(-1, 1))
        found[path.stem] = {}
        for name, score in {"ours": data["ours"], **peers(train, test)}.items():
            held = np.nan_to_num(score)
            scaled = (held - held.min()) / max(float(np.ptp(held)), 1e-12)
            found[path.stem][name] = float(curve(label, scaled, window, "opt", 250)[7])
        print(path.stem, found[path.stem], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
