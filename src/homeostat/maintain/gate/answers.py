"""A person's answer to a plan. It counts for that plan, on the state that it was made on, for a limited time."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import fields

from homeostat.ports.incidents import LOOP
from homeostat.ports.plans import AnswerVoid
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.edits import Edit, faults_of
from homeostat.records.plans import MAKER, Plan, Remedy
from homeostat.records.responses import Answer, Approval, Response

_KEY = re.compile(r"(.*?) ?\((key [^()]+)\)")


def answered(
    response: Response, approval: Approval, changes: Sequence[Change], answer_ns: int, earlier: Plan | None = None,
    four_eyes: Collection[Remedy] = (), named: bool = True,
) -> Response:  # fmt: skip
    """The next revision of a response, with a person's answer. Raises AnswerVoid, which names what has changed.

    changes : of the settings above the plan's number
    answer_ns : a person has so long to answer, from the ruling on
    earlier : the plan that the answer is about, where it is another one; its differences are named
    four_eyes : kinds of action that a person approves who did not ask for them
    named : whether it is known who answers; of a link it is not

    >>> from homeostat.records.responses import Answer
    >>> answered(Response("i1"), Approval("h", Answer.REJECT, "ann", "no", 5), (), 9)
    Traceback (most recent call last):
        ...
    homeostat.ports.plans.AnswerVoid: nothing about incident i1 waits for an answer: it is open
    """
    plan = _open(response, approval.plan, approval.actor, approval.at_ns, answer_ns, earlier)
    if approval.answer == Answer.APPROVE:
        _unmoved(plan, changes)
        _other_eyes(plan, approval.actor, four_eyes, named)
    text = f"{approval.actor} answers {approval.answer}: {approval.reason}"
    return response.to(response.phase, max(approval.at_ns, response.next_ns), text, approval=approval)


def edited(
    response: Response, edit: Edit, changes: Sequence[Change], answer_ns: int, earlier: Plan | None = None
) -> Response:  # fmt: skip
    """The next revision of a response, with a person's edit of its plan. Raises AnswerVoid; ValueError for no edit.

    The plan that it makes is rehearsed and ruled on by the coordinator, and needs an approval of its own.
    """
    plan = _open(response, edit.plan, edit.actor, edit.at_ns, answer_ns, earlier)
    _unmoved(plan, changes)
    faults = faults_of(edit, plan)
    if faults:
        raise ValueError("; ".join(faults))
    text = f"{edit.actor} wants {edit.wish}: {edit.reason}"
    return response.to(response.phase, max(edit.at_ns, response.next_ns), text, edits=(*response.edits, edit))


def same_person(one: str, other: str) -> bool:
    """Whether two names of actors may be of the same person: a key is known, and the name beside it is a claim.

    >>> same_person("ann (key 0a1b)", "bob (key 0a1b)"), same_person("ann", "ann (key 0a1b)"), same_person("ann", "bob")
    (True, True, False)
    """
    return not _parts(one).isdisjoint(_parts(other))


def _parts(actor: str) -> set[str]:
    found = _KEY.fullmatch(actor)
    names = [actor] if found is None else [found[1], found[2]]
    return {name.strip().casefold() for name in names if name.strip()}


def _open(response: Response, hash: str, actor: str, at_ns: int, answer_ns: int, earlier: Plan | None) -> Plan:
    """The plan of a response, where somebody may answer it now. Raises AnswerVoid."""
    plan, ruling = response.plan, response.ruling
    if plan is not None and hash != plan.hash:
        differs = "" if earlier is None else f", which differs in {_differences(earlier, plan)}"
        now = f"the plan of incident {response.incident} is {plan.hash}"
        raise AnswerVoid(f"plan {hash} is no more: {now}{differs}")
    if response.approval is not None and plan is not None and response.approval.plan == plan.hash:
        last = response.approval
        raise AnswerVoid(f"{last.actor} has answered already: {last.answer}, {last.reason}")
    if plan is None or ruling is None or not response.waits:
        raise AnswerVoid(f"nothing about incident {response.incident} waits for an answer: it is {response.phase}")
    if response.wished is not None:
        raise AnswerVoid(f"{response.wished.actor} wants {response.wished.wish}: the plan that this makes is answered")
    if actor == LOOP:
        raise AnswerVoid(f"{LOOP} asked for plan {plan.hash}, and another has to answer")
    if at_ns > ruling.at_ns + answer_ns:
        late_h = (at_ns - ruling.at_ns - answer_ns) / 3.6e12
        raise AnswerVoid(f"the time to answer plan {plan.hash} is over since {late_h:.3g} hours")
    return plan


def _unmoved(plan: Plan, changes: Sequence[Change]) -> None:
    moved = [one for one in changes if one.kind != ChangeKind.STATE and not one.key.startswith(f"{plan.hash}-")]
    if moved:
        named = "; ".join(f"change {one.number} by {one.actor} ({one.kind} {one.scope})" for one in moved[:5])
        raise AnswerVoid(f"plan {plan.hash} was made on settings {plan.settings}, and since then came {named}")


def _other_eyes(plan: Plan, actor: str, four_eyes: Collection[Remedy], named: bool) -> None:
    """Raise AnswerVoid where a second person has to approve, and this one is not."""
    asked = [str(one.remedy) for one in plan.acting if one.remedy in four_eyes]
    if not asked or plan.by == MAKER:
        return
    if not named or same_person(plan.by, actor):
        why = "has edited the plan" if named else "has edited the plan, and a link does not say who answers"
        raise AnswerVoid(f"{', '.join(asked)} needs a second person: {plan.by} {why}")


def _differences(one: Plan, other: Plan) -> str:
    """The names of the parts in which two plans differ."""
    names = [part.name for part in fields(Plan) if getattr(one, part.name) != getattr(other, part.name)]
    return ", ".join(names)
