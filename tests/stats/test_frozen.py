"""Many metrics against a frozen training part: what came later never counts, and an episode does not excuse itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat import SeriesDetector
from homeostat.stats.series.detector import SeriesError
from homeostat.stats.series.frozen import ROWS_MIN, freeze

METRICS = 10


def rows(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    load = np.sin(np.arange(n) / 30.0)[:, None]
    return load * np.linspace(0.2, 2.0, METRICS) + rng.normal(0, 0.2, (n, METRICS))


def detector(**options: float) -> SeriesDetector:
    made = SeriesDetector(METRICS, **options)
    assert made.freeze(rows(ROWS_MIN))
    return made


def test_an_episode_stays_strange_to_its_end_and_names_its_metric() -> None:
    test = rows(600, 1)
    test[200:350, 4] += 8.0
    found = detector().add_all(test)
    assert found.score[210:350].min() > 0.9 > 1.5 * found.score[:200].max()
    assert (found.contributions[210:350].argmax(axis=1) == 4).all()
    np.testing.assert_allclose(found.contributions.sum(axis=1), found.score, atol=1e-12)
    assert (test[250, 4] > found.high[250, 4]) and (found.low < found.high).all()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 99))
def test_scores_of_a_prefix_are_the_prefix_of_the_scores_however_rows_are_cut(cuts: list[int], later: int) -> None:
    test = rows(sum(cuts), 2)
    whole, by_parts, at = detector().add_all(test), detector(), 0
    for cut in cuts:
        found = by_parts.add_all(test[at : at + cut])
        assert np.array_equal(found.score, whole.score[at : at + cut])
        assert np.array_equal(found.contributions, whole.contributions[at : at + cut])
        at += cut
    other = np.concatenate([test, rows(5, later) * 50.0])
    assert np.array_equal(detector().add_all(other).score[: len(test)], whole.score)


def test_missing_values_and_still_metrics_are_no_alarm() -> None:
    train, test = rows(ROWS_MIN), rows(200, 3)
    train[:, 7], test[:, 7] = 5.0, 5.0
    train[::3, 2], test[::2, 2], train[:, 9], test[:, 9] = np.nan, np.nan, np.nan, np.nan
    made = SeriesDetector(METRICS)
    assert made.freeze(train)
    quiet = made.add_all(test).score
    assert np.isfinite(quiet).all() and quiet.max() < 0.75
    test[100:, 7] = 6.0
    again = SeriesDetector(METRICS)
    again.freeze(train)
    assert again.add_all(test).contributions[120].argmax() == 7


def test_few_metrics_or_rows_keep_their_own_past() -> None:
    assert not SeriesDetector(3).freeze(rows(ROWS_MIN)[:, :3])
    assert not SeriesDetector(METRICS).freeze(rows(ROWS_MIN - 1))
    with pytest.raises(SeriesError, match="no state"):
        detector().state()


def test_a_threshold_flags_and_the_usual_distances_are_of_the_newer_half() -> None:
    found = detector(threshold=0.3).add_all(rows(300, 5))
    assert np.array_equal(found.flag, found.score >= 0.3)
    assert (freeze(rows(ROWS_MIN)).usual > 0).all()
