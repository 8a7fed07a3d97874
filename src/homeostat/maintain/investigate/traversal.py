"""Log odds for a metric that does not add up along calls, such as a load: the deepest anomalous node is the cause."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from homeostat.maintain.investigate.anomaly import surprise
from homeostat.maintain.investigate.evidence import UNREACHED, Odds, log_odds
from homeostat.maintain.investigate.excess import Course, Metrics
from homeostat.maintain.investigate.graph import Calls, cycles_of, widest_paths

_MOST = 12.0  # Of minus the logarithm of a p-value.
_NOISE = 0.2  # Of a node's share of the target's anomaly.


def either_way(normal: Metrics, window: Metrics, metric: Hashable) -> Course:
    """The distance of a metric from its median, up or down."""
    level = np.nanmedian(normal[metric])
    return Course(np.abs(normal[metric] - level), np.abs(window[metric] - level))


def anomaly_of(normal: Metrics, window: Metrics) -> float:
    """The most anomalous metric of a node: minus the logarithm of its p-value, times the number of metrics."""
    usable = [metric for metric in window if metric in normal and np.isfinite(normal[metric]).any()]
    p_values = [surprise(either_way(normal, window, metric)) for metric in usable]
    return min(-np.log(min(min(p_values) * len(p_values), 1.0)), _MOST) if p_values else 0.0


def by_traversal(
    target: Hashable,
    normal: Mapping[Hashable, Metrics],
    window: Mapping[Hashable, Metrics],
    calls: Calls,
) -> Odds:
    """The log odds of each node, by the share of the target's anomaly that it has and no node beyond it has.

    calls : by node, the nodes where a cause may lie further on: those it calls, or its callers if requests are counted
    """
    found = {node: anomaly_of(normal.get(node, {}), window.get(node, {})) for node in calls}
    highest = max(found[target], 1e-9)
    shares = {node: min(one / highest, 1.0) for node, one in found.items()}
    paths = widest_paths(target, calls, shares)
    cycle = cycles_of(calls)
    odds: Odds = {}
    for node, beyond in calls.items():
        deeper = max((shares[other] for other in beyond if cycle[other] != cycle[node]), default=0.0)
        alone = max(min(shares[node], paths.get(node, 0.0)) - deeper, 0.0)
        odds[node] = log_odds(alone, _NOISE) if node in paths else UNREACHED
    return odds
