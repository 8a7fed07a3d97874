"""Figures with their draws: equal to scikit-learn's, weighted and not, and intervals that cover the truth."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.stats import metrics
from homeostat.stats.resampling import KIND_MIN, PERSONS_MIN, People, Sampled, quantile_interval


def rows(n: int = 3_000, people: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People, labels and scores with ties."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.2) * 1.0
    return rng.integers(0, people, n), label, np.round(np.clip(0.3 * rng.random(n) + 0.3 * label, 0, 1), 2)


def test_figures_are_those_of_scikit_learn_in_every_draw() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    person, label, score = rows()
    people = People(person, resamples=20)
    auc, precision = people.ranking(label, score)
    assert auc.value == pytest.approx(sklearn.roc_auc_score(label, score), abs=1e-12)
    assert precision.value == pytest.approx(sklearn.average_precision_score(label, score), abs=1e-12)
    squares, loss = people.mean((score - label) ** 2), sklearn.brier_score_loss
    assert squares.value == pytest.approx(loss(label, score), abs=1e-12)
    for draw, count in enumerate(people.counts()):
        weight = count[people.at]
        assert auc.draws[draw] == pytest.approx(sklearn.roc_auc_score(label, score, sample_weight=weight), abs=1e-12)
        drawn = sklearn.average_precision_score(label, score, sample_weight=weight)
        assert precision.draws[draw] == pytest.approx(drawn, abs=1e-12)
        assert squares.draws[draw] == pytest.approx(loss(label, score, sample_weight=weight), abs=1e-12)


def test_figures_are_those_of_the_metrics() -> None:
    person, label, score = rows()
    people = People(person, resamples=5)
    assert [one.value for one in people.ranking(label, score)] == pytest.approx(metrics.ranking(label, score))
    expected = metrics.expected_calibration_error(label, score)
    assert people.calibration_error(label, score).value == pytest.approx(expected)
    assert people.share(score > 0.3, label == 1.0).value == pytest.approx(np.mean(score[label == 1.0] > 0.3))


def test_each_draw_counts_as_many_people_as_there_are_and_the_same_for_every_figure() -> None:
    person, label, _ = rows()
    people = People(person, seed=3, resamples=7)
    assert [count.sum() for count in people.counts()] == [people.persons] * 7
    again = People(person, seed=3, resamples=7)
    again._kept = None  # As where there are too many people to keep the draws.
    for one, other in zip(people.counts(), again.counts(), strict=True):
        assert (one == other).all()
    nothing = people.mean(label).less(again.mean(label))
    assert nothing.value == 0.0 and not nothing.draws.any()


@pytest.mark.long
def test_intervals_cover_the_truth_about_as_often_as_they_say_with_people_who_come_again() -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(80), 10)
        values = rng.normal(size=80)[person] + rng.normal(size=800)
        low, high = People(person, seed=seed).mean(values).interval()
        covered += low <= 0.0 <= high
    assert 178 <= covered <= 200  # 95 % of 200 is 190; rows taken for independent ones would cover 60 % of them.


def test_a_share_has_an_interval_where_all_draws_agree() -> None:
    people = People(np.arange(200))
    none = people.share(np.zeros(200, bool), np.ones(200, bool))
    low, high = none.interval()
    assert none.value == low == 0.0 and 0.01 < high < 0.05


def test_the_interval_of_a_calibration_error_reaches_down_to_that_of_a_risk_without_error() -> None:
    rng = np.random.default_rng(5)
    risk = rng.random(2_000)
    label = (rng.random(2_000) < risk) * 1.0
    found = People(np.arange(2_000)).calibration_error(label, risk)
    low, high = found.interval()
    assert found.value > 0.01 and low < 0.01 and high >= found.value
    assert People(np.arange(2_000)).calibration_error(label, risk**3).interval()[0] > 0.1


@pytest.mark.parametrize("kind", [0.0, 1.0])
def test_one_kind_of_outcome_alone_has_no_ranking(kind: float) -> None:
    people = People(np.arange(100))
    auc, precision = people.ranking(np.full(100, kind), np.linspace(0, 1, 100))
    assert np.isnan(auc.value) and auc.interval() is None and np.isnan(precision.value) == (kind == 0.0)


def test_few_people_are_not_enough_data() -> None:
    few = People(np.repeat(np.arange(PERSONS_MIN - 1), 30)).mean(np.ones(30 * (PERSONS_MIN - 1)))
    assert few.interval() is None and few.why == f"{PERSONS_MIN - 1} of {PERSONS_MIN} people"
    label = (np.arange(100) < KIND_MIN - 1) * 1.0
    ranked = People(np.arange(100)).ranking(label, np.arange(100.0))[0]
    assert ranked.interval() is None and "with a positive outcome" in ranked.why


def test_no_rows_are_no_figure() -> None:
    people = People(np.zeros(0, np.int64))
    for one in (
        *people.ranking(np.zeros(0), np.zeros(0)),
        people.mean(np.zeros(0)),
        people.calibration_error(np.zeros(0), np.zeros(0)),
    ):
        assert np.isnan(one.value) and one.rows == one.persons == 0 and one.interval() is None


def test_a_difference_lacks_an_interval_where_one_of_both_does() -> None:
    few = Sampled(0.5, np.full(9, 0.5), 9, 9, why="9 of 50 people")
    assert People(np.arange(100)).mean(np.ones(100)).why == ""
    assert few.less(few).interval() is None and few.less(few).value == 0.0


def test_quantiles_cover_the_truth() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        _, low, high = quantile_interval(rng.exponential(size=500), 0.9)
        covered += low <= -np.log(0.1) <= high
    assert 368 <= covered <= 396
    assert quantile_interval(np.array([3.0]), 0.99) == (3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="at least one"):
        quantile_interval(np.zeros(0), 0.5)
