from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from homeostat.sim.payments.episodes import Episodes, declared_costs, pool_of
from homeostat.sim.payments.risk import CONTEXT, StandInRisk
from homeostat.sim.payments.transactions import PaymentsSpec, generate

if not all(map(find_spec, ("stable_baselines3", "onnx"))):  # Found, not imported: collecting tests takes no seconds.
    pytest.skip("the train extra is not installed", allow_module_level=True)

from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.observation import observation_size, observe
from homeostat.decide.policy.ppo import BLOCK, PpoPolicy, softmax
from homeostat.decide.policy.thresholds import expected_costs
from homeostat.models.training.policy_ppo import PpoSettings, export_actor, train_ppo
from homeostat.records.decisions import Fused
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.sim.payments.env import many_environments
from homeostat.stats.chance import chances

pytestmark = pytest.mark.long  # Importing what trains takes seconds: `make quick` leaves the file out.

CENSORING = (False, False, True)
TINY = PpoSettings(steps=512, environments=8, rollout=16, epochs=1, batch=64, imitation_steps=300, hidden=(16, 16))
SPEC = PaymentsSpec(customers=100, terminals=600, days=20, radius=12.0, terminals_a_day=1, cards_a_day=1)
N = 150


def costs(events, features):
    return declared_costs(events.numbers[:, 0])


@pytest.fixture(scope="module")
def trained():
    pool = pool_of(generate(SPEC, 3), StandInRisk(), 3)
    start = Episodes(pool, 0).observations
    actions = expected_costs(pool.risk, *declared_costs(pool.amount)).argmin(axis=1)
    return lambda: train_ppo(lambda seed, count: many_environments(pool, seed, count), start, actions, 1, TINY, CONTEXT)


@pytest.fixture(scope="module")
def model(trained):
    return trained()


def rows(seed=0):
    rng = np.random.default_rng(seed)
    amount = rng.exponential(60, N)
    seen = np.stack([amount, np.zeros(N), (rng.random(N) < 0.3).astype(float)], 1)
    events = EventBatch(
        np.arange(N), np.arange(N, dtype=np.int64) * 10**12, np.zeros((N, 1), np.int64), amount[:, None],
        np.full(N, np.nan), np.zeros(N, np.uint8),
    )  # fmt: skip
    fused = Fused(rng.beta(0.3, 2, N), np.empty((N, 0)))
    return fused, events, Features(CONTEXT, seen, np.zeros(seen.shape, np.uint8)), chances(seed, np.arange(N))


def test_the_same_seed_trains_the_same_bytes(trained, model):
    assert trained() == model


def test_what_is_exported_is_what_was_trained(model):
    from stable_baselines3 import PPO

    pool = pool_of(generate(SPEC, 3), StandInRisk(), 3)
    agent = PPO("MlpPolicy", many_environments(pool, 1, 2), device="cpu", policy_kwargs={"net_arch": [16, 16]}, seed=2)
    served = PpoPolicy(export_actor(agent.policy, CONTEXT), costs, CENSORING, CONTEXT)
    seen = Episodes(pool, 0).observations[:200].astype(np.float32)
    distribution = agent.policy.get_distribution(agent.policy.obs_to_tensor(seen)[0]).distribution
    logits = served.logits(seen)
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.abs(logits - distribution.logits.detach().numpy()).max() < 1e-6


def test_batches_do_not_change_a_bit(model):
    fused, events, features, chance = rows()
    plan = ExplorationPlan(rate=0.5, budget=5.0, holdout=0.1)
    whole = PpoPolicy(model, costs, CENSORING, CONTEXT, plan)
    expected = whole.propose(fused, events, features, chance)
    assert expected.explored.any()
    for size in (1, 7, BLOCK, BLOCK + 1):
        policy = PpoPolicy(model, costs, CENSORING, CONTEXT, plan)
        for at in range(0, N, size):
            end = min(at + size, N)
            got = policy.propose(
                Fused(fused.risk[at:end], fused.contributions[at:end]), events.slice(at, end), features.slice(at, end),
                chance[at:end],
            )  # fmt: skip
            assert np.array_equal(got.propensity, expected.propensity[at:end])
            assert np.array_equal(got.action, expected.action[at:end])
        assert np.array_equal(policy.account, whole.account)


def test_exploration_mixes_the_softmax_in_and_stays_within_its_budget(model):
    fused, events, features, chance = rows(1)
    policy = PpoPolicy(model, costs, CENSORING, CONTEXT, ExplorationPlan(rate=0.3, budget=1e9))
    logits = policy.logits(observe(fused.risk, features.values, *costs(events, features)))
    expected = 0.3 * softmax(logits, 1.0)
    expected[np.arange(N), logits.argmax(axis=1)] += 0.7
    assert np.abs(policy.propose(fused, events, features, chance).propensity - expected).max() < 1e-12
    tight = PpoPolicy(model, costs, CENSORING, CONTEXT, ExplorationPlan(rate=0.3, budget=0.01))
    tight.propose(fused, events, features, chance)
    assert 0 < tight.account[0] <= 0.01


def test_a_model_of_another_context_is_refused(model):
    with pytest.raises(ValueError, match="trained on"):
        PpoPolicy(model, costs, CENSORING, ("amount",))
    with pytest.raises(ValueError, match="trained on"):
        PpoPolicy(model, costs, CENSORING, ("a", "b", "c"))


def test_the_observation_of_a_row_does_not_depend_on_others():
    fused, events, features, _ = rows(2)
    whole = observe(fused.risk, features.values, *costs(events, features))
    assert whole.shape == (N, observation_size(3, 3))
    single = observe(fused.risk[5:6], features.values[5:6], *costs(events.slice(5, 6), features))
    assert np.array_equal(single[0], whole[5])
    assert np.isfinite(whole).all()


def test_the_payments_policy_is_trained_for_the_context_that_is_served():
    from homeostat.sim.payments.ppo_training import train_payments_policy, training_pool

    longer = replace(SPEC, days=40)
    assert len(training_pool(1, StandInRisk(), worlds=2, spec=longer).risk) > 1000
    pool = pool_of(generate(SPEC, 3), StandInRisk(), 3)
    served = PpoPolicy(train_payments_policy(1, CONTEXT, TINY, pool), costs, CENSORING, CONTEXT)
    assert set(served.propose(*rows(3)).action) <= {0, 1, 2}
    with pytest.raises(ValueError, match="has no weather"):
        train_payments_policy(1, ("weather",))
