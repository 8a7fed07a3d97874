"""The health figures of a process over the last day, taken from its metrics: a bounded ring in memory.

Nothing is measured here. Every ten seconds the metrics are read as Prometheus would read them; counters become rates,
and histograms become quantiles of what came since the look before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

EVERY_S = 10.0
FINE, COARSE = 360, 1440  # An hour of looks, and a day of minutes.
_COARSE_EVERY = 6
_LATENCY = "homeostat_decision_seconds"
# Figures that stand for themselves: shown name -> family. Of several values the largest, which is the worst.
_GAUGES = {
    "memory_bytes": "process_resident_memory_bytes",
    "open_files": "process_open_fds",
    "lag_messages": "homeostat_stream_lag_messages",
    "spooled_rows": "homeostat_journal_spooled_rows",
    "spooled_bytes": "homeostat_journal_spooled_bytes",
    "spool_age_s": "homeostat_journal_spool_age_seconds",
    "maintenance_behind_s": "homeostat_maintain_behind_seconds",
    "learning_stale_s": "homeostat_learning_stale_seconds",
}
# Counts a second: shown name -> sample.
_RATES = {
    "processor": "process_cpu_seconds_total",
    "decisions_per_s": "homeostat_decisions_total",
    "errors_per_s": "homeostat_errors_total",
    "bad_events_per_s": "homeostat_bad_events_total",
    "fallbacks_per_s": "homeostat_fallbacks_total",
}
_PARTS, _CIRCUITS = "homeostat_part_up", "homeostat_circuit_open"
_ACTIONS = "homeostat_decisions_total"


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one moment.

    figures : by name; one that the process does not have is absent
    actions : decisions since the look before, by action
    parts : whether each part answers
    """

    at_ns: int
    figures: Mapping[str, float]
    actions: Mapping[str, float]
    parts: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class _Look:
    """The metrics as they were read once."""

    at_ns: int
    sums: Mapping[str, float]
    buckets: Mapping[float, float]
    actions: Mapping[str, float]


class HealthRing:
    """See the module. For one thread at a time.

    connections : how many clients are connected; None where nobody knows
    """

    def __init__(self, registry: CollectorRegistry, connections: Callable[[], int] | None = None) -> None:
        self._registry, self.connections = registry, connections
        self._fine: deque[Point] = deque(maxlen=FINE)
        self._coarse: deque[Point] = deque(maxlen=COARSE)
        self._last: _Look | None = None
        self._looks = 0

    def look(self, now_ns: int) -> Point | None:
        """Read the metrics; the point that follows from this look and the one before, None at the first."""
        families = list(self._registry.collect())
        look = _looked(families, now_ns)
        last, self._last = self._last, look
        if last is None or now_ns <= last.at_ns:
            return None
        figures = _figures(families, last, look)
        if self.connections is not None:
            figures["connections"] = float(self.connections())
        actions = {name: count - last.actions.get(name, 0.0) for name, count in look.actions.items()}
        point = Point(now_ns, figures, actions, _parts(families))
        self._fine.append(point)
        self._looks += 1
        if self._looks % _COARSE_EVERY == 0:
            self._coarse.append(_together(list(self._fine)[-_COARSE_EVERY:]))
        return point

    @property
    def last(self) -> Point | None:
        """The newest point; None before there is one."""
        return self._fine[-1] if self._fine else None

    def between(self, since_ns: int, until_ns: int) -> Sequence[Point]:
        """The points in [since, until), oldest first: minutes, then every ten seconds of the last hour."""
        fine = list(self._fine)
        first = fine[0].at_ns if fine else until_ns
        points = [*(one for one in self._coarse if one.at_ns < first), *fine]
        return [one for one in points if since_ns <= one.at_ns < until_ns]

    def minute(self) -> Point | None:
        """The last minute as one point; None before there is one."""
        newest = list(self._fine)[-_COARSE_EVERY:]
        return _together(newest) if newest else None


def _looked(families: Iterable[Metric], now_ns: int) -> _Look:
    sums: dict[str, float] = dict.fromkeys(_RATES.values(), 0.0)
    buckets: dict[float, float] = {}
    actions: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
            if sample.name == _ACTIONS:
                action = sample.labels["action"]
                actions[action] = actions.get(action, 0.0) + sample.value
            elif sample.name == f"{_LATENCY}_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return _Look(now_ns, sums, buckets, actions)


def _figures(families: Iterable[Metric], last: _Look, look: _Look) -> dict[str, float]:
    passed_s = (look.at_ns - last.at_ns) / 1e9
    found = {name: max(0.0, (look.sums[of] - last.sums[of]) / passed_s) for name, of in _RATES.items()}
    gauges = {of: name for name, of in _GAUGES.items()}
    for family in families:
        name = gauges.get(family.name)
        if name is not None and family.samples:
            found[name] = max(sample.value for sample in family.samples)
    counts = {bound: count - last.buckets.get(bound, 0.0) for bound, count in look.buckets.items()}
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        value = quantile(counts, share)
        if value is not None:
            found[name] = 1e3 * value
    return found


def quantile(counts: Mapping[float, float], share: float) -> float | None:
    """A quantile of a histogram with cumulative counts by upper bounds, as Prometheus estimates it; None of nothing.

    >>> quantile({1.0: 50.0, 2.0: 100.0, math.inf: 100.0}, 0.75)
    1.5
    """
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    below, start = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= share * total:
            if math.isinf(bound):
                return start
            return start + (bound - start) * (share * total - below) / (counts[bound] - below)
        below, start = counts[bound], bound
    return start


def _parts(families: Iterable[Metric]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for family in families:
        for sample in family.samples:
            if family.name in (_PARTS, _CIRCUITS):
                well = bool(sample.value) == (family.name == _PARTS)
                part = sample.labels["part"]
                found[part] = found.get(part, True) and well
    return found


def _together(points: Sequence[Point]) -> Point:
    """Points as one: rates are means, all else the worst of them."""
    names = {name for point in points for name in point.figures}
    figures: dict[str, float] = {}
    for name in names:
        values = [point.figures[name] for point in points if name in point.figures]
        figures[name] = sum(values) / len(values) if name in _RATES else max(values)
    actions: dict[str, float] = {}
    for point in points:
        for action, count in point.actions.items():
            actions[action] = actions.get(action, 0.0) + count
    parts = {part: all(point.parts.get(part, True) for point in points) for part in points[-1].parts}
    return Point(points[-1].at_ns, figures, actions, parts)
