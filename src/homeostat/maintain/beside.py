"""All that responses say to each other: known causes, what was done and may be done, and what nobody has answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from homeostat.maintain.contracts import Elsewhere
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.incidents import Incident, Phase
from homeostat.records.plans import Done, Plan, Receipt, Tier, Verified
from homeostat.records.responses import Answer, Response

BY = "homeostat"
_LIKELY = 0.8  # A less probable cause explains no other incident.


def elsewhere_of(responses: Sequence[Response], incidents: Mapping[str, Incident], now_ns: int) -> list[Elsewhere]:
    """The causes that were found, by incident: for those that are looked into later. incidents : by id"""
    found = []
    for response in responses:
        found += passed_of(response, now_ns)
        incident = incidents.get(response.incident)
        ended_ns = 0 if incident is None else incident.closed_ns
        since = [one for one in response.receipts if one.at_ns >= response.again_ns]
        found += _causes_of(response.findings, response.fresh, since, ended_ns or now_ns)
    return found


def passed_of(response: Response, now_ns: int) -> list[Elsewhere]:
    """The causes that a response had answered before it began again."""
    earlier = [one for one in response.receipts if one.at_ns < response.again_ns]
    standing = [one for one in response.standing if one.at_ns < response.again_ns]
    return [known for findings in response.passed for known in _causes_of(findings, standing, earlier, now_ns)]


def _causes_of(
    findings: Findings | None, standing: Sequence[Receipt], receipts: Sequence[Receipt], until_ns: int
) -> list[Elsewhere]:  # fmt: skip
    """The causes among findings, with what was done about them, and what of it stands. until_ns : where nothing does"""
    if findings is None or findings.conclusion != Conclusion.CAUSE:
        return []
    mended = min((one.at_ns for one in standing), default=0)
    until = mended or until_ns
    acts = [at for one in receipts if one.changes or not one.job for at in (one.at_ns, one.undone_ns) if at]
    return [
        Elsewhere(one.node, one.kind, min(one.since_ns, until), until, acts, bool(mended))
        for one in findings.findings
        if one.probability >= _LIKELY
    ]


def unanswered(responses: Sequence[Response], incidents: Mapping[str, Incident], own: str) -> list[Incident]:
    """The open incidents beside one about which nothing that stands was done. incidents : by id; own : the one's id"""
    answered = {one.incident for one in responses if one.fresh}
    return [one for id, one in incidents.items() if id != own and not one.closed_ns and id not in answered]


def history_of(responses: Sequence[Response]) -> list[Done]:
    """All that was done so far, by time, and all that is allowed and not done yet, for the gate.

    A step that alters nothing is no action. One that was undone stays one.
    """
    found: dict[str, Done] = {}
    for response in responses:
        verdicts = {one.key: one for one in response.verdicts}
        for receipt in response.receipts:
            if receipt.changes or receipt.job:
                found[receipt.key] = _done(receipt, verdicts.get(receipt.key))
        found |= _pending(response)
    return sorted(found.values(), key=lambda one: one.at_ns)


def _done(one: Receipt, last: Verified | None) -> Done:
    verdict, judged_ns = (None, 0) if last is None else (last.verdict, last.at_ns)
    return Done(one.remedy, one.scope, one.at_ns, one.cost, one.by, verdict, judged_ns, one.plan)


def _pending(response: Response) -> dict[str, Done]:
    """The steps of its plan that may be done and are not done yet: they count from the ruling on."""
    plan, ruling = response.plan, response.ruling
    if plan is None or ruling is None or response.phase not in (Phase.RULED, Phase.ACTING, Phase.VERIFYING):
        return {}
    approved = response.approval is not None and response.approval.answer == Answer.APPROVE
    if ruling.tier != Tier.EXECUTE and not approved:
        return {}
    by = BY if ruling.tier == Tier.EXECUTE else actor_of(response)
    return {
        f"{plan.hash}-{at}": Done(step.remedy, step.scope, ruling.at_ns, step.cost, by, None, 0, plan.hash, True)
        for at, step in enumerate(plan.steps)
        if at >= next_step(response, plan) and (step.alterations or step.job)
    }


def next_step(response: Response, plan: Plan) -> int:
    """The first step of a plan that has no receipt."""
    return sum(1 for one in response.receipts if one.plan == plan.hash)


def actor_of(response: Response) -> str:
    """The person who has approved, else loop 2."""
    return response.approval.actor if response.approval is not None else BY
