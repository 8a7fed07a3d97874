"""One incident of an app, answered by stages whose findings, plan and verdicts are given; all stores are real."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeostat.app.gating import limits_of
from homeostat.checks.inquiries import HOUR, ONSET, signal
from homeostat.config.gate import GateSpec, Reaching
from homeostat.engine.assembly import prepare
from homeostat.jobs.maintaining.responding import Means, Responding
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.act.executor import SettingsExecutor
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator, Pace, Stages
from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.ports import Entry
from homeostat.ports.maintenance import MaintenanceStore
from homeostat.ports.rehearsal import CanNotRehearse
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.findings import Conclusion, Edge, Finding, Findings
from homeostat.records.incidents import Incident, Severity
from homeostat.records.plans import Alteration, Blast, Plan, Receipt, Rehearsed, Remedy, Step, Verified
from homeostat.records.signals import Kind
from homeostat.records.verdicts import Verdict

PREPARED = prepare("access")
INCIDENT = Incident("i1", "access", 1, ONSET, ONSET, ONSET, Severity.LOW, (signal("source", Kind.VOLUME).id,))
NOW = ONSET + 3 * HOUR
LIMITS = GateSpec(level="full", blast=Reaching(decisions=1.0, entities=1.0), cool_down="0s")
ALTERED = (
    (
        Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.9}),
        Alteration(ChangeKind.LATENESS, "app", {"lateness": "2h"}),
    ),
    (Alteration(ChangeKind.FALLBACK, "app", {"action": "allow"}),),
)
"""The alterations of the two steps of the plan."""


class NoEntries:
    """A journal without entries."""

    last = 0

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Nothing."""
        return iter(())


class NoRehearsal:
    """Nothing can be decided again."""

    def again(self, *given: object, **more: object) -> Any:
        """It raises."""
        raise CanNotRehearse("no entries")


@dataclass
class StandingClock:
    """A clock that stands still until it is set."""

    at_ns: int = NOW

    def now_ns(self) -> int:
        """The time."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """It never goes back, as no monotonic clock does."""
        self.ran_ns = max(getattr(self, "ran_ns", 0), self.at_ns) + 1
        return self.ran_ns


@dataclass
class Given:
    """The stages, with given answers.

    verdicts : on the steps, in order; the last one goes on
    """

    verdicts: Sequence[Verdict] = (Verdict.PASS,)
    limits: GateSpec = LIMITS
    seen: list[Case] = field(default_factory=list)

    def investigate(self, case: Case) -> Findings:
        """One cause."""
        self.seen.append(case)
        path = (Edge("source", "policy", "1 of 1"),)
        found = Finding("field:amount", "unit", 0.95, ONSET, path)
        return Findings(case.incident.id, case.now_ns, Conclusion.CAUSE, (found,), (("field:amount", "unit", 0.95),), 3)

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        """Two steps."""
        steps = tuple(
            Step(
                Remedy.CONVERT, f"field:{place}", altered, None, True, 0.0, Rehearsed(5, 4, 6, 100, "replay"),
                Blast(0.1, 0.1, 1), 0, {}, "a step",
            )
            for place, altered in enumerate(ALTERED)
        )  # fmt: skip
        return Plan(case.incident.id, case.now_ns, 0.95, 0, steps)

    def revise(self, *given: object) -> Plan:
        """Nobody edits it."""
        raise ValueError("no edits")

    def judge(self, case: Case, plan: Plan, receipt: Receipt, extended: bool) -> Verified | None:
        """The given verdict."""
        verdict = self.verdicts[min(receipt.step, len(self.verdicts) - 1)]
        return Verified(receipt.step, case.now_ns, verdict, 0.1, 0.1, 0.1, 0.1, 99, "seen", extended, receipt.key)


class Answering(Responding):
    """Answers by given stages."""

    def __init__(
        self, given: Given, store: MaintenanceStore, means: Means, clock: StandingClock,
        say: Callable[[str], None] = lambda text: None, **more: Any,
    ) -> None:  # fmt: skip
        journal: Any = NoEntries()
        super().__init__(Source(PREPARED, journal, store, lambda entry: None), means, clock, say, **more)
        self.given = given

    def _limits(self) -> Limits:
        record = self._permits.record
        return limits_of(self.given.limits, record.raised(), record.stopped)

    def _coordinator(self) -> Coordinator:
        given: Any = self.given
        executor = SettingsExecutor(self._means.settings, self._allowed, self._means.work)
        gate = LimitsGate(self._limits())
        return Coordinator(Stages(given, lambda: given, gate, executor, given.judge), Pace())


def whole(changes: Sequence[Change]) -> list[tuple[str, bool]]:
    """The alterations of the plan that are in force, or were undone; each with whether it is in force.

    Raises AssertionError where a change was stored twice, was undone twice, or is a stranger's.
    """
    made = [one for one in changes if not one.reverts]
    undone = [one.reverts for one in changes if one.reverts]
    assert len({one.key for one in made}) == len(made) and all(one.key for one in made)
    assert len(set(undone)) == len(undone)
    return [(f"{one.kind} {one.scope}", one.number not in undone) for one in made]
