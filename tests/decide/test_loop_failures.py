"""The decision loop where scorers or the policy fail or are late."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from homeostat.checks.stand_ins import FunctionScorer
from homeostat.decide.panel import Seat
from homeostat.records.reasons import Fallback, Reason

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
World, Wrapped, event, run, stream = w.World, w.Wrapped, w.event, w.run, w.stream


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
    assert seat.aside.last.result(10)[0].tolist() == [0.5]
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
        made.fused, made.events, made.features, world.stages.chance(made.events.ids)
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


@pytest.mark.parametrize("work", ["due", "deliver", "remember", "learn", "policy", "among"])
def test_work_that_is_due_at_an_event_is_not_charged_to_it(work, monkeypatch):
    """Joining and learning come before the event, but say nothing about its scorers and policy."""
    world = World(decision_ns=1000)
    first = stream(60, 3)
    owner, name = {
        "learn": (world.stages.fusion, "learn"), "policy": (world.stages.policy, "learn"),
        "among": (world.loop._arrivals, "among"),
    }.get(work, (world.stages.joiner, work))  # fmt: skip
    inner, calls = getattr(owner, name), []

    def slow(*arguments):
        calls.append(work)
        world.clock.advance(5000)
        return inner(*arguments)

    monkeypatch.setattr(owner, name, slow)
    last = int(first.time_ns.max())
    made = [world.loop.decide(first).fresh]
    world.loop.learn(w.outcomes_of(first, range(40), last, scheduled=work == "among"))
    for step in range(1, 6):
        made.append(world.loop.decide(event(1000 + step, last + step * w.HORIZON)).fresh)
    assert calls and not any((one.fallback & Fallback.DEADLINE).any() for one in made)
