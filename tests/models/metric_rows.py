"""Rows of metrics with hours and weekdays, some of them anomalies."""

from __future__ import annotations

import numpy as np

from homeostat.models.training_set import TrainingSet
from homeostat.records.identity import category_code

METRICS = ("cpu", "requests", "memory", "latency")
NAMES = (*METRICS, "host", "hour", "weekday")
HOSTS = {f"h{k}": category_code(f"h{k}") for k in range(3)}
_STEP_NS = 10 * 60 * 10**9
_SHIFT = (40.0, -120.0, 15.0, 150.0)


def metric_rows(days: int = 14, seed: int = 0, anomalies: int = 0, labelled: bool = False) -> TrainingSet:
    """Three hosts with a daily and weekly season, ten minutes a step; `anomalies` of an hour each a host."""
    rng = np.random.default_rng(seed)
    n = days * 144
    time_ns = np.arange(n) * _STEP_NS
    hour, weekday = (time_ns // (3600 * 10**9)) % 24, (time_ns // (86_400 * 10**9)) % 7
    parts = []
    for k, code in enumerate(HOSTS.values()):
        load = 50 + 10 * k + 30 * np.sin(2 * np.pi * (hour - 9) / 24) * (weekday < 5) + rng.normal(0, 2, n)
        x = np.column_stack([
            load + rng.normal(0, 2, n), 3 * load + rng.normal(0, 5, n), 40 + 5 * k + rng.normal(0, 1, n),
            np.exp(rng.normal(3, 0.3, n)), np.full(n, code), hour, weekday,
        ])  # fmt: skip
        y = np.zeros(n)
        for start in rng.integers(0, n - 6, anomalies):
            metric = rng.integers(0, 4)
            x[start : start + 6, metric] += _SHIFT[metric]
            y[start : start + 6] = 1.0
        parts.append((x, y))
    order = np.argsort(np.tile(time_ns, len(HOSTS)), kind="stable")
    x, y = (np.concatenate(column)[order] for column in zip(*parts, strict=True))
    return TrainingSet(
        NAMES, x, y if labelled else np.full(len(y), np.nan), np.tile(time_ns, len(HOSTS))[order],
        np.arange(len(y)), np.repeat(np.arange(len(HOSTS)), n)[order], frozenset({"host"}),
        {code: text for text, code in HOSTS.items()},
    )  # fmt: skip
