import importlib.util
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from homeostat.checks.stand_ins import FunctionScorer, MemoryJournal
from homeostat.decide.loop import Stopped
from homeostat.decide.panel import Seat
from homeostat.ports import Unavailable
from homeostat.records.decisions import Proposal
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.reasons import Fallback, Reason

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
World, event, stream = w.World, w.event, w.stream


def run(world, events, size, hand=None):
    """Decide a stream in batches of a size; `hand(world, start, stop)` is called before each."""
    made = []
    for start in range(0, len(events), size):
        stop = min(start + size, len(events))
        if hand is not None:
            hand(world, start, stop)
        decided = world.loop.decide(events.slice(start, stop))
        if decided.fresh is not None:
            made.append(decided.fresh)
    return w.record(made)


# Batches.


def compare(events, hand=None, sizes=(1, 7, 1000), **options):
    worlds = [World(**options) for _ in sizes]
    records = [run(world, events, size, hand) for world, size in zip(worlds, sizes, strict=True)]
    for other, world in zip(records[1:], worlds[1:], strict=True):
        assert records[0] == other
        w.same_state(worlds[0].loop.state(), world.loop.state())
        assert worlds[0].loop.counts == world.loop.counts
    return worlds[0], records[0]


def test_labels_that_come_along_teach_the_same_whatever_the_batches():
    world, made = compare(stream(1200))
    assert len(made) == 1200 and world.loop.counts["late"] > 10
    assert world.stages.fusion.multipliers() != {"amounts": 1.0, "past": 1.0}
    assert world.stages.policy.account[3] > 0  # It explored.


def test_told_outcomes_handed_over_with_their_events_count_the_same_whatever_the_batches():
    events = stream(1200, 1, labels=False)
    known = events.time_ns + np.random.default_rng(5).choice([1, 2, 15, 40, 90, 500], 1200)

    def hand(world, start, stop):
        world.loop.learn(w.outcomes_of(events, np.arange(start, stop), known[start:stop], told=True))

    # A label must not depend on the batch that it is drawn in.
    label = (np.random.default_rng(6).random(1200) < 0.4).astype(float)
    plain = w.outcomes_of

    def same_label(events, rows, known_ns, **options):
        return replace(plain(events, rows, known_ns, **options), label=label[np.asarray(rows)])

    w.outcomes_of = same_label
    try:
        compare(events, hand)
    finally:
        w.outcomes_of = plain


def test_scheduled_outcomes_handed_over_before_the_stream_count_the_same_whatever_the_batches():
    events = stream(900, 2)
    rows = np.random.default_rng(7).choice(900, 400)
    known = events.time_ns[rows] + np.random.default_rng(8).integers(-5, 200, 400)
    outcomes = w.outcomes_of(events, rows, known)

    def hand(world, start, stop):
        if start == 0:
            world.loop.learn(outcomes)

    world, _ = compare(events, hand)
    # Those known before their event, which then came too late for them, are all that may be unknown.
    assert world.loop.counts["unknown_outcomes"] < 20


def test_duplicates_get_their_first_decision_within_a_batch_and_across_batches():
    events = stream(300, 3)
    rows = np.random.default_rng(9).integers(0, 300, 500)
    compare(w.chosen(events, rows))


@pytest.mark.parametrize("reject", [False, True])
def test_duplicates_and_late_events_are_told_apart_the_same_whatever_the_batches(reject):
    rng = np.random.default_rng(10)
    events = stream(400, 4)
    events = replace(events, id_code=rng.integers(0, 250, 400))  # Repeated ids with other times and fields.
    world, made = compare(events, reject_late=reject)
    assert world.loop.counts["repeated"] > 50
    assert (world.loop.counts["refused"] > 0) == reject and (world.loop.counts["late"] > 0) != reject
    assert len(made) + world.loop.counts["repeated"] + world.loop.counts["refused"] == 400


# Admission.


def test_a_repeated_event_gets_its_first_decision_back_and_counts_once():
    world = World()
    first = world.loop.decide(event("a", 1000)).fresh
    again = world.loop.decide(w.joined_up([event("a", 5000, 150.0), event("b", 1001), event("b", 1002, 190.0)]))
    assert again.row.tolist() == [-1, 0, -1]
    assert again.repeated[0][0].fused.risk[0] == first.fused.risk[0]
    assert again.repeated[2] == (again.fresh, 0)
    assert again.fresh.events.id_text(0) == "b"
    assert world.loop.counts["repeated"] == 2 and world.loop.counts["events"] == 2
    assert world.stages.watermark.now_ns == 1001


def test_a_batch_of_nothing_but_duplicates_decides_nothing():
    world = World()
    events = stream(5)
    world.loop.decide(events)
    before = world.loop.state()
    decided = world.loop.decide(events)
    assert decided.fresh is None and decided.row.tolist() == [-1] * 5 and sorted(decided.repeated) == list(range(5))
    w.same_state(before, world.loop.state())
    assert len(world.journal.bodies) == 1


def test_an_empty_batch_changes_nothing():
    world = World()
    world.loop.decide(stream(5))
    before = world.loop.state()
    decided = world.loop.decide(stream(0))
    assert decided.fresh is None and len(decided.row) == 0
    world.loop.learn(w.outcomes_of(stream(5), [], []))
    assert len(world.loop.absorb(stream(0))) == 0
    w.same_state(before, world.loop.state())
    assert len(world.journal.bodies) == 1


def test_a_late_event_is_decided_but_not_counted_or_refused_as_declared():
    kept = World()
    kept.loop.decide(event(1, 1000))
    late = kept.loop.decide(event(2, 1000 - w.LATENESS - 1))
    assert late.fresh.events.kind[0] == Row.LATE_EVENT and kept.loop.counts["late"] == 1
    assert kept.loop.decide(event(3, 1000)).fresh.features.values[0, 2] == 2.0

    strict = World(reject_late=True)
    strict.loop.decide(event(1, 1000))
    refused = strict.loop.decide(event(2, 1000 - w.LATENESS - 1))
    assert refused.fresh is None and refused.refused == {0: Reason.TOO_LATE} and refused.row.tolist() == [-2]
    assert strict.loop.decide(event(3, 1000 - w.LATENESS)).row.tolist() == [0]


# Outcomes.


def positives(world, key, time_ns, user=1):
    return world.loop.decide(event(key, time_ns, user=user)).fresh.features.values[0, 3]


def outcome(key, known_ns, label=1.0, scheduled=False):
    return OutcomeBatch(
        np.array([key]), np.array([label]), np.array([known_ns]), np.array([np.nan]), scheduled=scheduled
    )


def test_an_outcome_counts_at_once_and_a_scheduled_one_from_its_moment_on():
    world = World()
    world.loop.decide(event(1, 1000))
    world.loop.learn(outcome(1, 990))
    assert positives(world, 2, 1001) == 1.0
    world.loop.learn(outcome(2, 1010, scheduled=True))
    assert positives(world, 3, 1009) == 1.0
    assert positives(world, 4, 1010) == 2.0


def test_a_scheduled_outcome_of_an_event_of_the_same_batch_counts_from_its_moment_on():
    world = World()
    world.loop.learn(outcome(1, 1010, scheduled=True))
    decided = world.loop.decide(w.joined_up([event(1, 1000), event(2, 1009), event(3, 1010), event(4, 1010)]))
    assert decided.fresh.features.values[:, 3].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_a_scheduled_outcome_waits_for_an_event_that_comes_out_of_order():
    world = World()
    world.loop.learn(outcome(9, 1001, scheduled=True))
    assert positives(world, 1, 1005) == 0.0
    assert positives(world, 9, 1000) == 0.0
    assert positives(world, 2, 1006) == 1.0
    assert world.loop.counts["unknown_outcomes"] == 0


def test_outcomes_of_events_that_were_never_decided_are_unknown_and_counted():
    world = World()
    world.loop.decide(event(1, 1000))
    world.loop.learn(outcome(77, 1000))
    world.loop.learn(outcome(78, 1001, scheduled=True))
    world.loop.decide(event(2, 1002))
    assert world.loop.counts["unknown_outcomes"] == 1
    world.loop.decide(event(3, 1002 + w.LATENESS))
    assert world.loop.counts["unknown_outcomes"] == 2 and world.loop.counts["outcomes"] == 2
    assert len(world.journal.bodies) == 4


def test_learning_happens_at_moments_of_event_time_only():
    world = World()
    learned = []
    world.stages.fusion.learn = lambda experience: learned.append(experience.id_code.tolist())
    for key, time_ns in enumerate((1000, 1010, 1049), 1):
        world.loop.decide(event(key, time_ns))
    world.loop.learn(outcome(1, 1040))
    world.loop.learn(outcome(2, 1051))
    world.loop.decide(event(4, 1049))
    assert learned == []
    world.loop.decide(event(5, 1060))
    assert learned == [[1]]
    world.loop.decide(event(6, 1100))
    assert learned == [[1], [2]]


def test_a_learner_that_fails_is_counted_and_the_decisions_go_on():
    world = World()

    def fail(experience):
        raise RuntimeError("no")

    world.stages.policy.learn = fail
    made = run(world, stream(400, 5), 50)
    assert len(made) == 400 and world.loop.counts["failed_learning"] > 0
    assert ("policy", "no") in [(name, str(error)) for name, error in world.errors]


# The journal.


def test_while_the_journal_fails_nothing_is_shown_and_nothing_is_lost_or_doubled():
    world, calm = World(), World()
    events = stream(6, 11)
    expected = w.record([calm.loop.decide(events.slice(k, k + 1)).fresh for k in range(6)])
    world.loop.decide(events.slice(0, 1))
    world.journal.failures = 3
    for _ in range(3):
        with pytest.raises(Unavailable):
            world.loop.decide(events.slice(1, 2))
    assert len(world.journal.bodies) == 1  # However often it is tried, one batch at most waits.
    decided = world.loop.decide(events.slice(1, 2))
    assert decided.row.tolist() == [-1] and world.loop.fallbacks[Reason.JOURNAL_FAILED] == 3
    for k in range(2, 6):
        world.loop.decide(events.slice(k, k + 1))
    assert w.record([entry.body for entry in world.journal.read()]) == expected
    w.same_state(world.loop.state(), calm.loop.state())


def test_other_events_after_a_failed_write_find_the_earlier_ones_written():
    world = World()
    world.journal.failures = 1
    with pytest.raises(Unavailable):
        world.loop.decide(event(1, 1000))
    world.loop.decide(event(2, 1001))
    assert [entry.body.events.id_code.tolist() for entry in world.journal.read()] == [[1], [2]]


def test_outcomes_that_could_not_be_written_are_not_taken_in():
    world = World()
    world.loop.decide(event(1, 1000))
    world.journal.failures = 1
    with pytest.raises(Unavailable):
        world.loop.learn(outcome(1, 1000))
    assert positives(world, 2, 1001) == 0.0
    world.loop.learn(outcome(1, 1000))
    assert positives(world, 3, 1002) == 1.0


def test_no_state_is_saved_that_knows_more_than_the_journal():
    world = World()
    world.journal.failures = 2
    with pytest.raises(Unavailable):
        world.loop.decide(event(1, 1000))
    with pytest.raises(Unavailable):
        world.loop.state()
    world.loop.flush()
    assert world.loop.state() and len(world.journal.bodies) == 1


def test_a_loop_that_broke_off_inside_a_batch_decides_no_more():
    world = World()
    world.loop.decide(event(1, 1000))

    def fuse(scores):
        raise AssertionError("broken")

    working, world.stages.fusion.fuse = world.stages.fusion.fuse, fuse
    with pytest.raises(AssertionError):
        world.loop.decide(event(2, 1001))
    world.stages.fusion.fuse = working
    for call in (lambda: world.loop.decide(event(3, 1002)), world.loop.state, lambda: world.loop.learn(outcome(1, 1))):
        with pytest.raises(Stopped):
            call()
    assert world.restarted(None).loop.decide(event(2, 1001)).fresh.features.values[0, 2] == 2.0


# Scorers.


def raises(values):
    raise RuntimeError("scorer down")


ANSWERS = {
    "raises": raises,
    "is not a number": lambda values: np.full(len(values), np.nan),
    "is above one": lambda values: np.full(len(values), 1.5),
    "is below zero": lambda values: np.full(len(values), -0.1),
    "is infinite": lambda values: np.full(len(values), np.inf),
    "is too short": lambda values: np.zeros(len(values) + 1),
    "is a number": lambda values: 0.5,
    "has two columns": lambda values: np.zeros((len(values), 2)),
    "is text": lambda values: np.array(["x"] * len(values)),
    "is nothing": lambda values: None,
}


@pytest.mark.parametrize("bad", ANSWERS)
@pytest.mark.parametrize("bounded", [False, True])
def test_a_scorer_whose_answer_is_no_score_is_fused_around_flagged_and_counted(bad, bounded):
    faulty = Seat(FunctionScorer("past", ANSWERS[bad]))
    world = World(seats=[Seat(FunctionScorer("amounts", w.by_amount)), faulty], bounded=bounded)
    made = world.loop.decide(stream(4)).fresh
    assert np.isnan(made.scores.values[:, 1]).all() and not np.isnan(made.scores.values[:, 0]).any()
    assert (made.fallback == Fallback.SCORER_FAILED).all() and (made.scores.confidence[:, 1] == 0).all()
    assert np.isfinite(made.fused.risk).all()
    assert world.loop.fallbacks[Reason.SCORER_FAILED] == 4 and faulty.counts == {Reason.SCORER_FAILED: 1}
    assert world.errors[0][0] == "past"


def test_one_bad_row_costs_the_other_rows_nothing_whatever_the_batches():
    def spotty(values):
        return np.where(values[:, 0] == 60.0, np.nan, 0.4)

    def seats():
        return [Seat(FunctionScorer("spotty", spotty))]

    events = stream(200, 12)
    one, other = World(seats=seats()), World(seats=seats())
    made = run(one, events, 200)
    assert made == run(other, events, 1)
    flags = {code: row[-1][0] for code, row in made.items()}
    bad = Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT
    expected = np.where(events.numbers[:, 0] == 60.0, bad, 0)
    assert [flags[k] for k in range(1, 201)] == expected.tolist()


def test_where_every_scorer_is_missing_the_declared_action_is_taken():
    world = World(seats=[Seat(FunctionScorer("a", raises)), Seat(FunctionScorer("b", raises))])
    made = world.loop.decide(event(1, 1000)).fresh
    assert made.fallback[0] == Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT
    assert (made.ruling.action[0], made.ruling.rule[0]) == (1, -3)
    counted = {reason: count for reason, count in world.loop.fallbacks.items() if count}
    assert counted == {Reason.SCORER_FAILED: 1, Reason.SCORERS_ABSENT: 1}


def test_a_late_scorer_is_fused_around_and_its_circuit_opens_and_closes_again():
    slow = [True]
    asked = []

    def lagging(values):
        asked.append(len(values))
        world.clock.advance(2000 if slow[0] else 0)
        return np.full(len(values), 0.5)

    seat = Seat(FunctionScorer("slow", lagging), deadline_ns=1000)
    world = World(seats=[Seat(FunctionScorer("amounts", w.by_amount)), seat], bounded=True)
    bits = [int(world.loop.decide(event(k, 1000 + k)).fresh.fallback[0]) for k in range(5)]
    assert bits == [Fallback.SCORER_LATE] * 3 + [Fallback.SCORER_FAILED] * 2  # Then it is left alone.
    assert len(asked) == 3 and seat.counts == {Reason.SCORER_LATE: 3, Reason.SCORER_FAILED: 2}
    world.clock.advance(1_000_000_000)
    assert world.loop.decide(event(10, 1010)).fresh.fallback[0] == Fallback.SCORER_LATE  # One try, and open again.
    assert world.loop.decide(event(11, 1011)).fresh.fallback[0] == Fallback.SCORER_FAILED
    world.clock.advance(1_000_000_000)
    slow[0] = False
    assert [int(world.loop.decide(event(k, 1000 + k)).fresh.fallback[0]) for k in range(12, 15)] == [0, 0, 0]
    assert seat.troubles == 0


def test_a_hanging_scorer_is_left_behind_in_its_thread_and_asked_again_once_it_is_free():
    gate = Event()

    def hangs(values):
        gate.wait()
        return np.full(len(values), 0.5)

    seat = Seat(FunctionScorer("hangs", hangs), deadline_ns=1_000_000, isolated=True)
    world = World(seats=[Seat(FunctionScorer("amounts", w.by_amount)), seat], bounded=True)
    assert world.loop.decide(event(1, 1001)).fresh.fallback[0] == Fallback.SCORER_LATE
    assert world.loop.decide(event(2, 1002)).fresh.fallback[0] == Fallback.SCORER_LATE  # It still works on the first.
    gate.set()
    assert seat.busy.result(10)[0].tolist() == [0.5]
    seat.deadline_ns = None
    assert world.loop.decide(event(3, 1003)).fresh.fallback[0] == 0
    world.loop.close()


def test_an_isolated_scorer_that_raises_has_failed():
    def times_out(values):
        raise TimeoutError("its own server")

    seat = Seat(FunctionScorer("raises", times_out), deadline_ns=10**10, isolated=True)
    world = World(seats=[Seat(FunctionScorer("amounts", w.by_amount)), seat], bounded=True)
    assert world.loop.decide(event(1, 1001)).fresh.fallback[0] == Fallback.SCORER_FAILED
    assert world.errors[0][0] == "raises"
    world.loop.close()


# The policy and the deadline.


class Wrapped:
    """A policy whose answer passes through a function."""

    def __init__(self, spoil):
        self.inner = World().stages.policy
        self.spoil = spoil

    def propose(self, fused, events, features, chance):
        return self.spoil(self.inner.propose(fused, events, features, chance))

    def learn(self, experience):
        self.inner.learn(experience)

    def state(self):
        return self.inner.state()

    def restore(self, state):
        self.inner.restore(state)


def broken(proposal):
    raise RuntimeError("policy down")


PROPOSALS = {
    "raises": broken,
    "is nothing": lambda p: None,
    "has too few rows": lambda p: replace(p, action=p.action[1:]),
    "has too few actions": lambda p: replace(p, propensity=p.propensity[:, 1:]),
    "names no action": lambda p: replace(p, action=p.action + 3),
    "is negative": lambda p: replace(p, action=p.action - 3),
    "is a float": lambda p: replace(p, action=p.action.astype(float)),
    "has no propensity": lambda p: replace(p, propensity=p.propensity * np.nan),
    "has too much propensity": lambda p: replace(p, propensity=p.propensity * 2),
}


@pytest.mark.parametrize("bad", PROPOSALS)
def test_a_policy_that_fails_is_replaced_by_the_thresholds_flagged_and_counted(bad):
    world = World(policy=Wrapped(PROPOSALS[bad]))
    made = world.loop.decide(stream(4)).fresh
    assert (made.fallback == Fallback.POLICY_FAILED).all() and world.loop.fallbacks[Reason.POLICY_FAILED] == 4
    wanted = world.stages.thresholds.propose(
        made.fused, made.events, made.features, world.stages.chance(made.events.id_code)
    )
    assert made.proposal.action.tolist() == wanted.action.tolist()
    assert made.proposal.propensity.tolist() == wanted.propensity.tolist()


@pytest.mark.parametrize("thresholds", ["absent", "failing"])
def test_without_thresholds_the_first_action_is_proposed_and_the_guard_rules(thresholds):
    world = World(policy=Wrapped(broken), thresholds=thresholds == "failing")
    if thresholds == "failing":
        world.stages.thresholds.propose = lambda *arguments: broken(None)
    made = world.loop.decide(stream(3)).fresh
    assert made.proposal.action.tolist() == [0] * 3 and made.proposal.propensity[:, 0].tolist() == [1.0] * 3
    assert (made.fallback == Fallback.POLICY_FAILED).all()


def test_a_late_policy_is_replaced_by_the_thresholds():
    def lag(proposal):
        world.clock.advance(1001)
        return proposal

    world = World(policy=Wrapped(lag), policy_ns=1000)
    assert world.loop.decide(event(1, 1000)).fresh.fallback[0] == Fallback.POLICY_LATE
    assert world.loop.fallbacks[Reason.POLICY_LATE] == 1


@pytest.mark.parametrize("slow", ["scorer", "policy"])
def test_past_the_decisions_deadline_the_declared_action_is_taken(slow):
    def lag(what):
        world.clock.advance(1001)
        return what

    seat = Seat(FunctionScorer("a", (lambda v: lag(w.by_amount(v))) if slow == "scorer" else w.by_amount))
    policy = Wrapped(lag) if slow == "policy" else None
    world = World(seats=[seat], policy=policy, decision_ns=1000)
    made = world.loop.decide(event(1, 1000)).fresh
    assert made.fallback[0] == Fallback.DEADLINE and (made.ruling.action[0], made.ruling.rule[0]) == (2, -3)
    assert world.loop.fallbacks[Reason.DEADLINE] == 1


@pytest.mark.parametrize("fails", [True, False])
def test_what_was_waited_for_a_store_in_vain_is_not_the_scorers_and_the_policys_time(fails, monkeypatch):
    world = World(decision_ns=1000)
    inner = world.stages.featurizer.features

    def slow(events):
        world.clock.advance(5000)
        return replace(inner(events), fallback=int(Fallback.FEATURES_STALE) if fails else 0)

    monkeypatch.setattr(world.stages.featurizer, "features", slow)
    made = world.loop.decide(event(1, 1000)).fresh
    assert made.fallback[0] == (Fallback.FEATURES_STALE if fails else Fallback.DEADLINE)
    assert (made.ruling.rule[0] == -3) == (not fails) and made.took_us >= 5


# Recovery.


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
    with pytest.raises(AssertionError, match="replays to other decisions"):
        other.loop.recover(world.journal.read())


def test_decisions_of_an_earlier_version_stand_as_they_were_made():
    world = World()
    world.loop.decide(stream(200, 14))
    newer = World(world.journal)
    newer.stages.version = "v2"
    newer.stages.fusion._place[-1] = 1.0
    newer.loop.recover(world.journal.read())
    assert newer.stages.joiner.locate(np.array([200]))[0].tolist() == [1]
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
TestCrashes = Crashes.TestCase


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
