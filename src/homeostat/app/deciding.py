"""An app's config and its brain become the decision loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from homeostat.app.brains import (
    OURS,
    Brain,
    bandit_settings,
    binds_thresholds,
    costs_of,
    fusion_of,
    policy_of,
    stand_in,
    within_thresholds,
)
from homeostat.config import plans
from homeostat.config.learners import learners_of
from homeostat.config.remembered import meanings
from homeostat.config.repairs import held_of, read_schema, repair_plan
from homeostat.config.tree import App, FieldType, ScorerSpec
from homeostat.config.variants import LEARNERS, Variant
from homeostat.decide.admission import Watermark
from homeostat.decide.changing import CanaryParts, Lateness, Setup
from homeostat.decide.contracts import Featurizer
from homeostat.decide.costs import Costs
from homeostat.decide.domains import YES_OR_NO, Domain, domains_of
from homeostat.decide.guards.engine import Guards
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.rebuilding import asks_to_rebuild
from homeostat.decide.repairing.plan import RepairPlan
from homeostat.decide.repairing.quarantine import Quarantine
from homeostat.decide.repairing.repairs import Repairs
from homeostat.decide.stages import Chance, Early, Holds, Limits, Stages
from homeostat.decide.what_if import WhatIf
from homeostat.decide.windows.around import Around
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.expressions import Membership
from homeostat.models.bundle import Bundle
from homeostat.ports import Clock, Journal
from homeostat.records.arrays import Float, Mask, State
from homeostat.records.changes import Change
from homeostat.records.events import EventBatch
from homeostat.records.identity import ABSENT, Coding, Ids, Served
from homeostat.records.meaning import Meaning
from homeostat.stats.chance import keyed_chances

_NEVER_LATE_NS = 2**60
_PLUGIN_NS = 10**9
OnError = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one decision loop, and how it uses them.

    coding : how texts became codes in the journal, and whose secret chance depends on
    served : whose secret chance depends on since a server goes on in a replay's folder
    bounded : whether deadlines hold; replay waits for every part, so that two replays are the same
    featurizer : what remembers the entities' pasts, where several processes share them; such a process does not learn,
        since it would learn from its own share only, but takes what a learner publishes
    learns : whether it is that learner
    budget_rows : each budget of time is for so many rows, and a larger batch has in proportion more; None: one budget
        for whatever comes together
    patience_s : how long a stranger's scorer is waited for where deadlines don't hold; None: until it must be hanging
    judges_lateness : whether the loop decides which events are late; otherwise its caller has decided it
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
    learns: bool = False

    @property
    def taught(self) -> bool:
        """Whether another process learns for this one."""
        return self.featurizer is not None and not self.learns


def panel_of(app: App, brain: Brain, ports: Ports) -> Panel:
    """The app's scorers on a panel; plug-ins run in threads of their own unless the app file says otherwise."""
    seats = [
        Seat(scorer, _deadline(app, spec), spec.isolated if spec.isolated is not None else spec.kind not in OURS)
        for scorer, spec in zip(brain.scorers, app.scorers.values())
    ]
    return Panel(seats, ports.clock if ports.bounded else None, ports.on_error, ports.budget_rows, ports.patience_s)


def _deadline(app: App, spec: ScorerSpec) -> int | None:
    """How long a scorer is waited for. A stranger's without a deadline has half of the app's: the rest is for the rest.

    With none declared at all, a second: a plug-in that hangs must not stop the app.
    """
    if spec.deadline is not None or spec.kind in OURS:
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
        thresholds=stand_in(app, costs, brain.policy),
        guard=Guards(plans.guard_plan(app), plans.guard_names(app, features), lists),
        joiner=None if ports.taught else _joiner(app, costs, ports.coding),
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
        lateness_ns=app.events.lateness,
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


def setup_of(
    base: App, features: FeaturePlan, brain: Brain, bundle: Bundle | None, found: Variant, lists: Membership,
    changes: Sequence[Change], in_force: Sequence[Change], ports: Ports, learned: Mapping[str, State] | None = None,
    beside: tuple[Brain, Bundle | None] | None = None,
) -> Setup:  # fmt: skip
    """The setup that settings give a loop that `build` made of the same app and on the same ports.

    brain, bundle : of the version that is to decide; the brain's fusion and policy stay untouched
    found : what the changes in force make of the app
    lists : of that
    changes : those that lead here
    learned : see `Setup`
    beside : the models of the canary
    Raises NotTrained, ValueError where the models or a rule's condition don't fit.
    """
    if asks_to_rebuild(changes) is not None and ports.featurizer is not None:
        raise ValueError("windows that several processes share can't be made again while they decide: undo this change")
    app, costs, trained = found.app, costs_of(base), brain.version.partition("+")[2]
    asks = any(program.lists for program in (*features.inputs, *features.derived))
    return Setup(
        number=changes[-1].number,
        in_force=tuple(in_force),
        changes=tuple(changes),
        version=brain.version,
        scorers=dict(zip(base.scorers, brain.scorers, strict=True)),
        fusion=fusion_of(found, bundle),
        policy=within_thresholds(found, lambda own: policy_of(own, bundle)),
        thresholds=within_thresholds(found, lambda own: stand_in(own, costs, policy_of(own, bundle))),
        guard=Guards(plans.guard_plan(app, found.always, found.limits), plans.guard_names(app, features), lists),
        joiner=None if ports.taught else _joiner(base if _learns(base) else app, costs, ports.coding),
        lists=lists if asks else None,
        what_if=what_if_of(app, features, lists, ports.coding),
        learns=frozenset(name for name in LEARNERS if getattr(app.learning, name)),
        words=plans.vocabulary(app),
        meaning=meanings_of(base, features, trained, found),
        learned=learned,
        canary=None if beside is None else _canary(base, features, found, *beside, ports),
        shed=found.shed,
        quarantine=Quarantine(held_of(app, found.quarantines), lists) if found.quarantines else None,
        lateness=Lateness(app.events.lateness, app.events.lateness if ports.judges_lateness else _NEVER_LATE_NS),
        repairing=_repairing(found, lists, ports.coding),
        reads=read_schema(app, found.repairs, ports.coding),
    )


def _repairing(found: Variant, lists: Membership, coding: Coding) -> Repairs | None:
    plan = repair_plan(found.app, found.repairs, coding)
    return None if plan == RepairPlan() else Repairs(plan, lists)


def _canary(
    base: App, features: FeaturePlan, found: Variant, own: Brain, bundle: Bundle | None, ports: Ports
) -> CanaryParts:
    """The parts of a version that decides a share of the entities, under the same settings as the champion's."""
    coding = ports.coding if ports.served is None else ports.served.coding
    return CanaryParts(
        own.version,
        dict(zip(base.scorers, own.scorers, strict=True)),
        fusion_of(found, bundle),
        within_thresholds(found, lambda app: policy_of(app, bundle)) if _policy_is_trained(base) else None,
        holds_of(base, coding, found.canary, found.share),
        meanings(found.app, features, f"{found.canary} {found.fusion}".strip())["fusion"],
    )


def _policy_is_trained(app: App) -> bool:
    """Whether a version has a policy of its own; else one policy decides for champion and canary."""
    return app.policy.kind == "ppo" or binds_thresholds(app)


def holds_of(app: App, coding: Coding, version: str, share: float) -> Holds:
    """Which events a canary decides: a share of the entities, by a hash keyed with the secret and the version.

    An entity that is among them stays so when the share rises. An event without the entity is the champion's.
    """
    entities = list(app.events.entities)
    column = entities.index(canary_entity(app))
    keys = np.array([coding.words(b"canary %s" % version.encode())], np.uint64)

    def holds(events: EventBatch) -> Mask:
        code = np.ascontiguousarray(events.keys[:, column])
        drawn = keyed_chances(keys, code, np.ascontiguousarray(events.key_checks[:, column]))[:, 0]
        found: Mask = (drawn < share) & (code != ABSENT)
        return found

    return holds


def canary_entity(app: App) -> str:
    """The entity of which a canary gets a share: the declared one, or the first. Raises ValueError without any."""
    declared = None if app.canary is None else app.canary.entity
    if not app.events.entities:
        raise ValueError(f"a canary decides a share of the entities, and {app.app} has none")
    return declared or next(iter(app.events.entities))


def meanings_of(base: App, features: FeaturePlan, trained: str, found: Variant) -> dict[str, Meaning]:
    """The meanings of what a loop's parts remember under settings.

    trained : the version of the models that the process was started with, empty without any
    """
    version = f"{found.champion or trained} {found.fusion}".strip()
    return meanings(found.app, features, version)


def chance_of(app: App, coding: Coding) -> Chance:
    """The chance in hold-out and exploration: a function of the secret, the app's seed and an event's id."""
    keys = np.array([coding.words(b"chance %d of seed %d" % (stream, app.seed)) for stream in range(2)], np.uint64)

    def chance(ids: Ids) -> Float:
        return keyed_chances(keys, ids.code, ids.check)

    return chance


def what_if_of(app: App, features: FeaturePlan, lists: Membership, coding: Coding) -> WhatIf:
    """The facts about the app's features that explanations use."""
    declared = {name: field.values for name, field in app.events.fields.items() if field.values is not None}
    domains = domains_of(features, {name: _domain(field) for name, field in app.events.fields.items()})
    return WhatIf(features, Around(features, lists), coding.category, declared, domains)


def _domain(field: FieldType) -> Domain:
    """The values that a field can have, by its declaration."""
    if field.type == "boolean":
        return YES_OR_NO
    low, high = -inf if field.min is None else field.min, inf if field.max is None else field.max
    return Domain(low, high, 1.0 if field.type == "integer" else 0.0)


def _joiner(app: App, costs: Costs | None, coding: Coding) -> OutcomeJoiner | None:
    """The joiner, which remembers decisions until their outcomes come; only where someone learns from them."""
    if costs is None or not _learns(app):
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


def _learns(app: App) -> bool:
    """Whether an app's fusion or policy learns while it decides."""
    return any(getattr(app.learning, name) for name in learners_of(app))


def _learning_maturity(app: App) -> int:
    """At which age outcomes are handed to what learns online; a bandit may declare a lesser one."""
    ages = [app.outcomes.matures]
    if app.policy.kind == "bandit":
        ages.append(bandit_settings(app).maturity_ns)
    return min(ages)
