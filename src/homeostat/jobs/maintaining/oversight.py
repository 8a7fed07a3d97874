"""Figures by which people watch loop 2 itself: what it did unasked, what waits for them, and what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeostat.config.gate import GateSpec
from homeostat.engine.gate_record import GateRecord
from homeostat.engine.readings import Value
from homeostat.engine.unauthorised import count
from homeostat.errors import HomeostatError
from homeostat.jobs.maintaining.responding import Means
from homeostat.ports.memory import Memory
from homeostat.records.incidents import Phase

EACH_NS = 60 * 10**9
_MOST = 10_000


@dataclass(slots=True)
class Oversight:
    """See the module. `step` now and then; for one thread. memory : None where nothing is remembered"""

    means: Means
    spec: GateSpec
    memory: Memory | None = None
    _next_ns: int | None = None
    readings: Mapping[str, Value] = field(default_factory=dict)

    def step(self, monotonic_ns: int) -> None:
        """Count again, if it is time. While a store is away, there are no figures."""
        if self._next_ns is not None and monotonic_ns < self._next_ns:
            return
        self._next_ns = monotonic_ns + EACH_NS
        try:
            self.readings = {**self._acts(), **self._remembered()}
        except HomeostatError:
            self.readings = {}

    def _acts(self) -> dict[str, Value]:
        """The count from outside: of the settings, against people's words and the declared limits."""
        plans, record = self.means.plans, GateRecord(self.means.record)
        begun_again = sum(one.reopened for one in plans.list((), _MOST))
        waiting = sum(one.waits for one in plans.list([Phase.RULED], _MOST))
        found = count(self.means.settings.since(0), record.of_people(), plans.ruled(0, _MOST), self.spec)
        return {
            "homeostat_gate_unauthorised": len(found.unauthorised),
            "homeostat_gate_stopped": self.spec.stop or record.stopped,
            "homeostat_plans_waiting": waiting,
            "homeostat_incidents_begun_again": begun_again,
        }

    def _remembered(self) -> dict[str, Value]:
        if self.memory is None:
            return {}
        answers = self.means.plans.list((), _MOST)
        return {
            "homeostat_memory_cases": len(self.memory.cases(_MOST)),
            "homeostat_memory_notes": len(self.memory.notes(_MOST)),
            "homeostat_memory_recalled": sum(
                one.findings is not None and bool(one.findings.recalled) for one in answers
            ),
        }
