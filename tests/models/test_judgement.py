"""The judge of versions: unbiased under censoring, right at every look, and silent where there is no evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.models.judgement import WEIGHT_MAX, Evidence, Paired, judge, of_arms, of_pairs, saved
from homeostat.records.verdicts import Verdict

ALLOW, BLOCK = 0, 1
HOLDOUT = 0.05


def payments(seed: int, n: int, champion_at: float, challenger_at: float, positives: float = 0.1) -> Paired:
    """Both block from a risk on. A hold-out of 5 % is always allowed, and blocked events hide their label."""
    rng = np.random.default_rng(seed)
    quality = rng.beta(2.0 * positives / (1.0 - positives), 2.0, n)
    label = (rng.random(n) < quality).astype(float)
    amount = rng.uniform(5.0, 15.0, n)
    risk = np.clip(quality + rng.normal(0.0, 0.1, n), 0.0, 1.0)
    taken = [np.where(risk >= at, 1.0 - HOLDOUT, 0.0) for at in (champion_at, challenger_at)]
    chances = [np.stack([1.0 - block, block], axis=1) for block in taken]
    seen = chances[0][:, ALLOW]
    return Paired(
        chances[0], chances[1],
        cost_negative=np.stack([np.zeros(n), np.full(n, 2.0)], axis=1),
        cost_positive=np.stack([amount, np.zeros(n)], axis=1),
        risk=risk, label=np.where(rng.random(n) < seen, label, np.nan), seen=seen,
    )  # fmt: skip


def truth(seed: int, n: int, champion_at: float, challenger_at: float) -> float:
    """The saving with every label known."""
    every = payments(seed, n, champion_at, challenger_at)
    rng = np.random.default_rng(seed)
    quality = rng.beta(2.0 * 0.1 / 0.9, 2.0, n)
    label = (rng.random(n) < quality).astype(float)
    change = every.champion - every.challenger
    cost = np.where(label[:, None] == 1.0, every.cost_positive, every.cost_negative)
    return float((change * cost).sum(axis=1).mean())


def test_the_saving_is_unbiased_although_blocked_events_hide_their_labels_and_the_risk_is_off():
    for champion_at, challenger_at in ((0.2, 0.6), (0.6, 0.2)):
        off = [
            float(saved(payments(seed, 4_000, champion_at, challenger_at))[0].mean())
            - truth(seed, 4_000, champion_at, challenger_at)
            for seed in range(60)
        ]
        assert abs(np.mean(off)) < 3.0 * np.std(off) / np.sqrt(len(off))


@pytest.mark.long
def test_two_equal_versions_seldom_seem_different_although_one_looks_after_each_event():
    """Both decide by chance alone, so that events differ and neither is better: at most 5 % of the runs decide."""
    wrong = 0
    for seed in range(300):
        one = payments(seed, 2_000, 0.3, 0.3)
        rng = np.random.default_rng([seed, 1])
        shuffled = [0.2 + 0.6 * rng.random(len(one)) for _ in range(2)]
        chances = [np.stack([1.0 - block, block], axis=1) for block in shuffled]
        label = np.where(rng.random(len(one)) < one.risk, 1.0, 0.0)
        seen = np.ones(len(one))
        even = replace(
            one, champion=chances[0], challenger=chances[1], label=label, seen=seen,
            cost_negative=np.tile([0.0, 2.0], (len(one), 1)), cost_positive=np.tile([9.0, 0.0], (len(one), 1)),
        )  # fmt: skip
        wrong += of_pairs("shadow", even).verdict is not Verdict.INCONCLUSIVE
    assert wrong <= 15


def test_a_better_challenger_passes_and_a_worse_one_fails():
    better, worse = payments(1, 20_000, 0.9, 0.25), payments(1, 20_000, 0.25, 0.9)
    passed, failed = of_pairs("shadow", better), of_pairs("shadow", worse)
    assert passed.verdict is Verdict.PASS
    assert passed.low is not None
    assert passed.low > 0
    assert failed.verdict is Verdict.FAIL
    assert failed.high is not None
    assert failed.high < 0
    assert of_pairs("shadow", worse, margin=50.0).verdict is Verdict.PASS


def test_a_verdict_stands_whatever_comes_later():
    pairs = payments(1, 20_000, 0.9, 0.25)
    early = next(n for n in range(100, 20_000, 100) if of_pairs("s", first(pairs, n)).verdict is Verdict.PASS)
    assert all(of_pairs("s", first(pairs, n)).verdict is Verdict.PASS for n in range(early, 20_001, 1_000))


def test_no_events_few_events_and_few_seen_labels_are_inconclusive_and_say_why():
    pairs = payments(3, 2_000, 0.2, 0.6)
    for few, said in (
        (first(pairs, 0), "no event"),
        (first(pairs, 99), "too few"),
        (replace(pairs, label=np.full(2_000, np.nan)), "labels"),
    ):
        found = of_pairs("shadow", few)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert said in found.why


def test_events_whose_label_is_never_seen_count_as_the_worse_label_would():
    """A champion without a hold-out blocks, so nothing shows that letting these events pass is safe."""
    pairs = payments(4, 5_000, 0.2, 0.6)
    blocked = pairs.champion[:, BLOCK] > 0
    hidden = replace(pairs, seen=np.where(blocked, 0.5 / WEIGHT_MAX, 1.0), label=np.where(blocked, np.nan, pairs.label))
    low, high, weight = saved(hidden)
    between = blocked & (pairs.risk < 0.6)
    assert (low[between] < 0).all()
    assert (high[between] > 0).all()
    assert (weight[blocked] == 0).all()
    assert of_pairs("shadow", hidden).verdict is Verdict.INCONCLUSIVE


def test_the_same_actions_pass_within_a_margin_only():
    pairs = payments(5, 5_000, 0.4, 0.4)
    assert of_pairs("shadow", pairs).verdict is Verdict.INCONCLUSIVE
    found = of_pairs("shadow", pairs, margin=0.05)
    assert found.verdict is Verdict.PASS
    assert "same action" in found.why
    assert of_pairs("shadow", first(pairs, 200), margin=0.05).verdict is Verdict.INCONCLUSIVE


def test_one_huge_loss_decides_nothing():
    """A thousand equal savings and one event whose cost outweighs them all."""
    pairs = payments(6, 1_000, 0.4, 0.4)
    change = np.tile([0.0, 1.0], (1_000, 1)), np.tile([1.0, 0.0], (1_000, 1))
    costs = np.tile([0.0, 2.0], (1_000, 1)) + np.random.default_rng(0).normal(0.0, 0.01, (1_000, 2))
    costs[500, 0] = 1e6
    odd = replace(
        pairs, champion=change[0], challenger=change[1], cost_negative=costs, cost_positive=costs,
        label=np.zeros(1_000), seen=np.ones(1_000), risk=np.zeros(1_000),
    )  # fmt: skip
    found = of_pairs("shadow", odd)
    assert found.verdict is not Verdict.FAIL
    calm = of_pairs("shadow", first(odd, 400))
    assert calm.verdict is Verdict.PASS


@given(st.data())
def test_savings_equal_their_naive_twin(data: st.DataObject):
    n, actions = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 4))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    chances = [rng.dirichlet(np.ones(actions), n).reshape(n, actions) for _ in range(2)]
    costs = [rng.normal(0, 10, (n, actions)) for _ in range(2)]
    seen = rng.choice([0.0, 1e-9, 0.004, 0.005, 0.1, 1.0], n)
    label = np.where((rng.random(n) < 0.5) & (seen > 0), rng.integers(0, 2, n), np.nan)
    pairs = Paired(chances[0], chances[1], costs[0], costs[1], rng.random(n), label, seen)
    low, high, weight = saved(pairs)
    for i in range(n):
        of = [sum((chances[0][i, a] - chances[1][i, a]) * costs[y][i, a] for a in range(actions)) for y in (0, 1)]
        if seen[i] < 1 / WEIGHT_MAX:
            expected = (min(of), max(of), 0.0)
        elif np.isnan(label[i]):
            even = (1 - pairs.risk[i]) * of[0] + pairs.risk[i] * of[1]
            expected = (even, even, 0.0)
        else:
            even = (1 - pairs.risk[i]) * of[0] + pairs.risk[i] * of[1]
            exact = even + (of[int(label[i])] - even) / seen[i]
            expected = (exact, exact, 1 / seen[i])
        assert (low[i], high[i], weight[i]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_pairs_that_contradict_themselves_are_refused():
    pairs = payments(7, 10, 0.2, 0.6)
    with pytest.raises(ValueError, match="one shape"):
        replace(pairs, challenger=pairs.challenger[:5])
    with pytest.raises(ValueError, match="one value"):
        replace(pairs, risk=pairs.risk[:5])
    with pytest.raises(ValueError, match="no chance"):
        replace(pairs, seen=np.zeros(10), label=np.zeros(10))
    with pytest.raises(ValueError, match="alpha"):
        of_pairs("shadow", pairs, alpha=1.0)
    with pytest.raises(ValueError, match="margin"):
        of_pairs("shadow", pairs, margin=-1.0)


def evidence(source: str, verdict: Verdict) -> Evidence:
    return Evidence(source, verdict, "cost", 0.0, None, None, {}, 0.0, f"{source} says {verdict}")


@pytest.mark.parametrize(
    ("given", "required", "verdict", "why"),
    [
        ([], [], Verdict.INCONCLUSIVE, "no evidence"),
        ([], ["canary"], Verdict.INCONCLUSIVE, "canary has no evidence"),
        ([("shadow", Verdict.PASS)], ["shadow"], Verdict.PASS, "shadow says"),
        ([("shadow", Verdict.PASS)], ["shadow", "canary"], Verdict.INCONCLUSIVE, "canary has no evidence"),
        ([("shadow", Verdict.INCONCLUSIVE)], ["shadow"], Verdict.INCONCLUSIVE, "shadow says"),
        ([("shadow", Verdict.INCONCLUSIVE)], [], Verdict.INCONCLUSIVE, "shadow says"),
        ([("shadow", Verdict.PASS), ("errors", Verdict.FAIL)], ["shadow"], Verdict.FAIL, "errors says"),
        ([("shadow", Verdict.FAIL), ("canary", Verdict.PASS)], ["canary"], Verdict.FAIL, "shadow says"),
        ([("shadow", Verdict.PASS), ("errors", Verdict.INCONCLUSIVE)], ["shadow"], Verdict.PASS, "shadow says"),
    ],
)
def test_one_failure_fails_all_and_silence_passes_nothing(
    given: list[tuple[str, Verdict]], required: list[str], verdict: Verdict, why: str
):
    found = judge([evidence(*one) for one in given], required)
    assert found.verdict is verdict
    assert why in found.why
    assert found.as_dict()["verdict"] == verdict.value


def test_a_canary_is_judged_by_its_own_events():
    rng = np.random.default_rng(0)
    arms = np.where(rng.random(4_000) < 0.5, "treatment", "control").tolist()
    costs = rng.gamma(2.0, 1.0, 4_000) + np.where(np.array(arms) == "treatment", 0.5, 0.0)
    found = of_arms("canary", arms, costs)
    assert found.verdict is Verdict.FAIL
    assert found.n["control"] + found.n["treatment"] == 4_000
    assert of_arms("canary", [], []).verdict is Verdict.INCONCLUSIVE


def first(pairs: Paired, n: int) -> Paired:
    """The first `n` events."""
    return Paired(*(getattr(pairs, name)[:n] for name in Paired.__dataclass_fields__))
