"""The search equals its naive twin, finds what is planted, and seldom shows what is not there."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.stats.slices import ERRORS, Column, candidates, category_column, number_column, worst_segments

SUMS = 1e-7  # Variances are differences of sums: of equal values, the root of a float's error is left.


@st.composite
def tables(draw):
    n = draw(st.integers(0, 40))
    loss = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    widths = draw(st.lists(st.integers(1, 3), max_size=3))
    columns = [
        Column(
            str(i),
            tuple("abc"[:width]),
            np.array(draw(st.lists(st.integers(0, width - 1), min_size=n, max_size=n)), int),
        )
        for i, width in enumerate(widths)
    ]
    return np.array(loss, float), columns


def naive(loss, columns, rows_min):
    """Each segment's rows, mean and score, from the rows themselves."""
    literals = [(i, label) for i, column in enumerate(columns) for label in range(len(column.labels))]
    pairs = [pair for pair in itertools.combinations(literals, 2) if pair[0][0] != pair[1][0]]
    found = {}
    for conditions in [(one,) for one in literals] + pairs:
        inside, outside = [], []
        for row, value in enumerate(loss.tolist()):
            (inside if all(columns[i].code[row] == label for i, label in conditions) else outside).append(value)
        if min(len(inside), len(outside)) < max(rows_min, 2):
            continue
        mean = statistics.fmean(inside)
        error = [(statistics.variance(side) / len(side)) ** 0.5 for side in (inside, outside)]
        parents = [statistics.fmean(loss[columns[i].code == label]) for i, label in conditions]
        score = mean - statistics.fmean(outside) - ERRORS * (error[0] ** 2 + error[1] ** 2) ** 0.5
        better = len(conditions) == 1 or mean - max(parents) - error[0]
        found[conditions] = (len(inside), mean, score, better)
    return found


@pytest.mark.long
@settings(deadline=None, max_examples=80)
@given(tables(), st.integers(0, 4))
def test_the_search_equals_its_naive_twin(table, rows_min):
    loss, columns = table
    ours = {c.conditions: (c.rows, c.mean, c.score) for c in candidates(loss, columns, rows_min)}
    theirs = naive(loss, columns, rows_min)
    assert ours.keys() <= theirs.keys()
    for conditions, (rows, mean, score, better) in theirs.items():
        if conditions in ours:
            assert ours[conditions] == pytest.approx((rows, mean, score), abs=SUMS)
        else:
            assert score < SUMS or better < SUMS
    assert all(theirs[c][2] > -SUMS and theirs[c][3] > -SUMS for c in ours)


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 6).map(float), st.floats(-1e9, 1e9), st.just(float("nan"))), max_size=60),
    st.integers(1, 6),
)
def test_bins_keep_the_order_of_numbers_and_leave_none_out(values, bins):
    values = np.array(values, float)
    column = number_column("x", values, bins)
    assert len(column.code) == len(values) and len(set(column.labels)) <= bins + 1
    known = np.isfinite(values)
    assert ((column.code == len(column.labels) - 1) == ~known).all()
    order = np.argsort(values[known], kind="stable")
    assert (np.diff(column.code[known][order]) >= 0).all()
    distinct = np.unique(values[known])
    if 0 < len(distinct) <= 2 and bins >= 2:
        assert len(np.unique(column.code[known])) == len(distinct)


@pytest.mark.parametrize("rare", [0.0, 9.0])
def test_a_value_that_nearly_all_rows_have_is_a_bin_of_its_own(rare):
    values = np.concatenate([np.full(970, 5.0), rare + np.arange(30) / 100])
    column = number_column("x", values, bins=4)
    usual = column.code[0]
    assert (column.code[:970] == usual).all() and (column.code[970:] != usual).all()


@given(st.lists(st.sampled_from(["a", "b", "c", "other", "not known", None])), st.integers(1, 4))
def test_categories_keep_the_most_frequent_values_apart_from_words_of_ours(values, most):
    column = category_column("k", values, most)
    for value, code in zip(values, column.code, strict=True):
        label = column.labels[code]
        assert label in (("k not known",) if value is None else (f"k = {value}", "k other"))
    kept = [v for v in {v for v in values if v is not None} if f"k = {v}" in column.labels]
    left = {v for v in values if v is not None} - set(kept)
    assert len(kept) <= most and all(values.count(k) >= values.count(v) for k in kept for v in left)


def people_with_columns(rng, people, rows_each, own=0.0):
    """Columns that are the same in all rows of a person, and losses that are partly the person's own."""
    person = np.repeat(np.arange(people), rows_each)
    columns = [Column(f"c{i}", tuple("abcd"), rng.integers(0, 4, people)[person]) for i in range(6)]
    return person, columns, rng.normal(0, 1, people * rows_each) + own * rng.normal(0, 1, people)[person]


@pytest.mark.long
@pytest.mark.parametrize("own", [0.0, 2.0])
def test_where_no_segment_is_worse_one_is_seldom_shown(own):
    rng, runs, wrong = np.random.default_rng(1), 60, 0
    for seed in range(runs):
        person, columns, loss = people_with_columns(rng, 600, 4, own)
        found = worst_segments(loss, columns, person, seed=seed, persons_min=20)
        wrong += any(segment.shown for segment in found)
    assert wrong <= 8  # .05 of 60 and 3 standard errors.


def test_a_segment_of_two_conditions_is_found_with_its_effect():
    rng = np.random.default_rng(2)
    person, columns, loss = people_with_columns(rng, 6_000, 2, own=0.5)
    bad = (columns[1].code == 2) & (columns[4].code == 0)
    found = worst_segments(loss + bad, columns, person, seed=3)
    worst = found[0]
    assert worst.shown and worst.conditions == ("c", "a") and worst.low < 1.0 < worst.low + 0.6
    assert worst.persons >= 50 and worst.rows == 2 * worst.persons


def test_a_segment_of_one_condition_is_not_cut_in_parts():
    rng = np.random.default_rng(4)
    person, columns, loss = people_with_columns(rng, 6_000, 1)
    found = worst_segments(loss + 2.0 * (columns[0].code == 1), columns, person)
    assert found[0].conditions == ("b",) and found[0].shown
    assert not any(s.shown and s.low > found[0].excess for s in found)


def test_the_same_column_twice_is_tested_once():
    rng = np.random.default_rng(5)
    person, columns, loss = people_with_columns(rng, 2_000, 1)
    loss = loss + (columns[0].code == 1)
    once, twice = (worst_segments(loss, c, person) for c in (columns, [*columns, columns[0]]))
    assert all([s.conditions for s in found].count(("b",)) == 1 for found in (once, twice))


def test_few_people_are_no_segment_however_many_rows_they_have():
    rng = np.random.default_rng(6)
    person, columns, loss = people_with_columns(rng, 60, 100)
    assert worst_segments(loss + 5.0 * (columns[0].code == 1), columns, person) == ()


def test_one_persons_loss_is_not_shown_as_a_segments():
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(20):
        person, columns, loss = people_with_columns(rng, 2_000, 1)
        loss[(columns[0].code == 1) & (person < 12)] = 3_000.0
        found = worst_segments(loss, columns, person, seed=seed)
        hits += len(found)
        assert not any(segment.shown for segment in found)
        assert all(s.p == 1.0 for s in found if s.why)
    assert hits


def test_the_same_seed_gives_the_same_segments_and_what_is_not_known_is_left_out():
    rng = np.random.default_rng(8)
    person, columns, loss = people_with_columns(rng, 2_000, 1)
    loss = loss + (columns[3].code == 0)
    found = worst_segments(loss, columns, person, seed=9)
    assert found and found == worst_segments(loss, columns, person, seed=9)
    assert found != worst_segments(loss, columns, person, seed=10)
    unknown = np.concatenate([loss, np.full(50, np.nan)])
    longer = [Column(c.name, c.labels, np.concatenate([c.code, np.zeros(50, int)])) for c in columns]
    assert worst_segments(unknown, longer, np.concatenate([person, np.arange(50)]), seed=9) == found


def test_no_rows_or_no_columns_have_no_segments():
    assert worst_segments(np.empty(0), [number_column("x", np.empty(0))]) == ()
    assert worst_segments(np.arange(500.0), []) == ()
