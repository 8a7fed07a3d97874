"""The composition root: an app's config and trained parts become the decision loop. Alone in naming concrete stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from homeostat.config import plans, settings
from homeostat.config.remembered import meanings
from homeostat.config.setting_faults import plugin_settings
from homeostat.config.settings import ThresholdsSettings
from homeostat.config.tree import App, ScorerSpec
from homeostat.decide.admission import Watermark
from homeostat.decide.contracts import Featurizer, Fusion, Policy, Scorer
from homeostat.decide.costs import Costs
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion, declared_table
from homeostat.decide.guards.engine import Guards
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.policy.bandit import BanditPolicy, BanditSettings
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.ppo import PpoPolicy
from homeostat.decide.policy.thresholds import FixedThresholdPolicy, ThresholdPolicy
from homeostat.decide.scorers.build import check_categories, serve_part
from homeostat.decide.scorers.plugins import PluginScorer, entry_point, wait_for
from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.decide.stages import Chance, Early, Limits, Stages
from homeostat.decide.what_if import WhatIf
from homeostat.decide.windows.around import Around
from homeostat.decide.windows.features import FeaturePlan, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.errors import HomeostatError
from homeostat.expressions import Membership
from homeostat.models.bundle import Bundle
from homeostat.ports import Clock, Journal
from homeostat.records.arrays import Float
from homeostat.records.identity import Coding, Ids, Served
from homeostat.records.parts import Part
from homeostat.stats.chance import keyed_chances

TRAINED = ("isolation_forest", "boosted_trees", "network")
_OURS = (*TRAINED, "rules")
_NEVER_LATE_NS = 2**60
_PLUGIN_NS = 10**9
OnError = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one decision loop, and how it uses them.

    coding : how texts became codes in the journal, and whose secret chance depends on
    served : whose secret chance depends on since a server goes on in a replay's folder
    bounded : whether deadlines hold; replay waits for every part, so that two replays are the same
    featurizer : what remembers the entities' pasts, where several processes share them; then nobody learns online,
        since each would learn from its own share only
    budget_rows : each budget of time is for so many rows, and a larger batch has in proportion more; None: one budget
        for whatever comes together
    patience_s : how long a stranger's scorer is waited for where deadlines don't hold; None: until it must be hanging
    judges_lateness : whether the loop says which events are late; if not, whoever hands it the events does
    """

    journal: Journal
    clock: Clock
    coding: Coding
    bounded: bool = True
    on_error: OnError | None = None
    featurizer: Featurizer | None = None
    served: Served | None = None
    judges_lateness: bool = True
    budget_rows: int | None = None
    patience_s: float | None = None


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
    positive, negative = [cost.positive for cost in ordered], [cost.negative for cost in ordered]
    return Costs(plans.field_types(app), positive, negative, tuple(app.events.entities))


def thresholds_of(app: App, costs: Costs | None) -> ThresholdPolicy | None:
    """The cost-optimal policy, which is also what stands in for any other; None without costs."""
    if costs is None:
        return None
    return ThresholdPolicy(costs, censoring_of(app), app.policy.holdout)


def censoring_of(app: App) -> list[bool]:
    """For each action, whether it hides the outcome."""
    return [action in app.outcomes.censoring for action in app.actions]


class NotTrained(HomeostatError):
    """The app has scorers or a policy that must be trained first; the text says how."""

    why = "the app names models that learn from recorded events first"
    remedy = "Train a bundle with homeostat train, and name it with --bundle"


class NoScorers(HomeostatError):
    """The app declares no scorers, so nothing would move the risk; the text says whose file it is."""

    why = "a decision needs at least one scorer for its risk, also where hard rules decide most"
    remedy = "Declare one: a scorer of kind rules needs no training"


def require_scorers(app: App) -> None:
    """Raises NoScorers where an app has none."""
    if not app.scorers:
        raise NoScorers(
            f"{app.app} declares no scorers, so nothing would move the risk: declare one in its file under `scorers` "
            "(one of kind `rules` needs no training)"
        )


def ready_scorers(app: App, features: FeaturePlan) -> dict[str, Scorer]:
    """The scorers that need no training: rules, and plug-ins."""
    ready: dict[str, Scorer] = {}
    foreign: list[PluginScorer] = []
    for name, spec in app.scorers.items():
        if spec.kind == "rules":
            rules = [ScoreRule(rule.name, rule.when, rule.score) for rule in spec.rules]
            ready[name] = RulesScorer(name, rules, features.names, features.types)
        elif spec.kind not in TRAINED:
            point, given = entry_point(spec.kind, name), plugin_settings(spec)
            scorer = PluginScorer(point, name, given, spec.features or features.names, spec.start)
            ready[name] = scorer
            foreign.append(scorer)
    wait_for(foreign)
    return ready


def brain(app: App, features: FeaturePlan, bundle: Bundle | None, ready: Mapping[str, Scorer] | None = None) -> Brain:
    """The parts of a bundle, ready to serve. Raises NoScorers; NotTrained where the app needs parts that it lacks.

    ready : scorers that are made already, by name: they remember nothing, so several loops may ask them
    """
    require_scorers(app)
    made = ready_scorers(app, features) if ready is None else dict(ready)
    code = plans.category_coding(app)
    for name in app.scorers:
        if name not in made:
            part = _part(app, bundle, f"scorer.{name}")
            check_categories(name, part, features.categories)
            made[name] = serve_part(name, part, features.names, code)
    scorers = tuple(made[name] for name in app.scorers)
    version = f"{app.app}-{fingerprint(app)}" + (f"+{bundle.version}" if bundle is not None else "")
    return Brain(scorers, _fusion(app, bundle), _policy(app, bundle), version)


def fingerprint(app: App) -> str:
    """A short hash of the app file's meaning: comments and layout don't change it."""
    return sha256(app.model_dump_json().encode()).hexdigest()[:8]


def _part(app: App, bundle: Bundle | None, name: str) -> Part:
    part = None if bundle is None else bundle.parts.get(name)
    if part is None:
        raise NotTrained(
            f"{app.app} has no trained {name}: train one with `homeostat train`, and name it with --bundle"
        )
    return part


def _fusion(app: App, bundle: Bundle | None) -> Fusion:
    names, spec = tuple(app.scorers), app.fusion
    if spec.kind == "weighted" and (bundle is None or bundle.fusion is None):
        return FixedFusion(declared_table(names, spec.weights), names)
    table = Table.of(_part(app, bundle, "fusion"))
    return AdaptiveFusion(table, names, spec.rate, spec.bound) if spec.kind == "adaptive" else FixedFusion(table, names)


def _policy(app: App, bundle: Bundle | None, untrained: bool = False) -> Policy:
    spec, costs, censoring = app.policy, costs_of(app), censoring_of(app)
    if costs is None:
        cuts = ThresholdsSettings.model_validate(spec.settings).cuts if spec.kind == "thresholds" else None
        return FixedThresholdPolicy(cuts or _even_cuts(len(app.actions)), censoring, spec.holdout)
    exploration = ExplorationPlan(spec.exploration.rate, spec.exploration.budget, spec.exploration.period, spec.holdout)
    if spec.kind == "bandit":
        return BanditPolicy(costs, censoring, spec.context, spec.algorithm, exploration, _bandit_settings(app))
    if spec.kind == "ppo" and not untrained:
        graph = _part(app, bundle, "policy.ppo").graphs["model"]
        return PpoPolicy(graph, costs, censoring, spec.context, exploration)
    return ThresholdPolicy(costs, censoring, spec.holdout)


def _bandit_settings(app: App) -> BanditSettings:
    """What the app declares; an outcome counts once both kinds could be known, as for all who learn if it is silent."""
    chosen = settings.BanditSettings.model_validate(app.policy.settings)
    maturity_ns = app.outcomes.matures if chosen.maturity is None else chosen.maturity
    return BanditSettings(**chosen.model_dump(exclude={"maturity"}), maturity_ns=maturity_ns)


def ppo_settings(app: App) -> dict[str, Any]:
    """What the app declares about the training of its PPO policy; nothing where its policy is another."""
    if app.policy.kind != "ppo":
        return {}
    return settings.PpoSettings.model_validate(app.policy.settings).model_dump(exclude_unset=True)


def _even_cuts(actions: int) -> tuple[float, ...]:
    """Without costs nothing says where an action begins: the risk is cut evenly."""
    return tuple(k / actions for k in range(1, actions))


def panel_of(app: App, brain: Brain, ports: Ports) -> Panel:
    """The app's scorers on a panel; plug-ins run in threads of their own unless told otherwise."""
    seats = [
        Seat(scorer, _deadline(app, spec), spec.isolated if spec.isolated is not None else spec.kind not in _OURS)
        for scorer, spec in zip(brain.scorers, app.scorers.values())
    ]
    return Panel(seats, ports.clock if ports.bounded else None, ports.on_error, ports.budget_rows, ports.patience_s)


def _deadline(app: App, spec: ScorerSpec) -> int | None:
    """How long a scorer is waited for. A stranger's without a deadline has half of the app's: the rest is for the rest.

    With none declared at all, a second: a plug-in that hangs must not stop the app.
    """
    if spec.deadline is not None or spec.kind in _OURS:
        return spec.deadline
    return _PLUGIN_NS if app.deadline is None else app.deadline // 2


def build(app: App, features: FeaturePlan, brain: Brain, ports: Ports) -> DecisionLoop:
    """The decision loop of an app on these ports."""
    costs, lists = costs_of(app), plans.membership(app, ports.coding)
    stages = Stages(
        featurizer=ports.featurizer or WindowFeaturizer(features, lists, ports.coding.places),
        panel=panel_of(app, brain, ports),
        fusion=brain.fusion,
        policy=brain.policy,
        thresholds=thresholds_of(app, costs),
        guard=Guards(plans.guard_plan(app), plans.guard_names(app, features), lists),
        joiner=None if ports.featurizer is not None else _joiner(app, costs, ports.coding),
        schedule=Schedule(app.learning.every),
        watermark=Watermark(app.events.lateness if ports.judges_lateness else _NEVER_LATE_NS),
        chance=chance_of(app, ports.coding if ports.served is None else ports.served.coding),
        early=None if ports.served is None else Early(ports.served.after, chance_of(app, ports.coding)),
        coding=ports.coding,
        actions=app.actions,
        version=brain.version,
        words=plans.vocabulary(app),
        meaning=meanings(app, features, brain.version.partition("+")[2]),
        what_if=what_if_of(app, features, lists, ports.coding),
    )
    limits = Limits(
        decision_ns=app.deadline if ports.bounded else None,
        policy_ns=app.policy.deadline if ports.bounded else None,
        reject_late=app.events.late == "reject" and ports.judges_lateness,
        rows=ports.budget_rows,
        learn_fusion=app.learning.fusion,
        learn_policy=app.learning.policy,
    )
    return DecisionLoop(stages, ports.journal, ports.clock, limits, ports.on_error)


def chance_of(app: App, coding: Coding) -> Chance:
    """What decides about hold-out and exploration: a function of the secret, the app's seed and an event's id."""
    keys = np.array([coding.words(b"chance %d of seed %d" % (stream, app.seed)) for stream in range(2)], np.uint64)

    def chance(ids: Ids) -> Float:
        return keyed_chances(keys, ids.code, ids.check)

    return chance


def what_if_of(app: App, features: FeaturePlan, lists: Membership, coding: Coding) -> WhatIf:
    """The facts about the app's features that explanations use."""
    declared = {name: field.values for name, field in app.events.fields.items() if field.values is not None}
    return WhatIf(features, Around(features, lists), coding.category, declared)


def _joiner(app: App, costs: Costs | None, coding: Coding) -> OutcomeJoiner | None:
    """What remembers decisions until their outcomes come; only where someone learns from them."""
    learns = (app.fusion.kind == "adaptive" and app.learning.fusion) or (
        app.policy.kind == "bandit" and app.learning.policy
    )
    if costs is None or not learns:
        return None
    return OutcomeJoiner(
        costs,
        context=app.policy.context,
        actions=len(app.actions),
        scorers=len(app.scorers),
        entities=len(app.events.entities),
        delay_ns=app.outcomes.delay,
        horizon_ns=app.outcomes.horizon,
        unknown_negative=app.outcomes.unknown == "negative",
        maturity_ns=_learning_maturity(app),
        censoring=[app.actions.index(action) for action in app.outcomes.censoring],
        places=coding.places,
    )


def _learning_maturity(app: App) -> int:
    """At which age outcomes are handed to what learns online; a bandit may declare a lesser one."""
    ages = [app.outcomes.matures]
    if app.policy.kind == "bandit":
        ages.append(_bandit_settings(app).maturity_ns)
    return min(ages)


def weights_of(fusion: Fusion) -> dict[str, float]:
    """How much each scorer's log-odds count in the risk when all of them answer; nothing where nobody can say."""
    return fusion.weights() if isinstance(fusion, FixedFusion | AdaptiveFusion) else {}


def untrained(app: App) -> Brain:
    """A brain that has not learned anything yet: for the windows to fill before the moment of training."""
    names = tuple(app.scorers)
    table = declared_table(names, {}) if names else declared_table(("none",), {})
    return Brain((), FixedFusion(table, names), _policy(app, None, untrained=True), f"{app.app}-{fingerprint(app)}")
