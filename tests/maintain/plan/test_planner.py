"""Remedies are chosen by what they save on recent traffic, and a person is the last of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from homeostat.checks.inquiries import signal
from homeostat.maintain.contracts import Case, Elsewhere
from homeostat.maintain.plan.planner import RemedyPlanner
from homeostat.maintain.plan.rehearsing import effect_of
from homeostat.maintain.plan.remedies import Means, offers
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.edits import Edit
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.incidents import Incident, Severity
from homeostat.records.plans import Alteration, Plan, Remedy
from homeostat.records.signals import Kind

HOUR = 3_600_000_000_000
MEANS = Means(("allow", "review", "block"), ("forest", "rules"), ("policy",), safe="review")
INCIDENT = Incident("i1", "shop", 1, 100 * HOUR, 100 * HOUR, 99 * HOUR, Severity.HIGH, ("s1",))
CASE = Case(INCIDENT, (), (), (), 102 * HOUR)


def again(action: Sequence[int], served: Sequence[int], label: Sequence[float], kept: Sequence[int] = ()) -> Again:
    """Decisions at which a block of a good one costs 5, and letting a bad one through costs 20."""
    n = len(action)
    positive, negative = np.tile([20.0, 4.0, 0.0], (n, 1)), np.tile([0.0, 1.0, 5.0], (n, 1))
    none = np.zeros((n, 0))
    risk = np.full(n, 0.05)
    return Again(
        (), np.arange(n), np.linspace(0, 10 * HOUR, n).astype(np.int64), np.arange(n)[:, None] % 7, risk + 0.4,
        np.array(served, np.int16), none, risk, np.array(action, np.int16), none, np.array(label, np.float64),
        positive, negative, np.array(kept or [1] * n, np.bool_),
    )  # fmt: skip


class Stage:
    """A rehearsal that gives back what was laid down for a remedy's kind of change."""

    def __init__(self, found: dict[ChangeKind, Again | None]) -> None:
        self.found, self.asked = found, list[Sequence[Alteration]]()

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        self.asked.append(alterations)
        found = self.found.get(alterations[-1].kind)
        if found is None:
            raise CanNotRehearse("the journal does not reach back so far")
        return found


GOOD = again([0] * 200, [2] * 200, [np.nan] * 200)  # 200 blocks of people who are let through again.
BAD = again([2] * 200, [0] * 200, [np.nan] * 200)


def finding(kind: Cause, node: str, **about: object) -> Finding:
    return Finding(node, str(kind), 0.93, 99 * HOUR, about=about)


def planned(
    stage: Stage, *findings: Finding, conclusion: Conclusion = Conclusion.CAUSE, later_h: int = 0
) -> Plan:  # fmt: skip
    ranked = tuple((one.node, one.kind, one.probability) for one in findings)
    found = Findings("i1", 102 * HOUR, conclusion, findings, ranked, 4)
    return RemedyPlanner(stage, MEANS, 3).plan(replace(CASE, now_ns=CASE.now_ns + later_h * HOUR), found)


def test_every_kind_of_cause_ends_at_a_person() -> None:
    for kind in Cause:
        assert offers(finding(kind, "source"), MEANS)[-1].remedy is Remedy.ESCALATE
    assert [one.remedy for one in offers(Finding("x", "unheard of", 0.9, 0), MEANS)] == [Remedy.ESCALATE]


def test_the_effect_is_what_known_outcomes_and_risk_say_an_hour() -> None:
    found = effect_of(GOOD, 3)
    each = (0.05 * 0 + 0.95 * 5) - 0.05 * 20
    assert found.rehearsed.effect == pytest.approx(each * 200 / 10) and found.rehearsed.n == 200
    assert found.blast.decisions == 1 and found.blast.entities == 1 and found.mix == (1, 0, 0)
    labelled = effect_of(again([0] * 200, [2] * 200, [1.0] * 200), 3)
    assert labelled.rehearsed.effect == pytest.approx(-20 * 20)
    assert np.isnan(effect_of(GOOD, 3, labels_only=True).rehearsed.effect)


def test_positives_that_are_not_known_yet_are_made_up_for_by_those_that_are() -> None:
    """Of 200 events of an age at which half of the positives are known, ten are known: twenty are expected."""
    label = [1.0] * 10 + [np.nan] * 190
    half = replace(again([1] * 200, [0] * 200, label), seen=np.full(200, 0.5))
    found = effect_of(half, 3, labels_only=True).rehearsed
    assert found.effect == pytest.approx((20 * (20 - 4) - 180 * 1) / 10) and found.n == 200
    young = replace(half, seen=np.full(200, 0.05))
    assert np.isnan(effect_of(young, 3, labels_only=True).rehearsed.effect)
    known = np.where(np.arange(200) < 100, 0.5, 0.0)  # The newer half is too young to say anything.
    late = effect_of(replace(half, seen=known), 3, labels_only=True, since_ns=8 * HOUR)
    assert late.rehearsed.n == pytest.approx(40, abs=2)  # Events of two to five hours: outcomes lag by five.


def test_a_verdict_trusts_the_risks_under_the_step() -> None:
    mine = replace(again([0] * 200, [2] * 200, [np.nan] * 200), served_risk=np.full(200, 0.9))
    assert effect_of(mine, 3).rehearsed.effect > 0 > effect_of(mine, 3, trusts_served=True).rehearsed.effect


def test_what_was_undone_in_an_incident_is_not_offered_again() -> None:
    found = finding(Cause.UNIT, "field:amount", factor=0.01)
    findings = Findings("i1", 102 * HOUR, Conclusion.CAUSE, (found,), ((found.node, found.kind, 0.93),), 4)
    planner = RemedyPlanner(Stage({ChangeKind.REPAIR: GOOD}), MEANS, 3)
    assert planner.plan(CASE, findings).steps[0].remedy is Remedy.CONVERT
    failed = [("convert", "field:amount"), ("mask", "field:amount")]
    assert planner.plan(CASE, findings, failed).steps[0].remedy is Remedy.ESCALATE


def test_a_remedy_that_is_in_force_is_not_done_again() -> None:
    unit, segment = finding(Cause.UNIT, "field:amount", factor=0.01), finding(Cause.SEGMENT, "segment", where="a == 1")
    for one, later_h, wanted in ((unit, 0, "monitor"), (unit, 99, "monitor"), (segment, 0, "monitor")):
        stage = Stage({ChangeKind.REPAIR: GOOD, ChangeKind.RULE: GOOD})
        findings = Findings("i1", 0, Conclusion.CAUSE, (one,), ((one.node, one.kind, 0.93),), 4)
        case = replace(CASE, now_ns=CASE.now_ns + later_h * HOUR)
        plan = RemedyPlanner(stage, MEANS, 3, present=lambda wanted: wanted).plan(case, findings)
        assert [one.remedy for one in plan.steps] == [wanted] and "is in force" in plan.steps[0].why
        other = RemedyPlanner(stage, MEANS, 3, present=lambda wanted: [replace(one, body=None) for one in wanted])
        assert "is in force" not in other.plan(case, findings).steps[0].why
    late = replace(CASE, now_ns=CASE.now_ns + 200 * HOUR)  # A rule stands, and the segment goes on to be wrong.
    asked = RemedyPlanner(stage, MEANS, 3, present=lambda wanted: wanted).plan(late, findings)
    assert [one.remedy for one in asked.steps] == [Remedy.ESCALATE]


def test_of_several_remedies_the_one_that_saves_is_taken_and_the_others_say_why_not() -> None:
    plan = planned(Stage({ChangeKind.REPAIR: GOOD}), finding(Cause.UNIT, "field:amount", factor=0.01))
    step = plan.steps[0]
    assert step.remedy is Remedy.CONVERT and step.alterations[0].body == {"op": "convert", "factor": 0.01}
    assert step.expects["metric"] == "mean risk" and step.rehearsed.low > 0 and plan.confidence == 0.93
    assert "escalate" in dict(plan.rejected) and plan.settings == 3


def test_what_would_make_it_worse_is_left_and_a_person_is_asked() -> None:
    plan = planned(Stage({ChangeKind.REPAIR: BAD}), finding(Cause.UNIT, "field:amount", factor=0.01))
    assert [one.remedy for one in plan.steps] == [Remedy.ESCALATE]


def test_two_causes_are_met_in_a_safe_order_each_rehearsed_on_top_of_the_other() -> None:
    stage = Stage({ChangeKind.REPAIR: GOOD, ChangeKind.DEPLOY: GOOD})
    plan = planned(
        stage, finding(Cause.VERSION, "version", before="a1"), finding(Cause.UNIT, "field:amount", factor=0.01)
    )
    assert [one.remedy for one in plan.steps] == [Remedy.CONVERT, Remedy.ROLLBACK]
    assert [one.kind for one in stage.asked[-1]] == [ChangeKind.REPAIR, ChangeKind.DEPLOY]


def test_what_the_app_could_not_apply_is_not_offered() -> None:
    found = finding(Cause.UNIT, "field:amount", factor=0.01)
    findings = Findings("i1", 102 * HOUR, Conclusion.CAUSE, (found,), ((found.node, found.kind, 0.93),), 4)
    stage = Stage({ChangeKind.REPAIR: GOOD})
    plan = RemedyPlanner(stage, MEANS, 3, lambda alterations: not alterations).plan(CASE, findings)
    assert [one.remedy for one in plan.steps] == [Remedy.ESCALATE] and not stage.asked


def test_what_changes_learning_alone_needs_no_rehearsal() -> None:
    stage = Stage({})
    plan = planned(stage, finding(Cause.LABEL_DELAY, "labels"))
    assert plan.steps[0].remedy is Remedy.HOLD_TRAINING and not stage.asked
    assert plan.steps[0].expects["metric"] == "applied" and plan.steps[0].expects["protects"]


@pytest.mark.parametrize(
    ("conclusion", "later_h", "remedy"),
    [
        (Conclusion.NONE, 0, Remedy.MONITOR),
        (Conclusion.INCONCLUSIVE, 0, Remedy.MONITOR),
        (Conclusion.INCONCLUSIVE, 30, Remedy.ESCALATE),
    ],
)
def test_nothing_and_nothing_sure_are_answered_by_watching_and_a_day_later_by_people(
    conclusion: Conclusion, later_h: int, remedy: Remedy
) -> None:
    plan = planned(Stage({}), conclusion=conclusion, later_h=later_h)
    assert [one.remedy for one in plan.steps] == [remedy] and not plan.steps[0].alterations


UNIT = finding(Cause.UNIT, "field:amount", factor=0.01)


def revised(stage: Stage, plan: Plan, edit: Edit, *findings: Finding, fits: bool = True) -> Plan:
    found = Findings("i1", 102 * HOUR, Conclusion.CAUSE, findings or (UNIT,), (), 4)
    return RemedyPlanner(stage, MEANS, 5, lambda alterations: fits).revise(CASE, found, plan, edit)


def test_an_edit_of_a_step_is_rehearsed_and_makes_another_plan_of_its_author() -> None:
    stage = Stage({ChangeKind.REPAIR: GOOD})
    plan = planned(stage, UNIT)
    stage.asked.clear()
    made = revised(stage, plan, Edit(plan.hash, 0, "ann", "by 50", 0, body={"factor": 0.02}, lasts_ns=6 * HOUR))
    (step,) = made.steps
    assert step.alterations[0].body == {"op": "convert", "factor": 0.02} and step.expects["lasts_ns"] == 6 * HOUR
    assert stage.asked == [[step.alterations[0]]] and step.rehearsed.low > 0
    assert (made.by, made.settings, made.at_ns) == ("ann", 5, CASE.now_ns) and made.hash != plan.hash
    assert made.confidence == plan.confidence


def test_another_remedy_of_the_same_cause_may_be_taken_and_no_other() -> None:
    stage = Stage({ChangeKind.REPAIR: GOOD})
    plan = planned(stage, UNIT)
    made = revised(stage, plan, Edit(plan.hash, 0, "ann", "rather", 0, remedy=Remedy.MASK))
    assert made.steps[0].remedy is Remedy.MASK and made.steps[0].alterations != plan.steps[0].alterations
    with pytest.raises(ValueError, match="retrain does not answer unit at field:amount; these do: convert"):
        revised(stage, plan, Edit(plan.hash, 0, "ann", "rather", 0, remedy=Remedy.RETRAIN))


def test_steps_after_an_edited_one_are_rehearsed_on_top_of_it_and_a_dropped_one_is_gone() -> None:
    other = finding(Cause.UNIT, "field:fee", factor=0.1)
    stage = Stage({ChangeKind.REPAIR: GOOD})
    plan = planned(stage, UNIT, other)
    assert [one.scope for one in plan.steps] == ["field:amount", "field:fee"]
    stage.asked.clear()
    made = revised(stage, plan, Edit(plan.hash, 0, "ann", "by 50", 0, body={"factor": 0.02}), UNIT, other)
    assert [len(one) for one in stage.asked] == [1, 2] and made.steps[1].alterations == plan.steps[1].alterations
    stage.asked.clear()
    left = revised(stage, plan, Edit(plan.hash, 0, "ann", "it is right", 0, drop=True), UNIT, other)
    assert [one.scope for one in left.steps] == ["field:fee"] and [len(one) for one in stage.asked] == [1]


def test_an_edit_that_the_app_could_not_apply_or_that_leaves_nothing_is_refused() -> None:
    stage = Stage({ChangeKind.REPAIR: GOOD})
    plan = planned(stage, UNIT)
    with pytest.raises(ValueError, match="the app could not apply convert at field:amount"):
        revised(stage, plan, Edit(plan.hash, 0, "ann", "x", 0, body={"factor": 0}), fits=False)
    with pytest.raises(ValueError, match="reject it instead"):
        revised(stage, plan, Edit(plan.hash, 0, "ann", "x", 0, drop=True))


def test_a_cause_that_is_not_sure_yet_waits_for_traffic_and_then_has_its_remedy() -> None:
    doubtful = replace(finding(Cause.UNIT, "field:amount", factor=0.01), probability=0.6)
    stage = Stage({ChangeKind.REPAIR: GOOD})
    assert [one.remedy for one in planned(stage, doubtful).steps] == [Remedy.MONITOR]
    assert [one.remedy for one in planned(stage, doubtful, later_h=30).steps] == [Remedy.CONVERT]


def test_a_cause_that_nothing_is_known_to_help_against_is_watched_for_a_day_and_then_a_persons() -> None:
    nobody = finding(Cause.ADVERSARY, "entity:customer")
    assert [one.remedy for one in planned(Stage({}), nobody).steps] == [Remedy.MONITOR]
    assert [one.remedy for one in planned(Stage({}), nobody, later_h=30).steps] == [Remedy.ESCALATE]
    # People have to know at once of what only they can mend.
    assert [one.remedy for one in planned(Stage({}), finding(Cause.ENVIRONMENT, "environment")).steps] == [
        Remedy.ESCALATE
    ]


def test_a_version_is_answered_once_no_field_is_in_doubt() -> None:
    worse = finding(Cause.VERSION, "version", before="1", undo=True)
    findings = Findings("i1", 102 * HOUR, Conclusion.CAUSE, (worse,), (("version", "version", 0.93),), 4)
    stage = Stage({ChangeKind.DEPLOY: GOOD})
    odd = signal("field:amount", Kind.UNIT)
    unit = Elsewhere("field:amount", str(Cause.UNIT), 99 * HOUR, 102 * HOUR)

    def remedies(case: Case) -> list[Remedy]:
        return [one.remedy for one in RemedyPlanner(stage, MEANS, 3).plan(case, findings).steps]

    assert remedies(replace(CASE, signals=(odd,))) == [Remedy.MONITOR]
    assert remedies(replace(CASE, beside=(odd,))) == [Remedy.MONITOR]
    assert remedies(replace(CASE, elsewhere=(unit,))) == [Remedy.MONITOR]
    assert remedies(CASE) == [Remedy.MONITOR]  # A fault of what comes in may show an hour later.
    now = replace(CASE, now_ns=103 * HOUR)
    assert remedies(now) == [Remedy.ROLLBACK]
    assert remedies(replace(now, elsewhere=(replace(unit, mended=True, until_ns=now.now_ns),))) == [Remedy.ROLLBACK]
    assert remedies(replace(now, beside=(odd,))) == [Remedy.MONITOR]
    later = replace(CASE, signals=(odd,), now_ns=CASE.now_ns + 30 * HOUR)
    assert remedies(later) == [Remedy.ROLLBACK]  # A day is what a doubt may cost.
