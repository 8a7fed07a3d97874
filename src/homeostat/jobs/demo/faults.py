"""The demo of faults: the same payments three times, as they are, under faults, and under faults with loop 2.

The quiet world is decided and watched once; then each of the three goes on by itself. A fault stays until somebody
mends it. The money is that of the app's own cost matrix on the true amounts and the true labels, which the second loop
never sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homeostat.app import costs_of
from homeostat.jobs.drill.deciding import Deciding, DrillApp, Hour, frame_of, quiet_traffic
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.scoring import actions_of, is_right
from homeostat.jobs.drill.watching import HOURS, Watching
from homeostat.jobs.drill.whole import Whole
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Float, Int, Small
from homeostat.records.events import EventBatch
from homeostat.records.incidents import Incident
from homeostat.sim.faults.fault import Act, LogEntry, Scenario, Truth
from homeostat.sim.faults.runs import Laid, Run
from homeostat.sim.faults.scene import Frame, Scene
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, Traffic

AS_IT_IS, WITHOUT, WITH = "no fault", "without loop 2", "with loop 2"
SIX = ("S21", "S20", "S14", "S18", "S16", "S12")
SHORT = ("S21", "S20", "S12")
"""Scenarios of the drill, in the order in which their faults begin."""


@dataclass(frozen=True, slots=True)
class FaultsPlan:
    """The size of the demo.

    days : in which the faults begin, one after the other; past_days, warm_days : quiet ones before
    """

    seed: int = 1
    days: int = 6
    past_days: int = 16
    warm_days: int = 45
    scenarios: tuple[str, ...] = SHORT

    def onset_day(self, place: int) -> float:
        """The day on which a fault begins."""
        return (place + 0.25) * self.days / len(self.scenarios) + 0.25


@dataclass(slots=True)
class Course:
    """One of the three, hour by hour.

    events : decided in each hour
    differing : of these, decided otherwise than where there is no fault
    cost : of each hour, by the truth
    """

    events: list[int] = field(default_factory=list)
    differing: list[int] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Begun:
    """A fault that has begun: its scenario, its place and kind, and when."""

    scenario: Scenario
    truth: Truth
    at_ns: int


class FaultsDemo:
    """See the module. `open`, then `run`.

    courses : by name
    faults : in order
    """

    def __init__(self, plan: FaultsPlan, drill: DrillApp | None = None) -> None:
        self.plan = plan
        self.drill = DrillApp("payments") if drill is None else drill
        self.frame: Frame = frame_of(plan.days, plan.past_days, plan.warm_days)
        self.courses = {name: Course() for name in (AS_IT_IS, WITHOUT, WITH)}
        self.faults: list[Begun] = []
        self.incidents: dict[str, Incident] = {}

    def open(self, progress: Progress = silent) -> None:
        """Make the world, decide its quiet past, and let the monitors learn."""
        drill, frame, plan = self.drill, self.frame, self.plan
        progress("simulating", 0.0)
        quiet = quiet_traffic(drill, frame, plan.seed)
        laid = self._lay_out(quiet)
        self._truth = _Truth(drill, quiet)
        past, watching = Deciding(drill, quiet, frame, plan.seed), Watching(drill)
        past.warm()
        cases = DrillCases.of(past)
        while past.now_ns < frame.start_ns:
            count = min(HOURS, (frame.start_ns - past.now_ns) // HOUR_NS)
            hours = []
            for _ in range(count):
                hours.append(past.hour())
                cases.decided(hours[-1])
            for seen in watching.take(hours):
                cases.seen([seen])
            progress("learning what is ordinary", (past.now_ns - frame.past_ns) / (frame.start_ns - frame.past_ns))
        kept = past.kept()
        self._quiet = past
        self._faulty = Deciding(drill, laid.traffic, frame, plan.seed, laid)
        self._faulty.resume(kept)
        self._answered = Deciding(drill, laid.traffic, frame, plan.seed, laid)
        self._answered.resume(kept)
        self._watching = Watching(drill, laid.log)
        self._watching.restore(watching.state())
        self.whole = Whole.of(drill, laid, cases, self._answered)

    def run(self) -> Iterator[float]:
        """Go hour by hour; yields the share that is done."""
        frame = self.frame
        while self._quiet.now_ns < frame.end_ns:
            for hour, seen in self.whole.hours(self._answered, self._watching, frame.end_ns):
                quiet = self._truth.of(self._quiet.hour(), None)
                faulty = self._truth.of(self._faulty.hour(), quiet)
                self.incidents |= {one.id: one for one in seen.incidents}
                answered = self._truth.of(hour, quiet)
                for name, one in ((AS_IT_IS, quiet), (WITHOUT, faulty), (WITH, answered)):
                    course = self.courses[name]
                    course.events.append(one.events)
                    course.differing.append(one.differing)
                    course.cost.append(one.cost)
            yield (self._quiet.now_ns - frame.start_ns) / (frame.end_ns - frame.start_ns)

    @property
    def day(self) -> float:
        """How many days have been decided."""
        return (self._quiet.now_ns - self.frame.start_ns) / DAY_NS

    def _lay_out(self, quiet: Traffic) -> Laid:
        """The traffic under all faults, each from its own onset on."""
        plan, frame, form = self.plan, self.frame, self.drill.form
        traffic, acts, log = quiet, list[Act](), list[LogEntry]()
        for place, id in enumerate(plan.scenarios):
            onset = frame.start_ns + int(plan.onset_day(place) * 24) * HOUR_NS
            for fault in SUITE[id].faults:
                scene = Scene.drawn(form, frame, onset, 3, plan.seed + 2, [plan.seed, int(id[1:]), 13], part=2 + place)
                traffic = fault.happen(traffic, scene)
                acts += fault.acts(scene)
                log += fault.log(scene)
                self.faults.append(Begun(SUITE[id], fault.truth(scene), onset))
        log += [LogEntry(act.at_ns, str(act.effect), "settings", act.logged) for act in acts if act.logged]
        suite = [one.scenario for one in self.faults]
        scenario = Scenario(
            "S30", "several faults", tuple(fault for one in suite for fault in one.faults),
            tuple({name for one in suite for name in one.accepted}), (),
        )  # fmt: skip
        run = Run(scenario, plan.seed, frame, self.faults[0].at_ns, 3, "", 0)
        truths = tuple(one.truth for one in self.faults)
        return Laid(run, traffic, truths, tuple(sorted(acts, key=lambda act: act.at_ns)),
                    tuple(sorted(log, key=lambda one: (one.at_ns, one.text))))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Hour:
    """An hour by the truth. action : (n,) of each true event, -1 where it was not decided"""

    ids: Int
    action: Small
    events: int
    differing: int
    cost: float


class _Truth:
    """The costs of actions by the amounts and labels of the quiet world."""

    def __init__(self, drill: DrillApp, quiet: Traffic) -> None:
        costs = costs_of(drill.prepared.app)
        assert costs is not None, "the payments app declares costs"
        order = np.argsort(quiet.id, kind="stable")
        self._ids, self._sent = quiet.id[order], quiet.sent_ns[order]
        n = len(quiet)
        none = np.zeros(n, np.int64)
        events = EventBatch(
            none, quiet.sent_ns, quiet.keys, quiet.numbers, np.full(n, np.nan), np.zeros(n, np.uint8), {}, none,
            np.zeros_like(quiet.keys),
        )  # fmt: skip
        positive, negative = costs(events)
        self._cost: Float = np.where(quiet.label[:, None] == 1, positive, negative)[order]

    def of(self, hour: Hour, quiet: _Hour | None) -> _Hour:
        """An hour; quiet : the same hour without faults.

        An event that nobody decided is let through, which is the first action. A copy of one has no cost.
        """
        first, last = hour.start_ns, hour.end_ns
        rows = np.flatnonzero((self._sent >= first) & (self._sent < last))
        ids = self._ids[rows]
        action = np.full(len(ids), -1, np.int16)
        for one in hour.decisions:
            at = np.searchsorted(ids, one.events.id_code)
            at = np.minimum(at, max(0, len(ids) - 1))
            ours = ids[at] == one.events.id_code if len(ids) else np.zeros(len(one), bool)
            action[at[ours]] = one.ruling.action[ours]
        taken = np.maximum(action, 0).astype(np.int64)
        cost = float(self._cost[rows, taken].sum())
        differing = 0 if quiet is None else int(np.count_nonzero(action != quiet.action))
        return _Hour(ids, action, sum(len(one) for one in hour.decisions), differing, cost)


def summary(demo: FaultsDemo, seconds: Sequence[float]) -> dict[str, Any]:
    """All figures of the demo, as JSON can hold them.

    seconds : to open it, and to run it
    """
    courses = demo.courses
    under = {WITHOUT: _under(demo, [None] * len(demo.faults)), WITH: _under(demo, mended(demo))}
    return {
        "seed": demo.plan.seed, "days": demo.plan.days, "currency": demo.drill.prepared.app.currency,
        "faults": [
            {"title": one.scenario.title, "node": one.truth.node, "kind": str(one.truth.kind),
             "day": _day(demo, one.at_ns), "mended": None if at is None else _day(demo, at)}
            for one, at in zip(demo.faults, mended(demo), strict=True)
        ],
        "events": sum(courses[WITHOUT].events),
        "under_fault": {name: sum(hours) for name, hours in under.items()},
        "decided_otherwise": {name: sum(courses[name].differing) for name in (WITHOUT, WITH)},
        "lost": lost_so_far(demo),
        "lost_by_hour": {
            name: [round(one - was, 2) for one, was in zip(courses[name].cost, courses[AS_IT_IS].cost, strict=True)]
            for name in (WITHOUT, WITH)
        },
        "under_fault_by_hour": under,
        "otherwise_by_hour": {name: courses[name].differing for name in (WITHOUT, WITH)},
        "steps": steps(demo), "done": done(demo), "incidents": len(demo.incidents),
        "unauthorised": demo.whole.unauthorised(), "machine": {"open": seconds[0], "run": seconds[1]},
    }  # fmt: skip


def mended(demo: FaultsDemo) -> list[int | None]:
    """When each fault was mended by a right step that was kept; None where it was not."""
    responding = demo.whole.responding
    actions = actions_of(list(responding.responses.values()), responding.plans)
    found: list[int | None] = []
    for one in demo.faults:
        right = (
            act.at_ns
            for act in actions
            if act.at_ns >= one.at_ns and not act.undone_ns and is_right(act, one.scenario, (one.truth,))
        )
        found.append(next(right, None))
    return found


def _under(demo: FaultsDemo, until: Sequence[int | None]) -> list[int]:
    """The decisions of each hour while a fault had begun and was not mended."""
    found = []
    for hour, events in enumerate(demo.courses[WITH].events):
        at = demo.frame.start_ns + hour * HOUR_NS
        faulty = any(one.at_ns <= at and (end is None or at < end) for one, end in zip(demo.faults, until, strict=True))
        found.append(events if faulty else 0)
    return found


def lost_so_far(demo: FaultsDemo) -> dict[str, float]:
    """The money lost to the faults, without and with loop 2."""
    base = sum(demo.courses[AS_IT_IS].cost)
    return {name: round(sum(demo.courses[name].cost) - base, 2) for name in (WITHOUT, WITH)}


def done(demo: FaultsDemo) -> list[dict[str, Any]]:
    """The time lines of all incidents, in order of time."""
    found = []
    for id, response in demo.whole.responding.responses.items():
        found += [{"day": _day(demo, line.at_ns), "incident": id, "text": line.text} for line in response.lines]
    return sorted(found, key=lambda one: (one["day"], one["incident"]))


def steps(demo: FaultsDemo) -> list[dict[str, Any]]:
    """The steps that were taken, each with when, and when it was undone."""
    found = []
    for response in demo.whole.responding.responses.values():
        verdicts = {one.key: one for one in response.verdicts}
        for one in response.receipts:
            if one.changes or one.job:
                last = verdicts.get(one.key)
                found.append({
                    "day": _day(demo, one.at_ns), "remedy": str(one.remedy), "scope": one.scope, "by": one.by,
                    "undone": _day(demo, one.undone_ns) if one.undone_ns else None,
                    "verdict": None if last is None else str(last.verdict),
                })  # fmt: skip
    return sorted(found, key=lambda one: one["day"])


def _day(demo: FaultsDemo, at_ns: int) -> float:
    return round((at_ns - demo.frame.start_ns) / DAY_NS, 3)
