"""A loop raises the same signals and incidents, bit for bit, however its ticks are cut into blocks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.checks.ticks import HOUR_NS, NAMES, quiet_ticks
from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import BlockMonitor, Monitor, Tick
from homeostat.maintain.effects import DecisionEffects
from homeostat.maintain.incident.grouping import IncidentGrouping
from homeostat.maintain.loop import MaintenanceLoop, Noticed
from homeostat.maintain.monitor.guarded import GuardedMonitor
from homeostat.maintain.monitor.scale import Scale
from homeostat.maintain.monitor.serving import ServingMonitor
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.records.arrays import State

GRAPH = causal_graph(load_app("payments"))


@cache
def ticks() -> tuple[Tick, ...]:
    """Five days, with settings that nobody put in force on the second and the fourth."""
    found = []
    for tick in quiet_ticks(24 * 5, seed=3, per_hour=8):
        wrong = tick.number // 24 in (1, 3)
        found.append(replace(tick, settings=np.full(len(tick), 7)) if wrong else tick)
    return tuple(found)


def loop_of(plug_in: bool) -> MaintenanceLoop:
    monitors: list[Monitor] = [ServingMonitor(NAMES)]
    if plug_in:
        monitors.append(GuardedMonitor("transport", TransportMonitor(NAMES)))
    series = [one for monitor in monitors for one in monitor.series]
    grouping = IncidentGrouping("shop", GRAPH, lambda tick: np.where(tick.risk > 0.5, np.nan, tick.risk))
    return MaintenanceLoop(monitors, Scale("shop", series, HOUR_NS), grouping, DecisionEffects(NAMES))


def bits(state: State) -> dict[str, bytes]:
    return {name: column.tobytes() for name, column in state.items()}


@cache
def one_by_one(plug_in: bool) -> tuple[list[Noticed], dict[str, bytes]]:
    loop = loop_of(plug_in)
    found = [loop.on_tick(tick) for tick in ticks()]
    return found, bits(loop.state())


@pytest.mark.long
@pytest.mark.parametrize("plug_in", [False, True])
@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 70), st.booleans()), min_size=1))
def test_cuts_and_restarts_change_nothing(plug_in: bool, cuts: list[tuple[int, bool]]) -> None:
    loop, found, at = loop_of(plug_in), list[Noticed](), 0
    for length, restart in [*cuts, (len(ticks()), False)]:
        block = ticks()[at : at + length]
        if block:
            found += loop.on_block(block_of(block))
        at += length
        if restart:
            state, loop = loop.state(), loop_of(plug_in)
            loop.restore(state)
    expected, state_after = one_by_one(plug_in)
    assert repr(found) == repr(expected)  # NaN is not equal to itself.
    assert bits(loop.state()) == state_after


def test_the_story_that_is_cut_has_signals_with_notes_and_incidents_that_close() -> None:
    found, _ = one_by_one(False)
    signals = [one for noticed in found for one in noticed.signals]
    assert {one.notes.get("settings", [0])[0] for one in signals if one.still} == {7}
    assert {str(one.phase) for noticed in found for one in noticed.incidents} >= {"open", "closed"}


class Says(ServingMonitor):
    """A monitor of somebody else's, whose notes say something of decisions."""

    said: object = None

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        return {"decisions": self.said, "why": "a push"}


@pytest.mark.parametrize(("said", "share"), [(0.4, 0.4), (1, 1.0), ("many", None), (None, None)])
def test_notes_of_a_monitor_say_the_share_of_decisions_where_it_is_a_number(said: object, share: float | None) -> None:
    monitor = Says(NAMES)
    monitor.said = said
    grouping = IncidentGrouping("shop", GRAPH)
    loop = MaintenanceLoop([monitor], Scale("shop", monitor.series, HOUR_NS), grouping, DecisionEffects(NAMES))
    found = [one for tick in ticks()[:30] for one in loop.on_tick(tick).signals]
    assert found and all(one.notes["why"] == "a push" for one in found)
    assert all((one.decisions == share) if share is not None else one.notes["decisions"] == said for one in found)


def test_a_monitor_that_measures_blocks_is_told_from_one_that_does_not() -> None:
    assert isinstance(ServingMonitor(NAMES), BlockMonitor)
    assert not isinstance(GuardedMonitor("serving", ServingMonitor(NAMES)), BlockMonitor)
