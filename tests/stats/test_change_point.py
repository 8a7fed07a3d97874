"""The start of a change is found, with an interval that covers it."""

from __future__ import annotations

import numpy as np

from homeostat.stats.change_point import change_point


def test_the_interval_covers_the_start_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        u = rng.normal(size=120)
        u[90:] += 1.5
        found = change_point(u)
        covered += found.low <= 90 <= found.high
    assert 180 <= covered <= 200


def test_missing_values_count_for_nothing() -> None:
    u = np.array([0.0, 0.1, np.nan, 5.0, np.nan, 5.0])
    assert change_point(u).at in (2, 3)
