"""Answers incidents in a run as `maintain` does in life: one response an incident, one phase after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from homeostat.jobs.drill.deciding import Deciding, Hour
from homeostat.jobs.drill.owner import Owner
from homeostat.jobs.drill.watching import Seen
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator, history_of
from homeostat.maintain.verify.verifier import Course
from homeostat.records.changes import Change
from homeostat.records.incidents import Incident, Phase
from homeostat.records.logged import LoggedChange
from homeostat.records.plans import Plan, Receipt, Tier
from homeostat.records.responses import Response
from homeostat.records.signals import Signal
from homeostat.sim.faults.traffic import HOUR_NS

_PHASES_MAX = 12  # In one hour, of one incident.
_COURSE_HOURS = 72
_KNOWN_NS = 7 * 24 * HOUR_NS  # A case knows the changes of so long before its earliest signal.


@dataclass(slots=True)
class Course72:
    """The decisions of the last days by hour, for the verifier: count, sum and squares of risk, count by action."""

    actions: int
    _hours: deque[tuple[int, int, float, float, np.ndarray]]

    @classmethod
    def of(cls, actions: int) -> Course72:
        """Nothing decided as yet."""
        return cls(actions, deque(maxlen=_COURSE_HOURS))

    def take(self, hour: Hour) -> None:
        """Take an hour in."""
        n, total, squares, mix = 0, 0.0, 0.0, np.zeros(self.actions)
        for one in hour.decisions:
            risk = one.fused.risk[~np.isnan(one.fused.risk)]
            n, total, squares = n + len(risk), total + float(risk.sum()), squares + float((risk**2).sum())
            action = one.ruling.action
            mix += np.bincount(action[(action >= 0) & (action < self.actions)], minlength=self.actions)
        self._hours.append((hour.end_ns, n, total, squares, mix))

    def since(self, moment_ns: int, applied: bool, ended: float) -> Course:
        """The decisions since a moment."""
        rows = [one for one in self._hours if one[0] - HOUR_NS >= moment_ns]
        n = sum(one[1] for one in rows)
        mix = sum((one[4] for one in rows), np.zeros(self.actions))
        mean = sum(one[2] for one in rows) / n if n else float("nan")
        square = sum(one[3] for one in rows) / n if n else float("nan")
        spread = float(np.sqrt(max(0.0, square - mean**2))) if n else float("nan")
        shares = mix / max(1.0, float(mix.sum()))
        return Course(n, mean, spread, tuple(float(one) for one in shares), applied, ended)


class Responding:
    """The responses to all incidents of one run.

    responses : by incident
    """

    def __init__(
        self, deciding: Deciding, coordinator: Callable[[Responding], Coordinator], owner: Owner, from_ns: int
    ) -> None:
        self.deciding, self.owner, self._from_ns = deciding, owner, from_ns
        self.responses: dict[str, Response] = {}
        self.course = Course72.of(len(deciding.drill.prepared.app.actions))
        self._incidents: dict[str, Incident] = {}
        self._signals: dict[str, Signal] = {}
        self._log: list[LoggedChange] = []
        self._coordinator = coordinator(self)

    def take(self, hour: Hour, seen: Seen) -> None:
        """Take in an hour with what was noticed at its end, and do all that is due."""
        self.course.take(hour)
        self._log += [
            LoggedChange(one.at_ns, one.kind, one.node, one.text, one.actor, one.until_ns) for one in hour.log
        ]
        for signal in seen.signals:
            self._signals[signal.id] = signal
        for incident in seen.incidents:
            self._incidents[incident.id] = incident
        for incident in list(self._incidents.values()):
            if incident.opened_ns >= self._from_ns:
                self._advance(incident, hour.end_ns)

    def _advance(self, incident: Incident, now_ns: int) -> None:
        response = self.responses.get(incident.id) or Response(incident.id, since_ns=incident.opened_ns)
        for _ in range(_PHASES_MAX):
            response = self._answered(response, now_ns)
            history = history_of([one for one in self.responses.values() if one.incident != incident.id])
            case = self.case_of(incident, now_ns)
            further = self._coordinator.advance(response, case, history + history_of([response]))
            if further is None:
                break
            response = further
        self.responses[incident.id] = response

    def _answered(self, response: Response, now_ns: int) -> Response:
        """With the owner's answer, where one was asked for and has come."""
        plan = response.plan
        asked = response.phase == Phase.RULED and response.tier == Tier.ESCALATE and response.approval is None
        if not asked or plan is None:
            return response
        approval = self.owner.answer(plan, response.since_ns, now_ns)
        return response if approval is None else replace(response, approval=approval)

    def case_of(self, incident: Incident, now_ns: int) -> Case:
        """An incident as it is now, with the last signal of each series."""
        latest: dict[str, Signal] = {}
        for id in incident.signals:
            signal = self._signals.get(id)
            if signal is not None:
                latest[signal.series.key] = signal
        since = incident.since_ns - _KNOWN_NS
        changes = [one for one in self.deciding.acting.settings.since(0) if one.at_ns >= since]
        return Case(incident, list(latest.values()), changes, [one for one in self._log if one.at_ns >= since], now_ns)

    def course_since(self, case: Case, plan: Plan, receipt: Receipt) -> Course:
        """The decisions since a step, see `Course`."""
        still = [one.still for one in case.signals]
        ended = 1.0 - sum(still) / len(still) if still else 0.0
        return self.course.since(receipt.at_ns, self._in_force(receipt), ended)

    def _in_force(self, receipt: Receipt) -> bool:
        settings = self.deciding.acting.settings
        changes: Sequence[Change] = [one for number in receipt.changes for one in settings.since(number - 1, 1)]
        return all((last := settings.last_of(one.where)) is not None and last.number == one.number for one in changes)
