"""Calibration equals scikit-learn's where both do the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from homeostat.stats.calibration import isotonic, logistic_fit, non_negative_logistic_fit, platt
from homeostat.stats.elementary import sigmoid


def rows(seed: int, n: int = 800):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1.0, 5.0, 0.1]
    return x, (rng.random(n) < 1 / (1 + np.exp(2 - x[:, 0] - 0.2 * x[:, 1]))).astype(float)


def test_logistic_fit_equals_that_of_scikit_learn():
    x, y = rows(0)
    weights, intercept = logistic_fit(x, y, ridge=1e-12)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=2000).fit(x, y)
    np.testing.assert_allclose(weights, peer.coef_[0], atol=2e-4)
    np.testing.assert_allclose(intercept, peer.intercept_[0], atol=2e-4)


def test_weighted_rows_count_as_often_as_they_weigh():
    x, y = rows(1, 200)
    twice = logistic_fit(np.vstack([x, x[:50]]), np.append(y, y[:50]), 1e-12)
    weighed = logistic_fit(x, y, 1e-12, np.where(np.arange(200) < 50, 2.0, 1.0))
    np.testing.assert_allclose(twice[0], weighed[0], atol=1e-6)


def test_separable_and_constant_columns_stay_finite():
    x = np.column_stack([np.arange(20.0), np.ones(20)])
    weights, intercept = logistic_fit(x, (x[:, 0] > 9).astype(float), 1e-4)
    assert np.isfinite([*weights, intercept]).all()
    assert weights[1] == 0.0


def test_no_weight_of_a_non_negative_fit_is_negative_and_helpful_ones_stay():
    x, y = rows(2)
    weights, _ = non_negative_logistic_fit(np.column_stack([x[:, :2], -x[:, 0] + 0.1 * x[:, 2]]), y)
    assert weights.min() >= 0.0
    assert weights[0] > 0.5


def test_platt_calibrates():
    x, y = rows(3, 4000)
    score = 3 * (x[:, 0] + 0.2 * x[:, 1]) + 7
    slope, intercept = platt(score, y)
    assert abs(np.mean([sigmoid(slope * s + intercept) for s in score]) - y.mean()) < 1e-3
    assert abs(slope - 1 / 3) < 0.05


@pytest.mark.long
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_isotonic_regression_equals_that_of_scikit_learn(pairs):
    score = np.array([float(s) for s, _ in pairs])
    y = np.array([float(positive) for _, positive in pairs])
    knots, values = isotonic(score, y)
    peer = IsotonicRegression().fit(score, y)
    np.testing.assert_allclose(values, peer.predict(knots), atol=1e-12)
