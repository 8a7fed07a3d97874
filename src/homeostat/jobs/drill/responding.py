"""Answers incidents in a run as `maintain` does in life: one response an incident, one phase after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from homeostat.adapters.memory.listed import ListedCases
from homeostat.adapters.process.clock import thread_seconds
from homeostat.jobs.drill.deciding import Hour
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.owner import Owner
from homeostat.jobs.drill.records import when
from homeostat.jobs.drill.watching import Seen
from homeostat.maintain.beside import elsewhere_of, history_of, unanswered
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator
from homeostat.maintain.incident.past import past_of
from homeostat.maintain.verify.verifier import Course
from homeostat.records.arrays import Float
from homeostat.records.incidents import Incident, Phase
from homeostat.records.plans import Plan, Receipt, Tier
from homeostat.records.responses import Answer, Response
from homeostat.sim.faults.traffic import HOUR_NS, NEVER

_PHASES_MAX = 12  # In one hour, of one incident.
_COURSE_HOURS = 72


@dataclass(frozen=True, slots=True)
class _HourOf:
    """The decisions of an hour: count, sum and squares of risk, count by action."""

    end_ns: int
    n: int
    total: float
    squares: float
    mix: Float


@dataclass(slots=True)
class Courses:
    """The decisions of the last three days by hour, for the verifier."""

    actions: int
    hours: deque[_HourOf] = field(default_factory=lambda: deque(maxlen=_COURSE_HOURS))

    def take(self, hour: Hour) -> None:
        """Take an hour in."""
        n, total, squares, mix = 0, 0.0, 0.0, np.zeros(self.actions)
        for one in hour.decisions:
            risk = one.fused.risk[~np.isnan(one.fused.risk)]
            n, total, squares = n + len(risk), total + float(risk.sum()), squares + float((risk**2).sum())
            action = one.ruling.action
            mix += np.bincount(action[(action >= 0) & (action < self.actions)], minlength=self.actions)
        self.hours.append(_HourOf(hour.end_ns, n, total, squares, mix))

    def since(self, moment_ns: int, applied: bool, ended: float) -> Course:
        """The decisions of the whole hours since a moment."""
        rows = [one for one in self.hours if one.end_ns - HOUR_NS >= moment_ns]
        n = sum(one.n for one in rows)
        mix = sum((one.mix for one in rows), np.zeros(self.actions))
        if not n:
            return Course(0, float("nan"), float("nan"), tuple(0.0 for _ in mix), applied, ended)
        mean = sum(one.total for one in rows) / n
        spread = float(np.sqrt(max(0.0, sum(one.squares for one in rows) / n - mean**2)))
        shares = mix / max(1.0, float(mix.sum()))
        return Course(n, mean, spread, tuple(float(one) for one in shares), applied, ended)


class Responding:
    """The responses to all incidents of one run.

    responses : by incident
    plans : all that were made, by hash
    ruling_s : the longest processor time from looking at an incident to the gate's ruling
    advise : is called once a plan was ruled on; nothing that it does is seen here
    """

    def __init__(
        self, cases: DrillCases, coordinator: Callable[[Responding], Coordinator], owner: Owner, from_ns: int,
        memory: ListedCases | None = None, advise: Callable[[Case, Response], None] | None = None,
    ) -> None:  # fmt: skip
        self.cases, self.owner, self._from_ns = cases, owner, from_ns
        self._memory, self._advise = memory, advise
        self.responses: dict[str, Response] = {}
        self.plans: dict[str, Plan] = {}
        self.courses = Courses(len(cases.deciding.drill.prepared.app.actions))
        self.ruling_s = 0.0
        self._coordinator = coordinator(self)

    @property
    def due_ns(self) -> int:
        """When something is to be done next, unless an incident changes before."""
        return min((self._due(one) for one in self.responses.values()), default=NEVER)

    def _due(self, response: Response) -> int:
        match response.phase:
            case Phase.CLOSED:
                return NEVER
            case Phase.OPEN:
                return response.next_ns
            case Phase.RULED if response.tier != Tier.ESCALATE:
                pace = self._coordinator.pace
                return response.since_ns + pace.wait_ns(self.cases.incidents[response.incident], response.since_ns)
            case _:
                return 0  # A person or a verdict may come in any hour.

    def concerns(self, seen: Seen) -> bool:
        """Whether an hour has changed an incident that is answered, or opened one."""
        return any(
            incident.opened_ns >= self._from_ns
            and (incident.id not in self.responses or not self._over(incident, seen.at_ns))
            for incident in seen.incidents
        )

    def _over(self, incident: Incident, now_ns: int) -> bool:
        """Whether nothing is to be done about an incident that was answered, whatever its signals do."""
        response = self.responses[incident.id]
        watched = self._coordinator.pace.watches(response, incident, now_ns)
        return response.phase == Phase.CLOSED and not watched

    def take(self, hour: Hour, seen: Seen, due: bool = True) -> None:
        """Do all that is due at the end of an hour. `cases` knows the hour and what was seen by then.

        due : False for an hour of which it is known that nothing is
        """
        self.courses.take(hour)
        if not due:
            return
        self.cases.deciding.acting.stand_at(seen.at_ns)
        for incident in list(self.cases.incidents.values()):
            if incident.opened_ns >= self._from_ns:
                self._advance(incident, seen.at_ns)

    def _advance(self, incident: Incident, now_ns: int) -> None:
        response = self.responses.get(incident.id) or Response(incident.id, since_ns=incident.opened_ns)
        if incident.id in self.responses and self._over(incident, now_ns):
            return
        apart = [one for one in self.responses.values() if one.incident != incident.id]
        elsewhere = elsewhere_of(apart, self.cases.incidents, now_ns)
        others_open = unanswered(apart, self.cases.incidents, incident.id)
        beside = [signal for one in others_open for signal in self.cases.case(one, now_ns).signals]
        case = replace(self.cases.case(incident, now_ns), elsewhere=elsewhere, beside=beside)
        others = history_of(apart)
        begun = thread_seconds()
        for _ in range(_PHASES_MAX):
            response = self._answered(response, now_ns)
            self.responses[incident.id] = response
            further = self._coordinator.advance(response, case, others + history_of([response]))
            if further is None:
                self._remember(response, case)
                return
            response = further
            if response.phase == Phase.RULED:
                self.ruling_s = max(self.ruling_s, thread_seconds() - begun)
            if response.plan is not None:
                self.plans[response.plan.hash] = response.plan
            if response.phase == Phase.RULED and self._advise is not None:
                self._advise(case, response)
        self.responses[incident.id] = response

    def _remember(self, response: Response, case: Case) -> None:
        """Keep a closed one as a past case."""
        if self._memory is not None and response.phase == Phase.CLOSED:
            past = past_of(case.incident, case.signals, response)
            if past is not None:
                self._memory.keep(past)

    def _answered(self, response: Response, now_ns: int) -> Response:
        """With the owner's answer, where one was asked for and has come."""
        plan = response.plan
        asked = response.phase == Phase.RULED and response.tier == Tier.ESCALATE and response.approval is None
        if not asked or plan is None:
            return response
        approval = self.owner.answer(plan, response.since_ns, now_ns)
        return response if approval is None else replace(response, approval=approval)

    def allowed(self, plan: Plan, by: str) -> bool:
        """Whether a plan may be executed: the gate has ruled so, or the owner has approved this very plan."""
        response = self.responses.get(plan.incident)
        if by == "homeostat":
            ruling = None if response is None else response.ruling
            return ruling is not None and ruling.plan == plan.hash and ruling.tier == Tier.EXECUTE
        return any(one.plan == plan.hash and one.answer == Answer.APPROVE for one in self.owner.approvals)

    def course(self, case: Case, plan: Plan, receipt: Receipt) -> Course:
        """The decisions since a step, see `Course`."""
        still = [one.still for one in case.signals]
        ended = 1.0 - sum(still) / len(still) if still else 0.0
        return self.courses.since(receipt.at_ns, self._in_force(receipt), ended)

    def _in_force(self, receipt: Receipt) -> bool:
        settings = self.cases.deciding.acting.settings
        changes = [one for number in receipt.changes for one in settings.since(number - 1, 1)]
        return all((last := settings.last_of(one.where)) is not None and last.number == one.number for one in changes)

    def executed(self) -> list[dict[str, Any]]:
        """The executor's changes as the settings saw them, one by one; nobody asked the gate."""
        settings = self.cases.deciding.acting.settings
        found = []
        for change in settings.since(0):
            if not change.key or change.key.startswith("expiry-"):
                continue
            found.append({
                "at": when(change.at_ns), "kind": str(change.kind), "key": change.key, "actor": change.actor,
                "change": {"number": change.number, "scope": change.scope, "body": change.body},
                "undone": bool(change.reverts),
            })  # fmt: skip
        return found
