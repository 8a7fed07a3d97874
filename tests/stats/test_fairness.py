"""Figures by group equal Fairlearn's and their naive twin's, and a verdict is wrong as seldom as it says."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.groups import NAMES, compared, decisions

from homeostat.records.verdicts import Verdict
from homeostat.stats.fairness import (
    MEASURES,
    SHARES,
    Bound,
    Decided,
    apart,
    assess,
    calibration_curves,
    figures,
    grouped,
)
from homeostat.stats.intervals import Interval, difference_of, ratio_of, share_interval

RECORDED = json.loads((Path(__file__).parent / "fairlearn.json").read_text())


CASES = [("plain", 4_000, 1, False), ("weighted", 3_000, 2, True), ("few", 60, 3, False)]


@pytest.mark.parametrize(("name", "n", "seed", "weighted"), CASES)
def test_figures_are_those_that_fairlearn_gave_on_the_same_data(name, n, seed, weighted):
    ours, recorded = figures(decisions(n, seed, weighted), persons_min=1), dict(RECORDED[name])
    odds = recorded.pop("equalised_odds")
    for measure, values in recorded.items():
        mine = compared(ours, measure)
        np.testing.assert_allclose([f.value for f in mine], values["groups"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(apart(mine)[0], values["difference"], rtol=1e-9, atol=1e-12)
        if measure in SHARES:
            np.testing.assert_allclose(apart(mine)[1], values["ratio"], rtol=1e-9, atol=1e-12)
    parity = recorded["selection_rate"]["named"]
    np.testing.assert_allclose(apart(compared(ours, "selection_rate")), parity, rtol=1e-9)
    assert max(apart(compared(ours, measure))[0] for measure in SHARES[1:]) == pytest.approx(odds, abs=1e-12)


@st.composite
def decided(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(-1, 2),
                st.booleans(),
                st.sampled_from([0.0, 1.0, float("nan")]),
                st.integers(0, 4),
                st.sampled_from([0.5, 2.0, float("nan")]),
                st.integers(0, 5),
                st.sampled_from([1.0, 4.0]),
            ),
            max_size=40,
        )
    )
    group, selected, label, probability, cost, person, weight = (list(c) for c in zip(*rows)) if rows else [[]] * 7
    return Decided(
        ("a", "b", "c"),
        np.array(group, np.int64),
        np.array(selected, np.bool_),
        np.array(label, float),
        np.array(probability, float) / 4,
        np.array(cost, float),
        np.array(person, np.int64),
        np.array(weight, float),
    )


def naive(data, measure, group):
    """Value, rows and people, row by row."""
    top = below = 0.0
    rows, people = 0, set()
    for i in range(len(data.group)):
        label, weight, cost = float(data.label[i]), float(data.weight[i]), float(data.cost[i])
        if data.group[i] != group:
            continue
        if measure == "cost_per_person":
            if cost == cost:
                top, rows = top + weight * cost, rows + 1
                people.add(int(data.person[i]))
            continue
        wanted = {
            "selection_rate": True,
            "calibration": label == label,
            "true_positive_rate": label == 1,
            "false_positive_rate": label == 0,
        }[measure]
        if wanted:
            value = float(data.probability[i]) - label if measure == "calibration" else float(data.selected[i])
            top, below, rows = top + weight * value, below + weight, rows + 1
            people.add(int(data.person[i]))
    below = len(people) if measure == "cost_per_person" else below
    return (top / below if below else float("nan")), rows, len(people)


@settings(deadline=None, max_examples=50)
@given(decided())
def test_figures_equal_their_naive_twin(data):
    found = figures(data, persons_min=3)
    assert [(f.measure, f.group) for f in found] == [(m, g) for m in MEASURES for g in data.names]
    for figure in found:
        value, rows, people = naive(data, figure.measure, data.names.index(figure.group))
        assert figure.value == pytest.approx(value, abs=1e-12, nan_ok=True)
        assert (figure.rows, figure.persons) == (rows, people)
        assert not figure.enough or people >= 3
        interval = figure.interval()
        assert not rows or interval.low <= figure.value <= interval.high


@settings(deadline=None, max_examples=50)
@given(decided(), st.floats(0, 1))
def test_no_verdict_hangs_on_the_order_of_rows_or_the_names_of_groups(data, bound):
    bounds = [Bound("selection_rate", difference_max=bound), Bound("calibration", difference_max=bound)]
    order = np.random.default_rng(len(data.group)).permutation(len(data.group))
    columns = (data.selected, data.label, data.probability, data.cost, data.person, data.weight)
    there = np.where(data.group < 0, -1, 2 - data.group)[order]
    other = Decided(data.names[::-1], there, *(column[order] for column in columns))
    first, second = assess(data, bounds, persons_min=2), assess(other, bounds, persons_min=2)
    assert (first.verdict, first.unknown) == (second.verdict, second.unknown)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.999]))
def test_the_bounds_of_a_share_are_the_shares_that_a_score_test_just_rejects(hits, rows, level):
    from statistics import NormalDist

    hits = min(hits, rows)
    found, z = share_interval(hits / rows, rows, level), NormalDist().inv_cdf(0.5 + level / 2)
    for end in (found.low, found.high):
        if end not in (0.0, 1.0):
            assert abs(hits / rows - end) == pytest.approx(z * np.sqrt(end * (1 - end) / rows), rel=1e-6)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


shares = st.tuples(st.integers(0, 50), st.integers(50, 200)).map(lambda c: share_interval(c[0] / c[1], c[1]))


@given(shares, shares)
def test_a_difference_and_a_ratio_turned_round_are_the_same(first, second):
    one, other = difference_of(first, second), difference_of(second, first)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    one, other = ratio_of(first, second), ratio_of(second, first)
    assert not one.low > one.estimate and not one.estimate > one.high
    if 0 < one.low and np.isfinite(one.high):
        assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_the_ratio_of_nothing_to_nothing_is_not_known():
    nothing = Interval(0.0, 0.0, 0.1)
    found = ratio_of(nothing, nothing)
    assert np.isnan(found.estimate) and (found.low, found.high) == (0.0, np.inf)


def two_groups(rng, shares, people, rows_each=1, within=0.0):
    """Rows of two groups; with `within`, that share of people have the same answer in each of their rows."""
    group = np.repeat([0, 1], people)
    person = np.repeat(np.arange(2 * people), rows_each)
    own = rng.random(2 * people) < np.array(shares)[group]
    copied = rng.random(2 * people) < within
    fresh = rng.random(len(person)) < np.array(shares)[group[person]]
    selected = np.where(copied[person], own[person], fresh)
    return Decided(("a", "b"), group[person], selected, np.full(len(person), np.nan), person=person)


@pytest.mark.parametrize(("rows_each", "within"), [(1, 0.0), (8, 0.7)])
def test_a_verdict_is_wrong_as_seldom_as_it_says(rows_each, within):
    rng, runs = np.random.default_rng(5), 300
    fail = passed = 0
    for _ in range(runs):
        equal, unequal = (two_groups(rng, (0.2, other), 150, rows_each, within) for other in (0.2, 0.3))
        fail += assess(equal, [Bound("selection_rate", 0.0)]).verdict is Verdict.FAIL
        passed += assess(unequal, [Bound("selection_rate", 0.1)]).verdict is Verdict.PASS
    assert fail <= 0.085 * runs and passed <= 0.085 * runs  # .05 and 2.8 standard errors.


def test_enough_people_decide_either_way():
    rng = np.random.default_rng(6)
    equal, apart_ = two_groups(rng, (0.2, 0.2), 3_000), two_groups(rng, (0.2, 0.35), 3_000)
    assert assess(equal, [Bound("selection_rate", 0.05)]).verdict is Verdict.PASS
    assert assess(equal, [Bound("selection_rate", ratio_min=0.8)]).verdict is Verdict.PASS
    for bound in (Bound("selection_rate", 0.05), Bound("selection_rate", ratio_min=0.8)):
        found = assess(apart_, [bound])
        assert found.verdict is Verdict.FAIL and "between a and b lies outside" in found.findings[0].why


def test_twenty_groups_that_are_alike_seldom_fail():
    rng, fails = np.random.default_rng(7), 0
    for _ in range(40):
        group = np.repeat(np.arange(20), 100)
        data = Decided(tuple("abcdefghijklmnopqrst"), group, rng.random(2_000) < 0.3, np.full(2_000, np.nan))
        fails += assess(data, [Bound("selection_rate", 0.0)]).verdict is Verdict.FAIL
    assert fails <= 6


def test_a_small_group_is_not_enough_data_and_never_fair():
    data = decisions(4_000)
    few = np.flatnonzero(data.group == 0)[:20]
    keep = np.sort(np.concatenate([few, np.flatnonzero(data.group == 3)]))
    small = Decided(NAMES, data.group[keep], data.selected[keep], data.label[keep])
    found = assess(small, [Bound("selection_rate", 1.0)])
    assert found.verdict is Verdict.INCONCLUSIVE and not found.findings[0].pairs
    assert dict(found.findings[0].small) == {"east": "20 of 50 people", "north": "no rows", "south": "no rows"}
    assert found.findings[0].why.startswith("not enough data: east: 20 of 50 people")


def test_many_rows_of_few_people_are_few_people():
    data = decisions(4_000, persons=60)
    assert not any(f.enough for f in figures(data))


def test_rows_of_people_who_always_get_the_same_answer_are_worth_one_each():
    rng = np.random.default_rng(9)
    once, often = two_groups(rng, (0.2, 0.4), 100), two_groups(rng, (0.2, 0.4), 100, rows_each=10, within=1.0)
    for data, rows in ((once, 100), (often, 1_000)):
        found = [f for f in figures(data) if f.measure == "selection_rate"]
        assert [(f.rows, f.persons) for f in found] == [(rows, 100)] * 2
        assert [f.spread for f in found] == pytest.approx([100.0, 100.0])


def test_without_bounds_rows_or_a_second_group_nothing_is_shown():
    data = decisions(500)
    assert assess(data, []).verdict is Verdict.INCONCLUSIVE
    nobody = Decided(("a", "b"), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0))
    assert assess(nobody, [Bound("selection_rate", 1.0)]).verdict is Verdict.INCONCLUSIVE
    alone = Decided(("a",), np.zeros(200, np.int64), np.ones(200, np.bool_), np.ones(200))
    found = assess(alone, [Bound("selection_rate", 1.0)])
    assert found.verdict is Verdict.INCONCLUSIVE and "no two groups" in found.findings[0].why
    unknown = Decided(("a",), np.full(200, -1), np.ones(200, np.bool_), np.ones(200))
    assert assess(unknown, []).unknown == 200


def test_one_person_with_nearly_all_costs_is_not_enough_data():
    n = 200
    cost = np.append(np.full(n - 1, 1.0), 1e6)
    data = Decided(("a", "b"), np.arange(n) // 100, np.ones(n, np.bool_), np.full(n, np.nan), cost=cost)
    found = [f for f in figures(data) if f.measure == "cost_per_person"]
    assert [f.enough for f in found] == [False, False]
    assert "the same" in found[0].why and "one person" in found[1].why


def test_weights_let_the_holdout_speak_for_the_blocked():
    rng = np.random.default_rng(8)
    n = 40_000
    label, selected = (rng.random(n) < 0.2).astype(float), rng.random(n) < 0.5
    seen = ~selected | (rng.random(n) < 0.1)
    weight = np.where(selected, 10.0, 1.0)
    data = Decided(("a",), np.zeros(n, np.int64), selected, np.where(seen, label, np.nan), weight=weight)
    rate = next(f for f in figures(data) if f.measure == "true_positive_rate")
    interval = rate.interval()
    assert interval.low < 0.5 < interval.high and rate.spread < rate.rows / 2


def test_calibration_curves_are_by_group_and_leave_out_what_is_not_known():
    data = decisions(500)
    curves = calibration_curves(data, bins=5)
    rows = defaultdict(int, {name: sum(bin_[2] for bin_ in curve) for name, curve in curves.items()})
    assert [rows[name] for name in NAMES] == [int((data.group == i).sum()) for i in range(4)]
    with pytest.raises(ValueError, match="probabilities"):
        calibration_curves(Decided(("a",), data.group * 0, data.selected, data.label))


def test_groups_of_a_column_are_its_values_in_order_and_nothing_is_no_group():
    names, code = grouped(["b", None, "a", float("nan"), "b", ""])
    assert names == ("", "a", "b") and code.tolist() == [2, -1, 1, -1, 2, 0]
    assert grouped([3, 1, 3])[0] == ("1", "3")


NO_RANGES = [(None, None), (0.1, 0.8), (-1.0, None), (float("nan"), None), (None, 0.0), (None, 1.1)]


@pytest.mark.parametrize(("difference_max", "ratio_min"), NO_RANGES)
def test_a_bound_is_one_range(difference_max, ratio_min):
    with pytest.raises(ValueError, match="bound"):
        Bound("selection_rate", difference_max, ratio_min)


def test_ratios_are_of_rates_and_bounds_of_measures_that_are_there():
    with pytest.raises(ValueError, match="rates"):
        Bound("calibration", ratio_min=0.8)
    data = decisions(100)
    plain = Decided(NAMES, data.group, data.selected, data.label)
    with pytest.raises(ValueError, match="needs its values"):
        assess(plain, [Bound("cost_per_person", 1.0)])
    with pytest.raises(ValueError, match="more than 100"):
        assess(Decided(tuple(map(str, range(101))), data.group, data.selected, data.label), [])


def test_decisions_that_do_not_fit_together_are_refused():
    one = np.ones(2, np.bool_)
    for names, group, label, weight in [
        (("a",), [0, 0], [1.0], None), (("a",), [0, 1], [1.0, 0.0], None), (("a",), [0, -2], [1.0, 0.0], None),
        (("a",), [0, 0], [1.0, 0.0], [1.0, 0.0]), (("a",), [0, 0], [1.0, 0.0], [1.0, float("nan")]),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"length|name|weights"):
            Decided(names, np.array(group), one, np.array(label), weight=None if weight is None else np.array(weight))
