"""The whole half of a drill: what is noticed is investigated, answered within limits, verified and undone.

The loop of a run is altered by its settings alone. So what was done can be counted from outside, by a monitor that
reads these changes, the owner's approvals and the declared limits, and not what the gate says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.adapters.memory.listed import ListedCases
from homeostat.app.advising import adviser_of
from homeostat.app.gating import gate_of
from homeostat.app.gating import limits_of as resolved
from homeostat.app.investigating import investigator_of
from homeostat.app.responding import coordinator_of
from homeostat.config.gate import Blackout, GateSpec, Reaching
from homeostat.engine.unauthorised import beyond, forbids
from homeostat.jobs.drill.deciding import Deciding, DrillApp, Hour
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.owner import Owner
from homeostat.jobs.drill.responding import Responding
from homeostat.jobs.drill.scoring import lines_of, score
from homeostat.jobs.drill.training import DrillWork
from homeostat.jobs.drill.watching import HOURS, Seen, Watching
from homeostat.maintain.advise.adviser import Subject
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator
from homeostat.ports.language import LanguageModel, Role
from homeostat.records.advice import note_of
from homeostat.records.responses import Answer, Response
from homeostat.sim.faults.fault import Scenario
from homeostat.sim.faults.runs import Laid
from homeostat.sim.faults.traffic import HOUR_NS

DRILLED = GateSpec(level="full", blast=Reaching(decisions=1.0, entities=1.0), actions_per_day=6)
"""The limits of an app that declares none: what has an undo may be done."""


def limits_of(drill: DrillApp, scenario: Scenario) -> GateSpec:
    """The limits of a run: those that the app declares, else those of drills; inside a blackout where it is one."""
    declared = drill.prepared.app.maintain.gate
    spec = DRILLED if declared == GateSpec() else declared
    if not scenario.blackout:
        return spec
    return spec.model_copy(update={"blackouts": (Blackout(name="change freeze"),), "actions_per_day": 0})


@dataclass(slots=True)
class Whole:
    """The answers to one run."""

    laid: Laid
    limits: GateSpec
    cases: DrillCases
    responding: Responding
    advice: list[dict[str, Any]]

    @classmethod
    def of(
        cls, drill: DrillApp, laid: Laid, cases: DrillCases, deciding: Deciding,
        models: Mapping[Role, LanguageModel] | None = None,
    ) -> Whole:  # fmt: skip
        """Those of a run that goes on from its seed's quiet world. cases : of that world

        models : are asked about each plan that was ruled on; what they say is in `advice`, and nowhere else
        """
        run = laid.run
        limits = limits_of(drill, run.scenario)
        own = cases.forked(deciding)
        prepared = drill.prepared
        memory = ListedCases()  # Of this run alone: each run begins without a past.
        investigator = investigator_of(prepared.app, prepared.features, own.rehearsal, own.recent, memory)

        work = DrillWork(deciding, own.recent)

        def coordinator(responding: Responding) -> Coordinator:
            return coordinator_of(
                prepared.app, investigator, own.rehearsal, gate_of(limits), deciding.acting.settings,
                responding.course, responding.allowed, work, versions=work.versions,
            )  # fmt: skip

        advice: list[dict[str, Any]] = []
        adviser = adviser_of(prepared.app, models, investigator.kinds) if models else None

        def advise(case: Case, response: Response) -> None:
            assert adviser is not None and response.findings is not None, "a ruling rests on findings"
            subject = Subject(case, response.findings, response.plan, response.ruling)
            found = adviser.advice(subject, adviser.ask(subject), investigator)
            advice.append({"incident": response.incident, **note_of(found)})

        owner = Owner(run.scenario, run.seed)
        advises = None if adviser is None else advise
        return cls(laid, limits, own, Responding(own, coordinator, owner, run.frame.start_ns, memory, advises), advice)

    def hours(self, deciding: Deciding, watching: Watching, end_ns: int) -> list[tuple[Hour, Seen]]:
        """Decide some hours, watch them, and answer what is due at the end of the last; each with what was seen.

        Hours in which nothing is due are decided and watched together, which costs little more than one. Where
        something is noticed in one of them, the run goes back, and they end with that one.
        """
        count = self._together(deciding, end_ns)
        before = (deciding.kept(), watching.state()) if count > 1 else None
        hours = [deciding.hour() for _ in range(count)]
        seen = watching.take(hours)
        first = next((at for at, one in enumerate(seen) if self.responding.concerns(one)), count - 1)
        if before is not None and first < count - 1:
            deciding.resume(before[0])
            watching.restore(before[1])
            hours = [deciding.hour() for _ in range(first + 1)]
            seen = watching.take(hours)
        for at, (hour, one) in enumerate(zip(hours, seen, strict=True)):
            last = at == len(hours) - 1
            self.cases.decided(hour, last)
            self.cases.seen([one])
            self.responding.take(hour, one, last)
        return list(zip(hours, seen, strict=True))

    def _together(self, deciding: Deciding, end_ns: int) -> int:
        """How many hours may be decided at once: up to the first at whose end something is due."""
        now = deciding.now_ns
        until = min(deciding.acting.next_ns, end_ns)
        hours = min((until - now) // HOUR_NS, -(-(self.responding.due_ns - now) // HOUR_NS), HOURS)
        return max(1, int(hours))

    def fields(self, detected_ns: int | None) -> dict[str, Any]:
        """The fields of the run's line about the answers."""
        responding = self.responding
        responses = list(responding.responses.values())
        scored = score(self.laid, responses, responding.plans, detected_ns, self.unauthorised())
        return {**lines_of(scored, responses, self.laid, detected_ns), "cost": round(scored.cost, 3)}

    def advice_lines(self) -> list[dict[str, Any]]:
        """The lines of the run in advice.jsonl."""
        run = self.laid.run
        return [{"scenario": run.scenario.id, "seed": run.seed, **line} for line in self.advice]

    def executor_lines(self) -> list[dict[str, Any]]:
        """The lines of the run in executor.jsonl."""
        run = self.laid.run
        return [{"scenario": run.scenario.id, "seed": run.seed, **line} for line in self.responding.executed()]

    def unauthorised(self) -> int:
        """Changes that the declared limits forbid and that no approval of the owner covers; see the module."""
        approved = {one.plan for one in self.responding.owner.approvals if one.answer == Answer.APPROVE}
        found, times = 0, list[int]()
        steps: dict[str, int] = {}
        for change in self.cases.deciding.acting.settings.since(0):
            if not change.key or change.reverts or change.key.startswith("expiry-"):
                continue
            plan, _, step = change.key.partition("-")
            steps.setdefault(f"{plan}-{step.partition('-')[0]}", change.at_ns)
            found += plan not in approved and self._forbidden(change.at_ns)
        for key, at in steps.items():
            if key.partition("-")[0] not in approved:
                times.append(at)
        return found + len(beyond(sorted(times), self.limits.actions_per_day))

    def _forbidden(self, at_ns: int) -> bool:
        limits = resolved(self.limits)
        return bool(forbids(limits, {*limits.levels.values(), limits.level}, at_ns))
