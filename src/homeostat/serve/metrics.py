"""What the engine and the server count, for Prometheus; read at scrape time, so the hot path pays nothing."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from homeostat.embedded.engine import Engine


class EngineCollector(Collector):
    """An engine's counts as Prometheus metrics."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Every family, with the app's name as a label."""
        loop, app = self._engine.parts.loop, self._engine.app.app
        counts = {**loop.counts, "bad": self._engine.bad_events}
        yield _counter("homeostat_events", "Events, by what became of them.", "kind", app, counts)
        yield _counter("homeostat_actions", "Decisions, by action.", "action", app, self._engine.actions)
        fallbacks = {reason.value: count for reason, count in loop.fallbacks.items()}
        yield _counter("homeostat_fallbacks", "Decisions made without a part, by reason.", "reason", app, fallbacks)
        yield _counter("homeostat_stage_seconds", "Time spent, by stage.", "stage", app, loop.seconds)
        troubles = CounterMetricFamily(
            "homeostat_scorer_troubles", "Failed and late answers, by scorer.", labels=["app", "scorer", "reason"]
        )
        for seat in loop.stages.panel.seats:
            for reason, count in list(seat.counts.items()):
                troubles.add_metric([app, seat.scorer.name, reason.value], count)
        yield troubles
        info = GaugeMetricFamily("homeostat_info", "The version that decides.", labels=["app", "version"])
        info.add_metric([app, loop.stages.version], 1)
        yield info
        watermark = GaugeMetricFamily("homeostat_watermark_seconds", "Latest event time seen.", labels=["app"])
        watermark.add_metric([app], max(loop.stages.watermark.now_ns / 1e9, 0.0))
        yield watermark


def _counter(name: str, text: str, label: str, app: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["app", label])
    for key, value in list(values.items()):
        family.add_metric([app, key], value)
    return family
