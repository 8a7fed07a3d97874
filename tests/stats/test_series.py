"""Anomalies in series: causal, however the rows are cut, explained in full, quiet on ordinary rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.records.arrays import Float
from homeostat.stats.series.detector import SeriesDetector, SeriesError, SeriesScores


def _days(rows: int, metrics: int, seed: int = 0) -> tuple[Float, Float]:
    rng = np.random.default_rng(seed)
    times = np.arange(rows) * 300.0
    season = np.sin(2 * np.pi * times / 86_400)[:, None]
    return 10 + season + rng.normal(0, 0.2, (rows, metrics)), times


def _equal(one: SeriesScores, other: SeriesScores, rows: slice) -> None:
    for name in ("score", "flag", "scored", "low", "high", "contributions"):
        np.testing.assert_array_equal(getattr(one, name)[rows], getattr(other, name)[rows], err_msg=name)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=3), st.integers(0, 99), st.booleans())
def test_scores_are_the_same_however_rows_are_cut_and_whatever_comes_later(
    cuts: list[int], seed: int, missing: bool
) -> None:
    values, times = _days(800, 2, seed)
    if missing:
        values[seed::7, 0] = np.nan
    whole = SeriesDetector(2).add_all(values, times)
    cut = SeriesDetector(2)
    at = 0
    for end in [*sorted(cuts), 800]:
        _equal_part(cut.add_all(values[at:end], times[at:end]), whole, at, end)
        at = end
    later = values.copy()
    later[cuts[0] :] += 100.0
    _equal(SeriesDetector(2).add_all(later, times), whole, slice(0, cuts[0]))


def _equal_part(part: SeriesScores, whole: SeriesScores, at: int, end: int) -> None:
    for name in ("score", "flag", "scored", "low", "high", "contributions"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[at:end], err_msg=name)


def test_a_restored_detector_goes_on_bit_for_bit() -> None:
    values, times = _days(900, 3)
    whole = SeriesDetector(3)
    expected = whole.add_all(values, times)
    first, second = SeriesDetector(3), SeriesDetector(3)
    first.add_all(values[:500], times[:500])
    second.restore(first.state())
    _equal_part(second.add_all(values[500:], times[500:]), expected, 500, 900)


def test_contributions_sum_to_the_score_and_name_the_metric() -> None:
    values, times = _days(1500, 5)
    values[1200:1210, 3] += 8.0
    scores = SeriesDetector(5).add_all(values, times)
    np.testing.assert_allclose(scores.contributions.sum(axis=1), scores.score, atol=1e-12)
    assert np.argmax(scores.score[150:]) + 150 == 1200
    assert np.argmax(scores.contributions[1200]) == 3
    assert values[1200, 3] > scores.high[1200, 3]


def test_an_episode_is_flagged_and_ordinary_weeks_are_quiet() -> None:
    values, times = _days(8 * 288 * 7, 1, seed=5)
    values[12_000:12_030] += 6.0
    scores = SeriesDetector(1, alarms_per=2_000).add_all(values, times)
    assert scores.flag[12_000:12_003].any()
    begins = np.flatnonzero(scores.flag & ~np.r_[False, scores.flag[:-1]])
    assert len(begins) <= 1 + 2 * len(values) / 2_000


def test_a_missing_part_of_the_day_is_found_by_its_season() -> None:
    values, times = _days(288 * 14, 1, seed=2)
    day = slice(288 * 12 + 72, 288 * 12 + 130)
    values[day] = 10.0 + np.random.default_rng(9).normal(0, 0.2, (58, 1)) - 0.9
    score = SeriesDetector(1).add_all(values, times).score
    assert score[day].max() > np.delete(score[288 * 3 :], np.arange(day.start, day.stop + 288) - 288 * 3).max()


def test_warm_up_is_a_state_and_no_score() -> None:
    scores = SeriesDetector(1).add_all(_days(200, 1)[0])
    assert not scores.scored[:150].any() and scores.scored[150:].all()
    assert (scores.score[:150] == 0).all() and np.isnan(scores.low[:150]).all()


def test_constant_metrics_missing_ones_and_huge_ones_give_finite_scores() -> None:
    values = np.ones((600, 4))
    values[:, 1] = np.nan
    values[400, 2] = 1e300
    values[300:, 3] = -1e-300
    scores = SeriesDetector(4).add_all(values)
    assert np.isfinite(scores.score).all() and ((scores.score >= 0) & (scores.score <= 1)).all()
    assert np.isfinite(scores.contributions).all()


def test_what_can_not_be_scored_is_refused() -> None:
    with pytest.raises(SeriesError, match="row 1: metric 0 is infinite"):
        SeriesDetector(1).add_all(np.array([[1.0], [np.inf]]))
    with pytest.raises(SeriesError, match="2 metrics"):
        SeriesDetector(2).add_all(np.ones((3, 1)))
    with pytest.raises(SeriesError, match="from 0 to 1"):
        SeriesDetector(1, threshold=2.0)
    with pytest.raises(SeriesError, match="at least one metric"):
        SeriesDetector(0)
    with pytest.raises(SeriesError, match="above 20"):
        SeriesDetector(1, alarms_per=5)
    with pytest.raises(SeriesError, match="does not fit"):
        SeriesDetector(1).restore(SeriesDetector(2).state())
