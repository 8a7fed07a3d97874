"""The judge: no verdict without evidence, however often one looks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat import compare
from homeostat.records.verdicts import Verdict
from homeostat.stats import asymptotic, betting
from homeostat.stats.comparison import ComparisonError, interval_at

NAN = float("nan")


def judged(control, treatment, **options):
    arms = ["control"] * len(control) + ["treatment"] * len(treatment)
    return compare(arms, [*control, *treatment], **{"better": "lower", **options})


@pytest.mark.parametrize(
    ("control", "treatment", "said"),
    [
        ([0] * 6, [0, 1, 2, 1, 0, 0], "too few values: 6 of control and 6 of treatment"),
        ([1] * 10, [100] * 7 + [1] * 3, "too few values: 10 of control and 10 of treatment"),
        ([0] * 20, [0, 1] * 3, "which holds 0"),
        ([], [], "there is no value at all"),
        ([NAN], [NAN, NAN], "all 3 values are missing"),
        ([0, 1, 0], [], "treatment has no value, control has 3"),
        ([], [0.5] * 300, "control has no value, treatment has 300"),
        ([5.0] * 300, [5.0] * 300, "all values of both arms are 5"),
        ([0] * 300, [0] * 300, "all values of both arms are 0"),
        ([2.5] * 300, [1.0, NAN] * 150, "150 values of treatment are missing"),
    ],
)
def test_a_hard_case_is_inconclusive_and_says_why(control, treatment, said):
    found = judged(control, treatment)
    assert found.verdict is Verdict.INCONCLUSIVE and found.stopped_at is None
    assert said in found.why
    json.dumps(found.as_dict(), allow_nan=False)


def test_errors_against_a_control_without_one_become_a_fail_with_a_warning():
    found = judged([0] * 400, [0, 0, 0, 1] * 100)
    assert found.verdict is Verdict.FAIL and 0 < found.low < found.estimate < found.high
    assert found.warnings == ("all 400 values of control are 0: its spread is not known",)


def test_a_control_that_never_varies_lends_no_false_certainty():
    found = judged([1.0] * 200, [1.0, 100.0] * 100)
    assert found.verdict is Verdict.FAIL and "that of the other arm stands in for it" in found.warnings[0]
    assert judged([3.0] * 200, [3.0] * 199 + [3.1]).verdict is Verdict.INCONCLUSIVE


def test_equal_means_with_ten_times_the_variance_get_a_warning_of_their_own():
    values = np.random.default_rng(1).normal(size=500)
    found = judged(5 + values, 5 + values * 10**0.5)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert [w for w in found.warnings if w.startswith("the variance of treatment is 10 times that of control")]


def test_values_that_are_all_the_same_pass_within_a_margin_and_not_without_one():
    assert judged([5.0] * 300, [5.0] * 300, margin=0.1).verdict is Verdict.PASS
    assert judged([0] * 300, [0] * 300, margin=0.1).verdict is Verdict.PASS
    assert judged([0] * 10, [0] * 10, margin=0.1).verdict is Verdict.INCONCLUSIVE
    assert judged([5.0] * 99, [5.0] * 300, margin=0.1).verdict is Verdict.INCONCLUSIVE


def test_a_missing_value_counts_as_the_worst():
    control = [1, 0] * 100
    assert judged(control, [0] * 100).verdict is Verdict.PASS
    assert judged(control, [0, NAN, NAN] * 100).verdict is Verdict.INCONCLUSIVE
    assert judged([1] * 100, [0, NAN] * 100).verdict is Verdict.PASS  # Better than control even if all were errors.
    assert judged([0] * 100, [1] * 100 + [NAN] * 3).verdict is Verdict.FAIL


def experiment(seed, n, control, treatment, share=0.5):
    """Arms by chance, and zeros and ones at each arm's rate."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < share
    return np.where(treated, "treatment", "control"), (rng.random(n) < np.where(treated, treatment, control)) * 1.0


def test_better_and_worse_change_places_with_the_direction():
    arms, values = experiment(0, 4000, 0.3, 0.5)
    higher, lower = compare(arms, values), compare(arms, values, better="lower")
    assert (higher.verdict, lower.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert higher.stopped_at == lower.stopped_at
    swapped = compare(np.where(arms == "control", "treatment", "control"), values, better="lower")
    assert swapped.verdict is Verdict.PASS and swapped.stopped_at == higher.stopped_at
    assert swapped.estimate == pytest.approx(-higher.estimate)


@pytest.mark.parametrize("kind", ["rate", "mean"])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_a_verdict_falls_at_its_row_and_stands(kind, margin):
    arms, values = experiment(3, 4000, 0.3, 0.45)
    values = values * 7.0 if kind == "mean" else values
    whole = compare(arms, values, margin=margin)
    row = whole.stopped_at
    assert whole.metric == kind and whole.verdict is Verdict.PASS
    assert compare(arms[: row - 1], values[: row - 1], margin=margin).verdict is Verdict.INCONCLUSIVE
    at = compare(arms[:row], values[:row], margin=margin)
    assert at.verdict is Verdict.PASS and at.stopped_at == row
    assert whole.low >= at.low and whole.high <= at.high
    assert interval_at(len(values), arms, values, whole) == (whole.low, whole.high)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 1.0])), max_size=80), st.sampled_from([0.0, 0.2]))
@settings(max_examples=60, deadline=None)
def test_a_verdict_of_a_beginning_is_the_verdict_of_the_whole(rows, margin):
    arms = ["treatment" if treated else "control" for treated, _ in rows]
    values = [value for _, value in rows]
    whole = compare(arms, values, metric="rate", margin=margin)
    for n in range(len(rows)):
        beginning = compare(arms[:n], values[:n], metric="rate", margin=margin)
        fallen = whole.stopped_at is not None and whole.stopped_at <= n
        assert beginning.verdict == (whole.verdict if fallen else Verdict.INCONCLUSIVE)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0]), max_size=60), st.floats(-0.9, 0.9))
@settings(max_examples=100, deadline=None)
def test_wealth_equals_its_naive_twin(differences, delta):
    bets = betting.BETS
    mean, largest = (1 + delta) / 2, 1.0
    for b in range(1, len(differences) + 1):
        wealth = sum(
            np.exp(log_share) * np.prod([1 - f + f * (1 + d) / 2 / mean for d in differences[:b]])
            for f, log_share in zip(*bets, strict=True)
        )
        largest = max(largest, wealth)
    block, most = betting.wealth_path(np.array(differences, dtype=float), delta, 700.0, *bets)
    assert block == -1 and most == pytest.approx(largest)


def test_the_gambler_gains_nothing_on_average_from_a_true_hypothesis():
    shares = np.exp(betting.BETS.log_share)
    assert shares.sum() == pytest.approx(1.0)
    for delta in (-0.5, 0.0, 0.4):  # A fair coin between -1 and 1 whose mean is delta.
        up, down = ((1 + d) / 2 / ((1 + delta) / 2) - 1 for d in (1.0, -1.0))
        expected = (1 + delta) / 2 * up + (1 - delta) / 2 * down
        assert expected == pytest.approx(0.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e6, 1e6)), min_size=2, max_size=60), st.floats(-1e3, 1e3))
@settings(max_examples=60, deadline=None)
def test_running_figures_equal_numpys(rows, shift):
    treated = np.array([one for one, _ in rows])
    values = np.array([value for _, value in rows]) + shift
    found = asymptotic._running(treated, values)
    for i in range(len(rows)):
        part = values[: i + 1][treated[: i + 1]]
        assert found.values[i] == len(part)
        if len(part) > 1:
            assert found.mean[i] == pytest.approx(part.mean(), abs=1e-6)
            assert found.variance[i] == pytest.approx(part.var(ddof=1), rel=1e-6, abs=1e-3)
            assert found.constant[i] == bool((part == part[0]).all())


@given(st.lists(st.booleans(), max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_value_is_in_two_blocks_and_all_come_in_order(arms):
    treated = np.array(arms, dtype=bool)
    number = np.cumsum(treated) * 1e-4 * treated  # Each treated value is its place in its arm; control is 0.
    found = betting.blocks(treated, number)
    assert (np.diff(found.difference) > 0).all() and (np.diff(found.row) >= 0).all()


def test_one_arm_first_and_then_the_other_is_paired_one_to_one():
    found = betting.blocks(np.arange(800) >= 400, np.zeros(800))
    assert len(found.difference) >= 380


# The share of wrong verdicts is .05 at most, so more than 28 of 200 happen with a chance of 1.6e-7 at most.
RUNS, WRONG_MAX = 200, 28


@pytest.mark.long
@pytest.mark.parametrize("kind", ["rare", "common", "normal", "lognormal"])
def test_looking_all_the_time_at_equal_arms_seldom_gives_a_verdict(kind):
    wrong = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        n = 3000
        values = {
            "rare": lambda: (rng.random(n) < 0.01) * 1.0, "common": lambda: (rng.random(n) < 0.3) * 1.0,
            "normal": lambda: rng.normal(size=n), "lognormal": lambda: rng.lognormal(size=n),
        }[kind]()  # fmt: skip
        arms = np.where(rng.random(n) < 0.5, "treatment", "control")
        wrong += compare(arms, values).verdict is not Verdict.INCONCLUSIVE
    assert wrong <= WRONG_MAX


@pytest.mark.parametrize(
    ("arms", "values", "options", "said"),
    [
        (["control"], [1.0, 2.0], {}, "1 arms for 2 values"),
        (["a"], [1.0], {}, "row 1: the arm is 'a'"),
        (["control", "control"], [1.0, np.inf], {}, "row 2: the value is infinite"),
        (
            ["control", "control"],
            [1.0, -1.7e308],
            {},
            "row 2: the value is -1.7e.308; give the values in a larger unit",
        ),
        (["control"], [1.0], {"margin": 1.7e308}, "the margin is 1.7e.308"),
        (["control"], [2.0], {"metric": "rate"}, "row 1: the value is 2, and a rate has values from 0 to 1"),
        (["control"], [1.0], {"metric": "median"}, "the metric is 'median'"),
        (["control"], [1.0], {"better": "up"}, "better is 'up'"),
        (["control"], [1.0], {"alpha": 1.0}, "alpha is 1"),
        (["control"], [1.0], {"alpha": NAN}, "alpha is nan"),
        (["control"], [1.0], {"margin": -1.0}, "the margin is -1"),
        (["control"], [1.0], {"margin": NAN}, "the margin is nan"),
        (["control"], [1.0], {"margin": 1.0}, "a margin of 1 allows any rate"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arms, values, options, said):
    with pytest.raises(ComparisonError, match=said):
        compare(arms, values, **options)


def test_huge_and_tiny_values_give_finite_bounds():
    for scale in (1e300, 1e-300):
        found = judged(np.sin(np.arange(300)) * scale, (2 + np.sin(np.arange(300))) * scale)
        assert found.verdict is Verdict.FAIL and found.low / scale == pytest.approx(1.8, abs=0.2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("scale", "margin"), [(1e305, 1e305), (1e305, 1e-320), (1e16, 1e-320), (5e-324, 0.0), (1.0, 1e305)]
)
def test_values_at_the_ends_of_what_a_float_holds_are_judged_in_numbers(scale, margin):
    """Sums and squares of them are not finite, and squares of small differences are 0."""
    values = np.where(np.arange(4000) % 4 < 2, 1.0, -1.0) * scale
    arms = np.where(np.arange(4000) % 2, "treatment", "control")
    found = compare(arms, values, metric="mean", margin=margin)
    json.dumps(found.as_dict(), allow_nan=False)
    assert found.estimate == 0.0


def test_arms_that_change_on_the_way_are_said_to():
    found = judged([1.0] * 200, [100.0] * 140 + [1.0] * 60)
    assert found.low <= found.estimate <= found.high
    assert "the arms changed on the way" in found.warnings[-1]
