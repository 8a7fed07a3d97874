"""A person's answer to a plan. It counts for that plan, on the state that the plan was made on, for a limited time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from homeostat.ports.incidents import LOOP
from homeostat.ports.plans import AnswerVoid
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Tier
from homeostat.records.responses import Answer, Approval, Response


def answered(
    response: Response, approval: Approval, changes: Sequence[Change], answer_ns: int, earlier: Plan | None = None
) -> Response:  # fmt: skip
    """The next revision of a response, with a person's answer. Raises AnswerVoid, which names what has changed.

    changes : of the settings above the plan's number
    answer_ns : a person has so long to answer, from the ruling on
    earlier : the plan that the answer is about, where it is another one; its differences are named

    >>> from homeostat.records.responses import Answer
    >>> answered(Response("i1"), Approval("h", Answer.REJECT, "ann", "no", 5), (), 9)
    Traceback (most recent call last):
        ...
    homeostat.ports.plans.AnswerVoid: nothing about incident i1 waits for an answer: it is open
    """
    plan, ruling = response.plan, response.ruling
    if plan is not None and approval.plan != plan.hash:
        differs = "" if earlier is None else f", which differs in {_differences(earlier, plan)}"
        now = f"the plan of incident {response.incident} is {plan.hash}"
        raise AnswerVoid(f"plan {approval.plan} is no more: {now}{differs}")
    if plan is None or ruling is None or response.phase != Phase.RULED or ruling.tier != Tier.ESCALATE:
        raise AnswerVoid(f"nothing about incident {response.incident} waits for an answer: it is {response.phase}")
    if response.approval is not None and response.approval.plan == plan.hash:
        last = response.approval
        raise AnswerVoid(f"{last.actor} has answered already: {last.answer}, {last.reason}")
    if approval.actor == LOOP:
        raise AnswerVoid(f"{LOOP} asked for plan {plan.hash}, and another has to answer")
    if approval.at_ns > ruling.at_ns + answer_ns:
        late_h = (approval.at_ns - ruling.at_ns - answer_ns) / 3.6e12
        raise AnswerVoid(f"the time to answer plan {plan.hash} is over since {late_h:.3g} hours")
    moved = [one for one in changes if one.kind != ChangeKind.STATE and not one.key.startswith(f"{plan.hash}-")]
    if moved and approval.answer == Answer.APPROVE:
        named = "; ".join(f"change {one.number} by {one.actor} ({one.kind} {one.scope})" for one in moved[:5])
        raise AnswerVoid(f"plan {plan.hash} was made on settings {plan.settings}, and since then came {named}")
    text = f"{approval.actor} answers {approval.answer}: {approval.reason}"
    return response.to(response.phase, max(approval.at_ns, response.next_ns), text, approval=approval)


def _differences(one: Plan, other: Plan) -> str:
    """The names of the parts in which two plans differ."""
    names = [part.name for part in fields(Plan) if getattr(one, part.name) != getattr(other, part.name)]
    return ", ".join(names)
