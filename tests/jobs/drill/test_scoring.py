"""Answers are held against the truth of a run, and against an oracle that acts at the first evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeostat.jobs.drill.deciding import DrillApp, frame_of, quiet_traffic
from homeostat.jobs.drill.owner import NAME, Owner
from homeostat.jobs.drill.scoring import Score, oracle_ns, score
from homeostat.records.changes import ChangeKind
from homeostat.records.plans import Alteration, Blast, Plan, Receipt, Rehearsed, Remedy, Step
from homeostat.records.responses import Answer, Response
from homeostat.sim.faults.runs import Laid, lay_out, run_of
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import HOUR_NS, NEVER

FRAME = frame_of(10, 2, 1)


@pytest.fixture(scope="module")
def drill() -> DrillApp:
    return DrillApp("access")


def laid(drill: DrillApp, scenario: str, seed: int = 3) -> Laid:
    return lay_out(run_of(scenario, seed, FRAME), quiet_traffic(drill, FRAME, seed), drill.form)


def plan_of(*remedies: Remedy, scope: str = "app") -> Plan:
    change = Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.5})
    return Plan("i1", 1, 0.9, 0, tuple(
        Step(one, scope, (change,), None, True, 0.0, Rehearsed(1, 1, 1, 9, "replay"), Blast(0, 0, 0), 0)
        for one in remedies
    ))  # fmt: skip


def scored(run: Laid, remedy: Remedy, after_h: int, *, by: str = "homeostat", undone: bool = False) -> Score:
    plan = plan_of(remedy)
    at = run.run.onset_ns + after_h * HOUR_NS
    receipt = Receipt(plan.hash, 0, "k", at, by, (1,), undone_ns=at + HOUR_NS if undone else 0)
    return score(run, [Response("i1", receipts=(receipt,), plan=plan)], {plan.hash: plan}, at, 0)


def test_the_right_action_ends_the_cost_of_the_fault(drill: DrillApp) -> None:
    run = laid(drill, "S20")
    hours = (FRAME.end_ns - run.run.onset_ns) / HOUR_NS
    found = scored(run, Remedy.ROLLBACK, 6)
    assert found.right and not found.harmful and found.regret == pytest.approx(6 / hours)
    assert found.recovered_ns == run.run.onset_ns + 6 * HOUR_NS
    nothing = score(run, [], {}, None, 0)
    assert not nothing.right and nothing.regret == 1.0 and nothing.recovered_ns is None


def test_a_forbidden_action_is_harmful_and_dear(drill: DrillApp) -> None:
    run = laid(drill, "S20")
    found = scored(run, Remedy.RETRAIN, 6)
    assert found.harmful and not found.right and found.regret is not None and found.regret > 1


def test_a_training_is_no_action_before_its_version_decides(drill: DrillApp) -> None:
    run, plan = laid(drill, "S20"), plan_of(Remedy.RETRAIN, scope="library")
    (step,) = plan.steps
    plan = replace(plan, steps=(replace(step, alterations=(), job=("train", {})),))
    receipt = Receipt(plan.hash, 0, "k", run.run.onset_ns + HOUR_NS, "homeostat", job="7")
    found = score(run, [Response("i1", receipts=(receipt,), plan=plan)], {plan.hash: plan}, receipt.at_ns, 0)
    assert not found.actions and not found.harmful and found.regret == 1.0


def test_an_action_that_was_undone_did_not_end_the_fault(drill: DrillApp) -> None:
    found = scored(laid(drill, "S20"), Remedy.ROLLBACK, 6, undone=True)
    assert found.undone == 1 and found.regret == 1.0 and not found.right


def test_where_nothing_is_wrong_any_action_is_harmful_and_regret_is_not_defined(drill: DrillApp) -> None:
    quiet = laid(drill, "S00")
    found = scored(replace(quiet, run=replace(quiet.run, onset_ns=0)), Remedy.THRESHOLD, 6)
    assert found.harmful and not found.right and found.regret is None
    assert score(quiet, [], {}, None, 0).right and oracle_ns(quiet) == NEVER


def test_the_oracle_waits_for_outcomes_where_only_they_show_the_fault(drill: DrillApp) -> None:
    assert oracle_ns(laid(drill, "S12")) == laid(drill, "S12").run.onset_ns
    run = laid(drill, "S10")
    assert run.run.onset_ns < oracle_ns(run) <= FRAME.end_ns


def test_the_owner_answers_in_its_hours_and_approves_what_is_right_only() -> None:
    owner = Owner(SUITE["S20"], 5)
    right, wrong = plan_of(Remedy.ROLLBACK), plan_of(Remedy.RETRAIN)
    assert owner.answer(right, 0, HOUR_NS - 1) is None
    approval = owner.answer(right, 0, 12 * HOUR_NS)
    assert approval is not None and approval.answer is Answer.APPROVE and approval.actor == NAME
    found = owner.answer(wrong, 0, 12 * HOUR_NS)
    assert found is not None and found.answer is Answer.REJECT and len(owner.approvals) == 2
    nothing = Plan("i1", 1, 0.9, 0, (replace(right.steps[0], alterations=()),))
    assert owner.answer(nothing, 0, 99 * HOUR_NS) is None
