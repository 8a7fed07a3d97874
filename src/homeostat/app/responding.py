"""An app's config becomes the stages that answer incidents: planner, executor, verifier, and their coordinator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from homeostat.app.remedy_plugins import plugin_remedies
from homeostat.config.tree import App
from homeostat.config.variants import Inapplicable, variant
from homeostat.maintain.act.executor import SettingsExecutor, Work
from homeostat.maintain.contracts import Case, Gate, Investigator
from homeostat.maintain.coordinator import Coordinator, Pace, Stages
from homeostat.maintain.plan.planner import RemedyPlanner
from homeostat.maintain.plan.rehearsing import effect_of
from homeostat.maintain.plan.remedies import Means
from homeostat.maintain.verify.training import training_verdict
from homeostat.maintain.verify.verifier import Course, by_undoing, verdict_of
from homeostat.models.deployments import CHAMPION, version_in
from homeostat.ports.rehearsal import CanNotRehearse, Rehearsal
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind, Scope
from homeostat.records.library import KeptVersion, Library
from homeostat.records.plans import Alteration, Plan, Receipt, Verified
from homeostat.records.verdicts import Verdict

_ALWAYS_NS = (1 << 63) - 1

CourseSince = Callable[[Case, Plan, Receipt], Course]
"""The decisions since a step."""


def means_of(app: App) -> Means:
    """The means that an app has to act with. Raises PluginError."""
    learners = []
    if app.fusion.learns and app.learning.fusion:
        learners.append("fusion")
    if app.policy.kind == "bandit" and app.learning.policy:
        learners.append("policy")
    return Means(
        tuple(app.actions), tuple(app.scorers), tuple(learners),
        trains=any(spec.kind != "rules" for spec in app.scorers.values()),
        fields=tuple(app.events.fields), entities=tuple(app.events.entities), safe=app.guards.fallback.scorers_absent,
        further=plugin_remedies(),
    )  # fmt: skip


def coordinator_of(
    app: App, investigator: Investigator, rehearsal: Rehearsal, gate: Gate, settings: Settings, course: CourseSince,
    allowed: Callable[[Plan, str], bool], work: Work | None = None, pace: Pace | None = None,
    versions: Callable[[], Sequence[KeptVersion]] = tuple,
) -> Coordinator:  # fmt: skip
    """The coordinator of an app's incidents.

    allowed : see `SettingsExecutor`; course : the decisions since a step
    versions : those that are kept now, see `Library`
    """
    means = means_of(app)

    def means_now() -> Means:
        deployed = settings.at(_ALWAYS_NS).get(Scope(ChangeKind.DEPLOY, CHAMPION))
        champion = "" if deployed is None else version_in(deployed.body) or ""
        return replace(means, library=Library(versions(), champion))

    def judge(case: Case, plan: Plan, receipt: Receipt, extended: bool) -> Verified | None:
        if plan.steps[receipt.step].only_trains and work is not None:
            return training_verdict(plan, receipt, work.ended(receipt.job, receipt.key), case.now_ns)
        found = verdict_of(plan, receipt, course(case, plan, receipt), case.now_ns, extended)
        if found is None or found.verdict != Verdict.INCONCLUSIVE or not receipt.changes:
            return found
        changes = [one for number in receipt.changes for one in settings.since(number - 1, 1)]
        back = [Alteration(one.kind, one.scope, one.before) for one in changes]
        try:
            without = rehearsal.again(receipt.at_ns, case.now_ns, back, since_ns=receipt.at_ns)
        except CanNotRehearse:
            return found
        labels_only = bool(plan.steps[receipt.step].expects.get("labels_only"))
        # The plan rests on risks under the step. Those without it are what it is to mend.
        effect = effect_of(without, len(app.actions), labels_only=labels_only, trusts_served=True)
        return by_undoing(found, plan, effect.rehearsed, effect.blast.decisions)

    def fits(alterations: Sequence[Alteration]) -> bool:
        standing = settings.at(_ALWAYS_NS)
        wanted = {one.where: one for one in (_change(each) for each in alterations)}
        try:
            variant(app, {**standing, **wanted}.values())
        except Inapplicable:
            return False
        return True

    def present(alterations: Sequence[Alteration]) -> list[Alteration]:
        standing = settings.at(_ALWAYS_NS)
        found = []
        for one in alterations:
            now = standing.get(_change(one).where)
            found.append(replace(one, body=None if now is None else now.body))
        return found

    stages = Stages(
        investigator, lambda: RemedyPlanner(rehearsal, means_now(), settings.last, fits, present), gate,
        SettingsExecutor(settings, allowed, work), judge,
    )  # fmt: skip
    return Coordinator(stages, pace)


def _change(wanted: Alteration) -> Change:
    return Change(wanted.kind, wanted.scope, wanted.body, "homeostat", "whether it fits", number=_ALWAYS_NS)
