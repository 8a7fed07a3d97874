"""A live app whose frauds change trains a challenger, rehearses it, lets it decide, and verifies it, by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.answering import StandingClock
from tests.support.retrained import RETRAIN, World, ignorant
from tests.support.tuned import START_S

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.app.responding import coordinator_of
from homeostat.checks.inquiries import HOUR, signal
from homeostat.cli import main
from homeostat.engine.assembly import prepare
from homeostat.engine.stores import stores_in
from homeostat.jobs.maintaining.courses import course_of
from homeostat.jobs.maintaining.rehearsal_process import Place, rehearsal_at
from homeostat.jobs.maintaining.responding import Means, Responding
from homeostat.jobs.maintaining.source import source_in
from homeostat.jobs.maintaining.work import JobsWork, kept_versions
from homeostat.maintain.contracts import Case
from homeostat.maintain.coordinator import Coordinator
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.ports.jobs import change
from homeostat.records.causes import Cause
from homeostat.records.findings import Conclusion, Edge, Finding, Findings
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.job import JobState
from homeostat.records.plans import Tier
from homeostat.records.responses import Response
from homeostat.records.signals import Kind
from homeostat.records.verdicts import Verdict

SINCE = (START_S + 3600) * 10**9
GATE = "gate: {level: full, blast: {decisions: 1, entities: 1}, cool_down: 0s}"


@dataclass
class Concept:
    """An investigation that finds another law of outcomes, with data enough to train on."""

    def investigate(self, case: Case) -> Findings:
        """One cause."""
        path = (Edge("outcome", "fusion", "measured"),)
        about = {"enough_data": True, "positives": 300}
        found = Finding("outcome", str(Cause.CONCEPT), 0.97, SINCE, path, about=about)
        ranked = (("outcome", str(Cause.CONCEPT), 0.97),)
        return Findings(case.incident.id, case.now_ns, Conclusion.CAUSE, (found,), ranked, 3)


class Live(Responding):
    """Answers of which all is real but the investigation."""

    def _coordinator(self) -> Coordinator:
        app, means = self._source.prepared.app, self._means
        return coordinator_of(
            app, Concept(), means.rehearsal, LimitsGate(self._limits()), means.settings,
            lambda case, plan, receipt: course_of(case, receipt, self._recent, means.settings), self._allowed,
            means.work, self._pace, means.versions,
        )  # fmt: skip


@contextmanager
def answering(world: World, clock: StandingClock, said: list[str]) -> Iterator[Live]:
    """A process that answers the world's incidents."""
    data, prepared = world.folder, prepare(world.app)
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(SqliteIncidents(data, app="small")))
        source = opened.enter_context(source_in(data, prepared, incidents))
        stores = opened.enter_context(closing(stores_in(data, "small", clock)))
        plans = opened.enter_context(closing(SqlitePlans(data, app="small")))
        record = opened.enter_context(closing(SqliteStatements(data, app="small", clock=clock)))
        rehearsal = opened.enter_context(rehearsal_at(Place(prepared.app, data)))
        work = JobsWork(lambda: closing(SqliteJobs(data)), [str(world.app), "--data", str(data)], str(data), clock)
        means = Means(plans, stores.settings, rehearsal, record, work, lambda: kept_versions(stores.registry))
        yield Live(source, means, clock, said.append)


def decide(world: World, clock: StandingClock, count: int) -> None:
    """Let time pass by so many events: small ones are frauds, and an hour later all of it is known."""
    world.engine.parts.watcher.look()
    first = world.sent
    fraud = world.rng.random(count) < 0.2
    events: list[dict[str, Any]] = [
        {"event_id": f"e{k}", "time": START_S + 600 * k, "customer": int(world.rng.integers(0, 400)),
         "amount": float(10 if bad else 60 + world.rng.exponential(20))}
        for k, bad in enumerate(fraud, first)
    ]  # fmt: skip
    world.sent += count
    clock.at_ns = (START_S + 600 * world.sent) * 10**9
    outcomes = [
        {"event_id": one["event_id"], "fraud": int(bad), "time": one["time"] + 3600}
        for one, bad in zip(events, fraud, strict=True)
    ]  # fmt: skip
    with world.turn:
        world.engine.decide(events)
        world.engine.learn(outcomes)


def run_the_job(world: World, capsys: Any) -> str:
    """Do the one job that waits, as a runner does; the version that it made."""
    with closing(SqliteJobs(world.folder)) as store:
        (job,) = [one for one in store.list() if not one.state.over]
        capsys.readouterr()
        with pytest.raises(SystemExit, match=r"^0$"):
            main([job.kind, *job.arguments, "--json"])
        result = json.loads(capsys.readouterr().out)
        change(store, job.id, lambda one: one.ended(JobState.SUCCEEDED, job.created_ns, result))
    return str(result["version"])


def step(world: World, clock: StandingClock, said: list[str]) -> Response:
    """A process begins with what is stored, does all that is due, and ends."""
    with answering(world, clock, said) as one:
        one.step(clock.at_ns)
        return one._means.plans.get("i1")


@pytest.mark.long
def test_a_changed_law_is_trained_for_rehearsed_deployed_and_verified(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = StandingClock(SINCE - HOUR), list[str]()
    (tmp_path / "bundle").mkdir()
    bundle = ignorant(tmp_path / "bundle")
    monkeypatch.setattr(SystemClock, "now_ns", staticmethod(clock.now_ns))  # The world's time, for all stores.
    world = World(tmp_path, bundle, f"{RETRAIN}\nmaintain: {{{GATE}}}")
    try:
        decide(world, clock, 1500)
        with closing(SqliteIncidents(world.folder, app="small")) as store:
            quality = signal("outcome", Kind.QUALITY, since_ns=SINCE, since_low_ns=SINCE, since_high_ns=SINCE)
            incident = Incident("i1", "small", 1, SINCE, SINCE, SINCE, Severity.HIGH, (quality.id,))
            store.write([quality], [incident])
        found = step(world, clock, said)
        assert (found.phase, found.tier) == (Phase.VERIFYING, Tier.EXECUTE), said
        assert found.plan is not None and found.plan.steps[0].only_trains and world.champion() == world.first
        clock.at_ns += HOUR
        assert step(world, clock, said).phase == Phase.VERIFYING  # Nobody has done the job yet.
        made = run_the_job(world, capsys)
        for _ in range(60):  # The version is held against events that it has not learned from, once there are enough.
            decide(world, clock, 36)
            found = step(world, clock, said)
            if world.champion() != world.first:
                break
        assert world.champion() == made and found.phase == Phase.VERIFYING, said[-9:]
        assert found.plan is not None
        (deployment,) = found.plan.acting
        assert deployment.rehearsed.how == "replay" and deployment.rehearsed.low > 0 and not found.handed
        for _ in range(30):
            decide(world, clock, 36)
            found = step(world, clock, said)
            if found.phase == Phase.CLOSED:
                break
        assert found.phase == Phase.CLOSED and [one.verdict for one in found.verdicts][-1] == Verdict.PASS, said[-9:]
        assert [bool(one.job) for one in found.receipts] == [True, False] and world.champion() == made
        with closing(SqliteJobs(world.folder)) as store:
            assert len(store.list()) == 1
        assert not any(one.reverts for one in world.changes())
    finally:
        world.engine.close()
