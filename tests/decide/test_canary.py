"""A canary whose parts fail, hang or keep accounts: the champion's decisions stay what they are without it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from homeostat.checks.stand_ins import FunctionScorer
from homeostat.decide.ahead import decide_ahead
from homeostat.decide.canary import instead_of
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.fixed import declared_table
from homeostat.decide.panel import Seat
from homeostat.decide.policy.bandit import BanditPolicy
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.thresholds import ThresholdPolicy
from homeostat.decide.stages import Canary
from homeostat.records.meaning import Meaning
from homeostat.records.reasons import Fallback

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)
NAMES = ("amounts", "past")
MINE = (1, 3)  # Users whose events the canary decides.


def by_amount(values):
    return np.clip(values[:, 0] / 80, 0, 1)


def world_of(score=by_amount, seats=None, canary_policy=None, deadline_ns=None, **options):
    """A world with a canary whose scorer `amounts` is another, and whose scorer `past` is the champion's own."""
    made = w.World(seats=seats, **options)
    stages = made.stages
    for seat in stages.panel.seats:
        seat.deadline_ns = deadline_ns
    own = {"amounts": FunctionScorer("amounts", score), "past": stages.panel.seats[1].scorer}
    stages.canary = Canary(
        "v2", stages.panel.beside(own), AdaptiveFusion(declared_table(NAMES, {}), NAMES), canary_policy,
        lambda events: np.isin(events.keys[:, 0], MINE), Meaning("v2"),
    )  # fmt: skip
    return made


def played(world, events, size=64):
    made = []
    for start in range(0, len(events), size):
        fresh = world.loop.decide(events.slice(start, min(start + size, len(events)))).fresh
        made.append(fresh)
    return made


def records_of(batches, canarys):
    """The records of one side's rows."""
    found = w.record(batches)
    users = {int(b.events.id_code[k]): int(b.events.keys[k, 0]) for b in batches for k in range(len(b))}
    return {code: record for code, record in found.items() if (users[code] in MINE) == canarys}


def raises(values):
    raise RuntimeError("it fails")


def no_number(values):
    return np.full(len(values), np.nan)


@pytest.mark.parametrize(("spoilt", "bit"), [(raises, Fallback.SCORER_FAILED), (no_number, Fallback.SCORER_FAILED)])
def test_a_canary_that_fails_changes_no_byte_of_the_champions_decisions(spoilt, bit):
    events = w.stream(600, labels=False)
    # Breakers are shared, so a label that an action hides can hang on the other side: nobody learns here.
    options = {"policy": ThresholdPolicy(w.COSTS, w.CENSORING), "learn_fusion": False}
    spoiled, sound = world_of(spoilt, **options), world_of(**options)
    made, expected = played(spoiled, events), played(sound, events)
    fallback = np.concatenate([one.fallback for one in made])
    arm = np.concatenate([one.arm for one in made]) != 0
    assert 150 < arm.sum() < 350
    assert (fallback[arm] & bit).all() and not (fallback[~arm] & bit).any()
    ours, theirs = (np.concatenate([one.scores.values for one in made])[rows] for rows in (~arm, arm))
    assert np.isnan(theirs[:, 0]).all() and not np.isnan(ours).any() and not np.isnan(theirs[:, 1]).any()
    same = np.concatenate([one.fused.risk for one in expected])[~arm]
    assert np.concatenate([one.fused.risk for one in made])[~arm].tobytes() == same.tobytes()
    assert spoiled.stages.panel.troubles() == {}
    assert "amounts" in spoiled.loop.troubles()["canary"]


def test_a_slow_canary_is_late_and_the_champions_rows_of_the_same_batch_are_not():
    def slow(values):
        world.clock.advance(50)
        return by_amount(values)

    world = world_of(slow, bounded=True, decision_ns=40)
    events = w.stream(400, labels=False)
    made = played(world, events)
    fallback, arm = (np.concatenate([getattr(one, name) for one in made]) for name in ("fallback", "arm"))
    late = fallback & Fallback.DEADLINE != 0
    assert np.array_equal(late, arm != 0) and late.any()


def test_a_slow_champion_is_late_alone():
    def slow(values):
        world.clock.advance(50)
        return by_amount(values)

    seats = [Seat(FunctionScorer("amounts", slow)), Seat(FunctionScorer("past", w.by_past))]
    world = world_of(seats=seats, bounded=True, decision_ns=40)
    made = played(world, w.stream(400, labels=False))
    fallback, arm = (np.concatenate([getattr(one, name) for one in made]) for name in ("fallback", "arm"))
    assert np.array_equal(fallback & Fallback.DEADLINE != 0, arm == 0)


def test_a_canary_that_hangs_is_left_out_at_its_deadline_and_the_champion_answers():
    from threading import Event

    gate = Event()

    def hangs(values):
        gate.wait(60)
        return by_amount(values)

    world = world_of(hangs, deadline_ns=10_000_000, bounded=True)
    (seat,) = (one for one in world.stages.canary.panel.seats if one.scorer.name == "amounts")
    canary = world.stages.canary
    canary.panel = type(canary.panel)(
        [Seat(seat.scorer, 1_000_000, isolated=True), canary.panel.seats[1]], world.clock,
    )  # fmt: skip
    try:
        made = played(world, w.stream(200, labels=False))
    finally:
        gate.set()
        world.loop.close()
    fallback, arm = (np.concatenate([getattr(one, name) for one in made]) for name in ("fallback", "arm"))
    wrong = Fallback.SCORER_LATE | Fallback.SCORER_FAILED
    assert ((fallback & wrong != 0) == (arm != 0)).all() and arm.any()


@pytest.mark.long
@pytest.mark.parametrize("policies", ["one of the app", "one of each version"])
def test_the_size_of_batches_changes_nothing(policies):
    """Also where each version has a policy of its own: there is one account of exploration."""

    def own():
        return BanditPolicy(w.COSTS, w.CENSORING, ("count",), exploration=ExplorationPlan(0.1, 8.0, 1000, 0.1))

    kept = []
    for size in (1, 7, 600):
        world = world_of(policy=own(), canary_policy=own() if policies == "one of each version" else None)
        kept.append((w.record(played(world, w.stream(600), size)), world.stages.policy.account, world.loop.state()))
        if policies == "one of each version":
            assert np.array_equal(world.stages.policy.account, kept[0][1])
    for made, account, state in kept[1:]:
        assert made == kept[0][0]
        assert np.array_equal(account, kept[0][1])
        w.same_state(state, kept[0][2])
    assert kept[0][1][2] > 0  # Something was charged.


def test_batches_that_run_ahead_are_decided_the_same():
    events = w.stream(900, labels=False)
    plain, ahead = world_of(), world_of()
    pieces = [events.slice(start, start + 100) for start in range(0, 900, 100)]
    made = [decided.fresh for _, decided in decide_ahead(ahead.loop, pieces)]
    assert w.record(made) == w.record(played(plain, events, 100))
    assert [one.arm.tolist() for one in made] == [np.isin(p.keys[:, 0], MINE).astype(int).tolist() for p in pieces]


def test_each_adaptive_fusion_learns_from_its_own_rows():
    world = world_of()
    lone = w.World()
    events = w.stream(900)
    played(world, events)
    played(lone, events)
    ours, theirs = world.stages.fusion.multipliers(), world.stages.canary.fusion.multipliers()
    assert ours != theirs and {"amounts": 1.0, "past": 1.0} not in (ours, theirs)
    assert ours != lone.stages.fusion.multipliers()


def test_an_explanation_of_the_canarys_decision_is_by_its_parts():
    world = world_of()
    stages = instead_of(world.stages, world.stages.canary)
    assert (stages.version, stages.panel, stages.canary) == ("v2", world.stages.canary.panel, None)
    assert stages.policy is world.stages.policy


def test_a_scorer_of_both_versions_sits_once():
    world = world_of()
    assert world.stages.canary.panel.seats[1] is world.stages.panel.seats[1]
    assert world.stages.canary.panel.seats[0] is not world.stages.panel.seats[0]
