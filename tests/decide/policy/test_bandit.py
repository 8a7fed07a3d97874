import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.policy.bandit import BanditPolicy, BanditSettings, quasi_normals
from homeostat.decide.policy.bounded import BoundedPolicy
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.thresholds import ThresholdPolicy
from homeostat.records.allowance import EVERYTHING, NOTHING, Allowance
from homeostat.records.decisions import Experience, Fused
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.stats.chance import chances, uniform

CENSORING = (False, False, True)
DAY_NS = 86_400_000_000_000


def costs(events, features):
    amount = events.numbers[:, 0]
    zero = np.zeros(len(amount))
    return np.stack([amount, 0.25 * amount + 0.5, zero], 1), np.stack([zero, zero + 0.5, 0.1 * amount + 5], 1)


def stream(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    risk, amount, flag = rng.beta(0.4, 2, n), rng.exponential(60, n), (rng.random(n) < 0.3).astype(float)
    events = EventBatch(
        np.arange(n), np.arange(n, dtype=np.int64) * (DAY_NS // 200), np.zeros((n, 1), np.int64), amount[:, None],
        np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip
    features = Features(("amount", "flag"), np.stack([amount, flag], 1), np.zeros((n, 2), np.uint8))
    return Fused(risk, np.empty((n, 0))), events, features, chances(seed, np.arange(n))


def part(rows, start, stop):
    fused, events, features, chance = rows
    return (
        Fused(fused.risk[start:stop], fused.contributions[start:stop]), events.slice(start, stop),
        features.slice(start, stop), chance[start:stop],
    )  # fmt: skip


def experience(rows, proposal, shift=0.0, fee=0.0):
    """Outcomes of a world whose log-odds differ by `shift` where the flag is set, and whose frauds cost `fee` more."""
    fused, events, features, _ = rows
    odds = np.log(fused.risk / (1 - fused.risk)) + shift * features.values[:, 1]
    label = (uniform(77, events.id_code) < 1 / (1 + np.exp(-odds))).astype(float)
    positive, negative = costs(events, features)
    cost = np.where(label[:, None] > 0, positive, negative)
    index = np.arange(len(label))
    realised = cost[index, proposal.action] + np.where((label > 0) & (proposal.action == 0), fee, 0.0)
    return Experience(
        events.time_ns, events.id_code, features.values, np.empty((len(label), 0)), fused.risk, proposal.action,
        proposal.propensity[index, proposal.action], label, cost, (proposal.action == 2).astype(np.uint8), realised,
    )  # fmt: skip


def make(algorithm="thompson", maturity_ns=0, **plan):
    return BanditPolicy(
        costs, CENSORING, ("amount", "flag"), algorithm, ExplorationPlan(**{"rate": 0.0, **plan}),
        BanditSettings(maturity_ns=maturity_ns),
    )  # fmt: skip


def test_it_starts_as_the_cost_optimal_thresholds():
    rows = stream(2000)
    proposal = make().propose(*rows)
    assert np.array_equal(proposal.action, ThresholdPolicy(costs, CENSORING).propose(*rows).action)
    assert set(proposal.action) == {0, 1, 2}


@pytest.mark.parametrize("algorithm", ["thompson", "linucb"])
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.booleans())
def test_neither_batches_nor_restarts_change_a_bit(algorithm, size, restart):
    rows, plan = stream(240), {"rate": 0.5, "budget": 20.0, "holdout": 0.1}
    one, other = make(algorithm, DAY_NS // 2, **plan), make(algorithm, DAY_NS // 2, **plan)
    for start in range(0, 240, 60):  # Learning is on a grid of its own.
        expected = one.propose(*part(rows, start, start + 60))
        got = [other.propose(*part(rows, at, min(at + size, start + 60))) for at in range(start, start + 60, size)]
        assert np.array_equal(np.concatenate([p.propensity for p in got]), expected.propensity)
        assert np.array_equal(np.concatenate([p.action for p in got]), expected.action)
        lesson = experience(part(rows, start, start + 60), expected)
        one.learn(lesson)
        other.learn(lesson)
        if restart:
            state, other = other.state(), make(algorithm, DAY_NS // 2, **plan)
            other.restore(state)
    for name, value in one.state().items():
        assert np.array_equal(value, other.state()[name]), name


@pytest.mark.long
@pytest.mark.parametrize("algorithm", ["thompson", "linucb"])
def test_propensities_are_those_with_which_actions_are_drawn(algorithm):
    rows = part(stream(40, seed=4), 0, 40)
    plan = {"rate": 0.6, "budget": 1e9, "holdout": 0.2}
    counts, trials = np.zeros((40, 3)), 3000
    for trial in range(trials):
        proposal = make(algorithm, **plan).propose(*rows[:3], chances(trial, np.arange(40)))
        counts[np.arange(40), proposal.action] += 1
    assert np.abs(counts / trials - proposal.propensity).max() < 0.045  # 4 standard errors are 0.037.
    assert proposal.propensity.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (proposal.propensity >= 0).all()


@pytest.mark.parametrize("algorithm", ["thompson", "linucb"])
def test_no_period_is_charged_more_than_its_budget(algorithm):
    policy, rows = make(algorithm, rate=0.5, budget=3.0), stream(3000)
    charged, before = {}, 0.0
    for row in range(3000):
        policy.propose(*part(rows, row, row + 1))
        day = int(rows[1].time_ns[row] // DAY_NS)
        charged[day] = charged.get(day, 0.0) + policy.account[2] - before
        before = policy.account[2]
    assert 0 < max(charged.values()) <= 3.0 + 1e-9
    assert policy.account[4] > 0
    assert policy.account[3] > 0


def test_a_budget_of_nothing_leaves_nothing_to_chance():
    proposal = make(rate=1.0, budget=0.0).propose(*stream(500))
    assert not proposal.explored.any()
    assert set(np.unique(proposal.propensity)) == {0.0, 1.0}


def test_it_learns_a_miscalibrated_segment_and_a_hidden_fee():
    policy, rows = make(holdout=0.05), stream(20_000)
    for start in range(0, 20_000, 500):
        piece = part(rows, start, start + 500)
        policy.learn(experience(piece, policy.propose(*piece), shift=-1.5, fee=10.0))
    state = policy.state()
    assert state["mean"][3] * np.log(2) == pytest.approx(-1.5, abs=0.35)  # A flag of 1 is squashed to log 2.
    assert state["arm_mean"][0, 1, 0] == pytest.approx(10.0, abs=2.5)
    assert np.linalg.eigvalsh(state["covariance"]).min() > 0


def test_hidden_outcomes_teach_nothing():
    policy, rows = make(), stream(300)
    proposal = policy.propose(*rows)
    lesson = experience(rows, proposal)
    before = policy.state()
    policy.learn(
        Experience(
            lesson.time_ns,
            lesson.id_code,
            lesson.context,
            lesson.scores,
            lesson.risk,
            lesson.action,
            lesson.propensity,
            lesson.label,
            lesson.cost,
            np.ones(300, np.uint8),
            lesson.realised,
        )
    )
    assert np.array_equal(policy.state()["mean"], before["mean"])


def test_early_frauds_wait_for_the_silence_of_the_others():
    policy, rows = make(maturity_ns=DAY_NS), stream(400)
    first = part(rows, 0, 100)
    lesson = experience(first, policy.propose(*first))
    policy.learn(lesson)
    assert not policy.state()["mean"].any()
    policy.propose(*part(rows, 100, 400))
    policy.learn(experience(part(rows, 0, 0), policy.propose(*part(rows, 0, 0))))
    assert policy.state()["mean"].any()


def test_numbers_that_are_none_neither_stop_nor_spoil_it():
    policy = make(rate=0.5, budget=10.0)
    fused, events, features, chance = stream(6)
    fused.risk[:3] = [np.nan, 0.0, 1.0]
    features.values[3:] = [[np.nan, 1.0], [np.inf, 0.0], [1e300, 1.0]]
    proposal = policy.propose(fused, events, features, chance)
    assert np.isfinite(proposal.propensity).all()
    label = np.array([1.0, 1.0, 0.0, 0.0, np.nan, 1.0])
    policy.learn(
        Experience(
            events.time_ns,
            events.id_code,
            features.values,
            np.empty((6, 0)),
            fused.risk,
            proposal.action,
            np.full(6, 1e-12),
            label,
            np.full((6, 3), 1e6),
            np.zeros(6, np.uint8),
            np.full(6, 1e9),
        )
    )
    for value in policy.state().values():
        assert not np.isnan(value).any()


def test_a_context_that_is_not_served_and_a_state_of_another_shape_are_refused():
    with pytest.raises(KeyError, match="missing_one"):
        BanditPolicy(costs, CENSORING, ("missing_one",)).propose(*stream(2))
    with pytest.raises(ValueError, match="bandit's mean"):
        BanditPolicy(costs, CENSORING, ()).restore(make().state())


def test_the_fixed_draws_are_standard_normal():
    draws = quasi_normals(64, 4)
    assert np.abs(draws.mean(axis=0)).max() < 0.1
    assert np.abs(draws.std(axis=0) - 1).max() < 0.12
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.3


@pytest.mark.parametrize("algorithm", ["thompson", "linucb"])
def test_an_allowance_bounds_what_exploring_is_charged_in_its_period_and_allows_nothing_in_another(algorithm):
    rows = stream(1000)  # Five days of 200 events.
    policy = make(algorithm, rate=0.5, budget=1e9)
    policy.allow(NOTHING)
    policy.propose(*part(rows, 0, 200))
    assert policy.account[2] == 0
    policy.allow(Allowance(4.0, period=1.0))
    policy.propose(*part(rows, 200, 400))
    assert 2 < policy.account[0] <= 4
    proposal = policy.propose(*part(rows, 400, 600))  # The next day: it is not for that.
    assert policy.account[0] == 0 and set(proposal.propensity.max(axis=1)) == {1.0}
    policy.allow(EVERYTHING)
    policy.propose(*part(rows, 600, 800))
    assert policy.account[0] > 4


def test_an_account_s_state_goes_on_under_the_allowance():
    rows = stream(400)
    policy = make(rate=0.5, budget=1e9)
    policy.allow(Allowance(3.0, period=0.0))
    policy.propose(*part(rows, 0, 100))
    other = make(rate=0.5, budget=1e9)
    other.restore(policy.state())
    other.allow(Allowance(3.0, period=0.0))
    for one in (policy, other):
        one.propose(*part(rows, 100, 200))
    assert np.array_equal(policy.account, other.account) and policy.account[0] <= 3


def test_what_one_learned_another_decides_with_and_keeps_its_own_account():
    rows = stream(3000)
    teacher, pupil = make(rate=0.3, budget=50.0), make(rate=0.3, budget=50.0)
    teacher.learn(experience(rows, teacher.propose(*rows), shift=2.0, fee=30.0))
    pupil.propose(*part(rows, 0, 500))
    account = pupil.account
    pupil.take(teacher.learned())
    assert np.array_equal(pupil.account, account)
    plain = make(rate=0.0)
    plain.take(teacher.learned())
    own = make(rate=0.0)
    own.restore({**own.state(), **teacher.learned()})
    made, expected = plain.propose(*part(rows, 500, 900)), own.propose(*part(rows, 500, 900))
    assert np.array_equal(made.action, expected.action)
    assert not np.array_equal(made.action, make(rate=0.0).propose(*part(rows, 500, 900)).action)


@pytest.mark.parametrize("wrong", [{}, {"mean": np.zeros(9)}, {"other": np.zeros(1)}])
def test_a_learned_state_of_another_form_is_refused_and_changes_nothing(wrong):
    policy = make()
    before = policy.learned()
    state = {**before, **wrong} if wrong else {}
    with pytest.raises(ValueError, match="learned state"):
        policy.take(state)
    assert all(np.array_equal(before[name], value) for name, value in policy.learned().items())


def test_a_policy_within_thresholds_hands_on_what_the_other_learned_and_its_allowance():
    rows = stream(1000)
    teacher = make()
    teacher.learn(experience(rows, teacher.propose(*rows), shift=2.0))
    bounded = BoundedPolicy(make(rate=0.5, budget=1e9), [None, 0.2, 0.9], CENSORING)
    bounded.take(teacher.learned())
    assert all(np.array_equal(teacher.learned()[name], value) for name, value in bounded.learned().items())
    bounded.allow(Allowance(2.0, period=0.0))
    bounded.propose(*part(rows, 0, 200))
    assert 0 < bounded.account[0] <= 2
    plain = BoundedPolicy(ThresholdPolicy(costs, CENSORING), [None, 0.2, 0.9], CENSORING)
    plain.take({})
    plain.allow(NOTHING)
    assert plain.learned() == {} and plain.account[0] == 0
