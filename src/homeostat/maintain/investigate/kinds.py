"""The kind of a metric: by the words of its name, else by how its values behave."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from enum import Enum

import numpy as np

from homeostat.maintain.investigate.frames import Key
from homeostat.records.arrays import Float


class Kind(Enum):
    """Of a metric."""

    COUNT = "count"  # requests, or their rate
    DURATION = "duration"  # of a request
    SUCCESS = "success"  # the share of requests that succeed, of 1 or of 100
    FAILURE = "failure"  # the share of requests that fail
    FAILURES = "failures"  # how many requests fail
    RESOURCE = "resource"  # that a node itself uses, such as processor time
    OTHER = "other"


FAILING = (Kind.SUCCESS, Kind.FAILURE, Kind.FAILURES)
ADDITIVE = (Kind.DURATION, *FAILING)

# By kind, the beginnings of words. The first kind with a word in the name wins: `error_rate` is no count of requests.
_WORDS = {
    Kind.RESOURCE: ("cpu", "memory"),
    Kind.FAILURE: ("error", "fail", "fault", "exception", "unavailab", "5xx", "4xx"),
    Kind.SUCCESS: ("availab", "success", "uptime"),
    Kind.DURATION: ("latenc", "duration", "elapsed", "response", "rt", "delay", "time"),
    Kind.COUNT: (
        "request", "call", "invocation", "throughput", "rps", "qps", "hits", "count", "rate", "sum", "workload", "ops",
    ),
}  # fmt: skip
_AVERAGES = ("average", "avg", "mean")
_TAILS = ("p50", "p75", "p90", "p95", "p99", "median", "max", "min", "quantile", "percentile")


def alike(kind: Kind, other: Kind) -> bool:
    """True if metrics of both kinds measure the same trouble."""
    return kind == other or (kind in FAILING and other in FAILING)


def words_of(metric: Hashable) -> list[str]:
    """The words of a metric's name, in lower case.

    >>> words_of("requestLatency_p99")
    ['request', 'latency', 'p99']
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(metric)).lower()
    return re.findall(r"[a-z0-9]+", text)


def kinds_of(columns: Mapping[Key, Float]) -> dict[Hashable, Kind]:
    """The kind of each metric; the values of a metric are looked at over all nodes.

    columns : those of the normal period, by (node, metric)
    """
    pooled: dict[Hashable, list[Float]] = {}
    for (_, metric), values in columns.items():
        pooled.setdefault(metric, []).append(values[np.isfinite(values)])
    return {metric: kind_of(metric, np.concatenate(values)) for metric, values in pooled.items()}


def kind_of(metric: Hashable, values: Float) -> Kind:
    """The kind of one metric.

    >>> kind_of("requestLatency_p99", np.array([0.1, 0.2])), kind_of("x1", np.array([100.0, 100.0, 99.5]))
    (<Kind.DURATION: 'duration'>, <Kind.SUCCESS: 'success'>)
    """
    words = words_of(metric)
    named = next((kind for kind, begins in _WORDS.items() if any(word.startswith(begins) for word in words)), None)
    if named is Kind.FAILURE:
        return Kind.FAILURES if _whole(values) and values.max(initial=0.0) > 1 else Kind.FAILURE
    return named or by_values(values)


def by_values(values: Float) -> Kind:
    """The kind of a metric whose name says nothing."""
    if values.size == 0 or values.min() < 0:
        return Kind.OTHER
    for top in (1.0, 100.0):
        if values.max() <= top:
            if np.mean(values == top) > 0.5:
                return Kind.SUCCESS
            if np.mean(values == 0) > 0.5:
                return Kind.FAILURE
    if _whole(values):
        return Kind.FAILURES if np.mean(values == 0) > 0.5 else Kind.COUNT
    return Kind.DURATION


def _whole(values: Float) -> bool:
    return bool(values.size) and bool(np.all(values == np.round(values)))


def average_first(metrics: Iterable[Hashable]) -> list[Hashable]:
    """Metrics of one kind, averages first and tails of the distribution last: only averages add up along calls."""

    def place(metric: Hashable) -> tuple[int, str]:
        words = words_of(metric)
        return (0 if any(w in _AVERAGES for w in words) else 2 if any(w in _TAILS for w in words) else 1, str(metric))

    return sorted(metrics, key=place)
