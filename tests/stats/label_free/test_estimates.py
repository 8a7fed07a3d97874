"""Expected quality beside its naive twin: the mean over drawn labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.stats.label_free.estimates import FIGURES, Costs, expected, ranked, realised
from homeostat.stats.metrics import average_precision, roc_auc

rows_of = st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 1.0)), min_size=1, max_size=7)
labels_of = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(deadline=None)
@given(labels_of)
def test_realised_figures_are_the_usual_ones(rows: list[tuple[int, bool, bool]]) -> None:
    score, label, decided = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    found = realised(ranked(score, decided == 1.0), label)
    hits = float((label * decided).sum())
    positive = float(label.sum() + decided.sum())
    assert found["accuracy"] == pytest.approx(float(np.mean(label == decided)))
    assert found["f1"] == pytest.approx(2 * hits / positive if positive else float("nan"), nan_ok=True)
    assert found["auc"] == pytest.approx(roc_auc(label, score), nan_ok=True)
    assert found["average_precision"] == pytest.approx(average_precision(label, score), nan_ok=True)


@pytest.mark.long
@settings(deadline=None)
@given(rows_of)
def test_expected_sums_are_those_over_all_labels_that_may_come(rows: list[tuple[int, float]]) -> None:
    """Numerators and denominators are compared: the expectation of a ratio is their ratio for large samples only."""
    score, q = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    order, n = ranked(score, score > 2), len(q)
    wins = pairs = precision = right = 0.0
    for mask in range(2**n):
        label = np.array([mask >> k & 1 for k in range(n)], np.float64)
        chance = float(np.prod(np.where(label == 1, q, 1 - q)))
        ones, zeros = label.sum(), n - label.sum()
        pairs += chance * ones * zeros
        wins += chance * ones * zeros * (roc_auc(label, score) if ones and zeros else 0.0)
        precision += chance * ones * (average_precision(label, score) if ones else 0.0)
        right += chance * float(np.mean(label == (score > 2)))
    found = expected(order, q)
    assert found["accuracy"].value == pytest.approx(right)
    if pairs > 1e-6:
        assert found["auc"].value == pytest.approx(wins / pairs, abs=1e-6)
    if q.sum() > 1e-6:
        assert found["average_precision"].value == pytest.approx(min(1.0, precision / q.sum()), abs=1e-9)


def test_the_noise_is_that_of_drawn_labels() -> None:
    rng = np.random.default_rng(3)
    score = np.round(rng.beta(2, 3, 1500), 2)
    q = np.clip(score**1.2, 0.01, 0.99)
    order = ranked(score, score >= 0.5, costs=Costs(1.0, 5.0))
    drawn = [realised(order, (rng.random(1500) < q).astype(np.float64)) for _ in range(800)]
    for name, one in expected(order, q).items():
        seen = np.array([figures[name] for figures in drawn])
        assert abs(seen.mean() - one.value) < 5 * seen.std() / np.sqrt(800)
        assert seen.std() == pytest.approx(np.sqrt(one.variance), rel=0.12)


def test_figures_that_can_not_be_had_are_not_a_number() -> None:
    nothing = expected(ranked(np.empty(0), np.empty(0, bool)), np.empty(0))
    assert all(np.isnan(nothing[name].value) for name in FIGURES)
    one_class = expected(ranked(np.array([0.2, 0.8]), np.array([False, False])), np.zeros(2))
    assert np.isnan(one_class["auc"].value) and np.isnan(one_class["f1"].value)
    assert one_class["accuracy"].value == 1.0
    decided = expected(ranked(np.array([0.0, 1.0]), np.array([False, True]), ranks=False), np.array([0.2, 0.7]))
    assert np.isnan(decided["auc"].value) and decided["accuracy"].value == pytest.approx(0.75)


def test_a_cost_is_that_of_each_kind_of_error() -> None:
    rows = ranked(np.array([0.9, 0.1]), np.array([True, False]), costs=Costs(2.0, 10.0, -1.0))
    assert expected(rows, np.array([0.5, 0.1]))["cost"].value == pytest.approx((0.5 * -1 + 0.5 * 2 + 0.1 * 10) / 2)
