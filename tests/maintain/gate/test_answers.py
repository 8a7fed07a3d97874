"""A person's answer counts for one plan, on the state that it was made on, for a limited time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.made_plans import DAY_NS, FINDINGS, HOUR_NS, NOW, OPEN, PLAN, plan_with

from homeostat.maintain.gate.answers import answered, edited
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.maintain.gate.simulation import ruled_again
from homeostat.ports.plans import AnswerVoid
from homeostat.records.autonomy import Level, Reach
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.edits import Edit
from homeostat.records.incidents import Phase
from homeostat.records.plans import Alteration, Plan, Remedy, Tier
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.verdicts import Verdict

ASKS = LimitsGate(replace(OPEN, stop=True)).rule(PLAN, FINDINGS, (), NOW)
WAITING = Response("i1", 4, Phase.RULED, NOW, NOW, plan=PLAN, findings=FINDINGS, ruling=ASKS)
YES = Approval(PLAN.hash, Answer.APPROVE, "ann", "it is right", NOW + HOUR_NS)
NO = replace(YES, answer=Answer.REJECT)
OTHER = Change(ChangeKind.RULE, "r", None, "bob", "a test", number=4)


def test_an_answer_stands_in_the_next_revision() -> None:
    made = answered(WAITING, YES, (), 2 * HOUR_NS)
    assert (made.revision, made.approval, made.phase) == (5, YES, Phase.RULED)
    assert made.lines[-1].text == "ann answers approve: it is right"


@pytest.mark.parametrize(
    ("response", "approval", "changes", "said"),
    [
        (WAITING, replace(YES, plan="another"), (), "plan another is no more"),
        (WAITING, YES, (OTHER,), r"made on settings 3, and since then came change 4 by bob \(rule r\)"),
        (WAITING, replace(YES, at_ns=NOW + 3 * HOUR_NS), (), "is over since 1 hours"),
        (WAITING, replace(YES, actor="homeostat"), (), "another has to answer"),
        (replace(WAITING, approval=NO), YES, (), "ann has answered already: reject"),
        (replace(WAITING, phase=Phase.ACTING), YES, (), "nothing about incident i1 waits"),
        (replace(WAITING, ruling=replace(ASKS, tier=Tier.WATCH)), YES, (), "nothing about incident i1 waits"),
        (Response("i1"), NO, (), "nothing about incident i1 waits"),
    ],
)
def test_a_void_answer_says_what_has_changed(response: Response, approval: Approval, changes: tuple, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(AnswerVoid, match=said):
        answered(response, approval, changes, 2 * HOUR_NS)


def test_the_differences_of_two_plans_are_named() -> None:
    with pytest.raises(AnswerVoid, match="which differs in confidence, steps"):
        answered(WAITING, replace(YES, plan="x"), (), HOUR_NS, replace(plan_with(cost=2.0), confidence=0.85))


def test_learned_states_and_steps_of_the_plan_itself_void_nothing_and_a_no_is_never_void_by_them() -> None:
    state = replace(OTHER, kind=ChangeKind.STATE)
    own = replace(OTHER, key=f"{PLAN.hash}-0-0")
    assert answered(WAITING, YES, (state, own), 2 * HOUR_NS).approval == YES
    assert answered(WAITING, NO, (OTHER,), 2 * HOUR_NS).approval == NO


def test_stored_plans_are_ruled_again_with_the_actions_that_would_have_been_done() -> None:
    plans = [
        Ruled(replace(PLAN, incident=f"i{at}", at_ns=NOW + at * HOUR_NS),
              replace(FINDINGS, incident=f"i{at}"), replace(ASKS, at_ns=NOW + at * HOUR_NS))
        for at in (0, 1, 9, 20, 30)
    ]  # fmt: skip
    supervised = replace(OPEN, levels={(Remedy.THRESHOLD, Reach.APP): Level.SUPERVISED})
    found = ruled_again(plans[::-1], supervised, {plans[2].plan.hash: Verdict.FAIL})
    assert [str(one.after.tier) for one in found] == ["execute", "watch", "execute", "escalate", "escalate"]
    assert [spoke.rule for spoke in found[1].after.rules if spoke.tier == Tier.WATCH] == ["cool_down"]
    assert [spoke.rule for spoke in found[3].after.rules if spoke.tier == Tier.ESCALATE] == ["autonomy"]
    assert all(one.before.ruling.tier == Tier.ESCALATE for one in found)


EDIT = Edit(PLAN.hash, 0, "ann", "it is too strict", NOW + HOUR_NS, body={"at": 0.7})
EDITED = plan_with(alterations=(Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.7}),))
BY_ANN = replace(EDITED, by="ann (key 0a1b)")


@pytest.mark.parametrize(
    ("response", "edit", "changes", "said"),
    [
        (WAITING, replace(EDIT, plan="another"), (), "plan another is no more"),
        (WAITING, EDIT, (OTHER,), "since then came change 4 by bob"),
        (WAITING, replace(EDIT, at_ns=NOW + 3 * HOUR_NS), (), "is over since 1 hours"),
        (replace(WAITING, approval=NO), EDIT, (), "ann has answered already"),
        (replace(WAITING, phase=Phase.PLANNED), EDIT, (), "nothing about incident i1 waits"),
        (replace(WAITING, edits=(EDIT,)), replace(EDIT, drop=True), (), r"ann wants step 1 with \{'at': 0.7\}"),
    ],
)
def test_a_void_edit_says_what_has_changed(response: Response, edit: Edit, changes: tuple, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(AnswerVoid, match=said):
        edited(response, edit, changes, 2 * HOUR_NS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"body": None}, "leaves the step out, or takes another remedy"),
        ({"drop": True}, "give one of these"),
        ({"step": 1}, "there is no step 2"),
        ({"step": -1}, "there is no step 0"),
        ({"body": {"above": 1}}, "this step has: at"),
        ({"body": {}}, "this step has: at"),
        ({"lasts_ns": 0}, "longer than nothing"),
        ({"lasts_ns": 400 * DAY_NS}, "a year at most"),
    ],
)
def test_an_edit_stays_within_its_step(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        edited(WAITING, replace(EDIT, **fields), (), 2 * HOUR_NS)


def test_an_edit_waits_in_the_next_revision_and_no_answer_counts_until_it_is_made() -> None:
    made = edited(WAITING, EDIT, (), 2 * HOUR_NS)
    assert (made.revision, made.wished, made.phase) == (5, EDIT, Phase.RULED)
    assert made.lines[-1].text == "ann wants step 1 with {'at': 0.7}: it is too strict"
    with pytest.raises(AnswerVoid, match="the plan that this makes is answered"):
        answered(made, YES, (), 2 * HOUR_NS)
    refused = replace(made, edits=(replace(EDIT, refused="it can't be made"),))
    assert answered(refused, YES, (), 2 * HOUR_NS).approval == YES


def test_an_edited_plan_is_another_plan_that_a_person_approves_even_where_all_else_agrees() -> None:
    assert BY_ANN.hash not in (PLAN.hash, EDITED.hash)
    ruling = LimitsGate(OPEN).rule(BY_ANN, FINDINGS, (), NOW)
    assert ruling.tier == Tier.ESCALATE
    assert [(one.rule, one.why) for one in ruling.rules if one.tier != Tier.EXECUTE] == [
        ("edited", "ann (key 0a1b) has edited the plan, which needs an approval")
    ]


@pytest.mark.parametrize(
    ("plan", "actor", "named", "eyes", "void"),
    [
        (BY_ANN, "ann", True, (Remedy.THRESHOLD,), True),
        (BY_ANN, "Ann (key ffff)", True, (Remedy.THRESHOLD,), True),
        (BY_ANN, "bob (key 0a1b)", True, (Remedy.THRESHOLD,), True),
        (BY_ANN, "key 0a1b", True, (Remedy.THRESHOLD,), True),
        (BY_ANN, "bob (link desk)", False, (Remedy.THRESHOLD,), True),
        (BY_ANN, "bob (key ffff)", True, (Remedy.THRESHOLD,), False),
        (BY_ANN, "ann", True, (Remedy.CONVERT,), False),
        (BY_ANN, "ann", True, (), False),
        (PLAN, "ann", True, (Remedy.THRESHOLD,), False),
        (PLAN, "ann (link desk)", False, (Remedy.THRESHOLD,), False),
    ],
)
def test_where_two_persons_are_asked_for_the_author_of_an_edit_does_not_approve_it(
    plan: Plan, actor: str, named: bool, eyes: tuple[Remedy, ...], void: bool
) -> None:
    ruling = LimitsGate(replace(OPEN, stop=True)).rule(plan, FINDINGS, (), NOW)
    waiting, yes = replace(WAITING, plan=plan, ruling=ruling), replace(YES, plan=plan.hash, actor=actor)
    if void:
        with pytest.raises(AnswerVoid, match="threshold needs a second person"):
            answered(waiting, yes, (), 2 * HOUR_NS, None, eyes, named)
    else:
        assert answered(waiting, yes, (), 2 * HOUR_NS, None, eyes, named).approval == yes
    no = replace(yes, answer=Answer.REJECT)
    assert answered(waiting, no, (), 2 * HOUR_NS, None, eyes, named).approval == no
