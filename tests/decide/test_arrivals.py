"""Outcomes on their way: looked up once, and handed on in their places."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.decide import loop_world as w

from homeostat.decide.arrivals import Placed
from homeostat.records.events import OutcomeBatch


@given(st.lists(st.integers(0, 6), max_size=12), st.lists(st.integers(0, 6), max_size=6))
def test_placed_outcomes_are_handed_out_once_each_before_their_rows(before, asked):
    before, n = sorted(before), len(before)
    batch = OutcomeBatch(np.arange(n), np.ones(n), np.zeros(n, np.int64), np.zeros(n))
    placed, left = Placed(np.array(before, np.int64), batch), list(range(n))
    for row in sorted(asked):
        found = placed.upto(row)
        expected = [k for k in left if before[k] <= row]
        assert ([] if found is None else found.id_code.tolist()) == expected
        left = [k for k in left if before[k] > row]
    assert Placed().upto(6) is None


def test_an_outcome_that_counts_at_once_is_looked_up_once(monkeypatch):
    world, asked = w.World(), []
    events = w.stream(40, 3, labels=False)
    world.loop.decide(events)
    joiner, journal = world.stages.joiner, world.loop.recording.journal
    locate, find_all = joiner.locate, journal.find_all
    monkeypatch.setattr(joiner, "locate", lambda ids: (asked.append(("joiner", len(ids))), locate(ids))[1])
    monkeypatch.setattr(journal, "find_all", lambda ids: (asked.append(("journal", len(ids))), find_all(ids))[1])
    outcomes = w.outcomes_of(events, range(10), int(events.time_ns.max()), scheduled=False)
    unknown = replace(outcomes.rows(slice(0, 1)), id_code=np.array([10**9]))
    world.loop.learn(outcomes)
    assert asked == [("joiner", 10)]
    world.loop.learn(unknown)  # The journal is asked for what the joiner does not know.
    assert asked[1:] == [("joiner", 1), ("journal", 1)]
    assert world.loop.counts["unknown_outcomes"] == 1


def test_outcomes_of_the_journal_are_not_looked_up_again(monkeypatch):
    world = w.World()
    events = w.stream(40, 3, labels=False)
    world.loop.decide(events)
    world.loop.learn(w.outcomes_of(events, range(10), int(events.time_ns.max()), scheduled=False))
    located = [entry.body for entry in world.loop.recording.journal.read(0) if isinstance(entry.body, OutcomeBatch)]
    again = w.World()
    again.loop.decide(events)
    monkeypatch.setattr(again.stages.joiner, "locate", None)  # Would raise.
    for body in located:
        again.loop.remember(body)
    w.same_state(world.loop.state(), again.loop.state())
