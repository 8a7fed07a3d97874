"""No sequence of plans, kills, lost writes, doubled histories and clock jumps does anything that a rule forbids.

The loop's own coordinator, gate and executor run, on a store that may lose the last write. An observer outside writes
down what reaches the settings, when, and under which limits, and judges it by arithmetic of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.made_plans import DAY_NS, FINDINGS, HOUR_NS, STEP

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.maintain.act.executor import SettingsExecutor
from homeostat.maintain.beside import history_of
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator, Pace, Stages
from homeostat.maintain.gate.blackouts import Blackout
from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.autonomy import Level, Reach
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.findings import Findings
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.plans import (
    Alteration,
    Blast,
    Done,
    Plan,
    Receipt,
    Rehearsed,
    Remedy,
    Ruling,
    Step,
    Tier,
    Verified,
)
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.verdicts import Verdict

BERLIN = ZoneInfo("Europe/Berlin")
START = int(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()) * 10**9  # Clocks go back in the night that follows.
LIMITS = Limits(
    level=Level.SUPERVISED, levels={(Remedy.CONVERT, Reach.APP): Level.FULL}, actions_per_day=3, cost_per_day=5.0,
    rate=(2.0, HOUR_NS), blackouts=(Blackout("night", first=120, end=240, zone=BERLIN),),
)  # fmt: skip
PLACES = ("field:amount", "app", "segment:a")


@dataclass(frozen=True)
class Seen:
    """One action as the observer saw it, when a key came for the first time."""

    at: int
    by: str
    step: Step
    plan: Plan
    stop: bool
    failures: int


@dataclass
class World:
    """Everything outside the loop: the store, the clock, the people, and the observer."""

    now: int = START
    stop: bool = False
    doubled: bool = False
    kept: dict[str, Response] = field(default_factory=dict)
    plans: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    confidence: float = 0.9
    verdict: Verdict | None = Verdict.PASS
    log: dict[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = MemorySettings()
        self.inner = SettingsExecutor(self.settings, lambda plan, by: True)
        stages = Stages(self, lambda: self, self, self, self.judge)
        self.coordinator = Coordinator(stages, Pace(settle_ns=0, again_ns=HOUR_NS, rounds_max=99))

    # The stages, as the coordinator knows them.

    def investigate(self, case: Case) -> Findings:
        return replace(FINDINGS, incident=case.incident.id, at_ns=case.now_ns)

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        steps = self.plans[case.incident.id]
        return Plan(case.incident.id, case.now_ns, self.confidence, self.settings.last, steps)

    def rule(self, plan: Plan, findings: Findings, history: Sequence[Done], now_ns: int) -> Ruling:
        return LimitsGate(replace(LIMITS, stop=self.stop)).rule(plan, findings, history, now_ns)

    def act(self, plan: Plan, step: int, by: str, now_ns: int) -> Receipt:
        receipt = self.inner.act(plan, step, by, now_ns)
        wanted = plan.steps[step]
        if receipt.changes and receipt.key not in self.log:
            self.log[receipt.key] = Seen(now_ns, by, wanted, plan, self.stop, self.failures(wanted))
        return receipt

    def undo(self, receipt: Receipt, why: str, now_ns: int) -> Receipt:
        return self.inner.undo(receipt, why, now_ns)

    def abandon(self, plan: Plan, step: int, by: str, why: str, now_ns: int) -> Receipt | None:
        return self.inner.abandon(plan, step, by, why, now_ns)

    def judge(self, case: Case, plan: Plan, receipt: Receipt, extended: bool) -> Verified | None:
        if self.verdict is None:
            return None
        return Verified(receipt.step, case.now_ns, self.verdict, 0, 0, 0, 0, 9, "seen", extended, receipt.key)

    # Its history.

    def failures(self, step: Step) -> int:
        """Actions of this kind and reach that are known to have failed in the last 30 days."""
        found = 0
        for one in self.kept.values():
            for verdict in one.verdicts:
                seen = self.log.get(verdict.key)
                if seen is None or verdict.verdict != Verdict.FAIL or seen.at <= self.now - 30 * DAY_NS:
                    continue
                failed = seen.step
                alike = failed.remedy == step.remedy and failed.scope.startswith("seg") == step.scope.startswith("seg")
                found += alike
        return found

    def turn(self, lost: int) -> None:
        """Every incident goes on as far as it can. The write after `lost` steps is lost, and the process is killed."""
        for id in sorted(self.plans):
            for _ in range(9):
                response = self.kept.get(id) or Response(id, since_ns=self.now)
                history = history_of(list(self.kept.values()))
                history = history * 2 if self.doubled else history
                incident = Incident(id, "shop", 1, START - DAY_NS, START, START, Severity.HIGH, ("s",))
                further = self.coordinator.advance(response, Case(incident, (), (), (), self.now), history)
                if further is None:
                    break
                lost -= 1
                if lost == 0:
                    return
                self.kept[id] = further


def forbidden(seen: Seen, earlier: list[Seen]) -> list[str]:
    """The faults of an action, by arithmetic of the observer's own."""
    step, at = seen.step, seen.at
    day = [one for one in [*earlier, seen] if one.at > at - DAY_NS]
    hour = [one for one in [*earlier, seen] if one.at > at - HOUR_NS]
    same = [one for one in earlier if (one.step.remedy, one.step.scope) == (step.remedy, step.scope)]
    shift = datetime.fromtimestamp(at / 1e9, BERLIN).utcoffset()
    assert shift is not None
    wall = (at // 10**9 + int(shift.total_seconds())) % 86_400
    allowed = 1 if step.remedy == Remedy.CONVERT and not step.scope.startswith("segment") else 0
    found = {
        "kill switch": seen.stop,
        "night": 2 * 3600 <= wall < 4 * 3600,
        "actions": len(day) > 3,
        "rate": len(hour) > 2,
        "cost": sum(one.step.cost for one in day) > 5.0,
        "cool-down": any(one.at > at - LIMITS.cool_ns for one in same),
        "confidence": not seen.plan.confidence >= 0.8,
        "reversible": not step.reversible,
        "benefit": not step.rehearsed.low * 24 > step.cost,
        "blast": not sum(one.blast.decisions for one in seen.plan.steps[seen.plan.steps.index(step):]) <= 0.3,
        "autonomy": seen.failures > allowed,
        "age": not 0 <= at - seen.plan.at_ns <= DAY_NS,
    }  # fmt: skip
    return [name for name, wrong in found.items() if wrong]


def made_step(chance: Random) -> Step:
    """A step that is mostly in order."""
    remedy = chance.choice([Remedy.CONVERT, Remedy.THRESHOLD, Remedy.RULE])
    scope = chance.choice(PLACES)
    alteration = Alteration(ChangeKind.THRESHOLD, f"{remedy}_{PLACES.index(scope)}", {"at": chance.random()})
    odd = chance.randrange(60)
    low = {1: float("nan"), 2: 0.01}.get(odd, 5.0)
    return replace(
        STEP, remedy=remedy, scope=scope, alterations=(alteration,), cost=chance.choice([0.5, 1.0, 1.0, 3.0]),
        reversible=odd != 0, rehearsed=Rehearsed(9.0, low, 12.0, 99, "replay"),
        blast=Blast(0.4 if odd in (3, 4, 5) else 0.1, 0.1, 1.0),
    )  # fmt: skip


def happenings(seed: int, n: int = 40) -> Iterator[tuple[str, Any]]:
    """All that goes on around the loop: mostly it is well, and then it is not."""
    chance = Random(seed)
    for _ in range(n):
        kind = chance.choice(["incident"] * 6 + ["clock"] * 7 + ["odd"] * 2 + ["well"] * 2 + ["killed"] * 3)
        if kind == "incident":
            yield kind, tuple(made_step(chance) for _ in range(chance.choice([1, 1, 2, 3])))
        elif kind == "clock":
            yield kind, round(HOUR_NS * chance.choice([0.2, 0.5, 1, 1, 3, 7, 7, 12, 30, -0.5, -3, -30]))
        elif kind == "odd":
            odd: list[dict[str, Any]] = [
                {"stop": True}, {"doubled": True}, {"confidence": 0.7}, {"confidence": float("nan")}, {"verdict": None},
                {"verdict": Verdict.FAIL}, {"verdict": Verdict.INCONCLUSIVE}, {"now": START + 13 * HOUR_NS},
            ]  # fmt: skip
            yield "settings", chance.choice(odd)
        elif kind == "well":
            yield "settings", {"stop": False, "doubled": False, "confidence": 0.9, "verdict": Verdict.PASS}
        else:
            yield kind, chance.randrange(1, 12)


def play(story: Iterable[tuple[str, Any]]) -> World:
    world = World()
    for kind, value in story:
        if kind == "incident":
            world.plans[f"i{len(world.plans):03}"] = value
        elif kind == "clock":
            world.now += value
        elif kind == "settings":
            for name, setting in value.items():
                setattr(world, name, setting)
        world.turn(lost=value if kind == "killed" else 0)
    return world


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_done_that_a_rule_forbids(seed: int) -> None:
    world = play(happenings(seed))
    actions = list(world.log.values())
    for at, seen in enumerate(actions):
        assert forbidden(seen, actions[:at]) == []
    responses = list(world.kept.values())
    known = {f"{receipt.key}-0" for one in responses for receipt in one.receipts if not receipt.undone_ns}
    acting = {
        f"{one.plan.hash}-{at}-0" for one in responses if one.plan and one.phase == Phase.ACTING for at in range(3)
    }
    assert {change.key for change in in_force(world.settings)} <= known | acting, "a change that nobody answers for"


def in_force(store: MemorySettings) -> list[Change]:
    return [one for one in store.at((1 << 63) - 1).values() if not one.reverts]


def test_the_observer_sees_actions_and_sees_what_is_forbidden() -> None:
    world = play([("incident", (STEP,)), ("clock", HOUR_NS)])
    (seen,) = world.log.values()
    assert forbidden(seen, []) == [] and world.kept["i000"].phase is Phase.CLOSED
    assert forbidden(replace(seen, stop=True), []) == ["kill switch"]
    assert forbidden(seen, [seen]) == ["cool-down"]
    night = int(datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()) * 10**9  # The second time it is half past two.
    assert "night" in forbidden(replace(seen, at=night), [])


def test_a_killed_process_takes_back_what_has_become_forbidden_since() -> None:
    world = World()
    world.plans["i0"] = (STEP,)
    world.turn(lost=5)  # Investigated, planned, ruled, begun; then done, and the write of that is lost.
    assert len(world.log) == 1 and world.kept["i0"].phase is Phase.ACTING
    world.stop = True
    world.turn(lost=0)
    (receipt,) = world.kept["i0"].receipts
    assert receipt.undone_ns and in_force(world.settings) == [] and len(history_of(list(world.kept.values()))) == 1


def test_an_approval_of_a_person_goes_past_the_limits_that_are_the_gates() -> None:
    world = World(stop=True)
    world.plans["i0"] = (STEP,)
    world.turn(lost=0)
    asked = world.kept["i0"]
    assert asked.plan is not None and not world.log
    world.kept["i0"] = replace(asked, approval=Approval(asked.plan.hash, Answer.APPROVE, "ann", "right", world.now))
    world.turn(lost=0)
    (seen,) = world.log.values()
    assert seen.by == "ann" and seen.stop


def test_a_step_that_is_allowed_counts_before_it_is_done() -> None:
    world = World()
    world.plans["i0"] = (STEP,)
    world.turn(lost=4)  # Investigated, planned and ruled; the next write is lost.
    assert world.kept["i0"].phase is Phase.RULED and not world.log
    history = history_of(list(world.kept.values()))
    assert [(one.remedy, one.pending) for one in history] == [(STEP.remedy, True)]
    world.now += 2 * DAY_NS  # However long ago it was allowed.
    plan = Plan("i1", world.now, 0.9, 0, (replace(STEP, scope="segment:a"),))
    limits = replace(LIMITS, actions_per_day=1)
    ruling = LimitsGate(limits).rule(plan, replace(FINDINGS, incident="i1"), history, world.now)
    assert [spoke.rule for spoke in ruling.rules if spoke.tier != Tier.EXECUTE] == ["action_budget"]
