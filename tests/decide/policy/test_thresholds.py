import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.policy.thresholds import FixedThresholdPolicy, Holdout, ThresholdPolicy, expected_costs
from homeostat.records.decisions import Fused
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.stats.chance import chances

CENSORING = (False, False, True)


def batch(amount: np.ndarray) -> tuple[EventBatch, Features]:
    n = len(amount)
    events = EventBatch(
        np.arange(n), np.zeros(n, np.int64), np.zeros((n, 1), np.int64), amount[:, None], np.full(n, np.nan),
        np.zeros(n, np.uint8),
    )  # fmt: skip
    return events, Features((), np.empty((n, 0)), np.empty((n, 0), np.uint8))


def payment_costs(events: EventBatch, features: Features) -> tuple[np.ndarray, np.ndarray]:
    amount = events.numbers[:, 0]
    zero = np.zeros(len(amount))
    positive = np.stack([amount, 0.25 * amount + 0.5, zero], axis=1)
    return positive, np.stack([zero, zero + 0.5, 0.1 * amount + 5], axis=1)


def fused(risk: np.ndarray) -> Fused:
    return Fused(risk, np.empty((len(risk), 0)))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=30))
@settings(deadline=None)
def test_the_action_is_the_cheapest_one_by_hand(rows):
    risk, amount = np.array(rows).T
    policy = ThresholdPolicy(payment_costs, CENSORING)
    proposal = policy.propose(fused(risk), *batch(amount), chances(0, np.arange(len(rows))))
    for row in range(len(rows)):
        r, a = risk[row], amount[row]
        costs = [r * a, r * (0.25 * a + 0.5) + (1 - r) * 0.5, (1 - r) * (0.1 * a + 5)]
        assert costs[proposal.action[row]] <= min(costs) + 1e-9
    assert (proposal.propensity.sum(axis=1) == 1).all()


def test_ties_go_to_the_first_action():
    def equal(events, features):
        return np.ones((len(events), 3)), np.ones((len(events), 3))

    proposal = ThresholdPolicy(equal, CENSORING).propose(
        fused(np.array([0.5])), *batch(np.ones(1)), np.ones((1, 2)) / 2
    )
    assert proposal.action.tolist() == [0]


def test_the_holdout_lets_its_share_of_blocked_events_through_and_logs_its_propensities():
    n = 20_000
    policy = FixedThresholdPolicy((0.2, 0.7), CENSORING, holdout=0.1)
    risk = np.tile([0.1, 0.5, 0.9], n // 3 + 1)[:n]
    proposal = policy.propose(fused(risk), *batch(np.ones(n)), chances(1, np.arange(n)))
    blocked = risk > 0.7
    assert proposal.explored[blocked].mean() == pytest.approx(0.1, abs=0.01)
    assert not proposal.explored[~blocked].any()
    assert np.unique(proposal.propensity[blocked], axis=0).tolist() == [[0.1, 0.0, 0.9]]
    assert np.array_equal(proposal.action[~blocked], (risk[~blocked] > 0.2).astype(int))
    assert set(proposal.action[blocked]) == {0, 2}


def test_without_a_visible_action_there_is_no_holdout():
    proposal = Holdout((True, True), 0.5).apply(np.array([0, 1]), np.zeros(2))
    assert proposal.propensity.tolist() == [[1, 0], [0, 1]]


def test_wrong_cut_offs_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        FixedThresholdPolicy((0.7, 0.2), CENSORING)


def test_batches_do_not_matter():
    rng = np.random.default_rng(0)
    risk, amount = rng.random(200), rng.exponential(50, 200)
    draws = chances(3, np.arange(200))
    events, features = batch(amount)
    policy = ThresholdPolicy(payment_costs, CENSORING, holdout=0.3)
    whole = policy.propose(fused(risk), events, features, draws)
    for start in range(0, 200, 7):
        part = slice(start, start + 7)
        got = policy.propose(
            fused(risk[part]), events.slice(start, start + 7), features.slice(start, start + 7), draws[part]
        )
        assert np.array_equal(got.propensity, whole.propensity[part])
        assert np.array_equal(got.action, whole.action[part])


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(st.floats(0, 1) | NUMBERS, *[NUMBERS] * 6, st.floats(0, 1)), max_size=8), st.floats(0, 1))
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_the_compiled_choice_is_that_of_the_expected_costs(rows, share):
    table = np.array(rows, np.float64).reshape(-1, 8)
    risk, positive, negative = table[:, 0].copy(), table[:, 1:4].copy(), table[:, 4:7].copy()
    chance = np.stack([np.zeros(len(table)), table[:, 7]], axis=1)
    greedy = expected_costs(risk, positive, negative).argmin(axis=1)
    eligible = np.array(CENSORING)[greedy] & (share > 0)
    replaced = eligible & (table[:, 7] < share)
    proposal = Holdout(CENSORING, share).least(risk, positive, negative, chance)
    assert proposal.action.tolist() == np.where(replaced, 0, greedy).tolist()
    assert proposal.explored.tolist() == replaced.tolist()
    expected = np.zeros((len(table), 3))
    expected[np.arange(len(table)), greedy] = np.where(eligible, 1.0 - share, 1.0)
    expected[eligible, 0] = share
    assert proposal.propensity.tobytes() == expected.tobytes()
