"""The readings of a process on streams and servers beside its loop: declared names, which alerts and panels rely on.

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
    "homeostat_batch_rows_bound": Family("gauge", "The most events of a batch, as the process chose it by its load."),
    "homeostat_publish_seconds": Family("histogram", "Time of publishing one batch and marking it as done."),
    "homeostat_end_to_end_seconds": Family("histogram", "From an event's being produced to its decision's."),
    # Metrics that come in lines, of an app that declares some.
    "homeostat_metric_lines_total": Family(
        "counter", "Lines of metrics, by what became of them: used, unused, late, bad.", "end"
    ),
    "homeostat_metric_steps_total": Family("counter", "Steps of series that were decided, each as one event."),
    "homeostat_metric_steps_open": Family("gauge", "Steps of series that are not decided yet."),
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
    "homeostat_remembered_bytes": Family("gauge", "Bytes of the feature store's logs that this process remembers."),
    "homeostat_remembered_bytes_max": Family("gauge", "Bytes that it remembers at most, as it chose by its load."),
    "homeostat_forgotten_total": Family("counter", "Times that it forgot all logs because these bytes were full."),
    # Learning by another process, and exploring.
    "homeostat_learning_stale_seconds": Family(
        "gauge", "Since when what this process decides with lacks nothing that the journal held; -1 before the first."
    ),
    "homeostat_learning_stale_seconds_max": Family("gauge", "How old that may be: servers.learning_stale."),
    "homeostat_learning_position": Family("gauge", "The journal entry up to which this process's learning goes."),
    "homeostat_learning_waits_total": Family(
        "counter", "Events that waited for what is learned at a moment, by how that ended: learned, missed.", "end"
    ),
    "homeostat_exploration_left": Family(
        "gauge", "The rest of the budget of exploring that this process took in this period."
    ),
    # Every part: stream, features, journal.
    "homeostat_part_up": Family("gauge", "1 where a part answers, 0 where it does not.", "part"),
    "homeostat_circuit_open": Family("gauge", "1 where a part is left alone for a while, after failures.", "part"),
    # The challenger in shadow; shown where there is a challenger.
    "homeostat_shadow_up": Family("gauge", "1 where a process decides for the challenger in shadow."),
    "homeostat_shadow_behind_entries": Family("gauge", "Journal entries that the challenger has not decided yet."),
    "homeostat_shadow_behind_seconds": Family("gauge", "Since when the challenger has not caught up."),
    "homeostat_shadow_events": Family("gauge", "Events that the challenger has decided."),
    "homeostat_shadow_differing": Family("gauge", "Events among them with another action than the champion's."),
    "homeostat_shadow_failed": Family("gauge", "Events among them decided without a part of the challenger."),
    "homeostat_shadow_restarts_total": Family("counter", "Times that this process started the challenger again."),
    # Maintenance, in the process that runs it.
    "homeostat_maintain_leads": Family("gauge", "1 where this process has the lease of the maintenance loop."),
    "homeostat_maintain_ticks_total": Family("counter", "Ticks of the journal that were judged."),
    "homeostat_maintain_signals_total": Family("counter", "Signals that were raised, and their news."),
    "homeostat_maintain_behind_entries": Family("gauge", "Journal entries that maintenance has not read yet."),
    "homeostat_maintain_behind_seconds": Family("gauge", "Since when maintenance has not caught up."),
    "homeostat_maintain_reached_timestamp_seconds": Family("gauge", "The end of the last tick, since 1970."),
    "homeostat_maintain_series": Family("gauge", "Figures that are taken at each tick."),
    "homeostat_maintain_incidents_open": Family("gauge", "Incidents that are open."),
    "homeostat_maintain_budget_used": Family(
        "gauge", "Incidents of the budget's last span, as a share of the false alarms that are allowed in it."
    ),
    "homeostat_estimated_quality": Family("gauge", "Quality of a day's decisions, estimated without labels.", "figure"),
    "homeostat_estimated_quality_low": Family("gauge", "The lower end of its 95 % band.", "figure"),
    "homeostat_estimated_quality_high": Family("gauge", "The upper end of its 95 % band.", "figure"),
    "homeostat_estimates_broken": Family(
        "gauge",
        "1 where mature outcomes contradict the estimates, 0 where they agree; absent before they were compared.",
    ),
    # Watching loop 2 itself, in the process that answers incidents.
    "homeostat_gate_unauthorised": Family(
        "gauge", "Changes by loop 2 that nothing allowed, counted from the settings and the chained record."
    ),
    "homeostat_gate_stopped": Family("gauge", "1 while the kill switch is on."),
    "homeostat_plans_waiting": Family("gauge", "Plans that wait for a person."),
    "homeostat_incidents_begun_again": Family(
        "gauge", "Times that the symptom of a stored incident came back after its remedy had passed."
    ),
    "homeostat_memory_cases": Family("gauge", "Past incidents that are remembered."),
    "homeostat_memory_notes": Family("gauge", "Notes of people that are remembered."),
    "homeostat_memory_recalled": Family(
        "gauge", "Stored incidents whose cause was recalled from a past one, and verified."
    ),
    # Language models, in a process of maintenance whose app declares some.
    "homeostat_language_calls_total": Family(
        "counter", "Calls of language models, by outcome: answered, or why there was no answer.", "outcome"
    ),
    "homeostat_language_tokens_total": Family("counter", "Tokens that these calls took, in and out."),
    "homeostat_language_cost_total": Family("counter", "The cost of these calls, by the declared prices."),
    # A process of maintenance beside a server.
    "homeostat_maintain_up": Family("gauge", "1 where a process runs the maintenance loop."),
    "homeostat_maintain_restarts_total": Family("counter", "Times that this process started maintenance again."),
    # The process that sends predictions, beside a server with a data folder.
    "homeostat_predictions_up": Family("gauge", "1 where a target takes predictions, 0 where it does not.", "target"),
    "homeostat_predictions_sent_total": Family("counter", "Predictions that a target has taken.", "target"),
    "homeostat_predictions_skipped_total": Family(
        "counter", "Predictions that waited for longer than the target's `keep`, and were left out.", "target"
    ),
    "homeostat_predictions_refused_total": Family("counter", "Predictions that a target will never take.", "target"),
    "homeostat_predictions_behind_entries": Family("gauge", "Journal entries that wait for a target.", "target"),
    # Fairness, of an app that declares bounds.
    "homeostat_fairness_verdict": Family(
        "gauge", "Of the bounds on a measure: 1 PASS, 0 INCONCLUSIVE, -1 FAIL.", "measure"
    ),
    "homeostat_fairness_difference": Family("gauge", "Largest less smallest value of the groups.", "measure"),
    "homeostat_fairness_timestamp_seconds": Family("gauge", "When fairness was looked at, since 1970."),
    # The worker.
    "homeostat_ready": Family("gauge", "1 where the worker decides, 0 where it starts, drains or can't."),
    "homeostat_draining": Family("gauge", "1 once the worker was asked to stop."),
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
