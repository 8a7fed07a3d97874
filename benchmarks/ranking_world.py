"""Made-up services that call each other, with faults of known cause: the world of `benchmarks.ranking`.

A graph has 10 to 60 nodes. Each node but the entry is called by one or two others, so and so many times a request. Time
and failures add up along calls. Half of the worlds lie months apart from their normal period: other request levels,
some nodes' levels moved for good, so that only movement within the window speaks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.records.arrays import Float, Mask

NAMES = (
    ("requests_Sum", "latency_Average", "latency_p95", "availability_Average"),
    ("call count", "mean duration", "duration 0.95", "success ratio"),
    ("m1", "m2", "m3", "m4"),
)
FAULTS = ("delay", "errors", "overload")
Frame = dict[tuple[str, str], Float]


@dataclass(frozen=True, slots=True)
class Case:
    """Two frames, a graph, the metric that went wrong, and the cause, None if nothing is wrong."""

    normal: Any
    anomalous: Any
    graph: list[tuple[str, str]]
    target: tuple[Hashable, Hashable]
    cause: str | None
    fault: str


class Services:
    """Services of one seed.

    calls : float64[callers, callees], calls for each request
    handed : the share of a callee's failures that fails its caller
    own : seconds that a request takes in each node itself
    """

    def __init__(self, seed: int) -> None:
        self.chance = chance = np.random.default_rng(seed)
        self.nodes = nodes = int(chance.integers(10, 61))
        self.calls = np.zeros((nodes, nodes))
        for node in range(1, nodes):
            callers = chance.choice(node, size=min(node, int(chance.integers(1, 3))), replace=False)
            self.calls[callers, node] = chance.uniform(0.2, 2.0, callers.size) / max(1, callers.size)
        self.handed = np.where(chance.random((nodes, nodes)) < 0.5, 1.0, chance.uniform(0.3, 1.0, (nodes, nodes)))
        self.own = chance.lognormal(-4.0, 1.0, nodes)
        self.varying = chance.uniform(0.3, 1.5, nodes)
        self.failing = np.where(chance.random(nodes) < 0.2, chance.uniform(0.0, 0.02, nodes), 0.0)
        self.rate = float(chance.uniform(100, 2000))
        self.names = NAMES[seed % len(NAMES)]

    def moved(self) -> None:
        """Months pass: another request level, and other levels of a fifth of the nodes."""
        some = self.chance.random(self.nodes) < 0.2
        self.rate *= float(self.chance.uniform(0.6, 1.6))
        self.own = np.where(some, self.own * self.chance.uniform(0.5, 2.0, self.nodes), self.own)
        self.failing = np.where(some & (self.failing > 0), self.chance.uniform(0.0, 0.05, self.nodes), self.failing)

    def rows(
        self, rows: int, cause: int | None = None, active: Any = 0.0, more: float = 0.0, errors: float = 0.0
    ) -> Any:
        """A frame of so many rows.

        active : by row, how much of the fault acts
        more : seconds that the fault adds to a request of the cause
        errors : the share of the cause's requests that the fault lets fail
        """
        import pandas as pd

        chance, nodes = self.chance, self.nodes
        active = np.broadcast_to(active, rows)
        counts, times, fails = (np.zeros((rows, nodes)) for _ in range(3))
        counts[:, 0] = chance.poisson(self.rate * (1 + 0.15 * np.sin(np.arange(rows) / 40)))
        for node in range(1, nodes):
            counts[:, node] = chance.poisson(counts[:, :node] @ self.calls[:node, node])
        for node in reversed(range(nodes)):
            alone = chance.gamma(*self._shape(counts[:, node], node))
            rate = np.full(rows, self.failing[node])
            if node == cause:
                alone, rate = alone + active * more, rate + active * errors
            with np.errstate(divide="ignore", invalid="ignore"):
                worth = np.where(counts[:, node, None] > 0, self.calls[node], 0.0)
            times[:, node] = alone + times @ self.calls[node]
            good = np.prod(1 - np.minimum(fails * self.handed[node] * np.minimum(worth, 1.0), 1.0), axis=1)
            fails[:, node] = chance.binomial(counts[:, node].astype(int), np.clip(1 - good * (1 - rate), 0, 1))
            fails[:, node] /= np.maximum(counts[:, node], 1)
        return pd.DataFrame(self._frame(counts, times, fails), index=pd.RangeIndex(rows))

    def _shape(self, counts: Float, node: int) -> tuple[Float, Float]:
        """Of the gamma distribution that the average of so many requests has."""
        shape = np.maximum(counts, 1) / self.varying[node] ** 2
        return shape, self.own[node] / shape

    def _frame(self, counts: Float, times: Float, fails: Float) -> Frame:
        """Cells of nodes that nobody called are missing, and one cell in fifty of the others."""
        top = 1.0 if "ratio" in self.names[3] else 100.0
        tail = times * self.chance.gamma(40, 2 / 40, times.shape)
        frame: Frame = {}
        for name, values in zip(self.names, (counts, times, tail, top * (1 - fails)), strict=True):
            gone: Mask = self.chance.random(values.shape) < 0.02
            if name != self.names[0]:
                gone |= counts == 0
            cells = np.where(gone, np.nan, values)
            frame |= {(f"n{node}", name): cells[:, node] for node in range(self.nodes)}
        return frame


def made(seed: int, faulty: bool, rows: int = 400, window: int = 5) -> Case:
    """A case of a seed.

    Most faults begin in the second or third row of the window. Where no level moved, three in ten last for all of it.
    A fault that does not show at the entry is drawn again, since no one would have asked for its cause.
    """
    services = Services(seed)
    chance = np.random.default_rng([seed, 1])
    graph = [(f"n{a}", f"n{b}") for a, b in np.argwhere(services.calls > 0)]
    normal = services.rows(rows)
    target = ("n0", services.names[1 if seed % 2 else 3])
    if not faulty:
        return Case(normal, services.rows(window), graph, target, None, "none")
    if moved := seed // 2 % 2 == 1:
        services.moved()
    fault = ("delay", "overload")[seed // 4 % 2] if seed % 2 else "errors"
    noise, often = normal[target].std(), _often(services.calls)
    while True:
        cause = int(chance.integers(services.nodes))
        active = np.ones(window)
        if moved or chance.random() < 0.7:
            active[: chance.integers(1, 3)] = 0.0
            active[np.argmax(active > 0)] = chance.uniform(0.2, 1.0)
        more = noise * np.exp(chance.uniform(np.log(4), np.log(40))) / often[cause] if seed % 2 else 0.0
        errors = np.exp(chance.uniform(np.log(0.03), np.log(0.9))) if fault == "errors" else 0.0
        errors += 0.05 if fault == "overload" else 0.0
        anomalous = services.rows(window, cause, active, more, errors)
        usual = services.rows(window)[target].mean()
        if abs(anomalous[target] - usual).max() > 4 * noise:
            return Case(normal, anomalous, graph, target, f"n{cause}", fault)


def _often(calls: Float) -> Float:
    """How many times each node is called for a request of the entry."""
    often = np.zeros(len(calls))
    often[0] = 1.0
    for node in range(1, len(calls)):
        often[node] = often[:node] @ calls[:node, node]
    return often
