"""The list of those that share a Redis server: who is waited for after a kill of it, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from homeostat.adapters.redis.roster import PATIENCE_S, Roster, name_on_roster

SECOND = 1_000_000


@dataclass
class Server:
    """The list as the server keeps it, and its clock, which the processes read as well."""

    now_s: float = 1000.0
    run: str = "a"
    signs: dict[str, str] = field(default_factory=dict)

    def sign(self, *rosters: Roster, state: str = "") -> None:
        for roster in rosters:
            self.now_s += 0.001
            now_us = int(self.now_s * SECOND)
            self.signs[roster.name] = f"{roster.name}:{state or roster.state}:{self.run}:{now_us};"
            roster.read(now_us, "".join(self.signs.values()), self.run, self.now_s)

    def killed(self, lost: bool = False) -> None:
        self.run += "b"
        self.signs = {} if lost else self.signs


@pytest.fixture
def server() -> Server:
    return Server()


def rosters(*names: str) -> list[Roster]:
    return [Roster(name_on_roster(name)) for name in names]


def comes_back(server: Server, one: Roster) -> None:
    one.lacks(server.now_s)
    server.sign(one)
    one.whole()
    server.sign(one)


def test_nobody_is_waited_for_while_nothing_happens(server: Server) -> None:
    one, other = rosters("one", "other")
    for _ in range(30):
        server.sign(one, other)
        server.now_s += 1
        assert not one.awaited and not other.awaited
    for _ in range(300):  # The other was killed.
        server.sign(one)
        server.now_s += 1
        assert not one.awaited


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_after_an_outage_those_that_were_there_before_are_waited_for(
    server: Server, lost: bool, restarts: bool
) -> None:
    one, other = rosters("one", "other")
    server.sign(one, other)
    server.sign(one)
    server.now_s += 60  # So long nobody can sign.
    if restarts:
        server.killed(lost)
    comes_back(server, one)
    assert one.awaited == [other.name]
    server.now_s += 1
    comes_back(server, other)
    assert not other.awaited or not restarts
    server.sign(one, other)
    assert not one.awaited and not other.awaited


def test_one_that_says_that_it_lacks_rows_is_waited_for_as_long_as_it_lives(server: Server) -> None:
    one, other = rosters("one", "other")
    server.sign(one, other)
    other.lacks(server.now_s)
    for _ in range(60):
        server.now_s += 1
        server.sign(other, one)
        assert one.awaited == [other.name]
    server.now_s += PATIENCE_S + 1  # It was killed.
    server.sign(one)
    assert not one.awaited


def test_one_that_died_with_the_server_is_waited_for_until_it_counts_as_dead(server: Server) -> None:
    one, dead, long_dead = rosters("one", "dead", "long dead")
    server.sign(long_dead)
    server.now_s += 300
    server.sign(one, dead)
    server.killed()
    comes_back(server, one)
    assert one.awaited == [dead.name]
    server.now_s += PATIENCE_S / 2
    server.sign(one)
    assert one.awaited and one.due(server.now_s), "it looks with each exchange"
    server.now_s += PATIENCE_S / 2
    server.sign(one)
    assert not one.awaited and not one.due(server.now_s)


def test_the_successor_of_a_dead_one_has_its_name_and_one_that_stops_says_so(server: Server) -> None:
    one, dead, stopped = rosters("one", "dead", "stopped")
    server.sign(one, dead, stopped)
    server.sign(stopped, state="left")
    (successor,) = rosters("dead")
    server.sign(successor, one)
    server.killed()
    comes_back(server, one)
    assert one.awaited == [successor.name]
    comes_back(server, successor)
    server.sign(one)
    assert not one.awaited


def test_one_that_is_new_waits_for_those_that_know_an_earlier_process_only(server: Server) -> None:
    old, (fresh, fresher) = rosters("old")[0], rosters("fresh", "fresher")
    server.sign(old)
    server.sign(fresh)
    assert not fresh.awaited
    server.killed()
    server.sign(fresher)
    assert set(fresher.awaited) == {old.name, fresh.name}
    server.now_s += PATIENCE_S
    server.sign(fresher)
    assert not fresher.awaited


def test_a_second_kill_while_the_first_is_mended_begins_again(server: Server) -> None:
    one, other = rosters("one", "other")
    server.sign(one, other)
    server.killed()
    one.lacks(server.now_s)
    server.sign(one)
    comes_back(server, other)
    server.killed()
    one.lacks(server.now_s)
    server.sign(one)
    one.whole()
    server.sign(one)
    assert one.awaited == [other.name], "it has written to the earlier process"
    comes_back(server, other)
    server.sign(one)
    assert not one.awaited


def test_a_list_that_is_none_is_read_as_an_empty_one(server: Server) -> None:
    (one,) = rosters("one")
    for text in ("", "\x00", "zz:whole:a:1;", "ab:whole", ";;;:::", "ab:odd:a:5;"):
        one.read(5 * SECOND, text, "a", 5.0)
        assert not one.awaited
    assert len(name_on_roster()) == len(name_on_roster("one")) and name_on_roster() != name_on_roster()
