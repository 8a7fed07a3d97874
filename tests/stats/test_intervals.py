import numpy as np
import pytest

from homeostat.stats.intervals import bootstrap_interval, lower_bound, normal_interval, paired_difference


def test_intervals_cover_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    normal = bootstrap = one_sided = 0
    for trial in range(300):
        sample = rng.exponential(1.0, 200)
        normal += normal_interval(sample).low <= 1 <= normal_interval(sample).high
        resampled = bootstrap_interval(sample, seed=trial, resamples=500)
        bootstrap += resampled.low <= 1 <= resampled.high
        one_sided += lower_bound(sample, 0.95) <= 1
    assert 270 <= normal <= 298 and 270 <= bootstrap <= 298 and 270 <= one_sided


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(50.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 100, 30)
    difference = paired_difference(shared + 1, shared + rng.normal(0, 0.1, 30), seed=0)
    assert 0.9 < difference.low < difference.high < 1.1


def test_one_value_says_nothing_of_its_spread_and_none_is_an_error():
    assert normal_interval([3.0]).high == np.inf
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([], seed=0)
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0], seed=0)
