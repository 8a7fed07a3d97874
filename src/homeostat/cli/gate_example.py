"""A plan as a file of `homeostat gate explain`, for people to change."""

from __future__ import annotations

from typing import Any


def example_file() -> dict[str, Any]:
    """A field came in cents for six hours; it is converted. One earlier action is in the history."""
    from msgspec import to_builtins

    from homeostat.records.changes import ChangeKind
    from homeostat.records.findings import Conclusion, Edge, Finding, Findings
    from homeostat.records.plans import Alteration, Blast, Done, Plan, Rehearsed, Remedy, Step
    from homeostat.records.verdicts import Verdict

    hour_ns = 3_600 * 10**9
    at_ns = 1_793_714_400 * 10**9  # 2026-11-03T14:00:00Z
    path = (Edge("field:amount", "risk", "the median is 100 times as high"),)
    cause = Finding("field:amount", "unit", 0.97, at_ns - 6 * hour_ns, path)
    findings = Findings("an-incident", at_ns, Conclusion.CAUSE, (cause,), (("field:amount", "unit", 0.97),), 8)
    step = Step(
        Remedy.CONVERT, "field:amount", (Alteration(ChangeKind.REPAIR, "field:amount", {"divide": 100.0}),), None, True,
        1.0, Rehearsed(840.0, 610.0, 1_070.0, 2_400, "replay"), Blast(0.2, 0.1, 5_000.0), hour_ns,
        why="amounts came in cents",
    )  # fmt: skip
    plan = Plan("an-incident", at_ns, 0.97, 0, (step,))
    earlier = Done(Remedy.THRESHOLD, "app", at_ns - 30 * hour_ns, 1.0, "homeostat", Verdict.PASS, at_ns - 29 * hour_ns)
    return {"plan": to_builtins(plan), "findings": to_builtins(findings), "history": [to_builtins(earlier)],
            "at_ns": at_ns}  # fmt: skip
