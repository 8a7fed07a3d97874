"""Frames of services' metrics without a library of frames: they offer columns, index and to_numpy, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

Key = tuple[Hashable, Hashable]


class PlainFrame:
    """The little of a data frame that is read."""

    def __init__(self, columns: Mapping[Any, Sequence[Any] | np.ndarray], index: Sequence[Any] | None = None) -> None:
        self.columns = list(columns)
        self.cells = [list(column) for column in columns.values()]
        self.index = list(range(len(self.cells[0]) if self.cells else 0)) if index is None else list(index)

    def to_numpy(self) -> np.ndarray:
        cells = np.empty((len(self.index), len(self.cells)), dtype=object)
        for place, column in enumerate(self.cells):
            cells[:, place] = column
        return cells


class Shop:
    """A shop calls `pay` for half of its requests, and `stock` for all; `pay` calls `bank`. Times add up.

    moved : factors of nodes' own times
    """

    GRAPH = (("shop", "pay"), ("shop", "stock"), ("pay", "bank"))

    def __init__(self, seed: int = 0) -> None:
        self.chance = np.random.default_rng(seed)

    def columns(
        self, rows: int, more: Mapping[str, Any] = {}, errors: Mapping[str, Any] = {}, moved: Mapping[str, float] = {}
    ) -> dict[Key, np.ndarray]:
        """more : seconds, by node and row; errors : shares of requests that fail, by node and row"""
        counts = {"shop": self.chance.poisson(400, rows)}
        counts |= {"stock": counts["shop"], "pay": self.chance.binomial(counts["shop"], 0.5)}
        counts["bank"] = counts["pay"]
        time, good = {}, {}
        usual = {"shop": 0.02, "pay": 0.01, "stock": 0.03, "bank": 0.05}
        for node in ("bank", "pay", "stock", "shop"):
            own = usual[node] * moved.get(node, 1.0) * self.chance.normal(1, 0.05, rows) + np.asarray(
                more.get(node, 0.0)
            )
            called = [callee for caller, callee in self.GRAPH if caller == node]
            share = {callee: counts[callee] / counts[node] for callee in called}
            time[node] = own + sum(share[callee] * time[callee] for callee in called)
            own_good = 1 - np.asarray(errors.get(node, 0.0)) - 0.001 * (self.chance.random(rows) < 0.2)
            good[node] = own_good - sum(share[callee] * (1 - good[callee]) for callee in called)
        found: dict[Key, np.ndarray] = {}
        for node in counts:
            found[node, "requests"] = counts[node].astype(float)
            found[node, "latency"] = time[node]
            found[node, "availability"] = 100 * good[node]
        return found
