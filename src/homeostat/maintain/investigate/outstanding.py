"""The node that stands out, where no target is named: by its own resources, then by the durations it alone explains."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from homeostat.maintain.investigate.excess import spread
from homeostat.maintain.investigate.kinds import Kind
from homeostat.records.arrays import Float

# Robust standard deviations above the usual that are never seen in quiet hours of a small shop of services whose
# metrics come once a minute: processor time reached 5, medians of few requests 89.
_LIMITS = {Kind.RESOURCE: 8.0, Kind.DURATION: 100.0}
_FLOOR = (
    0.05  # The least standard deviation, as a share of the usual: a constant metric must not be infinitely strange.
)
_EXPLAINED = 0.01  # The weight of a node's durations when a node that it calls stands out as well.
Metrics = Mapping[Hashable, Mapping[Hashable, Float]]


def standing_out(
    normal: Metrics,
    window: Metrics,
    calls: Mapping[Hashable, tuple[Hashable, ...]],
    kinds: Mapping[Hashable, Kind],
    nodes: Iterable[Hashable],
) -> dict[Hashable, float]:
    """The odds of each node as the cause against nobody.

    normal, window : values by node and metric; NaN is a gap
    calls : by node, the nodes that it calls
    nodes : those that may be the cause

    A resource such as processor time is a node's own. A duration is shared with the nodes that it calls.
    """
    own: dict[Hashable, float] = {}
    shared: dict[Hashable, float] = {}
    for node in nodes:
        strengths = dict.fromkeys(_LIMITS, 0.0)
        load = _load(normal.get(node, {}), window.get(node, {}), kinds)
        for metric, before in normal.get(node, {}).items():
            kind, during = kinds[metric], window.get(node, {}).get(metric)
            if kind in _LIMITS and during is not None:
                growth = load if kind is Kind.RESOURCE else 1.0
                strengths[kind] = max(strengths[kind], deviation(before, during, growth) / _LIMITS[kind])
        own[node], shared[node] = strengths[Kind.RESOURCE], strengths[Kind.DURATION]
    strange = {node for node in own if max(own[node], shared[node]) > 1}
    found = {}
    for node in own:
        weight = _EXPLAINED if strange & _below(node, calls) else 1.0
        found[node] = max(own[node] ** 2, weight * shared[node] ** 2)
    return found


def deviation(before: Float, during: Float, growth: float = 1.0) -> float:
    """How far the second highest value of a window lies above the usual, in robust standard deviations, at least 0.

    growth : by how much load alone raises the usual

    >>> deviation(np.array([9.0, 10.0, 11.0]), np.array([10.0, 40.0, 50.0])) > 8
    True
    """
    known, seen = before[np.isfinite(before)], np.sort(during[np.isfinite(during)])
    if len(known) < 2 or len(seen) < 2:
        return 0.0
    usual = float(np.median(known))
    scale = max(spread(known), _FLOOR * abs(usual), 1e-9)
    return max(0.0, float(seen[-2] - usual * growth) / scale)


def _load(normal: Mapping[Hashable, Float], window: Mapping[Hashable, Float], kinds: Mapping[Hashable, Kind]) -> float:
    """By how much a node's requests grew, at least 1: the least of its counts, so that none excuses too much."""
    ratios = []
    for metric, before in normal.items():
        if kinds[metric] is Kind.COUNT and metric in window:
            known, seen = before[np.isfinite(before)], window[metric][np.isfinite(window[metric])]
            if len(known) and len(seen) and np.median(known) > 0:
                ratios.append(float(np.max(seen) / np.median(known)))
    return max(1.0, min(ratios, default=1.0))


def _below(node: Hashable, calls: Mapping[Hashable, tuple[Hashable, ...]]) -> set[Hashable]:
    """The nodes that a node calls, at any depth, without itself."""
    found: set[Hashable] = set()
    left = [node]
    while left:
        new = [one for one in calls.get(left.pop(), ()) if one not in found]
        found.update(new)
        left += new
    return found - {node}


def reached(node: Hashable, calls: Mapping[Hashable, tuple[Hashable, ...]]) -> set[Hashable]:
    """A node and all nodes that it calls, at any depth."""
    return _below(node, calls) | {node}
