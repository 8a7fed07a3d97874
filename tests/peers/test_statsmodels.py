"""Intervals and fits against statsmodels, which brings pandas, SciPy and more: some 250 MB."""

import numpy as np
import pytest

from homeostat.stats.calibration import logistic_fit
from homeostat.stats.intervals import bootstrap_interval, normal_interval

pytestmark = pytest.mark.peers


def heavy_tailed(n, seed):
    return np.random.default_rng(seed).lognormal(1.0, 1.5, n)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 30, 5_000])
def test_a_normal_interval_is_theirs(n, level):
    from statsmodels.stats.weightstats import DescrStatsW

    values = heavy_tailed(n, seed=n)
    ours, theirs = normal_interval(values, level), DescrStatsW(values).zconfint_mean(alpha=1 - level)
    np.testing.assert_allclose((ours.low, ours.high), theirs, rtol=1e-9)


def test_a_bootstrap_interval_is_that_of_scipy_but_for_chance():
    from scipy import stats

    values = heavy_tailed(400, seed=1)
    ours = bootstrap_interval(values, seed=2, resamples=40_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert abs(ours.low - theirs.low) < 0.03 * width and abs(ours.high - theirs.high) < 0.03 * width


@pytest.mark.parametrize("weighted", [False, True])
def test_a_logistic_fit_is_theirs(weighted):
    from statsmodels import api

    rng = np.random.default_rng(5)
    x = rng.normal(size=(3_000, 4)) * [1.0, 50.0, 0.01, 1.0] + [0.0, 300.0, 0.0, -2.0]
    y = (rng.random(len(x)) < 1 / (1 + np.exp(2.0 - x[:, 0] - 100 * x[:, 2]))).astype(float)
    rows = rng.integers(1, 5, len(x)).astype(float) if weighted else np.ones(len(x))
    weights, intercept = logistic_fit(x, y, ridge=1e-12, weight=rows)
    model = api.GLM(y, api.add_constant(x), family=api.families.Binomial(), freq_weights=rows)
    theirs = model.fit(tol=1e-12).params
    np.testing.assert_allclose([intercept, *weights], theirs, rtol=1e-5, atol=1e-6)
