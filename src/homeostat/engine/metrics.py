"""The counts of the decision loop as Prometheus metrics: read at scrape time, so that deciding pays next to nothing.

docs/operations.md lists every family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from homeostat.config.tree import App
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.meters import (
    ROWS_BOUNDS,
    SHARE_BOUNDS,
    STAGE_BOUNDS_NS,
    TOOK_BOUNDS_US,
    Distribution,
    MeterReading,
)
from homeostat.engine.engine import Engine
from homeostat.engine.readings import Readings
from homeostat.records import software
from homeostat.records.changes import ChangeKind
from homeostat.records.features import Freshness
from homeostat.records.reasons import Reason

EVENT_GROUP, DERIVED_GROUP = "event", "derived"  # Groups of the features that are no entity's.
_NONE_SEEN_NS = 0  # The watermark of a loop that has seen no event lies before 1970.


class LoopCollector(Collector):
    """A loop's counts. Labels: `app` always, then what each family says.

    groups : feature -> entity (or `event`, `derived`), by which freshness is shown
    rules : the guards' rules by number
    """

    def __init__(
        self, loop: DecisionLoop, app: str, groups: Mapping[str, str] | None = None, rules: Sequence[str] = ()
    ) -> None:
        self._loop, self._app = loop, app
        self._groups, self._rules = dict(groups or {}), tuple(rules)

    def collect(self) -> Iterator[Metric]:
        """Every family, the same ones whatever was counted."""
        reading = self._loop.meters.reading()
        yield from self._events(reading)
        yield from self._decisions(reading)
        yield from self._times(reading)
        yield from self._troubles(reading)
        yield from self._left_out()
        yield from self._versions()

    def _events(self, reading: MeterReading) -> Iterator[Metric]:
        counts = self._loop.counts
        kinds = {kind: counts[kind] for kind in ("events", "repeated", "differing", "late", "refused")}
        yield self._counter(
            "homeostat_events",
            "Events, by what became of them; `late` ones are among `events`, `differing` ones among `repeated`.",
            ("kind",), [((kind,), count) for kind, count in kinds.items()],
        )  # fmt: skip
        outcomes = {"received": counts["outcomes"], "unknown": counts["unknown_outcomes"]}
        yield self._counter(
            "homeostat_outcomes", "Outcomes received, and those among them of events that were never decided.",
            ("kind",), [((kind,), count) for kind, count in outcomes.items()],
        )  # fmt: skip
        declared = (Reason.MALFORMED, Reason.MISSING, Reason.WRONG_TYPE, Reason.OUT_OF_RANGE, Reason.BAD_TIME,
                    Reason.TOO_LATE, Reason.TOO_EARLY, Reason.UNKNOWN_EVENT, Reason.UNDECIDABLE)  # fmt: skip
        bad = dict.fromkeys((reason.value for reason in declared), 0) | reading.bad
        yield self._counter(
            "homeostat_bad_events", "Events and outcomes that went to the dead letters, by reason.", ("reason",),
            [((reason,), count) for reason, count in bad.items()],
        )  # fmt: skip
        groups: dict[str, np.ndarray] = {}
        for feature, row in reading.freshness.items():
            group = self._groups.get(feature, DERIVED_GROUP)
            groups[group] = groups.get(group, 0) + row
        yield self._counter(
            "homeostat_feature_values", "Feature values served, by entity and by how fresh they were.",
            ("entity", "freshness"),
            [((group, code.name.lower()), int(row[code])) for group, row in groups.items() for code in Freshness],
        )  # fmt: skip
        watermark = GaugeMetricFamily(
            "homeostat_watermark_timestamp_seconds",
            "The time that events have reached, since 1970; 0 before the first.",
            labels=("app",),
        )  # fmt: skip
        watermark.add_metric((self._app,), max(self._loop.stages.watermark.now_ns, _NONE_SEEN_NS) / 1e9)
        yield watermark
        ahead = GaugeMetricFamily(
            "homeostat_event_ahead_seconds",
            "How far ahead of the clock the newest event was as it came, of those of the last 5 to 10 minutes, refused "
            "ones too; 0 where none was.",
            labels=("app",),
        )
        ahead.add_metric((self._app,), self._loop.meters.ahead_ns / 1e9)
        yield ahead

    def _decisions(self, reading: MeterReading) -> Iterator[Metric]:
        actions = self._loop.stages.actions
        yield self._counter(
            "homeostat_decisions", "New decisions, by action and by who had the last word.", ("action", "decided_by"),
            [((action, by), n) for index, action in enumerate(actions) for by, n in reading.by(index).items()],
        )  # fmt: skip
        yield self._counter(
            "homeostat_rules", "Decisions by the guards' rule that decided.", ("rule",),
            [((name,), count) for name, count in zip(self._names(), reading.rules(), strict=False)],
        )  # fmt: skip
        yield self._counter(
            "homeostat_fallbacks", "Decisions made without a part, by reason.", ("reason",),
            [((reason.value,), count) for reason, count in reading.fallbacks.items()],
        )  # fmt: skip
        risk = HistogramMetricFamily("homeostat_risk", "Risk of the decisions, in [0, 1].", labels=("app",))
        _add(risk, (self._app,), SHARE_BOUNDS, reading.risk)
        yield risk
        score = HistogramMetricFamily(
            "homeostat_score", "Scores of the decisions, in [0, 1].", labels=("app", "scorer")
        )
        for name, scores in reading.scores.items():
            _add(score, (self._app, name), SHARE_BOUNDS, scores)
        yield score
        yield self._counter(
            "homeostat_scores_missing", "Decisions without a scorer's score.", ("scorer",),
            [((name,), scores.missing) for name, scores in reading.scores.items()],
        )  # fmt: skip

    def _names(self) -> tuple[str, ...]:
        """The rules' names by number: those of the app file come first, whatever settings add to them."""
        return tuple(name for name, _ in self._loop.stages.words.rules) or self._rules

    def _times(self, reading: MeterReading) -> Iterator[Metric]:
        took = HistogramMetricFamily(
            "homeostat_decision_seconds", "Time from a decision's features to its ruling: that of its batch.",
            labels=("app",),
        )  # fmt: skip
        _add(took, (self._app,), [bound / 1e6 for bound in TOOK_BOUNDS_US], reading.took, 1e-6)
        yield took
        rows = HistogramMetricFamily("homeostat_batch_rows", "Events decided together.", labels=("app",))
        _add(rows, (self._app,), ROWS_BOUNDS, reading.rows)
        yield rows
        stages = HistogramMetricFamily(
            "homeostat_stage_seconds", "Time of one stage for one batch.", labels=("app", "stage")
        )
        bounds = [bound / 1e9 for bound in STAGE_BOUNDS_NS]
        meters = self._loop.meters
        for stage, times in {**meters.stages, **meters.aside}.items():
            spent = Distribution(np.array(times.counts), float(times.total_ns))
            _add(stages, (self._app, stage), bounds, spent, 1e-9)
        yield stages

    def _troubles(self, reading: MeterReading) -> Iterator[Metric]:
        loop = self._loop
        found: dict[tuple[str, str, str], int] = {
            ("journal", "journal", Reason.JOURNAL_FAILED): loop.fallbacks.get(Reason.JOURNAL_FAILED, 0),
        }
        for learner in ("fusion", "policy"):
            failed = loop.teaching.failures.get(learner)
            found["learning", learner, Reason.LEARNING_FAILED] = 0 if failed is None else failed.count
        for reason in (Reason.POLICY_FAILED, Reason.POLICY_LATE):
            found["policy", "policy", reason] = reading.fallbacks.get(reason, 0)
        for seat in loop.stages.panel.seats:
            for reason in (Reason.SCORER_FAILED, Reason.SCORER_LATE):
                found["scorers", seat.scorer.name, reason] = seat.counts.get(reason, 0)
        for key, count in dict(loop.meters.failures).items():
            found[key] = found.get(key, 0) + count
        yield self._counter(
            "homeostat_errors",
            "Failures by stage, part and reason: batches; of the policy, decisions; of the journal and the stream, "
            "attempts.",
            ("stage", "part", "reason"), list(found.items()),
        )  # fmt: skip

    def _left_out(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "homeostat_scorer_out", "1 while a scorer is left out: it fails, is late, hangs, or is not ready yet.",
            labels=("app", "scorer"),
        )  # fmt: skip
        out = self._loop.stages.panel.out()
        for name in self._loop.stages.panel.names:
            family.add_metric((self._app, name), float(name in out))
        yield family

    def _versions(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "homeostat_info", "The version that decides, and the program's own.", labels=("app", "version", "release")
        )
        info.add_metric((self._app, self._loop.stages.version, software.VERSION), 1)
        yield info
        shares = GaugeMetricFamily(
            "homeostat_version_share", "The share of the entities that a version decides; 0 for the challenger.",
            labels=("app", "role", "version"),
        )  # fmt: skip
        for role, (version, share) in self._shares().items():
            shares.add_metric((self._app, role, version), share)
        yield shares

    def _shares(self) -> dict[str, tuple[str, float]]:
        """Role -> the version that has it, and its share of the entities, by the settings that are in force."""
        stages = self._loop.stages
        bodies = {one.scope: one.body or {} for one in stages.in_force if one.kind == ChangeKind.DEPLOY}
        found = {
            role: (str(body["version"]), float(body.get("share") or 0.0))
            for role, body in bodies.items() if role != "champion" and "version" in body
        }  # fmt: skip
        canary = found.get("canary", ("", 0.0))[1]
        return {"champion": (stages.version.partition("+")[2], 1.0 - canary), **found}

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=("app", *labels))
        for key, value in values:
            family.add_metric((self._app, *map(str, key)), value)
        return family


def feature_groups(app: App) -> dict[str, str]:
    """Each feature's entity; `event` for those that the event itself carries, `derived` for what is made of them."""
    groups = dict.fromkeys(app.events.fields, EVENT_GROUP)
    for group in app.features.windows:
        for template in group.compute:
            for length in group.lengths:
                groups[template.replace("{length}", str(length))] = group.entity
    return groups | dict.fromkeys(app.features.derived, DERIVED_GROUP)


def loop_collector(loop: DecisionLoop, app: App) -> LoopCollector:
    """The collector of an app's loop."""
    return LoopCollector(loop, app.app, feature_groups(app), [rule.name for rule in app.guards.rules])


def registry_of(loop: DecisionLoop, app: App, *more: Collector) -> CollectorRegistry:
    """A registry of a loop's metrics, the process's own (memory, processor, files), and any others."""
    registry = CollectorRegistry()
    for collector in (loop_collector(loop, app), *more):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def engine_registry(engine: Engine, *more: Collector) -> CollectorRegistry:
    """The registry of an engine's metrics, with what it shows of its servers."""
    return registry_of(engine.parts.loop, engine.app, Readings(engine.app.app, engine.readings), *more)


def _add(
    family: HistogramMetricFamily, labels: tuple[str, ...], bounds: Sequence[float], of: Distribution, unit: float = 1.0
) -> None:
    """A histogram's cumulative buckets; cells beyond the bounds belong to the last, infinite one."""
    reached = np.cumsum(of.counts)
    # Rounded, since 3 * 1e-6 would otherwise be shown with seventeen digits.
    buckets = [(f"{bound:.9g}", float(count)) for bound, count in zip(bounds, reached, strict=False)]
    buckets.append(("+Inf", float(reached[-1])))
    family.add_metric(labels, buckets=buckets, sum_value=of.total * unit)
