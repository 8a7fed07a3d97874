"""Models of the normal course: they keep to their budget, find what is odd, and anomalies do not spoil them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models.metric_rows import HOSTS, METRICS, NAMES, metric_rows

from homeostat.decide.scorers.build import check_categories, serve_part
from homeostat.models.training.bundles import features_of, train_bundle, train_part
from homeostat.models.training.extras import BadSetting
from homeostat.models.training.normal import rows_a_day
from homeostat.models.training_set import FusionTask, NothingToLearn, ScorerTask, TrainingSet

BY_HOST = {"series": "host", "hour": "hour", "weekday": "weekday"}
TASKS = {
    "reconstruction": ScorerTask("rebuilt", "reconstruction", METRICS),
    "profile": ScorerTask("course", "profile", METRICS, BY_HOST),
}


def trained(task: ScorerTask, rows: TrainingSet):
    part = train_part(task, rows, 0)
    check_categories(task.name, part, rows.categories)
    return serve_part(task.name, part, rows.names)


def scores_of(scorer, rows: TrainingSet):
    return scorer.score(features_of(rows.names, rows.x))[0]


@pytest.mark.parametrize("kind", TASKS)
def test_clean_weeks_keep_to_the_budget_and_anomalies_are_found(kind: str) -> None:
    scorer = trained(TASKS[kind], metric_rows())
    clean = scores_of(scorer, metric_rows(seed=1)) >= 0.5
    assert clean.sum() <= 3 * 14 * 0.1 * 3  # Thrice the budget of .1 a series and day.
    odd = metric_rows(seed=2, anomalies=5, labelled=True)
    found = scores_of(scorer, odd)[odd.y == 1.0]
    assert np.mean(found >= 0.5) > (0.6 if kind == "profile" else 0.25)
    assert np.median(found) > 50 * np.median(scores_of(scorer, odd)[odd.y == 0.0])


@pytest.mark.parametrize("kind", TASKS)
def test_anomalies_among_the_training_rows_do_not_spoil_the_model(kind: str) -> None:
    odd = metric_rows(seed=2, anomalies=5, labelled=True)
    from_clean, from_spoiled = (trained(TASKS[kind], metric_rows(anomalies=count)) for count in (0, 5))
    asked = features_of(NAMES, odd.x)
    for truth, apart in ((0.0, 0.01), (1.0, 0.15)):
        flagged = [np.mean(scorer.raw(asked)[odd.y == truth] >= 0.0) for scorer in (from_clean, from_spoiled)]
        assert abs(flagged[0] - flagged[1]) < apart


@pytest.mark.parametrize("kind", TASKS)
def test_known_anomalies_do_not_move_the_level(kind: str) -> None:
    rows = metric_rows(anomalies=20, labelled=True)
    unlabelled = replace(rows, y=np.full(len(rows), np.nan))
    odd = metric_rows(seed=2, anomalies=5, labelled=True)
    told, untold = (scores_of(trained(TASKS[kind], given), odd)[odd.y == 1.0] for given in (rows, unlabelled))
    assert np.mean(told >= 0.5) >= np.mean(untold >= 0.5)


def test_a_profile_knows_each_series_its_hours_and_weekends() -> None:
    part = train_part(TASKS["profile"], metric_rows(days=21), 0)
    cpu = part.arrays["location"][:, :, 0]
    host = {name: 1 + int(np.searchsorted(part.arrays["codes"], code)) for name, code in HOSTS.items()}
    at_three_on = {"wednesday": 2 * 24 + 15, "sunday": 6 * 24 + 15}
    assert cpu[host["h0"], at_three_on["wednesday"]] == pytest.approx(80, abs=3)
    assert cpu[host["h0"], at_three_on["sunday"]] == pytest.approx(50, abs=3)
    assert cpu[host["h2"], at_three_on["wednesday"]] == pytest.approx(100, abs=3)


def test_a_series_that_training_never_saw_has_the_course_of_all_together() -> None:
    scorer = trained(TASKS["profile"], metric_rows())
    unknown = np.array([[60.0, 180.0, 45.0, 20.0, 12345.0, 12.0, 6.0]])
    low, high = scorer.bands(features_of(NAMES, unknown))
    assert low[0, 0] < 60 < high[0, 0]
    known = unknown.copy()
    known[0, 4] = HOSTS["h0"]
    low_known, high_known = scorer.bands(features_of(NAMES, known))
    assert np.isnan(low[0, 4:]).all() and (low[0, :4] < high[0, :4]).all()
    assert high_known[0, 0] - low_known[0, 0] < high[0, 0] - low[0, 0]


def test_a_metric_without_a_season_gets_none() -> None:
    part = train_part(TASKS["profile"], metric_rows(), 0)
    memory = part.arrays["location"][1, :, METRICS.index("memory")]
    cpu = part.arrays["location"][1, :, METRICS.index("cpu")]
    assert np.ptp(memory) < 1.0
    assert np.ptp(cpu) > 50.0


def test_trained_beside_outcomes_a_fusion_weighs_them_and_their_parts_are_saved_once() -> None:
    rows = metric_rows(days=6, anomalies=4, labelled=True)
    bundle = train_bundle(rows, list(TASKS.values()), FusionTask(), serve_part, folds=2)
    assert set(bundle.parts) == {"scorer.rebuilt", "scorer.course", "fusion"}
    assert bundle.about["out_of_fold"]["course"]["average_precision"] > 0.8


def test_without_outcomes_they_are_trained_with_declared_weights() -> None:
    bundle = train_bundle(metric_rows(days=4), list(TASKS.values()), FusionTask("weighted"), serve_part)
    assert set(bundle.parts) == {"scorer.rebuilt", "scorer.course"}


def test_rows_of_young_series_have_no_score_and_no_part_in_the_fusion() -> None:
    rows = metric_rows(days=6, anomalies=4, labelled=True)
    age = np.where(np.arange(len(rows)) < 300, 0.0, 1e6)
    rows = replace(rows, names=(*NAMES, "age"), x=np.column_stack([rows.x, age]))
    task = ScorerTask("rebuilt", "reconstruction", METRICS, {"history": "age", "history_min": 3600})
    scorer = trained(task, rows)
    score, confidence = scorer.score(features_of(rows.names, rows.x))
    assert np.isnan(score[:300]).all() and (confidence[:300] == 0).all()
    assert not np.isnan(score[300:]).any()
    bundle = train_bundle(rows, [task], FusionTask(), serve_part, folds=2)
    assert np.isfinite(bundle.parts["fusion"].arrays["weights"]).all()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (ScorerTask("a", "profile", METRICS, {"hour": "our"}), "no feature 'our'"),
        (ScorerTask("a", "profile", METRICS, {"weekday": "weekday"}), "beside hour"),
        (ScorerTask("a", "reconstruction", ("cpu", "host")), "host are categories"),
        (ScorerTask("a", "reconstruction", METRICS, {"kept": 2.0}), "kept at most 1"),
        (ScorerTask("a", "reconstruction", METRICS, {"alarms": 0}), "alarms"),
        (ScorerTask("a", "profile", ("hour",), {"hour": "hour"}), "needs a feature"),
    ],
)
def test_settings_that_cannot_work_are_refused(task: ScorerTask, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        train_part(task, metric_rows(days=1), 0)


def test_a_handful_of_rows_teaches_nothing() -> None:
    with pytest.raises(NothingToLearn, match="at least 50 rows"):
        train_part(TASKS["reconstruction"], metric_rows(days=1).rows(np.arange(20)), 0)


def test_all_features_but_categories_are_metrics_where_none_are_named() -> None:
    part = train_part(ScorerTask("a", "reconstruction"), metric_rows(days=1), 0)
    assert part.settings["metrics"] == [*METRICS, "hour", "weekday"]


def test_rows_a_day_are_counted_within_series() -> None:
    rows = metric_rows(days=2)
    assert rows_a_day(rows.time_ns, rows.groups) == pytest.approx(144.0)
    assert rows_a_day(np.zeros(5, np.int64), np.zeros(5, np.int64)) == 5.0
