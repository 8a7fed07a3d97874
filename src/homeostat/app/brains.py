"""An app's config and trained parts become scorers, fusion and policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from homeostat.app.policy_plugins import plugin_policy
from homeostat.config import plans, settings
from homeostat.config.setting_faults import plugin_settings
from homeostat.config.settings import ThresholdsSettings
from homeostat.config.tree import App
from homeostat.config.variants import Variant
from homeostat.decide.contracts import Fusion, Policy, Scorer
from homeostat.decide.costs import Costs
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.calibrated import CalibratedFusion
from homeostat.decide.fusion.ensemble import EnsembleFusion, fusion_part, serve_fusion, trained_fusions
from homeostat.decide.fusion.fixed import FixedFusion, declared_table
from homeostat.decide.policy.bandit import BanditPolicy, BanditSettings
from homeostat.decide.policy.bounded import BoundedPolicy
from homeostat.decide.policy.by_group import PART, GroupRules, GroupThresholdPolicy, group_rules
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.ppo import PpoPolicy
from homeostat.decide.policy.thresholds import FixedThresholdPolicy, ThresholdPolicy
from homeostat.decide.scorers.build import check_categories, serve_part
from homeostat.decide.scorers.plugins import PluginScorer, entry_point, wait_for
from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.decide.windows.features import FeaturePlan, plan_features
from homeostat.errors import HomeostatError
from homeostat.models.bundle import Bundle
from homeostat.records.parts import Part, PartError

TRAINED = ("isolation_forest", "boosted_trees", "network", "reconstruction", "profile")
OURS = (*TRAINED, "rules")
P = TypeVar("P", bound=Policy | None)


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


def stand_in(app: App, costs: Costs | None, policy: Policy) -> Policy | None:
    """The policy that stands in where the app's fails, and in explanations; one by groups stands in for itself."""
    return policy if isinstance(policy, GroupThresholdPolicy) else thresholds_of(app, costs)


def censoring_of(app: App) -> list[bool]:
    """For each action, whether it hides the outcome."""
    return [action in app.outcomes.censoring for action in app.actions]


class NotTrained(HomeostatError):
    """The app has scorers or a policy that must be trained first; the text says how."""

    why = "the app names models that learn from recorded events first"
    remedy = (
        "Train a bundle with homeostat train and name it with --bundle, or let a kept version decide with "
        "homeostat models promote"
    )


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
    return Brain(scorers, _fusion(app, bundle), policy_of(app, bundle), version)


_UNTRAINED_FUSION = "; or declare weights, which need no training, by `fusion: {kind: weighted}`"


def fingerprint(app: App) -> str:
    """A short hash of the app file's meaning: comments and layout don't change it."""
    return sha256(app.model_dump_json().encode()).hexdigest()[:8]


def _part(app: App, bundle: Bundle | None, name: str, or_else: str = "") -> Part:
    part = None if bundle is None else bundle.parts.get(name)
    if part is None:
        raise NotTrained(
            f"{app.app} has no trained {name}: train one with `homeostat train` and name it with --bundle, or let a "
            f"version that the folder keeps decide with `homeostat models promote`{or_else}"
        )
    return part


def _fusion(app: App, bundle: Bundle | None, name: str = "") -> Fusion:
    """The app's fusion, or the one of a name that settings ask for. Raises NotTrained, PartError."""
    names, spec = tuple(app.scorers), app.fusion
    kind = name or spec.kind
    part = None if bundle is None else fusion_part(bundle.parts, kind, named=bool(name))
    if part is None and kind == "weighted":
        return FixedFusion(declared_table(names, spec.weights), names)
    if part is None:
        if bundle is not None and trained_fusions(bundle.parts):
            raise untrained_fusion(app.app, kind, bundle)
        part = _part(app, None, "fusion", _UNTRAINED_FUSION)
    made = serve_fusion(part, names, kind, rate=spec.rate, bound=spec.bound)
    if isinstance(made, EnsembleFusion) and made.kinds != spec.members:
        raise NotTrained(
            f"{app.app}'s ensemble was trained of {' and '.join(made.kinds)}, and the app file combines "
            f"{' and '.join(spec.members)}: train it again with `homeostat train`"
        )
    return made


def untrained_fusion(app: str, kind: str, bundle: Bundle) -> NotTrained:
    """The error that a bundle has other fusions than the one that is asked for."""
    return NotTrained(
        f"{app} has no trained fusion.{kind}: its models have {', '.join(trained_fusions(bundle.parts)) or 'none'}; "
        "name it in the app file's `fusion.also`, and train again with `homeostat train`"
    )


def fusion_of(found: Variant, bundle: Bundle | None) -> Fusion:
    """The fusion that settings ask for, calibrated as they say. Raises NotTrained, PartError."""
    fusion = _fusion(found.app, bundle, found.fusion)
    if (found.shift, found.scale) == (0.0, 1.0):
        return fusion
    return CalibratedFusion(fusion, found.shift, found.scale)


def within_thresholds(found: Variant, make: Callable[[App], P]) -> P | BoundedPolicy:
    """A policy, within the thresholds of the settings; those draw the hold-out after it."""
    app = found.app
    if not found.thresholds and not found.randoms:
        return make(app)
    inner = make(app.model_copy(update={"policy": app.policy.model_copy(update={"holdout": 0.0})}))
    if inner is None:
        return inner
    at = [found.randoms.get(action, found.thresholds.get(action)) for action in app.actions]
    return BoundedPolicy(inner, at, censoring_of(app), app.policy.holdout)


def policy_of(app: App, bundle: Bundle | None, untrained: bool = False) -> Policy:
    """The app's policy. Raises NotTrained, PartError, PluginError.

    untrained : one that needs no training stands in for one that does
    """
    spec, costs, censoring = app.policy, costs_of(app), censoring_of(app)
    if spec.kind == "plugin":
        chosen = settings.PluginPolicySettings.model_validate(spec.settings)
        return plugin_policy(chosen.name, app.actions, chosen.options)
    if costs is None:
        cuts = ThresholdsSettings.model_validate(spec.settings).cuts if spec.kind == "thresholds" else None
        return FixedThresholdPolicy(cuts or _even_cuts(len(app.actions)), censoring, spec.holdout)
    exploration = ExplorationPlan(spec.exploration.rate, spec.exploration.budget, spec.exploration.period, spec.holdout)
    if spec.kind == "bandit":
        return BanditPolicy(costs, censoring, spec.context, spec.algorithm, exploration, bandit_settings(app))
    if not untrained and binds_thresholds(app):
        return GroupThresholdPolicy(costs, censoring, _group_rules(app, _part(app, bundle, PART)), spec.holdout)
    if spec.kind == "ppo" and not untrained:
        graph = _part(app, bundle, "policy.ppo").graphs.get("model")
        if graph is None:
            raise PartError("the part policy.ppo needs its graph, model")
        return PpoPolicy(graph, costs, censoring, spec.context, exploration)
    return ThresholdPolicy(costs, censoring, spec.holdout)


def binds_thresholds(app: App) -> bool:
    """Whether people are selected by thresholds of their group."""
    return app.fairness is not None and app.fairness.binds == "thresholds"


def _group_rules(app: App, part: Part) -> GroupRules:
    """A trained part's rules, for this app. Raises PartError where they are about another field or other actions."""
    fair = app.fairness
    assert fair is not None
    selected = plans.selected_actions(app)
    if part.settings.get("field") != fair.groups or list(part.settings.get("selected") or ()) != list(selected):
        raise PartError(
            f"the part {PART} is about {part.settings.get('field')!r} and the actions "
            f"{part.settings.get('selected')!r}, the app's fairness about {fair.groups!r} and {list(selected)!r}"
        )
    values = plans.group_values(app, part.settings.get("groups") or ())
    column = list(app.events.fields).index(fair.groups)
    return group_rules(part, column, [action in selected for action in app.actions], values)


def bandit_settings(app: App) -> BanditSettings:
    """The settings that the app declares; an outcome counts once both kinds could be known, as for all who learn if it
    is silent.
    """
    chosen = settings.BanditSettings.model_validate(app.policy.settings)
    maturity_ns = app.outcomes.matures if chosen.maturity is None else chosen.maturity
    return BanditSettings(**chosen.model_dump(exclude={"maturity"}), maturity_ns=maturity_ns)


def ppo_settings(app: App) -> dict[str, Any]:
    """The training settings that the app declares for its PPO policy; nothing where its policy is another."""
    if app.policy.kind != "ppo":
        return {}
    return settings.PpoSettings.model_validate(app.policy.settings).model_dump(exclude_unset=True)


def _even_cuts(actions: int) -> tuple[float, ...]:
    """Without costs nothing says where an action begins: the risk is cut evenly."""
    return tuple(k / actions for k in range(1, actions))


def weights_of(fusion: Fusion) -> dict[str, float]:
    """How much each scorer's log-odds count in the risk when all of them answer; nothing where nobody can say."""
    known = FixedFusion | AdaptiveFusion | EnsembleFusion | CalibratedFusion
    return dict(fusion.weights()) if isinstance(fusion, known) else {}


def untrained(app: App) -> Brain:
    """A brain that has not learned anything yet: for the windows to fill before the moment of training."""
    names = tuple(app.scorers)
    table = declared_table(names, {}) if names else declared_table(("none",), {})
    return Brain((), FixedFusion(table, names), policy_of(app, None, untrained=True), f"{app.app}-{fingerprint(app)}")
