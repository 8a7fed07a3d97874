"""The composition root: an app's config and trained parts become the decision loop. Alone in naming concrete stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from homeostat.config import plans
from homeostat.config.tree import App
from homeostat.decide.admission import Watermark
from homeostat.decide.contracts import Fusion, Policy, Scorer
from homeostat.decide.costs import Costs
from homeostat.decide.guards.engine import Guards
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.loop import DecisionLoop, Limits, Stages
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.policy.thresholds import ThresholdPolicy
from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.features import FeaturePlan, plan_features
from homeostat.ports import Clock, Journal
from homeostat.stats.chance import chances

OnError = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class World:
    """What the loop needs of the world.

    bounded : whether deadlines hold; replay waits for every part, so that two replays are the same
    """

    journal: Journal
    clock: Clock
    bounded: bool = True
    on_error: OnError | None = None


@dataclass(frozen=True, slots=True)
class Brain:
    """The parts that training makes, ready to serve, beside those that need none.

    scorers : one for each of the app's, in the app's order
    version : of the bundle that they came from
    """

    scorers: tuple[Scorer, ...]
    fusion: Fusion
    policy: Policy
    version: str


def feature_plan(app: App) -> FeaturePlan:
    """The app's features, resolved; the app file was checked, so nothing is wrong with them."""
    plan, faults = plan_features(plans.feature_spec(app))
    assert plan is not None, f"an app file was accepted with faults in its features: {faults}"
    return plan


def costs_of(app: App) -> Costs | None:
    """The app's cost matrix, None where it declares no costs."""
    if not app.costs:
        return None
    ordered = [app.costs[action] for action in app.actions]
    return Costs(plans.field_types(app), [c.positive for c in ordered], [c.negative for c in ordered])


def thresholds_of(app: App, costs: Costs | None) -> ThresholdPolicy | None:
    """The cost-optimal policy, which is also what stands in for any other; None without costs."""
    if costs is None:
        return None
    return ThresholdPolicy(costs, [action in app.outcomes.censoring for action in app.actions], app.policy.holdout)


def rules_scorer(app: App, name: str, features: FeaturePlan) -> RulesScorer:
    """A scorer of kind `rules`: nothing of it is trained."""
    rules = [ScoreRule(rule.name, rule.when, rule.score) for rule in app.scorers[name].rules]
    return RulesScorer(name, rules, features.names, features.types)


def build(app: App, features: FeaturePlan, brain: Brain, world: World) -> DecisionLoop:
    """The decision loop of an app in a world."""
    costs = costs_of(app)
    clock = world.clock if world.bounded else None
    seats = [
        Seat(scorer, spec.deadline, spec.isolated if spec.isolated is not None else spec.kind not in _BUILT_IN)
        for scorer, spec in zip(brain.scorers, app.scorers.values(), strict=True)
    ]
    stages = Stages(
        featurizer=WindowFeaturizer(features, plans.membership(app)),
        panel=Panel(seats, clock, world.on_error),
        fusion=brain.fusion,
        policy=brain.policy,
        thresholds=thresholds_of(app, costs),
        guard=Guards(plans.guard_plan(app), plans.guard_names(app, features), plans.membership(app)),
        joiner=None if costs is None else _joiner(app, costs),
        schedule=Schedule(app.learning.every),
        watermark=Watermark(app.events.lateness),
        chance=partial(chances, app.seed),
        actions=app.actions,
        version=brain.version,
    )
    limits = Limits(
        decision_ns=app.deadline if world.bounded else None,
        policy_ns=app.policy.deadline if world.bounded else None,
        reject_late=app.events.late == "reject",
        learn_fusion=app.learning.fusion,
        learn_policy=app.learning.policy,
    )
    return DecisionLoop(stages, world.journal, world.clock, limits, world.on_error)


_BUILT_IN = ("isolation_forest", "boosted_trees", "network", "rules")


def _joiner(app: App, costs: Costs) -> OutcomeJoiner:
    raise NotImplementedError
