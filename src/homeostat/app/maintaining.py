"""An app's config becomes the maintenance loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from homeostat.app.brains import costs_of
from homeostat.app.monitor_plugins import plugin_monitors
from homeostat.config import plans
from homeostat.config.budgets import budget_of
from homeostat.config.causal import causal_graph
from homeostat.config.settings import ThresholdsSettings
from homeostat.config.tree import App
from homeostat.decide.costs import Costs
from homeostat.decide.windows.features import FeaturePlan
from homeostat.maintain.contracts import AlarmScale, Effects, Grouping, Known, Monitor, Tick
from homeostat.maintain.effects import DecisionEffects
from homeostat.maintain.incident.grouping import IncidentGrouping
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.monitor import label_free, quality
from homeostat.maintain.monitor.behaviour import BehaviourMonitor
from homeostat.maintain.monitor.contract import ContractMonitor
from homeostat.maintain.monitor.distribution import DistributionMonitor
from homeostat.maintain.monitor.early import EarlyMonitor
from homeostat.maintain.monitor.fairness import Bound, FairnessMonitor, Groups
from homeostat.maintain.monitor.label_free import LabelFreeMonitor, PricesOf
from homeostat.maintain.monitor.labels import LabelsMonitor
from homeostat.maintain.monitor.models import ModelsMonitor
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.quality import CostOf, QualityMonitor
from homeostat.maintain.monitor.scale import Scale, Span
from homeostat.maintain.monitor.segments import SegmentsMonitor
from homeostat.maintain.monitor.serving import Replayer, ServingMonitor
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.maintain.open_decisions import Ages
from homeostat.maintain.ticks import TickForm
from homeostat.records.arrays import Float, Int, Small
from homeostat.records.events import EventBatch
from homeostat.records.identity import Coding

KNOWN_FEATURES = max(label_free.FEATURES_MAX, quality.FEATURES_MAX)
"""So many features of a decision are remembered for its outcome: our own monitors look at no more."""


def tick_form(app: App, features: FeaturePlan, coding: Coding) -> TickForm:
    """The names that an app's ticks are in, and when they close.

    coding : of its journal
    """
    outcomes, maintain = app.outcomes, app.maintain
    return TickForm(
        plans.vocabulary(app),
        features.names,
        tuple(app.scorers),
        coding,
        Ages(outcomes.matures, outcomes.horizon, outcomes.unknown == "negative", _censoring(app)),
        span_ns=maintain.tick,
        lateness_ns=app.events.lateness,
        label_delay_ns=outcomes.delay,
        rows_max=maintain.rows_max,
        remembered_max=maintain.remembers,
        known_features=None if maintain.plugins else KNOWN_FEATURES,
    )


def names_of(app: App, features: FeaturePlan) -> Names:
    """The names that monitors call the app's parts by."""
    events = app.events
    found_as: dict[str, str] = {}
    for name, entity in events.entities.items():
        found_as |= dict.fromkeys((name, *entity.aliases), f"entity:{name}")
    for name, field in events.fields.items():
        found_as |= dict.fromkeys((name, *field.aliases), f"field:{name}")
    found_as |= dict.fromkeys((events.time.name or "time", *events.time.aliases), "time")
    fields = tuple((name, field.type) for name, field in events.fields.items())
    learned = tuple(name for name, spec in app.scorers.items() if spec.kind != "rules")
    return Names(
        tuple(events.entities), fields, features.names, tuple(app.scorers), tuple(app.actions), learned, found_as
    )


def monitors_of(app: App, features: FeaturePlan, replayer: Replayer | None = None) -> list[Monitor]:
    """The monitors that the app wants.

    replayer : computes features again, to be compared with those that were served
    Raises PluginError.
    """
    names = names_of(app, features)
    ours: list[Monitor] = [
        ContractMonitor(names),
        TransportMonitor(names),
        ServingMonitor(names, replayer),
        ModelsMonitor(names),
        BehaviourMonitor(names, costs_of(app), _cuts_of(app)),
        DistributionMonitor(names),
        QualityMonitor(names, app.outcomes.matures, _cost_of(app)),
        EarlyMonitor(len(names.entities), app.outcomes.matures),
        SegmentsMonitor(names, app.outcomes.matures),
        LabelsMonitor(names, app.outcomes.matures, app.maintain.tick, _censoring(app)),
        LabelFreeMonitor(names, app.outcomes.matures, _prices_of(app)),
        *_fairness_of(app, names),
    ]
    plugins = plugin_monitors(app.maintain.plugins, names)
    return [one for one in (*ours, *plugins) if one.name not in app.maintain.off]


def build_maintenance(
    monitors: Sequence[Monitor], scale: AlarmScale, effects: Effects, grouping: Grouping
) -> MaintenanceLoop:
    """The maintenance loop of these stages."""
    return MaintenanceLoop(monitors, scale, grouping, effects)


def maintenance_of(
    app: App, features: FeaturePlan, replayer: Replayer | None = None, calendar: Sequence[tuple[int, int]] = ()
) -> MaintenanceLoop:
    """The maintenance loop of an app.

    replayer : see `monitors_of`
    calendar : starts and ends of campaigns, beside those of the app file
    Raises PluginError.
    """
    watched = app.maintain
    monitors = monitors_of(app, features, replayer)
    series = [one for monitor in monitors for one in monitor.series]
    false_alarms, per_ns = budget_of(watched.false_alarms_max)
    campaigns = [Span(*span) for span in (*(one.span_ns for one in watched.calendar), *calendar)]
    scale = Scale(
        app.app, series, watched.tick, false_alarms=false_alarms, per_ns=per_ns, campaigns=campaigns
    )  # fmt: skip
    grouping = IncidentGrouping(app.app, causal_graph(app), _expected_cost(costs_of(app)))
    effects = DecisionEffects(names_of(app, features), _cost_of(app))
    return build_maintenance(monitors, scale, effects, grouping)


def _expected_cost(costs: Costs | None) -> Callable[[Tick], Float] | None:
    """The expected cost of each decision of a tick, NaN where it is not known; None for an app without costs."""
    if costs is None:
        return None

    def expected(tick: Tick) -> Float:
        positive, negative = costs(tick.events)
        rows, action = np.arange(len(tick)), tick.action
        known = (action >= 0) & (action < positive.shape[1])
        at = np.where(known, action, 0)
        found: Float = np.where(known, tick.risk * positive[rows, at] + (1 - tick.risk) * negative[rows, at], np.nan)
        return found

    return expected


def _fairness_of(app: App, names: Names) -> list[Monitor]:
    """The monitor of the app's bounds of fairness, where it declares any."""
    fair = app.fairness
    if fair is None or not fair.bounds:
        return []
    column = [name for name, _ in names.fields].index(fair.groups)
    selecting = tuple(k for k, action in enumerate(app.actions) if (action in fair.selected if fair.selected else k))
    bounds = [Bound(one.measure, one.difference_max, one.ratio_min) for one in fair.bounds]
    return [FairnessMonitor(names, Groups(column, selecting, fair.persons_min), bounds, _cost_of(app))]


def _censoring(app: App) -> tuple[int, ...]:
    """The actions that hide the outcome, by their numbers."""
    return tuple(app.actions.index(action) for action in app.outcomes.censoring)


def _cost_of(app: App) -> CostOf | None:
    """The cost of decisions whose outcomes are known; None where the app declares no costs."""
    costs = costs_of(app)
    if costs is None:
        return None

    def cost(known: Known) -> Float:
        positive, negative = _priced(costs, known.numbers, known.keys, known.time_ns, known.action)
        return np.where(known.label == 1.0, positive, negative)

    return cost


def _prices_of(app: App) -> PricesOf | None:
    """The costs of decisions under each outcome; None where the app declares no costs."""
    costs = costs_of(app)
    return None if costs is None else partial(_priced, costs)


def _priced(costs: Costs, numbers: Float, keys: Int, time_ns: Int, action: Small) -> tuple[Float, Float]:
    """The costs of the actions that were taken, if the outcome is positive and if it is negative, (n,) each."""
    none = np.zeros(len(time_ns), np.int64)
    events = EventBatch(
        none, time_ns, keys, numbers, np.full(len(none), np.nan), none.astype(np.uint8), {}, none, np.zeros_like(keys)
    )
    positive, negative = costs(events)
    at = np.clip(action, 0, positive.shape[1] - 1)[:, None].astype(np.int64)
    return np.take_along_axis(positive, at, axis=1)[:, 0], np.take_along_axis(negative, at, axis=1)[:, 0]


def _cuts_of(app: App) -> tuple[float, ...]:
    """The risks from which on each harsher action is proposed, where the app declares no costs."""
    if app.policy.kind != "thresholds":
        return ()
    cuts = ThresholdsSettings.model_validate(app.policy.settings).cuts
    return tuple(cuts) if cuts else tuple(k / len(app.actions) for k in range(1, len(app.actions)))
