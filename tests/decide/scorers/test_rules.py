"""Rules as a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.expressions import ExpressionError, Type
from homeostat.records.features import Features

NAMES = ("amount", "unused", "night", "ratio")
TYPES = (Type.NUMBER, Type.NUMBER, Type.BOOLEAN, Type.NUMBER)
RULES = [
    ScoreRule("large", "amount > 220", 0.9),
    ScoreRule("odd", "night and ratio > 3", 0.5),
    ScoreRule("never", "ratio > 1e9", 1.0),
    ScoreRule("nothing", "amount > 0", 0.0),
]


def features(rows) -> Features:
    values = np.array(rows, dtype=np.float64).reshape(-1, len(NAMES))
    return Features(NAMES, values, np.zeros(values.shape, np.uint8))


cell = st.one_of(st.floats(-1e3, 1e10), st.just(np.nan))
batches = st.lists(st.tuples(cell, cell, st.sampled_from([0.0, 1.0, np.nan]), cell), max_size=5)


@settings(deadline=None)  # The first example waits for the kernel.
@given(batches)
def test_score_is_one_minus_the_product_of_doubts(rows):
    scores, confidence = RulesScorer("rules", RULES, NAMES, TYPES).score(features(rows))
    for (amount, _, night, ratio), score in zip(rows, scores):
        held = [amount > 220, night == 1 and ratio > 3, ratio > 1e9, amount > 0]
        doubt = 1.0
        for rule, holds in zip(RULES, held):
            doubt *= 1 - rule.score * holds
        assert score == 1 - doubt
    assert (confidence == 1).all() and confidence.shape == scores.shape == (len(rows),)


@settings(deadline=None)  # The first example waits for the kernel.
@given(batches)
def test_contributions_sum_to_the_score_by_rule_and_by_feature(rows):
    scorer = RulesScorer("rules", RULES, NAMES, TYPES)
    batch = features(rows)
    scores = scorer.score(batch)[0]
    by_feature, baseline = scorer.contributions(batch)
    np.testing.assert_allclose(scorer.rule_contributions(batch).sum(axis=1), scores, atol=1e-12)
    np.testing.assert_allclose(by_feature.sum(axis=1) + baseline, scores, atol=1e-12)
    assert by_feature.shape == (len(rows), len(NAMES))
    assert (by_feature[:, 1] == 0).all()


@settings(deadline=None)  # The first example waits for the kernel.
@given(batches)
def test_a_row_scores_the_same_alone(rows):
    scorer = RulesScorer("rules", RULES, NAMES, TYPES)
    alone = [scorer.score(features([row]))[0][0] for row in rows]
    assert scorer.score(features(rows))[0].tolist() == alone


def test_categories_are_compared_as_text():
    scorer = RulesScorer("rules", [ScoreRule("web", "channel == 'web'", 0.3)], ("channel",), (Type.CATEGORY,))
    from homeostat.records.identity import category_code

    values = np.array([[category_code("web")], [category_code("shop")], [np.nan]])
    scores = scorer.score(Features(("channel",), values, np.zeros((3, 1), np.uint8)))[0]
    np.testing.assert_allclose(scores, [0.3, 0.0, 0.0])


def test_what_is_no_rule_is_refused():
    for when in ("amount", "amuont > 3", "hour(time) > 3", "1 < 2"):
        with pytest.raises(ExpressionError):
            RulesScorer("rules", [ScoreRule("bad", when, 0.5)], NAMES, TYPES)
    with pytest.raises(ValueError, match="lies in"):
        RulesScorer("rules", [ScoreRule("bad", "amount > 1", 1.5)], NAMES, TYPES)


def test_other_features_are_refused():
    with pytest.raises(ValueError, match="other features"):
        RulesScorer("rules", RULES, NAMES, TYPES).score(Features(("a",), np.ones((1, 1)), np.zeros((1, 1), np.uint8)))
