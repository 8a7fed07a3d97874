"""Rises of the mean of errors: the incremental wealth against its definition, and what stays silent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat import Detector, detect
from homeostat.stats.detectors.rises import CAUTION, LEARN_MIN, LIMIT_MORE, LIMIT_SHARE, ODDS, SHARES

ERRORS = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), max_size=120)


def highest(values, above):
    """So many standard errors above the mean of the values, from all of them."""
    n, total = len(values), sum(values)
    if n < LEARN_MIN:
        return 1.01
    mean = (total + 1) / (n + 2)
    return min(1.01, mean + above * math.sqrt(mean * (1 - mean) / (n + 2)) + 0.5 / n)


def naive(values, per):
    """Row, start and means of the alarm by the definition: every start of every lane kept apart, nothing summed up."""
    wealth = [[0.0] * 0 for _ in ODDS]
    path, start, assumed, known = [0.0] * len(ODDS), [0] * len(ODDS), [1.0] * len(ODDS), [0] * len(ODDS)
    for row, x in enumerate(values):
        for j, odds in enumerate(ODDS):
            if row > 2 * start[j]:
                path[j], wealth[j] = 0.0, []
            if path[j] <= 1.0:
                path[j], start[j] = 1.0, row
                if row >= known[j] * 1.02:
                    assumed[j], known[j] = highest(values[:row], CAUTION[j]), row
            factor = (1 + (odds - 1) * x) / (1 + (odds - 1) * assumed[j])
            wealth[j] = [w * factor for w in [*wealth[j], SHARES[j]]]
            path[j] *= factor
        sums = [sum(lane) for lane in wealth]
        if sum(sums) > per * (LIMIT_SHARE + LIMIT_MORE * np.mean(values[: row + 1])):
            k = start[int(np.argmax(sums))]
            return row, k, float(np.mean(values[:k])), float(np.mean(values[k : row + 1]))
    return None


@settings(max_examples=60, deadline=None)
@given(ERRORS, st.lists(st.floats(0.5, 1), max_size=40))
def test_wealth_equals_its_naive_twin(before, after):
    values = before + after
    found = detect(np.array(values), kind="error", false_alarms_per=200)
    expected = naive(values, 200)
    assert bool(found) == (expected is not None)
    if expected is not None:
        one = found[0]
        assert (one.row, one.since) == expected[:2] and one.change == "rise"
        assert (one.before, one.after) == pytest.approx(expected[2:])


def test_a_rise_is_found_soon_and_its_beginning_is_named():
    rng = np.random.default_rng(1)
    errors = np.concatenate([rng.random(5000) < 0.05, rng.random(300) < 0.2]) * 1.0
    (found,) = detect(errors)
    assert 5000 <= found.row < 5150 and abs(found.since - 5000) < 50
    assert found.before == pytest.approx(0.05, abs=0.02) and found.after > 0.12


def test_a_fall_is_no_alarm_and_the_rise_that_follows_is_one():
    rng = np.random.default_rng(2)
    errors = np.concatenate([rng.random(n) < p for n, p in ((2000, 0.5), (6000, 0.1), (500, 0.9))]) * 1.0
    assert [8000 <= one.row < 8100 for one in detect(errors)] == [True]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_false_alarms_are_no_more_than_was_asked_for(rate):
    count = sum(
        len(detect((np.random.default_rng([3, seed]).random(100_000) < rate) * 1.0, kind="error")) for seed in range(20)
    )
    assert count <= 24  # The default is 1 in 100,000: 20 at most on average, measured about 16.


def test_more_false_alarms_buy_shorter_delays():
    errors = np.concatenate([np.random.default_rng(4).random(3000) < 0.05, np.random.default_rng(5).random(900) < 0.2])
    rows = []
    for per in (1e5, 1e8, 1e12):
        detector = Detector(false_alarms_per=per)
        rows.append(next(one.row for one in detector.add_all(errors * 1.0) if one.row >= 3000))
    assert rows == sorted(rows) and rows[0] < rows[-1]
