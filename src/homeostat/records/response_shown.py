"""A response as people's programs get it: plan, ruling, receipts and verdict of an incident, its times as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from homeostat.records.findings_text import findings_dict, shown_findings
from homeostat.records.plans import Plan, Receipt, Ruling, Verified
from homeostat.records.response_text import shown_plan, shown_ruling
from homeostat.records.responses import Response
from homeostat.records.times import time_text


def shown_response(response: Response, answer_ns: int | None = None) -> dict[str, Any]:
    """The members of an incident that its response fills.

    answer_ns : a person has so long to answer; None where that is not known

    >>> found = shown_response(Response("i1"))
    >>> found["plan"], found["gate"], found["receipts"], found["verdict"]
    (None, None, [], None)
    """
    plan, ruling = response.plan, response.ruling
    found: dict[str, Any] = {
        "plan": None if plan is None else plan_in_full(plan),
        "gate": None if ruling is None else gate_in_full(ruling),
        "receipts": [_receipt(one) for one in response.receipts],
        "verdict": None if not response.verdicts else _verified(response.verdicts[-1]),
        "response": {
            "revision": response.revision, "phase": str(response.phase), "rounds": response.rounds,
            "reopened": response.reopened, "rejected": [list(one) for one in response.rejected],
            "waits": response.waits and response.wished is None, "until": _until(response, answer_ns),
            "answer": _answer(response), "edits": [_plain(msgspec.to_builtins(one)) for one in response.edits],
            "verdicts": [_verified(one) for one in response.verdicts],
            "lines": [{"at": time_text(one.at_ns), "text": one.text} for one in response.lines],
        },
    }  # fmt: skip
    if response.findings is not None:
        found["findings"] = shown_findings(findings_dict(response.findings))
        found["investigated"] = {
            "conclusion": str(response.findings.conclusion), "missing": list(response.findings.missing),
            "recalled": list(response.findings.recalled),
        }  # fmt: skip
    return found


def plan_in_full(plan: Plan) -> dict[str, Any]:
    """A plan with the figures of all its steps together, as the gate adds them up.

    The last step that alters something was rehearsed on top of those before it, so its rehearsal is the plan's.
    """
    found = shown_plan(plan)
    acting = plan.acting
    for step, one in zip(found["steps"], plan.steps, strict=True):
        step["expects"] = _plain(dict(one.expects))
    rehearsed = None if not acting else acting[-1].rehearsed
    blasts = [one.blast for one in acting]
    return {
        **found, "at": time_text(found.pop("at_ns")),
        "rehearsal": None if rehearsed is None else _plain(msgspec.to_builtins(rehearsed)),
        "cost": _finite(sum(one.cost for one in acting)),
        "blast": {
            "decisions": _finite(sum(one.decisions for one in blasts)),
            "entities": _finite(sum(one.entities for one in blasts)),
            "money_per_hour": _finite(sum(one.money_per_hour for one in blasts)),
        },
    }  # fmt: skip


def gate_in_full(ruling: Ruling) -> dict[str, Any]:
    """A ruling with its time as text."""
    found = shown_ruling(ruling)
    return {**found, "at": time_text(found.pop("at_ns"))}


def _receipt(one: Receipt) -> dict[str, Any]:
    found = _plain(msgspec.to_builtins(one))
    undone_ns = found.pop("undone_ns")
    return {**found, "at": time_text(found.pop("at_ns")), "undone": time_text(undone_ns) if undone_ns else None}


def _verified(one: Verified) -> dict[str, Any]:
    found = _plain(msgspec.to_builtins(one))
    return {**found, "at": time_text(found.pop("at_ns"))}


def _answer(response: Response) -> dict[str, Any] | None:
    given = response.approval
    if given is None:
        return None
    return {
        "plan": given.plan, "answer": str(given.answer), "actor": given.actor, "reason": given.reason,
        "at": time_text(given.at_ns),
    }  # fmt: skip


def _until(response: Response, answer_ns: int | None) -> str | None:
    if answer_ns is None or response.ruling is None or not response.waits:
        return None
    return time_text(response.ruling.at_ns + answer_ns)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """A value without figures that JSON has no words for."""
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
