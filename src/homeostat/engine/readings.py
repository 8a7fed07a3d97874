"""What a process on streams and servers shows beside its loop: declared names, which alerts and panels rely on.

A part registers no metric class of its own: it says its current figures when asked (`Readings`), and times what it does
(`Durations`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from homeostat.records.arrays import Float


@dataclass(frozen=True, slots=True)
class Family:
    """A declared metric. `label` distinguishes its values; None where there is but one value."""

    kind: Literal["gauge", "counter", "histogram"]
    text: str
    label: str | None = None


FAMILIES: dict[str, Family] = {
    # The stream.
    "homeostat_stream_lag_messages": Family("gauge", "Messages that lie there and have not been pulled.", "lane"),
    "homeostat_stream_lanes": Family("gauge", "Lanes (partitions) given to this worker."),
    "homeostat_messages_pulled_total": Family("counter", "Messages pulled, by channel: events, outcomes.", "channel"),
    "homeostat_messages_published_total": Family(
        "counter", "Messages published, by channel: decisions, dead_letters.", "channel"
    ),
    "homeostat_rebalances_total": Family("counter", "Times that lanes were given to this worker or taken from it."),
    "homeostat_fenced_total": Family("counter", "Batches left to another worker that had taken over."),
    "homeostat_batches_total": Family("counter", "Batches decided, journalled and published."),
    "homeostat_publish_seconds": Family("histogram", "Time of publishing one batch and marking it as done."),
    "homeostat_end_to_end_seconds": Family("histogram", "From an event's being produced to its decision's."),
    # The journal.
    "homeostat_journal_spooled_rows": Family("gauge", "Rows that wait on disk for the journal's server."),
    "homeostat_journal_spooled_bytes": Family("gauge", "Bytes that wait on disk for the journal's server."),
    "homeostat_journal_spool_bytes_max": Family("gauge", "Bytes that may wait; then events are refused."),
    "homeostat_journal_spool_age_seconds": Family("gauge", "How long the oldest spooled batch has waited."),
    "homeostat_journal_seconds": Family("histogram", "Time of journalling one batch, in the spool where it must be."),
    # The feature store.
    "homeostat_feature_rejoins_total": Family(
        "counter", "Times that the feature store was made whole again, after it was away or had lost rows."
    ),
    # Every part: stream, features, journal.
    "homeostat_part_up": Family("gauge", "1 where a part answers, 0 where it does not.", "part"),
    "homeostat_circuit_open": Family("gauge", "1 where a part is left alone for a while, after failures.", "part"),
    # The worker.
    "homeostat_ready": Family("gauge", "1 where the worker decides, 0 where it starts, drains or can't."),
    "homeostat_draining": Family("gauge", "1 once the worker was told to stop."),
}
_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0
)  # fmt: skip
Value: TypeAlias = float | Mapping[str, float]


class Readings(Collector):
    """Gauges and counters that are read when somebody asks.

    read : current values by name of a declared family; where it has a label, by the label's value. Called by the
        thread that answers the scrape

    >>> from prometheus_client import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> registry.register(Readings("payments", lambda: {"homeostat_part_up": {"journal": True}}))
    >>> registry.get_sample_value("homeostat_part_up", {"app": "payments", "part": "journal"})
    1.0
    """

    def __init__(self, app: str, read: Callable[[], Mapping[str, Value]]) -> None:
        self._app, self._read = app, read

    def collect(self) -> Iterator[Metric]:
        """Every family that was read. Raises KeyError for an undeclared one: it would be missing from the docs."""
        for name, value in self._read().items():
            family = FAMILIES[name]
            labels = ("app",) if family.label is None else ("app", family.label)
            made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = made(name.removesuffix("_total"), family.text, labels=labels)
            if isinstance(value, Mapping):
                for key, one in value.items():
                    metric.add_metric((self._app, key), float(one))
            else:
                metric.add_metric((self._app,), float(value))
            yield metric


class Durations(Collector):
    """A histogram of seconds. One thread observes; any may read.

    name : a declared histogram
    """

    def __init__(self, app: str, name: str) -> None:
        assert FAMILIES[name].kind == "histogram", f"{name} is no histogram"
        self._app, self._name = app, name
        self._counts = np.zeros(len(_SECONDS) + 1, np.int64)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def observe_all(self, seconds: Float) -> None:
        """Count (n,) at once. Negative ones, which clocks of two machines may give, count as 0."""
        known = np.maximum(seconds, 0.0)
        cells = np.searchsorted(_SECONDS, known)
        self._counts += np.bincount(cells, minlength=len(self._counts))
        self._sum += float(known.sum())

    def collect(self) -> Iterator[Metric]:
        """The histogram as it is."""
        reached = np.cumsum(self._counts.copy()).tolist()
        buckets = [(f"{bound:.9g}", float(count)) for bound, count in zip(_SECONDS, reached, strict=False)]
        family = HistogramMetricFamily(self._name, FAMILIES[self._name].text, labels=("app",))
        family.add_metric((self._app,), [*buckets, ("+Inf", float(reached[-1]))], self._sum)
        yield family
