"""Which node caused a metric to go wrong, or nobody: a ranking over a graph of calls."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.maintain.investigate.anomaly import bayes_factor, most_anomalous, surprise
from homeostat.maintain.investigate.evidence import UNREACHED, Odds, by_excess
from homeostat.maintain.investigate.excess import Metrics, Reading, quiet_rows, reading
from homeostat.maintain.investigate.frames import Key, RankingError, by_node, columns_of
from homeostat.maintain.investigate.graph import callees_of, callers
from homeostat.maintain.investigate.kinds import ADDITIVE, Kind, average_first, kinds_of
from homeostat.maintain.investigate.outstanding import reached, standing_out
from homeostat.maintain.investigate.traversal import by_traversal, either_way
from homeostat.records.arrays import Float

_FAULT = 0.25  # Odds that something is wrong at the target, before its metrics are seen.


def rank_causes(
    normal: Any, anomalous: Any, graph: Iterable[Any], target: Any = None
) -> list[tuple[Hashable | None, float]]:
    """Nodes and None, each with the probability that it caused the target's trouble, highest first.

    The probabilities add up to 1. That of None is the probability that nothing is wrong at the target. One cause is
    assumed, and the node itself is the cause where its excess is not that of the nodes it calls.

    normal : a data frame of a period in which nothing was wrong: index of times, columns (node, metric), gaps allowed
    anomalous : the same of a window to be explained, as long as a few rows
    graph : pairs (caller, callee); cycles are allowed
    target : the column (node, metric) that went wrong; None for the most anomalous one; (node, None) for the most
        anomalous one of a node and those that it calls. Without a metric, and where resources such as processor time
        are measured, the node that stands out is the cause

    Raises RankingError.
    """
    known = Known(columns_of(normal, "normal"), columns_of(anomalous, "anomalous"), graph)
    node = known.entry(target)
    if (target is None or node is not None) and known.measures_resources():
        return _by_standing_out(known, node)
    if target is None or node is not None:
        key, p_value = most_anomalous(known.courses(node))
        odds = known.odds(key)
        # The target was chosen because it stands out, so only how rare this is counts, not how well it is explained.
        prior = np.log(_FAULT * bayes_factor(p_value)) - _log_sum(list(odds.values()))
    else:
        key = known.checked(target)
        odds = known.odds(key)
        p_value = known.surprise(key)
        near = sum(one > UNREACHED for one in odds.values())
        prior = np.log(_FAULT * bayes_factor(p_value) / near)
    logs: dict[Hashable | None, float] = {None: 0.0} | {node: one + prior for node, one in odds.items()}
    return _shares(logs)


def _by_standing_out(known: Known, node: Hashable | None) -> list[tuple[Hashable | None, float]]:
    nodes = list(known.calls) if node is None else sorted(reached(node, known.calls), key=str)
    odds = standing_out(known.normal, known.window, known.calls, known.kinds, nodes)
    logs: dict[Hashable | None, float] = {None: 0.0}
    logs |= {one: float(np.log(max(odds.get(one, 0.0), 1e-12))) for one in known.calls}
    return _shares(logs)


def _shares(logs: dict[Hashable | None, float]) -> list[tuple[Hashable | None, float]]:
    """Logarithms of weights as probabilities, highest first."""
    total = _log_sum(list(logs.values()))
    found = [(node, float(np.exp(one - total))) for node, one in logs.items()]
    return sorted(found, key=lambda one: (-one[1], str(one[0])))


def _log_sum(logs: list[float]) -> float:
    """The logarithm of the sum of exponentials."""
    highest = max(logs)
    return highest + float(np.log(sum(np.exp(one - highest) for one in sorted(logs))))


@dataclass(slots=True, init=False)
class Known:
    """Both frames and the graph, by node.

    shared : the columns with values in both periods, in order of their names
    """

    normal: dict[Hashable, dict[Hashable, Float]]
    window: dict[Hashable, dict[Hashable, Float]]
    calls: dict[Hashable, tuple[Hashable, ...]]
    kinds: Mapping[Hashable, Kind]
    shared: list[Key]

    def __init__(self, before: dict[Key, Float], during: dict[Key, Float], graph: Iterable[Any]) -> None:
        both = (key for key in before if key in during)
        usable = (key for key in both if np.isfinite(before[key]).any() and np.isfinite(during[key]).any())
        self.shared = sorted(usable, key=str)
        if not self.shared:
            raise RankingError("normal and anomalous share no column with values")
        self.normal, self.window = by_node(before), by_node(during)
        self.calls = callees_of(graph, sorted(self.window, key=str))
        self.kinds = kinds_of({**during, **before})

    def checked(self, target: Any) -> Key:
        """The target, which has to have values in both periods. Raises RankingError."""
        for key in self.shared:
            if key == target:
                return key
        raise RankingError(f"the target {target!r} is no column with values in both normal and anomalous")

    def entry(self, target: Any) -> Hashable | None:
        """The node of a target that names no metric, None for any other target. Raises RankingError."""
        if not isinstance(target, tuple) or len(target) != 2 or target[1] is not None:
            return None
        if target[0] not in {node for node, _ in self.shared}:
            raise RankingError(f"the target {target[0]!r} is no node with values in both normal and anomalous")
        return target[0]  # type: ignore[no-any-return]

    def measures_resources(self) -> bool:
        """True if a node's own resources are among the metrics."""
        return any(self.kinds[metric] is Kind.RESOURCE for _, metric in self.shared)

    def reading(self, node: Hashable, metric: Hashable) -> Reading | None:
        """A node's metric like this one, None if it has none."""
        empty: Metrics = {}
        return reading(self.normal.get(node, empty), self.window.get(node, empty), self.kinds, metric)

    def odds(self, target: Key) -> Odds:
        """The log odds of each node; of a target's tail, those of its average, since only averages add up."""
        node, metric = target
        if self.kinds[metric] not in ADDITIVE:
            calls = callers(self.calls) if self.kinds[metric] is Kind.COUNT else self.calls
            return by_traversal(node, self.normal, self.window, calls)
        like = (other for one, other in self.shared if one == node and self.kinds[other] is self.kinds[metric])
        average = average_first(like)[0]
        readings = {one: self.reading(one, average) for one in self.calls}
        first = readings[node]
        assert first is not None
        quiet = quiet_rows(first.a_request())
        courses = {one: read.course(quiet) for one, read in readings.items() if read is not None}
        return by_excess(node, courses, self.calls)

    def surprise(self, target: Key) -> float:
        """The p-value of the target's window."""
        node, metric = target
        first = self.reading(node, metric)
        if first is None or self.kinds[metric] not in ADDITIVE:
            return surprise(either_way(self.normal[node], self.window[node], metric))
        return surprise(first.a_request())

    def courses(self, only: Hashable | None = None) -> dict[Key, Any]:
        """The metrics among which the most anomalous one is looked for: of each node one for time and one for failures.

        All metrics if none of them is of these kinds.

        only : a node whose metrics alone count, None for every node
        """
        found: dict[Key, Any] = {}
        shared = [key for key in self.shared if only is None or key[0] == only]
        for node, metric in shared:
            kind = self.kinds[metric]
            alike = [other for one, other in self.shared if one == node and self.kinds[other] is kind]
            if kind in ADDITIVE and metric == average_first(alike)[0] and (read := self.reading(node, metric)):
                found[node, metric] = read.course(np.zeros(len(read.window), dtype=bool))
        return found or {key: either_way(self.normal[key[0]], self.window[key[0]], key[1]) for key in shared}
