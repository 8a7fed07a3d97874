"""The process of the maintenance loop beside a server: started, started again, and looked at."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.engine.maintaining import MaintenanceKeeper
from homeostat.ports.maintenance import MaintenanceState

SECOND_NS = 10**9


class Clock:
    ns = 1_700_000_000 * SECOND_NS

    def now_ns(self) -> int:
        return self.ns

    monotonic_ns = now_ns


class Process:
    def __init__(self) -> None:
        self.code, self.line, self.starved, self.killed, self.stopped = None, "", 0.0, False, False

    def ended(self) -> int | None:
        return self.code

    def starved_s(self) -> float:
        return self.starved

    def last_line(self) -> str:
        return self.line

    def kill(self) -> None:
        self.killed = True

    def stop(self) -> None:
        self.stopped = True


class World:
    """A keeper, the processes that it has started, and the store that they would write."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.started, self.heard = Clock(), [], []
        self.store = SqliteIncidents(folder, clock=self.clock)
        self.keeper = MaintenanceKeeper(
            ("app.yaml",), SqliteIncidents(folder, clock=self.clock), "me", clock=self.clock,
            say=self.heard.append, start=self.start,
        )  # fmt: skip

    def start(self) -> Process:
        self.started.append(Process())
        return self.started[-1]

    def after(self, seconds: float) -> None:
        self.clock.ns += int(seconds * SECOND_NS)
        self.keeper.turn()

    def says(self, **state: object) -> None:
        assert self.store.take("me")
        assert self.store.say("me", MaintenanceState(**{"began_ns": 1, "at_ns": self.clock.ns, **state}))


@pytest.fixture
def world(tmp_path: Path):
    made = World(tmp_path)
    with closing(made.store), closing(made.keeper):
        yield made


def test_it_is_started_once_and_ended_with_the_server(world) -> None:
    world.after(1)
    world.after(1)
    assert len(world.started) == 1
    world.keeper.end()
    assert world.started[0].stopped


def test_one_that_ends_is_started_again_after_growing_waits(world) -> None:
    world.after(1)
    for failures in range(12):
        wait_s = min(2**failures, 300)
        world.started[-1].code, world.started[-1].line = 1, "homeostat: no room"
        world.after(1)
        (note,) = world.keeper.notes()
        assert note == f"maintenance: it ended: homeostat: no room; it is started again in {wait_s} s"
        world.after(wait_s - 0.5)
        assert len(world.started) == failures + 1
        world.after(0.5)
        assert len(world.started) == failures + 2
    assert world.keeper.readings()["homeostat_maintain_restarts_total"] == 12 and len(world.heard) == 12
    for _ in range(70):
        world.says()
        world.after(10)
    assert world.keeper.notes() == []


def test_one_that_gives_no_sign_of_life_is_killed_unless_it_gets_no_processor(world) -> None:
    world.after(1)
    world.after(890)
    assert not world.started[0].killed, "it may be compiling"
    world.after(20)
    assert world.started[0].killed and "no sign of life" in world.keeper.notes()[0]
    world.after(2)
    world.after(1)
    world.says()
    world.after(1)
    world.started[1].starved = 500.0
    world.after(600)
    assert not world.started[1].killed, "it had 100 s of these 600"
    world.after(250)
    assert world.started[1].killed


def test_where_another_process_has_the_lease_none_is_started_until_it_is_over(world) -> None:
    assert world.store.take("another", 60.0)
    world.after(1)
    assert not world.started and world.keeper.readings()["homeostat_maintain_up"] is True
    world.after(60)
    assert len(world.started) == 1


def test_how_it_fares_is_shown_and_a_notice_says_that_it_is_behind(world) -> None:
    world.after(1)
    world.says(entry=7, last=10, open=2, used=0.5, behind_s=4.0)
    world.after(1)
    assert world.keeper.readings() == {
        "homeostat_maintain_up": True, "homeostat_maintain_restarts_total": 0,
        "homeostat_maintain_behind_entries": 3, "homeostat_maintain_behind_seconds": 4.0,
        "homeostat_maintain_incidents_open": 2, "homeostat_maintain_budget_used": 0.5,
    }  # fmt: skip
    assert world.keeper.notes() == []
    world.says(behind_s=400.0)
    world.after(1)
    assert world.keeper.notes() == ["maintenance is 400 s behind"]
    world.says(trouble="the journal is away")
    world.after(1)
    assert world.keeper.notes() == ["maintenance: the journal is away"]


def test_a_store_that_fails_is_said_and_nothing_raised(world, tmp_path: Path) -> None:
    (tmp_path / "incidents.db").write_bytes(b"no database" * 100)
    world.after(1)
    assert "its store can't be read" in world.keeper.notes()[0]
