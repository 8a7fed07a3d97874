import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from homeostat.checks.stand_ins import FunctionScorer
from homeostat.decide.explanation import explain, smallest_change
from homeostat.decide.fusion.fixed import FixedFusion, declared_table
from homeostat.decide.panel import Seat
from homeostat.decide.policy.thresholds import FixedThresholdPolicy
from homeostat.decide.scorers.forest import ForestScorer
from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.expressions import Type
from homeostat.records.features import Features
from homeostat.records.rows import rows_of

_spec = importlib.util.spec_from_file_location("loop_world", Path(__file__).with_name("loop_world.py"))
w = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(w)

NAMES = ("amount", "odd", "count", "positives")
RANGES = {"amount": (0.0, 180.0), "odd": (0.0, 1.0), "count": (0.0, 60.0), "positives": (0.0, 30.0)}


def training(n=1500):
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.uniform(0, 180, n), rng.random(n), rng.integers(0, 60, n), rng.integers(0, 30, n)])
    y = (rng.random(n) < 1 / (1 + np.exp(4 - x[:, 0] / 30 - x[:, 3] / 8))).astype(float)
    return x.astype(float), y


def boosted():
    train = pytest.importorskip("homeostat.models.training.boosted_trees").train_boosted
    return ForestScorer("boosted", train(*training(), NAMES, {"trees": 25, "depth": 3}, 1), NAMES)


def forest():
    train = pytest.importorskip("homeostat.models.training.isolation_forest").train_isolation_forest
    return ForestScorer("forest", train(*training(), NAMES, {"trees": 20}, 1), NAMES)


def rules():
    asked = [ScoreRule("large", "amount > 50", 0.7), ScoreRule("again", "positives > 3 and amount > 10", 0.4)]
    return RulesScorer("rules", asked, NAMES, [Type.NUMBER] * 4)


KINDS = {"trees": lambda: [boosted()], "trees, forest and rules": lambda: [boosted(), forest(), rules()],
         "rules": lambda: [rules()]}  # fmt: skip


def decided(scorers, n=150):
    world = w.World(seats=[Seat(scorer) for scorer in scorers])
    names = tuple(scorer.name for scorer in scorers)
    world.stages.fusion = FixedFusion(declared_table(names, {}, 0.2), names)
    return world, world.loop.decide(w.stream(n, 21)).fresh


def action_with(world, one, feature, value):
    """The thresholds' action, from the stages themselves, with one feature changed."""
    k = NAMES.index(feature)
    values, numbers = one.features.values.copy(), one.events.numbers.copy()
    values[0, k] = value
    if k < numbers.shape[1]:
        numbers[0, k] = value
    features, events = Features(NAMES, values, one.features.freshness), replace(one.events, numbers=numbers)
    fused = world.stages.fusion.fuse(world.stages.panel.score(features))
    return int(world.stages.thresholds.propose(fused, events, features, np.array([[0.5, 0.999]])).action[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_change_flips_the_action_and_a_smaller_one_does_not(kind):
    world, made = decided(KINDS[kind]())
    flipped = 0
    for row in np.flatnonzero(made.ruling.rule == -1)[:40].tolist():
        one = rows_of(made, row, row + 1)
        change = smallest_change(world.stages, one, RANGES)
        if change is None:
            continue
        flipped += 1
        before = action_with(world, one, change.feature, change.was)
        assert change.was == one.features.values[0, NAMES.index(change.feature)]
        assert action_with(world, one, change.feature, change.becomes) == change.action != before
        step = change.becomes - change.was
        for share in (0.999_999, 0.9, 0.5):
            if abs(step) * (1 - share) > 1e-6:
                assert action_with(world, one, change.feature, change.was + share * step) == before
    assert flipped >= 10


# Within one step of the grid nothing is promised.
def test_no_other_feature_flips_the_action_with_a_change_that_is_smaller_for_its_range():
    world, made = decided([boosted()])
    for row in np.flatnonzero(made.ruling.rule == -1)[:10].tolist():
        one = rows_of(made, row, row + 1)
        change = smallest_change(world.stages, one, RANGES)
        if change is None:
            continue
        low, high = RANGES[change.feature]
        share = abs(change.becomes - change.was) / (high - low)
        for feature, (low, high) in RANGES.items():
            was = one.features.values[0, NAMES.index(feature)]
            for part in np.linspace(0.05, 0.9, 5) * max(0.0, share - 1 / 47):
                for value in (was - part * (high - low), was + part * (high - low)):
                    if low <= value <= high:
                        assert action_with(world, one, feature, value) == action_with(world, one, feature, was)


def test_where_a_guard_decided_there_is_no_smallest_change():
    world, made = decided([rules()])
    ruled = np.flatnonzero(made.ruling.rule != -1)
    assert len(ruled)
    for row in ruled.tolist():
        assert explain(world.stages, made, row, RANGES).change is None


def test_an_explanation_names_scorers_and_features_by_size_and_adds_up():
    world, made = decided(KINDS["trees, forest and rules"]())
    for row in range(0, 150, 10):
        explained = explain(world.stages, made, row, RANGES)
        sizes = [abs(part.contribution) for part in explained.scorers]
        assert sizes == sorted(sizes, reverse=True) and {part.name for part in explained.scorers} == {
            "boosted",
            "forest",
            "rules",
        }
        log_odds = np.log(made.fused.risk[row] / (1 - made.fused.risk[row]))
        assert np.isclose(sum(part.contribution for part in explained.scorers), log_odds - np.log(0.2 / 0.8))
        for part in explained.scorers:
            if part.features:
                total = sum(abs(feature.contribution) for feature in part.features)
                assert np.isclose(total, abs(part.contribution))
        assert [abs(f.contribution) for f in explained.features] == sorted(
            (abs(f.contribution) for f in explained.features), reverse=True
        )
        for feature in explained.features:
            assert feature.value == made.features.values[row, NAMES.index(feature.name)]


def failing_on_extremes(values):
    if len(values) > 1:
        raise RuntimeError("asked for too much")
    return w.by_amount(values)


@pytest.mark.long
def test_an_explanation_leaves_no_trace_in_any_stage():
    seats = [Seat(FunctionScorer("past", w.by_past)), Seat(FunctionScorer("amounts", failing_on_extremes), 10**9)]
    world = w.World(seats=seats, bounded=True)
    made = [world.loop.decide(w.stream(60).slice(k, k + 1)).fresh for k in range(60)]
    before = world.loop.state()
    counted = dict(world.loop.counts), dict(world.loop.fallbacks), len(world.errors)
    for policy_alone in (False, True):  # The bandit keeps an account of what its exploration may still cost.
        if policy_alone:
            world.stages.thresholds = None
        for batch in made:
            explain(world.stages, batch, 0)
        w.same_state(before, world.loop.state())
    assert counted == (dict(world.loop.counts), dict(world.loop.fallbacks), len(world.errors))
    assert all((seat.troubles, seat.open_until_ns, seat.counts) == (0, 0, {}) for seat in seats)


def test_a_scorer_that_was_missing_stays_missing_in_the_explanation():
    def down(values):
        raise RuntimeError("down")

    world = w.World(seats=[Seat(FunctionScorer("amounts", w.by_amount)), Seat(FunctionScorer("past", down))])
    made = world.loop.decide(w.event(1, 1000, 60.0)).fresh
    world.stages.panel.seats[1].scorer.function = lambda values: np.ones(len(values))
    world.stages.thresholds = FixedThresholdPolicy((0.2, 0.9), w.CENSORING)
    change = explain(world.stages, made, 0, RANGES).change
    assert change.feature == "amount" and np.isclose(change.becomes, 90.0) and change.action == 2
    part = {scorer.name: scorer for scorer in explain(world.stages, made, 0).scorers}["past"]
    assert np.isnan(part.score) and part.contribution == 0 and part.features == ()
