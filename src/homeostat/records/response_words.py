"""A response in words: the plan in short, the ruling, and what was done."""

from __future__ import annotations

import math

from homeostat.records.plans import Plan, Receipt, Ruling, Step, Tier
from homeostat.records.responses import Response
from homeostat.records.times import time_text


def worded_response(response: Response) -> str:
    """Some lines for people.

    >>> worded_response(Response("i1"))
    'response: open, revision 0'
    """
    lines = [f"response: {response.phase}, revision {response.revision}"]
    if response.plan is not None:
        lines += worded_plan(response.plan)
    if response.ruling is not None:
        lines.append(worded_ruling(response.ruling))
    if response.wished is not None:
        lines.append(f"{response.wished.actor} wants {response.wished.wish}: it is being made")
    elif response.waits and response.plan is not None:
        hash = response.plan.hash
        lines.append(f"it waits: homeostat incidents approve|reject {response.incident} --plan {hash} --reason '...'")
    lines += [worded_receipt(one) for one in response.receipts]
    lines += [f"{time_text(one.at_ns)}  {one.verdict}: {one.why}" for one in response.verdicts]
    return "\n".join(lines)


def worded_plan(plan: Plan) -> list[str]:
    """A plan, a line for each step."""
    return [
        f"plan {plan.hash}, by {plan.by}, confidence {plan.confidence:.2f}",
        *(f"  step {at}: {worded_step(one)}" for at, one in enumerate(plan.steps, 1)),
    ]


def worded_step(step: Step) -> str:
    """A step: what, where, its values, the rehearsed saving with its interval, and its cost."""
    values, seen = worded_values(step), step.rehearsed
    saves = "not rehearsed"
    if seen.how != "none" and math.isfinite(seen.effect):
        does = "takes off" if seen.how == "load" else "saves"
        saves = f"{does} {seen.effect:.4g} an hour ({seen.low:.4g} to {seen.high:.4g}, {seen.n:,} decisions)"
    undo = "" if step.reversible else ", without an undo"
    return f"{step.remedy} at {step.scope}{f' ({values})' if values else ''}: {saves}, costs {step.cost:.4g}{undo}"


def worded_values(step: Step) -> str:
    """The settings that a step wants, or its job."""
    if step.job is not None:
        return f"job {step.job[0]}"
    return "; ".join(
        f"{one.kind} {one.scope} = {'as in the app file' if one.body is None else dict(one.body)}"
        for one in step.alterations
    )


def worded_ruling(ruling: Ruling) -> str:
    """A ruling with the rules that do not agree."""
    asking = [f"{one.rule}: {one.why}" for one in ruling.rules if one.tier != Tier.EXECUTE]
    return f"the gate rules {ruling.tier}" + (f" ({'; '.join(asking)})" if asking else "")


def worded_receipt(one: Receipt) -> str:
    """A step that was done, and whether it stands."""
    undone = f"; undone {time_text(one.undone_ns)}: {one.undone_why}" if one.undone_ns else ""
    return f"{time_text(one.at_ns)}  {one.by} did {one.remedy} at {one.scope}{undone}"
