"""The loop and people change the same incidents, and neither undoes the other."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.made_signals import HOUR, a_signal, a_tick

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.incident.grouping import IncidentGrouping
from homeostat.maintain.incident.keeping import IncidentKeeper
from homeostat.records.incidents import Phase, Silence

GRAPH = causal_graph(load_app("payments"))


class World:
    """One grouping with its store, hour by hour."""

    def __init__(self, folder: Path) -> None:
        self.store, self.grouping = SqliteIncidents(folder), IncidentGrouping("payments", GRAPH)
        self.keeper = IncidentKeeper(self.store, self.grouping)

    def tick(self, hour: int, *signals, catch_up: bool = True):
        if catch_up:
            self.keeper.catch_up(hour * HOUR)
        return self.keeper.keep(signals, self.grouping.group(a_tick(hour), signals))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with closing(made.store):
        yield made


def test_what_a_tick_brings_is_in_the_store(world: World) -> None:
    (one,) = world.tick(103, a_signal("field:amount", "unit"))
    assert str(world.store.get(one.id)) == str(one) and len(world.store.signals_of(one.signals)) == 1


def test_a_persons_close_between_two_ticks_stands(world: World) -> None:
    (one,) = world.tick(103, a_signal("field:amount", "unit"))
    world.store.write([], [replace(one, revision=2, phase=Phase.CLOSED, reason="known")], "ann")
    assert world.tick(104, a_signal("field:amount", "unit", at_h=104.0)) == []
    assert world.store.get(one.id).reason == "known"


def test_a_persons_close_that_the_loop_has_not_seen_stands_too(world: World) -> None:
    (one,) = world.tick(103, a_signal("field:amount", "unit"))
    world.store.write([], [replace(one, revision=2, phase=Phase.CLOSED, reason="known")], "ann")
    news = a_signal("feature:ratio", "distribution", decisions=0.5)
    assert world.tick(104, news, catch_up=False) == []
    assert world.store.get(one.id).reason == "known" and world.store.signals_of([news.id])[0].decisions == 0.5
    assert world.tick(128, a_signal("field:amount", "unit", at_h=128.0)) == []


def test_a_persons_silence_and_the_loops_figures_come_together(world: World) -> None:
    (one,) = world.tick(103, a_signal("field:amount", "unit"))
    world.store.write([], [replace(one, revision=2, silenced_until_ns=500 * HOUR)], "ann")
    (both,) = world.tick(104, a_signal("feature:ratio", "distribution", decisions=0.5), catch_up=False)
    assert (both.revision, both.silenced_until_ns) == (3, 500 * HOUR) and both.decisions > 0
    (later,) = world.tick(105, a_signal("feature:night", "distribution"))
    assert (later.revision, later.silenced_until_ns) == (4, 500 * HOUR)


def test_silences_of_the_store_reach_the_grouping(world: World) -> None:
    world.store.silence(Silence("1", "field:*", "*", 0, 300 * HOUR, "ann", "a migration"))
    (one,) = world.tick(103, a_signal("field:amount", "unit"))
    assert one.silenced_until_ns == 300 * HOUR


def test_a_loop_that_went_back_to_a_snapshot_writes_nothing_twice(world: World) -> None:
    before = world.grouping.state()
    story = [(103, a_signal("field:amount", "unit")), (104, a_signal("feature:ratio", "distribution"))]
    for hour, signal in story:
        world.tick(hour, signal)
    kept = (list(world.store.changes(0)), list(world.store.signals()))
    world.grouping.restore(before)
    again = IncidentKeeper(world.store, world.grouping)
    for hour, signal in story:
        again.catch_up(hour * HOUR)
        again.keep([signal], world.grouping.group(a_tick(hour), [signal]))
    assert (list(world.store.changes(0)), list(world.store.signals())) == kept
