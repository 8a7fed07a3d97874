"""Places among a reference equal those by counting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.stats.place import GRID, places, quantile_grid


@given(st.lists(st.integers(-5, 5), min_size=GRID + 1, max_size=GRID + 1), st.integers(-6, 6))
def test_a_place_is_the_share_below_with_ties_by_half(sample: list[int], value: int) -> None:
    grid = quantile_grid(np.array(sample, float)[:, None])
    into = np.empty((1, 1))
    places(np.array([[float(value)]]), grid, into)
    ordered = np.sort(sample)
    first, last = np.searchsorted(ordered, value), np.searchsorted(ordered, value, "right") - 1
    if last >= first:  # The middle of the quantiles that equal it.
        assert into[0, 0] == (first + last) / 2 / GRID
    elif 0 < first <= GRID:
        assert (first - 1) / GRID < into[0, 0] < first / GRID
    else:
        assert into[0, 0] == (0.0 if first == 0 else 1.0)


def test_places_of_the_past_itself_are_uniform() -> None:
    rng = np.random.default_rng(1)
    sample = rng.lognormal(size=(2000, 3))
    into = np.empty((2000, 3))
    places(rng.lognormal(size=(2000, 3)), quantile_grid(sample), into)
    assert np.abs(into.mean(axis=0) - 0.5).max() < 0.03


def test_an_absent_value_and_a_column_without_values_have_no_place() -> None:
    into = np.empty((1, 2))
    places(np.array([[np.nan, 1.0]]), quantile_grid(np.array([[1.0, np.nan], [2.0, np.nan]])), into)
    assert np.isnan(into).all()
