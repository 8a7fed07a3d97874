"""The space, the folds and the metrics of tuning."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.models.training_set import NothingToLearn
from homeostat.models.tuning.folds import WEEK_NS, spans
from homeostat.models.tuning.measures import Judged, measure
from homeostat.models.tuning.space import chosen_from, grid_point, grid_size, ranged
from homeostat.models.tuning.trials import NoneFits, State, Tried, best_of


@given(st.integers(0, 2**40), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_a_grid_names_each_of_its_points_once(seed: int, sizes: list[int]) -> None:
    space = [chosen_from(f"d{k}", 0, range(size)) for k, size in enumerate(sizes)]
    size = grid_size(space)
    assert len({tuple(grid_point(space, number, seed).items()) for number in range(size)}) == size


@given(st.floats(1e-3, 1e3), st.floats(1.01, 100), st.booleans(), st.floats(0, 1))
def test_a_value_and_its_share_of_the_way_name_each_other(low: float, factor: float, log: bool, unit: float) -> None:
    one = ranged("a.b", low, low, low * factor, log=log)
    value = one.at(unit)
    assert one.low <= value <= one.high and one.unit(float(value)) == pytest.approx(unit, abs=1e-6)


def test_a_range_holds_the_value_of_the_app_file() -> None:
    assert (ranged("a.b", 500, 50, 300, log=True, whole=True).high, ranged("a.b", 0.0, 0.1, 1.0, log=True).log) == (
        500,
        False,
    )
    assert 500 in ranged("a.b", 500, 50, 300, whole=True).grid()


def test_folds_are_a_week_each_end_where_outcomes_are_known_and_follow_each_other() -> None:
    day = 86_400 * 10**9
    found = spans(0, 100 * day, 7 * day, 3, None)
    assert [span.end_ns - span.start_ns for span in found] == [WEEK_NS] * 3 and found[-1].end_ns == 93 * day
    assert all(one.end_ns == other.start_ns for one, other in pairwise(found))
    assert len(spans(0, 30 * day, 7 * day, 3, 6 * day)) == 2  # Before the first of three, nothing teaches.
    with pytest.raises(NothingToLearn, match=r"14\.0 days is too short .* more than 14\.0 days: .* need 7\.0 days"):
        spans(0, 14 * day, 7 * day, 3, None)


def test_the_cost_is_that_of_the_cheapest_action_by_the_risk() -> None:
    y, risk = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.05, 0.05])
    positive, negative = np.array([[10.0, 0.0]] * 3), np.array([[0.0, 1.0]] * 3)
    assert measure("cost", Judged(y, risk, positive, negative)) == pytest.approx((0.0 + 0.0 + 10.0) / 3)


def test_the_best_of_equals_is_the_earliest_and_none_fits_without_a_complete_one() -> None:
    def trial(number: int, value: float | None, excess: float = 0.0, state: State = State.COMPLETE) -> Tried:
        return Tried(number, number, state, value, {}, (excess,), {"broken": "size 9, at most 5"})

    assert best_of([trial(0, 1.0), trial(1, 2.0), trial(2, 2.0), trial(3, 3.0, 0.1)], higher=True).number == 1
    assert best_of([trial(0, 1.0), trial(1, 2.0)], higher=False).number == 0
    with pytest.raises(NoneFits, match="the nearest, 1: size 9, at most 5"):
        best_of([trial(0, 9.0, 0.5), trial(1, 1.0, 0.1)], higher=True)
    with pytest.raises(NoneFits, match="no trial came to its end"):
        best_of([trial(0, 1.0, state=State.PRUNED)], higher=True)
