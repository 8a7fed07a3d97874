"""The decision loop begun again from its journal and its state, wherever it was cut off."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from homeostat.checks.stand_ins import FunctionScorer, MemoryJournal
from homeostat.decide.panel import Seat
from homeostat.decide.redo import Diverged, redo
from homeostat.ports import Unavailable
from homeostat.records.decisions import Proposal
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
World, Wrapped, event, positives, run, stream = w.World, w.Wrapped, w.event, w.positives, w.run, w.stream


class Weather:
    """Faults by script, which a recovery does not see again."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def seats(self, clock):
        def moody(function):
            def answer(values):
                mood = self.rng.random()
                if mood < 0.2:
                    raise RuntimeError("moody")
                if mood < 0.4:
                    clock().advance(2000)
                return np.where(values[:, 1] < 0.1, np.nan, function(values))

            return answer

        return [
            Seat(FunctionScorer("amounts", moody(w.by_amount)), 1000),
            Seat(FunctionScorer("past", moody(w.by_past)), 1000),
        ]

    def policy(self, clock):
        weather = self

        class Moody(Wrapped):
            def propose(self, *arguments):
                mood = weather.rng.random()
                if mood < 0.1:
                    raise RuntimeError("moody")
                if mood < 0.2:
                    clock().advance(2000)
                return self.inner.propose(*arguments)

        return Moody(None)


@pytest.mark.long
@pytest.mark.parametrize("rows_max", [7, 1 << 30])
@pytest.mark.parametrize("size", [1, 30])
def test_recovery_makes_the_same_decisions_and_state_with_the_faults_of_then(rows_max, size):
    holder = []
    weather = Weather(size)
    clock = lambda: holder[0].clock  # noqa: E731
    limits = {"policy_ns": 1000, "decision_ns": 3500}
    world = World(MemoryJournal(rows_max), weather.seats(clock), bounded=True, policy=weather.policy(clock), **limits)
    holder.append(world)
    events = stream(600, 13)
    saved = None

    def hand(world, start, stop):
        nonlocal saved
        world.clock.advance(300_000_000)
        if start == 300:
            saved = world.saved()
        if start > 100:
            rows, known_ns = [start - 50, start - 90], events.time_ns[start] - 5
            world.loop.learn(w.outcomes_of(events, rows, known_ns, scheduled=False))

    run(world, events, size, hand)
    assert {r for r, count in world.loop.fallbacks.items() if count} >= {
        Reason.SCORER_FAILED, Reason.SCORER_LATE, Reason.SCORERS_ABSENT, Reason.POLICY_FAILED, Reason.POLICY_LATE,
        Reason.DEADLINE,
    }  # fmt: skip
    for start in (saved, None):
        again = world.restarted(start, bounded=True, **limits)
        w.same_state(world.loop.state(), again.loop.state())
    assert again.loop.decide(event(10_000, 90_000)).fresh.fallback[0] == 0


def test_recovery_refuses_a_journal_that_other_parts_would_have_decided_otherwise():
    world = World()
    world.loop.decide(stream(20))
    other = World(world.journal)
    other.stages.fusion._place[-1] = 1.0
    with pytest.raises(Diverged, match="replays to other decisions"):
        redo(other.loop, world.journal.read())


def test_decisions_of_an_earlier_version_stand_as_they_were_made():
    world = World()
    world.loop.decide(stream(200, 14))
    newer = World(world.journal)
    newer.stages.version = "v2"
    newer.stages.fusion._place[-1] = 1.0
    redo(newer.loop, world.journal.read())
    assert newer.stages.joiner.locate(Ids.of([(200, 0)]))[0].tolist() == [1]
    made = newer.loop.decide(event(1000, 5000)).fresh
    assert made.version == "v2" and made.features.values[0, 2] > 10
    assert newer.loop.decide(stream(200, 14)).fresh is None


class Crashes(RuleBasedStateMachine):
    """Two processes see the same stream in other batches; one of them dies and restarts at any moment."""

    @initialize(seed=st.integers(0, 20))
    def begin(self, seed):
        self.events = stream(400, seed)
        self.at = 0
        self.calm, self.troubled = World(MemoryJournal(5)), World(MemoryJournal(3))
        self.snapshot = None

    @rule(count=st.integers(1, 40), size=st.integers(1, 9))
    def decide(self, count, size):
        stop = min(len(self.events), self.at + count)
        if stop > self.at:
            self.calm.loop.decide(self.events.slice(self.at, stop))
        for start in range(self.at, stop, size):
            self.troubled.loop.decide(self.events.slice(start, min(start + size, stop)))
        self.at = stop

    @rule(back=st.integers(1, 60), ahead=st.integers(-30, 60), scheduled=st.booleans())
    def learn(self, back, ahead, scheduled):
        if self.at:
            now = int(self.events.time_ns[self.at - 1])
            found = w.outcomes_of(self.events, [max(0, self.at - back)], now + ahead, seed=back, scheduled=scheduled)
            self.calm.loop.learn(found)
            self.troubled.loop.learn(found)

    @rule(back=st.integers(1, 30))
    def repeat(self, back):
        self.troubled.loop.decide(self.events.slice(max(0, self.at - back), self.at))

    @rule()
    def save(self):
        self.snapshot = self.troubled.saved()

    @rule()
    def crash(self):
        self.troubled = self.troubled.restarted(self.snapshot)

    @rule(more=st.integers(1, 5))
    def crash_before_writing(self, more):
        stop = min(len(self.events), self.at + more)
        if stop > self.at:
            self.troubled.journal.failures = 1
            with pytest.raises(Unavailable):
                self.troubled.loop.decide(self.events.slice(self.at, stop))
            self.troubled = self.troubled.restarted(self.snapshot)

    @invariant()
    def both_decided_the_same(self):
        if not hasattr(self, "calm"):
            return
        made = [w.record([e.body for e in x.journal.read() if not isinstance(e.body, OutcomeBatch)])
                for x in (self.calm, self.troubled)]  # fmt: skip
        assert made[0] == made[1] and len(made[0]) == self.at
        w.same_state(self.calm.loop.state(), self.troubled.loop.state())


Crashes.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestCrashes = pytest.mark.long(Crashes.TestCase)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 10))
def test_any_cut_of_the_stream_decides_the_same(sizes, seed):
    events = stream(240, seed)
    whole, cut = World(), World()
    made, start = [], 0
    while start < 240:
        for size in sizes:
            made.append(cut.loop.decide(events.slice(start, min(240, start + size))).fresh)
            start += size
            if start >= 240:
                break
    assert w.record(made) == run(whole, events, 240)
    w.same_state(whole.loop.state(), cut.loop.state())


def test_absorbed_events_fill_the_windows_and_decide_nothing():
    world = World()
    features = world.loop.absorb(stream(30, 15))
    assert len(features) == 30 and world.journal.bodies == []
    assert positives(world, 1000, 9000) == 0.0
    assert isinstance(world.loop.decide(event(1001, 9000)).fresh.proposal, Proposal)


def test_a_state_once_taken_stays_as_it_was_while_decisions_go_on():
    """Another thread may write it meanwhile."""
    world, events = w.World(), w.stream(600)
    w.run(world, w.chosen(events, range(300)), 50)
    world.loop.learn(w.outcomes_of(events, range(100), 10**9))
    taken = world.loop.state()
    was = {name: np.array(value, copy=True) for name, value in taken.items()}
    w.run(world, w.chosen(events, range(300, 600)), 50)
    world.loop.learn(w.outcomes_of(events, range(100, 200), 10**9))
    w.same_state(was, taken)


def test_outcomes_that_came_one_by_one_are_taken_in_together_when_they_are_done_again():
    world, events = w.World(), w.stream(200)
    w.run(world, w.chosen(events, range(100)), 20)
    for row in range(60):
        world.loop.learn(w.outcomes_of(events, [row], 10**6 + row, scheduled=row % 30 == 29))
    w.run(world, w.chosen(events, range(100, 200)), 20)
    other, calls = w.World(world.journal), []
    plain = other.loop.remember
    other.loop.remember = lambda outcomes: (calls.append(len(outcomes)), plain(outcomes))[1]
    redo(other.loop, world.journal.read(0))
    assert calls == [29, 1, 29, 1]
    w.same_state(world.loop.state(), other.loop.state())
