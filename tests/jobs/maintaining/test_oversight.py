"""Loop 2 is watched by figures that are counted from outside of it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.support.answering import INCIDENT, Answering, Given, NoRehearsal, StandingClock

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.memory import SqliteMemory
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.checks.inquiries import signal
from homeostat.config.gate import GateSpec
from homeostat.engine.gate_record import GateRecord
from homeostat.engine.readings import FAMILIES
from homeostat.errors import Unavailable
from homeostat.jobs.maintaining.oversight import EACH_NS, Oversight
from homeostat.jobs.maintaining.responding import Means
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.past import Note
from homeostat.records.signals import Kind

ASKS = GateSpec()


def test_waiting_plans_unauthorised_changes_and_the_switch_are_counted(tmp_path: Path) -> None:
    clock = StandingClock()
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(SqliteIncidents(tmp_path, app="access")))
        plans = opened.enter_context(closing(SqlitePlans(tmp_path, app="access")))
        settings = opened.enter_context(closing(SqliteSettings(tmp_path, app="access", clock=clock)))
        record = opened.enter_context(closing(SqliteStatements(tmp_path, app="access", clock=clock)))
        memory = opened.enter_context(closing(SqliteMemory(tmp_path, app="access")))
        means = Means(plans, settings, NoRehearsal(), record)
        one = Oversight(means, ASKS, memory)
        one.step(0)
        assert set(one.readings) <= set(FAMILIES) and not any(one.readings.values())
        incidents.write([signal("source", Kind.VOLUME)], [INCIDENT])
        Answering(Given(limits=ASKS), incidents, means, clock).step(clock.at_ns)
        settings.append(
            Change(ChangeKind.FALLBACK, "app", {"action": "allow"}, "homeostat", "x", f"{'0' * 16}-0-0"), None
        )
        GateRecord(record).turn(True, "ann", "odd")
        memory.add(Note("desk.md", "Call the desk.", 1))
        one.step(EACH_NS - 1)
        assert not any(one.readings.values()), "it is not time yet"
        one.step(EACH_NS)
        assert one.readings == {
            "homeostat_gate_unauthorised": 1, "homeostat_gate_stopped": True, "homeostat_plans_waiting": 1,
            "homeostat_incidents_begun_again": 0,
            "homeostat_memory_cases": 0, "homeostat_memory_notes": 1, "homeostat_memory_recalled": 0,
        }  # fmt: skip


def test_while_a_store_is_away_there_are_no_figures() -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("away")

    away: Any = Away()
    one = Oversight(Means(away, away, NoRehearsal(), away), ASKS)
    one.step(0)
    assert one.readings == {}
