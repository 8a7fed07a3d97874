"""The loop with events that were ahead of the clock: the same however they were batched, and again from its journal."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.checks.stand_ins import MemoryJournal
from homeostat.decide.ahead import decide_ahead
from homeostat.records import codec

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
World, record, run, same_state, stream = w.World, w.record, w.run, w.same_state, w.stream

SKEW, AHEAD_MAX = 3, 5000


def from_fast_clocks(n, seed, share):
    """A stream of which a share of the events are ahead of the clock that each was admitted by."""
    rng = np.random.default_rng([seed, 1])
    events = stream(n, seed)
    clock = np.maximum.accumulate(events.time_ns)
    ahead = np.where(rng.random(n) < share, rng.choice([1, 3, 4, 60, 900, 4800], n), 0)
    time_ns = np.where(ahead > 0, clock + ahead, events.time_ns)
    reach = np.where(time_ns <= clock + SKEW, time_ns, clock - AHEAD_MAX)
    return replace(events, time_ns=time_ns, reach_ns=reach if (reach != time_ns).any() else None)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([0.02, 0.2, 1.0]), st.integers(1, 90), st.booleans())
def test_decisions_and_state_do_not_hang_on_how_events_were_batched(seed, share, size, reject):
    events = from_fast_clocks(120, seed, share)
    whole, parts = World(reject_late=reject), World(reject_late=reject)
    assert run(whole, events, 200) == run(parts, events, size)
    same_state(whole.loop.state(), parts.loop.state())


@pytest.mark.parametrize("rows_max", [7, 1 << 30])
def test_a_journal_brings_back_what_events_ahead_of_the_clock_left_behind(rows_max):
    world = World(MemoryJournal(rows_max))
    run(world, from_fast_clocks(300, 5, 0.1), 9)
    same_state(world.restarted(None).loop.state(), world.loop.state())


def test_deciding_ahead_is_deciding():
    events = from_fast_clocks(300, 6, 0.1)
    world, other = World(), World()
    batches = [events.slice(start, start + 30) for start in range(0, 300, 30)]
    assert record([decided.fresh for _, decided in decide_ahead(other.loop, batches)]) == run(world, events, 30)
    same_state(world.loop.state(), other.loop.state())


def test_the_time_of_learning_follows_the_clock_and_not_one_event():
    events = from_fast_clocks(200, 8, 0.1)
    world = World()
    run(world, events, 10)
    assert world.stages.watermark.now_ns <= np.maximum.accumulate(stream(200, 8).time_ns).max() + SKEW
    assert world.loop.state()["schedule/cell"].item() == world.stages.watermark.now_ns // w.EVERY


def test_only_bodies_of_events_that_were_ahead_hold_how_far_they_reach():
    schemas = codec.Schemas()
    for share, there in ((0.0, False), (0.5, True)):
        world = World()
        decided = world.loop.decide(from_fast_clocks(40, 3, share)).fresh
        back = codec.decode(codec.encode_beside(decided, schemas), schemas)
        assert (back.events.reach_ns is not None) == there
        assert back.events.reach.tolist() == decided.events.reach.tolist()
