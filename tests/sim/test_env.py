import numpy as np
import pytest

from homeostat.sim.payments.episodes import Episodes, Pool, pool_of
from homeostat.sim.payments.risk import StandInRisk
from homeostat.sim.payments.transactions import PaymentsSpec, generate

SPEC = PaymentsSpec(customers=300, terminals=600, days=25, radius=12.0, terminals_a_day=1, cards_a_day=1)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return pool_of(generate(SPEC, 3), StandInRisk(), 3)


def _mean_length(pool: Pool, action: int, fraud: bool) -> float:
    episodes = Episodes(pool, 1, count=2000)
    episodes.begin()
    kept = (pool.scenario[episodes.row] > 0) == fraud
    length, open_ = np.zeros(2000), np.ones(2000, dtype=bool)
    for _ in range(6):
        length += open_
        _, ended = episodes.step(np.full(2000, action))
        open_ &= ended == 0
    return float(length[kept].mean())


def test_stopped_frauds_go_on_less_than_successful_ones(pool):
    assert _mean_length(pool, 1, True) < _mean_length(pool, 2, True) < _mean_length(pool, 0, True) - 0.5


def test_only_blocked_customers_come_back(pool):
    assert _mean_length(pool, 0, False) == 1.0 == _mean_length(pool, 1, False)
    assert 1.1 < _mean_length(pool, 2, False) < 1.6


def test_episodes_are_drawn_evenly_by_risk_and_repeat_by_seed(pool):
    one, same = Episodes(pool, 7, count=4000), Episodes(pool, 7, count=4000)
    assert np.array_equal(one.begin(), same.begin())
    assert 0.1 < (pool.risk[one.row] > 0.5).mean() < 0.7 and (pool.risk > 0.5).mean() < 0.1


def test_the_posterior_repairs_the_stand_ins_faults(pool):
    fraud = pool.scenario > 0
    for posterior, bound in ((pool.posterior(), 0.06), (np.clip(pool.risk, 1e-6, 1 - 1e-6), np.inf)):
        logloss = -np.log(np.where(fraud, posterior, 1 - posterior)).mean()
        assert logloss < bound or bound == np.inf
        if bound < np.inf:
            best = logloss
            assert posterior[pool.online == 1].mean() == pytest.approx(fraud[pool.online == 1].mean(), rel=0.05)
    assert best < logloss


@pytest.mark.long
def test_it_is_a_gymnasium_environment(pool):
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from homeostat.sim.payments.env import PaymentsEnv

    env = PaymentsEnv(pool)
    check_env(env, skip_render_check=True)
    first, _ = env.reset(seed=4)
    again, _ = env.reset(seed=4)
    assert np.array_equal(first, again)
    assert all(env.step(action)[1] <= 0 for action in (0, 1, 2))
