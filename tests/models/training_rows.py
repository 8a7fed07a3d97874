"""Small seeded rows that models can learn something from."""

from __future__ import annotations

import numpy as np

from homeostat.models.training_set import TrainingSet

NAMES = ("amount", "count", "mean", "risk", "night", "ratio")


def training_rows(n: int = 1500, seed: int = 0, gaps: float = 0.05) -> TrainingSet:
    """Rows of 6 features, some with tails, some missing, and a rare outcome that three of them tell of."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NAMES)))
    x[:, 0] = np.exp(1.5 * x[:, 0])
    x[:, 4] = x[:, 4] > 1
    log_odds = 1.2 * np.log(x[:, 0]) + 1.5 * x[:, 3] * (x[:, 4] + 0.5) - 2.5
    y = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float)
    x[rng.random(x.shape) < gaps] = np.nan
    codes = np.arange(n, dtype=np.int64)
    return TrainingSet(NAMES, x, y, codes * 10**9, codes, codes // 12)
