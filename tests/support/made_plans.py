"""Plans and findings made by hand, which a gate with open limits lets through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from homeostat.maintain.gate.limits import Limits
from homeostat.records.autonomy import Level
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Conclusion, Edge, Finding, Findings
from homeostat.records.plans import Alteration, Blast, Done, Plan, Rehearsed, Remedy, Step
from homeostat.records.verdicts import Verdict

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
NOW = 1_793_714_400 * 10**9  # 2026-11-03T14:00:00Z, a Tuesday.

OPEN = Limits(level=Level.FULL)
"""Everything by itself, within the default limits."""

RISE = Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.8})
STEP = Step(
    Remedy.THRESHOLD, "app", (RISE,), None, True, 1.0, Rehearsed(10.0, 5.0, 15.0, 400, "replay"),
    Blast(0.1, 0.1, 50.0), HOUR_NS, why="decisions are too strict",
)  # fmt: skip
FOUND = Finding("outcome", "concept", 0.95, NOW - DAY_NS, (Edge("outcome", "fusion", "risk is 3 times as high"),))
FINDINGS = Findings("i1", NOW - HOUR_NS, Conclusion.CAUSE, (FOUND,), (("outcome", "concept", 0.95),), 6)
PLAN = Plan("i1", NOW - HOUR_NS, 0.9, 3, (STEP,))


def plan_with(**fields: Any) -> Plan:
    """The plan with its one step changed."""
    return replace(PLAN, steps=(replace(STEP, **fields),))


def done(
    hours_ago: float, remedy: Remedy = Remedy.CONVERT, scope: str = "field:amount", cost: float = 1.0,
    verdict: Verdict | None = Verdict.PASS,
) -> Done:  # fmt: skip
    """An earlier action."""
    at_ns = NOW - round(hours_ago * HOUR_NS)
    return Done(remedy, scope, at_ns, cost, "homeostat", verdict, at_ns + HOUR_NS if verdict else 0)
