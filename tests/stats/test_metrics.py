"""Metrics equal scikit-learn's, and the published protocol's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from homeostat.stats import metrics


@st.composite
def labelled(draw):
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
    label = np.array([float(positive) for positive, _ in rows])
    label[0], label[-1] = 0.0, 1.0
    return label, np.array([score / 6 for _, score in rows])


@pytest.mark.long
@settings(deadline=None)
@given(labelled())
def test_metrics_equal_those_of_scikit_learn_with_ties(rows):
    label, score = rows
    assert metrics.roc_auc(label, score) == pytest.approx(theirs.roc_auc_score(label, score), abs=1e-12)
    assert metrics.average_precision(label, score) == pytest.approx(
        theirs.average_precision_score(label, score), abs=1e-12
    )
    assert metrics.brier(label, score) == pytest.approx(theirs.brier_score_loss(label, score), abs=1e-12)
    held = np.clip(score, 1e-6, 1 - 1e-6)
    assert metrics.log_loss(label, held) == pytest.approx(theirs.log_loss(label, held), abs=1e-12)


def test_metrics_without_both_kinds_are_not_a_number():
    assert np.isnan(metrics.roc_auc(np.ones(3), np.arange(3.0)))
    assert np.isnan(metrics.average_precision(np.zeros(3), np.arange(3.0)))
    assert np.isnan(metrics.roc_auc(np.empty(0), np.empty(0)))
    with pytest.raises(ValueError, match="NaN"):
        metrics.roc_auc(np.array([0.0, 1.0]), np.array([np.nan, 1.0]))


def naive_card_precision(card, day, label, risk, k):
    found, shares = set(), []
    for today in sorted(set(day.tolist())):
        cards = {}
        for c, d, y, r in zip(card.tolist(), day.tolist(), label.tolist(), risk.tolist(), strict=True):
            if d == today and c not in found:
                worst, fraud = cards.get(c, (-np.inf, 0.0))
                cards[c] = (max(worst, r), max(fraud, y))
        top = sorted(cards, key=lambda c: (-cards[c][0], c))[:k]
        hits = {c for c in top if cards[c][1] == 1}
        shares.append(len(hits) / k)
        found |= hits
    return float(np.mean(shares))


@pytest.mark.long
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_card_precision_equals_its_naive_twin(seed, k):
    rng = np.random.default_rng(seed)
    card, day = rng.integers(0, 12, 60), rng.integers(0, 4, 60)
    label, risk = (rng.random(60) < 0.2).astype(float), rng.integers(0, 9, 60) / 9
    assert metrics.card_precision_at_k(card, day, label, risk, k) == naive_card_precision(card, day, label, risk, k)


def test_calibration_error_is_zero_for_shares_and_large_for_shifted_ones():
    rng = np.random.default_rng(3)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(float)
    assert metrics.expected_calibration_error(y, p) < 0.015
    assert metrics.expected_calibration_error(y, p**3) > 0.2
