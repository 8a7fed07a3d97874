"""The decision loop: batches, admission, outcomes, and a journal that fails."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from homeostat.decide import teaching
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.loop import Stopped
from homeostat.ports import Unavailable
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.reasons import Reason

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
World, chosen, event, positives, run, stream = w.World, w.chosen, w.event, w.positives, w.run, w.stream


# Batches.


def compare(events, hand=None, sizes=(1, 7, 1000), **options):
    worlds = [World(**options) for _ in sizes]
    records = [run(world, events, size, hand) for world, size in zip(worlds, sizes, strict=True)]
    for other, world in zip(records[1:], worlds[1:], strict=True):
        assert records[0] == other
        w.same_state(worlds[0].loop.state(), world.loop.state())
        assert worlds[0].loop.counts == world.loop.counts
    return worlds[0], records[0]


@pytest.mark.long
def test_labels_that_come_along_teach_the_same_whatever_the_batches():
    world, made = compare(stream(1200))
    assert len(made) == 1200 and world.loop.counts["late"] > 10
    assert world.stages.fusion.multipliers() != {"amounts": 1.0, "past": 1.0}
    assert world.stages.policy.account[3] > 0  # It explored.


@pytest.mark.long
def test_located_outcomes_handed_over_with_their_events_count_the_same_whatever_the_batches():
    events = stream(1200, 1, labels=False)
    known = events.time_ns + np.random.default_rng(5).choice([1, 2, 15, 40, 90, 500], 1200)

    def hand(world, start, stop):
        world.loop.learn(w.outcomes_of(events, np.arange(start, stop), known[start:stop], located=True))

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


@pytest.mark.long
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
def test_duplicates_and_late_events_are_distinguished_the_same_whatever_the_batches(reject):
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


def test_outcomes_reach_the_windows_when_they_are_taken_in_so_that_no_event_waits_for_them():
    world, rows = World(), []
    world.loop.decide(stream(60, 3))
    inner = world.stages.featurizer.features
    world.stages.featurizer.features = lambda events: (rows.append(len(events)), inner(events))[1]
    world.loop.learn(w.outcomes_of(stream(60, 3), range(40), 5000, scheduled=False))
    assert rows == [40]
    world.loop.decide(event(1001, 5000))
    assert rows == [40, 1]


@pytest.mark.long
@pytest.mark.parametrize("entries", [1, 5])
def test_much_that_is_due_is_learned_in_steps_before_events_whatever_the_batches(entries, monkeypatch):
    monkeypatch.setattr(teaching, "STEP_ENTRIES", entries)
    sizes, events = [], stream(500)
    plain = AdaptiveFusion.learn
    monkeypatch.setattr(AdaptiveFusion, "learn", lambda self, known: (sizes.append(len(known)), plain(self, known))[1])
    world, made = compare(events)
    assert len(made) == 500 and max(sizes) <= entries < sum(sizes) / 20
    assert world.stages.fusion.multipliers() != {"amounts": 1.0, "past": 1.0}


@pytest.mark.parametrize("stop", [200, 207, 216])
def test_a_restart_between_two_steps_of_learning_goes_on_with_the_next(stop, monkeypatch):
    monkeypatch.setattr(teaching, "STEP_ENTRIES", 2)
    events, whole = stream(300), World()
    expected = run(whole, events, 300)
    for snapshot in (True, False):
        first = World()
        run(first, chosen(events, range(stop)), 50)
        other = first.restarted(first.saved() if snapshot else None)
        assert other.stages.schedule.owed_ns is not None
        made = run(other, chosen(events, range(stop, 300)), 7)
        assert made == {key: value for key, value in expected.items() if key > stop}
        w.same_state(whole.loop.state(), other.loop.state())


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
    assert ("learning of the policy", "no") in [(name, str(error)) for name, error in world.errors]
    failed = world.loop.counts["failed_learning"]
    assert world.loop.troubles()["learning"] == {"policy": {"failed": failed, "last": "RuntimeError: no"}}
    assert world.loop.notes() == [f"{failed} steps of the policy's learning failed, the last with RuntimeError: no"]


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
