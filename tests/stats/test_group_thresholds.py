"""Thresholds by group have the rates that they promise, and no mixture of thresholds costs less."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from homeostat.stats.group_thresholds import Rule, same_error_rates, same_selection_rate


@st.composite
def groups(draw):
    """Rows of two or three groups, each with both labels, with many equal scores."""
    count = draw(st.integers(2, 3))
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, count - 1)), max_size=30))
    rows += [(label, draw(st.integers(0, 6)), g) for label in (0, 1) for g in range(count)]
    label, score, group = (np.array(column) for column in zip(*rows, strict=True))
    return label.astype(float), score / 6, group, count


costs = st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.5, 1.0, 3.0]))


def by_linear_programming(label, score, group, count, cost, odds):
    """The least cost of all mixtures of thresholds, a weight for each threshold of each group."""
    cuts = [*np.unique(score), np.inf]
    width, n = len(cuts), len(label)
    selected = np.array([[(score >= cut) & (group == g) for cut in cuts] for g in range(count)])
    price = np.where(label == 1, -cost[1], cost[0])  # Against nobody selected, which costs all that is missed.
    objective = (selected * price).sum(axis=2).ravel() / n
    equal, to = [], []
    for g in range(count):
        row = np.zeros((count, width))
        row[g] = 1.0
        equal.append(row.ravel())
        to.append(1.0)
    for about in ((label == 1), (label == 0)) if odds else (np.ones(n, bool),):
        share = (selected & about).sum(axis=2) / np.array([(about & (group == g)).sum() for g in range(count)])[:, None]
        for g in range(1, count):
            row = np.zeros((count, width))
            row[0], row[g] = share[0], -share[g]
            equal.append(row.ravel())
            to.append(0.0)
    found = linprog(objective, A_eq=np.array(equal), b_eq=to, method="highs")
    assert found.status == 0
    return found.fun + cost[1] * label.mean()


def outcome(found, label, score, group, cost):
    """Chances by row, and the mean cost that they bring."""
    chance = np.array([found.rules[g].chance(np.array([s]))[0] for s, g in zip(score, group, strict=True)])
    return chance, float(np.mean(np.where(label == 1, cost[1] * (1 - chance), cost[0] * chance)))


@settings(deadline=None, max_examples=60)
@given(groups(), costs)
def test_one_selection_rate_costs_as_little_as_linear_programming_finds(rows, cost):
    label, score, group, count = rows
    found = same_selection_rate(label, score, group, count, *cost)
    chance, paid = outcome(found, label, score, group, cost)
    for g in range(count):
        assert chance[group == g].mean() == pytest.approx(found.selection_rate, abs=1e-9)
    assert paid == pytest.approx(found.cost, abs=1e-9)
    assert paid == pytest.approx(by_linear_programming(label, score, group, count, cost, odds=False), abs=1e-7)


@settings(deadline=None, max_examples=60)
@given(groups(), costs)
def test_one_pair_of_error_rates_costs_as_little_as_linear_programming_finds(rows, cost):
    label, score, group, count = rows
    found = same_error_rates(label, score, group, count, *cost)
    chance, paid = outcome(found, label, score, group, cost)
    assert (chance >= -1e-12).all() and (chance <= 1 + 1e-12).all()
    for g in range(count):
        assert chance[(group == g) & (label == 1)].mean() == pytest.approx(found.true_positive_rate, abs=1e-9)
        assert chance[(group == g) & (label == 0)].mean() == pytest.approx(found.false_positive_rate, abs=1e-9)
    assert paid == pytest.approx(found.cost, abs=1e-9)
    assert paid == pytest.approx(by_linear_programming(label, score, group, count, cost, odds=True), abs=1e-7)


@given(groups())
def test_one_group_gets_the_threshold_that_costs_least(rows):
    label, score, _, _ = rows
    alone = np.zeros(len(label), int)
    best = min(np.mean(np.where(label == 1, score < cut, score >= cut)) for cut in [*score, np.inf])
    for found in (same_selection_rate(label, score, alone, 1), same_error_rates(label, score, alone, 1)):
        assert found.cost == pytest.approx(best, abs=1e-12)


def test_rows_without_a_group_are_left_out():
    label, score, group = np.array([0.0, 1, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9, 0.0]), np.array([0, 0, 1, 1, -1])
    assert same_error_rates(label, score, group, 2).cost == 0.0
    assert same_selection_rate(label, score, group, 2).cost == 0.0


def test_a_rule_mixes_its_thresholds_and_its_coin():
    rule = Rule(low=0.2, high=0.8, high_share=0.25, coin_share=0.5, coin=0.1)
    assert rule.chance(np.array([0.1, 0.5, 0.8])).tolist() == pytest.approx([0.05, 0.425, 0.55])


def test_rates_that_nobody_can_know_are_refused():
    one, group = np.ones(2), np.array([0, 1])
    with pytest.raises(ValueError, match="both labels"):
        same_error_rates(one, one, group, 2)
    with pytest.raises(ValueError, match="group 2 has no rows"):
        same_selection_rate(one, one, group, 3)
    with pytest.raises(ValueError, match="NaN"):
        same_selection_rate(one, np.array([1.0, np.nan]), group, 2)
    with pytest.raises(ValueError, match="0 and 1"):
        same_selection_rate(np.array([1.0, np.nan]), one, group, 2)
