"""A data folder in which the plan of an incident waits for a person's answer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.support.made_plans import FINDINGS, FOUND, HOUR_NS, OPEN, PLAN, plan_with

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.checks.incidents import incident, signal
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.findings import Edge, Evidence, Ruled
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Remedy, Tier
from homeostat.records.responses import Response

ID = "abcdef0123456789"


def waiting(folder: Path, now_ns: int, id: str = ID, incident_too: bool = True, by: str = "homeostat") -> Plan:
    """Store an incident with a plan that was ruled on an hour ago; returns the plan."""
    at_ns = now_ns - HOUR_NS
    with closing(SqliteSettings(folder)) as settings:
        last = settings.last
    path = (Edge("outcome", "fusion", "risk is 3 times as high"), Edge("fusion", "action:block", "2 % became 6 %"))
    found = replace(
        FOUND, path=path, evidence=(Evidence("how much higher", 3.1, "times", 4.0, "homeostat detect"),),
        ruled_out=(Ruled("field:amount", "unit", "its median is as it was"),), not_checked=("the feature store",),
    )  # fmt: skip
    findings = replace(FINDINGS, incident=id, at_ns=at_ns, findings=(found,))
    milder = plan_with(expects={"predicted": 0.1})
    plan = replace(milder, incident=id, at_ns=at_ns, settings=last, by=by)
    ruling = LimitsGate(replace(OPEN, four_eyes=frozenset({Remedy.THRESHOLD}))).rule(plan, findings, (), at_ns)
    assert ruling.tier == Tier.ESCALATE
    with closing(SqlitePlans(folder)) as plans:
        made = Response(id, 0, Phase.PLANNED, findings=findings, plan=plan)
        plans.write(made.to(Phase.RULED, at_ns, "the gate rules escalate", ruling=ruling, handed=True))
    if incident_too:
        with closing(SqliteIncidents(folder)) as incidents:
            incidents.write([signal("a")], [incident(id)])
    assert plan.hash != PLAN.hash
    return plan
