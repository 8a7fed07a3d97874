"""Parts of maintenance in processes of their own: incidents are worked on once, and one process coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.answering import INCIDENT, LIMITS, NOW, Answering, Given, NoRehearsal, StandingClock, whole

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.adapters.postgres.plans import PostgresPlans
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.checks.inquiries import HOUR, signal
from homeostat.jobs.maintaining.responding import HELD_S, LEAD, LeaseLost, Means
from homeostat.jobs.maintaining.role import PHASES, MaintainRole, RoleProcess
from homeostat.records.incidents import Phase
from homeostat.records.plans import Tier
from homeostat.records.signals import Kind

ASKS = LIMITS.model_copy(update={"level": "assisted"})


class Early(Given):
    """It is too early for any verdict."""

    def judge(self, *given: Any) -> None:
        """See `Given`."""


@contextmanager
def in_folder(data: Path, clock: StandingClock, given: Given, **more: Any) -> Iterator[Answering]:
    """A process on the stores of a folder."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(SqliteIncidents(data, app="access", clock=clock)))
        plans = opened.enter_context(closing(SqlitePlans(data, app="access", clock=clock)))
        settings = opened.enter_context(closing(SqliteSettings(data, app="access", clock=clock)))
        record = opened.enter_context(closing(SqliteStatements(data, app="access", clock=clock)))
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record), clock, **more)


@contextmanager
def on_server(url: str, clock: StandingClock, given: Given, **more: Any) -> Iterator[Answering]:
    """The same on PostgreSQL."""
    with ExitStack() as opened:
        incidents = opened.enter_context(closing(PostgresIncidents(url, app="access")))
        plans = opened.enter_context(closing(PostgresPlans(url, app="access")))
        settings = opened.enter_context(closing(PostgresSettings(url, app="access")))
        record = opened.enter_context(closing(PostgresStatements(url, app="access")))
        yield Answering(given, incidents, Means(plans, settings, NoRehearsal(), record), clock, **more)


def noticed(one: Answering, ids: list[str]) -> None:
    """Let incidents be open."""
    one._source.store.write([signal("source", Kind.VOLUME)], [replace(INCIDENT, id=id) for id in ids])


def go_on(one: Answering, clock: StandingClock, hours: int) -> None:
    for _ in range(hours):
        one.step(clock.at_ns)
        clock.at_ns += HOUR


def test_twenty_incidents_are_worked_on_once_by_many_processes(database: str) -> None:
    ids = [f"{k:02x}" * 4 for k in range(20)]
    roles = [MaintainRole.INVESTIGATE] * 3 + [MaintainRole.REHEARSE] * 2 + [MaintainRole.COORDINATE] * 2
    clocks = [StandingClock(NOW) for _ in roles]
    givens = [Given(limits=ASKS) for _ in roles]
    with ExitStack() as opened:
        all = [
            opened.enter_context(on_server(database, clock, given, owner=f"p{k}", phases=PHASES[role]))
            for k, (role, clock, given) in enumerate(zip(roles, clocks, givens, strict=True))
        ]
        noticed(all[0], ids)
        plans = all[0]._means.plans
        with ThreadPoolExecutor(len(all)) as pool:
            for _ in range(30):
                list(pool.map(lambda one: one.step(NOW), all))
                if all_ruled := len([one for one in plans.list([Phase.RULED]) if one.tier is Tier.ESCALATE]) == len(
                    ids
                ):
                    break
        assert all_ruled
        assert sorted(case.incident.id for given in givens for case in given.seen) == sorted(ids), "each of them once"
        assert sum(bool(given.seen) for given in givens[:3]) >= 1
        assert {one.revision for one in plans.list()} == {3}, "one revision a phase"
        for one in all:
            one.close()
        assert plans.hold(LEAD, "another", 1.0) is not None, "the coordinator has given its lease back"


def test_one_coordinates_and_another_takes_over_when_it_is_gone(tmp_path: Path) -> None:
    clock = StandingClock()
    with (
        in_folder(tmp_path, clock, Early(), owner="a") as first,
        in_folder(tmp_path, clock, Given(), owner="b") as second,
    ):
        noticed(first, ["i1"])
        first.step(clock.at_ns)
        plans = first._means.plans
        assert plans.get("i1").phase == Phase.VERIFYING
        assert second.step(clock.at_ns) == 0
        clock.at_ns += int(HELD_S * 1e9) + 1  # The first one has slept.
        go_on(second, clock, 30)
        assert plans.get("i1").phase == Phase.CLOSED
        assert all(kept for _, kept in whole(list(second._means.settings.since(0))))
        assert first._allowed(plans.get("i1").plan, "homeostat") is False


def test_a_coordinator_that_slept_acts_no_more(tmp_path: Path) -> None:
    clock = StandingClock()
    with (
        in_folder(tmp_path, clock, Given(), owner="a") as first,
        in_folder(tmp_path, clock, Given(), owner="b") as second,
    ):
        noticed(first, ["i1"])
        coordinator = first._coordinator

        def slept() -> Any:
            made = coordinator()
            clock.at_ns += int(HELD_S * 1e9) + 1
            assert second._means.plans.hold(LEAD, "b", HELD_S) is not None
            return made

        first._coordinator = slept
        first.step(clock.at_ns)
        assert list(first._means.settings.since(0)) == [], "another process has the lease"
        with pytest.raises(LeaseLost):
            first.renew()


def test_roles_end_their_own_phases_only(tmp_path: Path) -> None:
    clock = StandingClock()
    for role, phase in (
        (MaintainRole.COORDINATE, None), (MaintainRole.REHEARSE, None), (MaintainRole.INVESTIGATE, Phase.INVESTIGATED),
        (MaintainRole.INVESTIGATE, Phase.INVESTIGATED), (MaintainRole.REHEARSE, Phase.PLANNED),
        (MaintainRole.COORDINATE, Phase.VERIFYING),
    ):  # fmt: skip
        with in_folder(tmp_path, clock, Early(), owner=role, phases=PHASES[role]) as one:
            if not one._source.store.list():
                noticed(one, ["i1"])
            one.step(clock.at_ns)
            found = one._means.plans.list()
            assert (found[0].phase if found else None) == phase
            one.close()


def test_a_role_beside_the_loop_has_phases() -> None:
    every = [phase for phases in PHASES.values() for phase in phases]
    assert sorted(every) == sorted(set(Phase) - {Phase.CLOSED})
    nothing: Any = None
    for role in (MaintainRole.ALL, MaintainRole.WATCH):
        with pytest.raises(ValueError, match="no role beside the loop"):
            RoleProcess(nothing, role)
