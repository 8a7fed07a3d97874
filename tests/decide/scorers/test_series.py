"""Served models of the normal course: parts sum to the output, batches do not matter, gaps are no alarms."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.metric_rows import METRICS, NAMES, metric_rows

from homeostat.decide.contracts import AbstainingScorer, ContributingScorer
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.scorers.series import SeriesScorer
from homeostat.models.training.bundles import features_of, train_part
from homeostat.models.training_set import ScorerTask
from homeostat.records.parts import Part, PartError
from homeostat.records.reasons import Fallback

KINDS = ("reconstruction", "profile")


@cache
def part_of(kind: str) -> Part:
    settings_ = {"series": "host", "hour": "hour", "weekday": "weekday"} if kind == "profile" else {}
    return train_part(ScorerTask("odd", kind, METRICS, settings_), metric_rows(days=8), 0)


def scorer_of(kind: str) -> SeriesScorer:
    return SeriesScorer("odd", part_of(kind), NAMES)


@cache
def rows() -> np.ndarray:
    x = metric_rows(days=2, seed=3, anomalies=4).x[:400].copy()
    x[np.random.default_rng(0).random(x.shape) < 0.05] = np.nan
    x[7, :4], x[8, 0], x[9, 1] = np.nan, 1e12, -np.inf
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_parts_and_baseline_sum_to_the_raw_output(kind: str) -> None:
    scorer, asked = scorer_of(kind), features_of(NAMES, rows())
    parts, baseline = scorer.contributions(asked)
    np.testing.assert_allclose(parts.sum(axis=1) + baseline, scorer.raw(asked), atol=1e-9, rtol=0)
    assert (parts >= 0).all()
    assert not parts[:, len(METRICS) :].any()
    assert isinstance(scorer, ContributingScorer) and isinstance(scorer, AbstainingScorer)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.integers(0, 399), min_size=1, max_size=30))
def test_a_row_has_the_same_bits_in_any_batch(kind: str, chosen: list[int]) -> None:
    scorer, whole = scorer_of(kind), features_of(NAMES, rows())
    together = scorer.score(whole)[0]
    alone = scorer.score(features_of(NAMES, rows()[chosen]))[0]
    assert np.array_equal(alone, together[chosen], equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_metric_says_nothing_and_a_row_without_any_has_no_score(kind: str) -> None:
    scorer, x = scorer_of(kind), rows().copy()
    score, confidence = scorer.score(features_of(NAMES, x))
    assert np.isnan(score[7]) and confidence[7] == 0.0
    assert np.isfinite(np.delete(score, 7)).all()
    x[8, 0] = np.nan
    assert scorer.score(features_of(NAMES, x))[0][8] < score[8] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_metric_that_is_odd_has_the_largest_part_and_lies_outside_of_its_band(kind: str) -> None:
    scorer = scorer_of(kind)
    x = metric_rows(days=2, seed=4).x[:3].copy()
    x[0, 3] += 400.0
    asked = features_of(NAMES, x)
    parts, _ = scorer.contributions(asked)
    low, high = scorer.bands(asked)
    assert parts[0].argmax() == 3 and x[0, 3] > high[0, 3]
    assert (x[1:, :4] >= low[1:, :4]).all() and (x[1:, :4] <= high[1:, :4]).all()


def test_no_opinion_is_no_failure_unless_nobody_has_one() -> None:
    errors: list[str] = []
    panel = Panel([Seat(scorer_of("profile"))], None, lambda name, error: errors.append(name))
    scores = panel.score(features_of(NAMES, rows()))
    assert np.isnan(scores.values[7, 0])
    assert scores.fallback[7] == Fallback.SCORERS_ABSENT and not np.delete(scores.fallback, 7).any()
    assert errors == [] and panel.troubles() == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["up", "down", "total", "level"])
def test_damaged_tails_are_refused(kind: str, what: str) -> None:
    part = part_of(kind)
    for damaged in (None, np.full_like(part.arrays[what], np.nan), part.arrays[what][:0]):
        arrays = {name: array for name, array in part.arrays.items() if name != what}
        with pytest.raises(PartError, match=what):
            SeriesScorer("odd", replace(part, arrays=arrays if damaged is None else {**arrays, what: damaged}), NAMES)


@pytest.mark.parametrize(
    ("kind", "what", "value", "words"),
    [
        ("reconstruction", "scale", np.zeros(4), "positive"),
        ("reconstruction", "weights", np.eye(4), "rebuilt of itself"),
        ("profile", "codes", np.zeros(3), "ascend"),
        ("profile", "spread", np.zeros((4, 168, 4)), "positive"),
        ("profile", "up", -np.cumsum(np.ones((4, 10)), axis=1), "tails"),
    ],
)
def test_damaged_arrays_are_refused(kind: str, what: str, value: np.ndarray, words: str) -> None:
    part = part_of(kind)
    with pytest.raises(PartError, match=words):
        SeriesScorer("odd", replace(part, arrays={**part.arrays, what: value}), NAMES)


@pytest.mark.parametrize(
    "damaged", [{"metrics": "cpu"}, {"metrics": []}, {"hour": 3}, {"hour": "nothing"}, {"history_min": "x"}]
)
def test_damaged_settings_are_refused(damaged: dict[str, object]) -> None:
    part = part_of("profile")
    with pytest.raises(PartError):
        SeriesScorer("odd", replace(part, settings={**part.settings, **damaged}), NAMES)


def test_another_kind_is_refused() -> None:
    with pytest.raises(PartError, match="no model of metrics"):
        SeriesScorer("odd", replace(part_of("profile"), kind="network"), NAMES)
