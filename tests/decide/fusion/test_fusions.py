"""Every fusion works with any scorers missing, adds up, and does not depend on the batch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.ensemble import EnsembleFusion, Trained, fusion_part, serve_fusion
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion, declared_table
from homeostat.models.training.ensemble import train_ensemble
from homeostat.models.training.extras import BadSetting
from homeostat.models.training.fusion import full_weights, fused_risk, train_fusion
from homeostat.records.decisions import Experience, Scores
from homeostat.records.parts import Part, PartError
from homeostat.stats.elementary import logit
from homeostat.stats.metrics import average_precision, expected_calibration_error, log_loss

NAMES = ("forest", "boosted", "network", "rules")


def world(n=6000, seed=0):
    """Rare outcomes and four scorers: two good ones, a weak uncalibrated one, and one that says 0 or 0.9."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n) * 2 - 4.5
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(float)

    def seen(noise, scale=1.0, shift=0.0):
        return 1 / (1 + np.exp(-scale * (truth + rng.normal(size=n) * noise) - shift))

    rules = np.where(truth + rng.normal(size=n) > 1.5, 0.9, 0.0)
    return np.column_stack([seen(4.0, 0.1, 0.3), seen(1.0), seen(1.2), rules]), y


def scores(values, names=NAMES):
    values = np.ascontiguousarray(values)
    return Scores(names, values, np.where(np.isnan(values), 0.0, 1.0), np.zeros(len(values), np.uint8))


VALUES, LABEL = world()
HELD, HELD_LABEL = world(seed=1)
LEARNED = train_fusion("learned", VALUES, LABEL, NAMES, {})
WEIGHTED = train_fusion("weighted", VALUES, LABEL, NAMES, {"weights": (1, 2, 2, 1)})


@cache  # When a test asks, not in every process that only collects the tests.
def fusions():
    adaptive = AdaptiveFusion(Table.of(LEARNED), NAMES)
    adaptive.learn(experience(VALUES[:500], LABEL[:500]))
    return {
        "learned": FixedFusion(Table.of(LEARNED), NAMES),
        "weighted": FixedFusion(Table.of(WEIGHTED), NAMES),
        "declared": FixedFusion(declared_table(NAMES, {}), NAMES),
        "some declared": FixedFusion(declared_table(NAMES, {"boosted": 2.0, "network": 1.0}, 0.02), NAMES),
        "adaptive": adaptive,
        "ensemble": ensemble_of(["weighted", "learned"]),
        "ensemble that learns": learnt(ensemble_of(["learned", "adaptive"])),
        "other order": FixedFusion(Table.of(LEARNED), ("new", *NAMES[::-1])),
    }


def ensemble_of(members, names=NAMES):
    settings = {"weights": (1, 2, 2, 1)}
    return serve_fusion(train_ensemble(members, VALUES, LABEL, np.arange(len(LABEL)), NAMES, settings), names)


def learnt(fusion):
    fusion.learn(experience(VALUES[:500], LABEL[:500]))
    return fusion


def shift_of(fusion):
    if isinstance(fusion, EnsembleFusion):
        return sum(share * shift_of(one) for share, one in zip(fusion._shares, fusion._members, strict=True))
    return fusion._place[-1] if isinstance(fusion, AdaptiveFusion) else 0.0


def experience(values, label, censored=None):
    n = len(label)
    nothing = np.zeros((n, 1))
    return Experience(
        np.arange(n), np.arange(n), nothing, np.ascontiguousarray(values), np.full(n, 0.5), np.zeros(n, np.int16),
        np.ones(n), label, nothing, np.zeros(n, np.uint8) if censored is None else censored,
    )  # fmt: skip


FUSIONS = (
    "learned", "weighted", "declared", "some declared", "adaptive", "ensemble", "ensemble that learns", "other order",
)  # fmt: skip


def in_order_of(name, values):
    if name != "other order":
        return scores(values)
    return scores(np.column_stack([np.full(len(values), 0.5), values[:, ::-1]]), ("new", *NAMES[::-1]))


def missing(seed, n, share=0.3):
    values = world(n, seed)[0]
    values[np.random.default_rng(seed).random(values.shape) < share] = np.nan
    return values


@pytest.mark.long
@pytest.mark.parametrize("name", FUSIONS)
def test_contributions_sum_to_the_log_odds_less_those_of_no_scorer_at_all(name):
    values = missing(3, 500)
    values[0] = np.nan
    fused = fusions()[name].fuse(in_order_of(name, values))
    base = logit(fused.risk[0])
    total = np.array([logit(risk) for risk in fused.risk])
    shift = shift_of(fusions()[name])
    expected = total - base - np.where(np.isnan(values).all(axis=1), 0.0, shift)
    np.testing.assert_allclose(fused.contributions.sum(axis=1), expected, atol=1e-6)
    assert ((fused.risk > 0) & (fused.risk < 1)).all()
    assert not fused.contributions[np.isnan(in_order_of(name, values).values)].any()


@pytest.mark.parametrize("name", FUSIONS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_risks_have_the_same_bits_however_rows_are_batched(name, seed, cuts):
    values, edges = missing(seed, sum(cuts)), np.concatenate([[0], np.cumsum(cuts)])
    whole = fusions()[name].fuse(in_order_of(name, values))
    parts = [fusions()[name].fuse(in_order_of(name, values[a : a + c])) for a, c in zip(edges, cuts, strict=False)]
    assert np.concatenate([part.risk for part in parts]).tobytes() == whole.risk.tobytes()
    assert np.concatenate([part.contributions for part in parts]).tobytes() == whole.contributions.tobytes()


def test_no_scorer_at_all_means_the_base_rate():
    fused = fusions()["learned"].fuse(scores(np.full((1, 4), np.nan)))
    assert fused.risk[0] == pytest.approx(LABEL.mean())
    assert not fused.contributions.any()


def test_the_learned_fusion_beats_each_scorer_and_is_calibrated():
    risk = fusions()["learned"].fuse(scores(HELD)).risk
    single = [average_precision(HELD_LABEL, HELD[:, j]) for j in range(4)]
    assert average_precision(HELD_LABEL, risk) > max(single)
    assert expected_calibration_error(HELD_LABEL, risk) < 0.02
    assert abs(risk.mean() - HELD_LABEL.mean()) < 0.01


@pytest.mark.parametrize("subset", range(1, 15))
def test_without_some_scorers_the_risk_is_still_calibrated_and_better_than_the_best_one_left(subset):
    values = HELD.copy()
    left = [j for j in range(4) if subset >> j & 1]
    values[:, [j for j in range(4) if j not in left]] = np.nan
    risk = fusions()["learned"].fuse(scores(values)).risk
    best = max(average_precision(HELD_LABEL, HELD[:, j]) for j in left)
    assert average_precision(HELD_LABEL, risk) > best - 0.01
    assert abs(risk.mean() - HELD_LABEL.mean()) < 0.012
    base = np.full(len(HELD), LABEL.mean())
    assert log_loss(HELD_LABEL, risk) < log_loss(HELD_LABEL, base)


def test_more_scorers_than_can_be_fitted_each_are_filled_by_expectation():
    names = tuple(f"s{k}" for k in range(7))
    rng = np.random.default_rng(0)
    many = np.column_stack([VALUES[:, [0, 1, 2]], VALUES[:, 1:2] ** rng.uniform(0.5, 2, (1, 4))])
    fusion = FixedFusion(Table.of(train_fusion("learned", many, LABEL, names, {})), names)
    whole = fusion.fuse(scores(many, names)).risk
    many[:, 1] = np.nan
    less = fusion.fuse(scores(many, names)).risk
    assert average_precision(LABEL, less) > 0.9 * average_precision(LABEL, whole)
    assert abs(less.mean() - LABEL.mean()) < 0.02


def test_a_higher_score_never_lowers_the_risk():
    for name in ("learned", "weighted", "declared"):
        low = fusions()[name].fuse(scores(HELD[:200])).risk
        for j in range(4):
            higher = HELD[:200].copy()
            higher[:, j] = higher[:, j] + 0.5 * (1 - higher[:, j])
            assert (fusions()[name].fuse(scores(higher)).risk >= low).all()


def test_the_declared_mean_of_equal_scores_is_that_score():
    fused = fusions()["declared"].fuse(scores(np.array([[0.3] * 4, [0.3, np.nan, np.nan, 0.3]])))
    np.testing.assert_allclose(fused.risk, 0.3)


def test_the_adaptive_fusion_turns_from_a_scorer_that_went_wrong():
    values, label = world(20_000, 5)
    values[:, 1] = np.random.default_rng(0).permutation(values[:, 1])
    fusion = AdaptiveFusion(Table.of(LEARNED), NAMES)
    before = fusion.fuse(scores(values[10_000:])).risk
    fusion.learn(experience(values[:10_000], label[:10_000]))
    after = fusion.fuse(scores(values[10_000:])).risk
    assert fusion.multipliers()["boosted"] < 0.6
    assert log_loss(label[10_000:], after) < log_loss(label[10_000:], before)
    assert average_precision(label[10_000:], after) > average_precision(label[10_000:], before)


def test_the_adaptive_fusion_stays_near_its_start_while_all_is_well_and_within_its_bounds_always():
    fusion = AdaptiveFusion(Table.of(LEARNED), NAMES)
    values, label = world(10_000, 6)
    fusion.learn(experience(values, label))
    now, start = fusion.fuse(scores(HELD)).risk, fusions()["learned"].fuse(scores(HELD)).risk
    assert log_loss(HELD_LABEL, now) < log_loss(HELD_LABEL, start) * 1.03
    wild = AdaptiveFusion(Table.of(LEARNED), NAMES, rate=1.0, bound=2.0)
    for _ in range(5):
        wild.learn(experience(values[:2000], 1 - label[:2000]))
    assert all(0.5 - 1e-12 <= factor <= 2 + 1e-12 for factor in wild.multipliers().values())


def test_learning_does_not_depend_on_the_batches_and_continues_from_its_state():
    values = missing(7, 900)
    label = world(900, 7)[1]
    censored = (np.arange(900) % 5 == 0).astype(np.uint8)
    whole = AdaptiveFusion(Table.of(LEARNED), NAMES)
    whole.learn(experience(values, label, censored))
    pieces = AdaptiveFusion(Table.of(LEARNED), NAMES)
    for first, last in ((0, 1), (1, 17), (17, 400), (400, 400), (400, 900)):
        pieces.learn(experience(values[first:last], label[first:last], censored[first:last]))
        state, pieces = pieces.state(), AdaptiveFusion(Table.of(LEARNED), NAMES)
        pieces.restore(state)
    probe = scores(missing(8, 200))
    assert whole.fuse(probe).risk.tobytes() == pieces.fuse(probe).risk.tobytes()
    assert all(np.array_equal(whole.state()[key], array) for key, array in pieces.state().items())


def test_censored_and_unknown_outcomes_teach_nothing():
    fusion = AdaptiveFusion(Table.of(LEARNED), NAMES)
    fusion.learn(experience(VALUES[:100], LABEL[:100], np.ones(100, np.uint8)))
    fusion.learn(experience(VALUES[:100], np.full(100, np.nan)))
    fusion.learn(experience(np.full((100, 4), np.nan), LABEL[:100]))
    assert set(fusion.multipliers().values()) == {1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"features": ()},
        {"features": tuple(f"s{k}" for k in range(11))},
        {"arrays": {}},
        {"arrays": {**LEARNED.arrays, "weights": np.full((16, 4), np.nan)}},
        {"arrays": {**LEARNED.arrays, "reference": np.zeros((4, 4))}},
        {"settings": {}},
        {"settings": {"base": 0.0, "limit": -1.0, "bend": 1.0}},
        {"settings": {"base": 0.0, "limit": 9.0, "bend": float("inf")}},
    ],
)
def test_a_part_that_is_no_fusion_is_refused(change):
    fields = {"kind": LEARNED.kind, "features": NAMES, "arrays": LEARNED.arrays, "settings": LEARNED.settings}
    with pytest.raises(PartError):
        Table.of(Part(**{**fields, **change}))


def test_wrong_declarations_are_refused_with_a_sentence():
    with pytest.raises(PartError, match="'forst', which is no scorer"):
        declared_table(NAMES, {"forst": 1.0})
    with pytest.raises(BadSetting, match="there is no fusion 'magic'"):
        train_fusion("magic", VALUES, LABEL, NAMES, {})
    with pytest.raises(BadSetting, match="4 weights"):
        train_fusion("weighted", VALUES, LABEL, NAMES, {"weights": (1, 2)})
    with pytest.raises(ValueError, match="made for the scorers"):
        fusions()["learned"].fuse(scores(VALUES[:1], NAMES[::-1]))
    with pytest.raises(ValueError, match="another number of scorers"):
        AdaptiveFusion(Table.of(LEARNED), NAMES).restore({"place": np.zeros(2), "size": np.zeros(2)})


def test_a_declared_weight_that_is_absent_is_one():
    table = declared_table(("p", "q"), {"p": 1.0})
    assert table.weights[3].tolist() == [0.5, 0.5]
    assert np.array_equal(table.weights, declared_table(("p", "q"), {}).weights)
    assert declared_table(("p", "q"), {"p": 3.0}).weights[3].tolist() == [0.75, 0.25]
    assert declared_table(("p", "q"), {"q": 0.0}).weights.tolist() == [[0, 0], [1, 0], [0, 0], [1, 0]]


def test_declared_weights_of_any_size_keep_their_proportions():
    assert declared_table(("p", "q"), {"p": 1e308, "q": 1e308}).weights[3].tolist() == [0.5, 0.5]


def test_an_ensemble_is_the_mean_of_its_members_log_odds_by_their_shares():
    part = train_ensemble(["weighted", "learned"], VALUES, LABEL, np.arange(len(LABEL)), NAMES, {})
    values = missing(5, 300)
    made = serve_fusion(part, NAMES)
    alone = [FixedFusion(table, NAMES).fuse(scores(values)) for table in Trained.of(part).tables]
    naive = sum(s * np.log(one.risk / (1 - one.risk)) for s, one in zip(part.arrays["shares"], alone, strict=True))
    fused = made.fuse(scores(values))
    np.testing.assert_allclose(np.log(fused.risk / (1 - fused.risk)), naive, atol=1e-9)
    shares = part.arrays["shares"]
    parts = sum(s * one.contributions for s, one in zip(shares, alone, strict=True))
    np.testing.assert_allclose(fused.contributions, parts, atol=1e-12)
    for subset in range(1, 16):
        there = VALUES[:50].copy()
        there[:, [j for j in range(4) if not subset >> j & 1]] = np.nan
        np.testing.assert_allclose(fused_risk(part, VALUES[:50], subset), made.fuse(scores(there)).risk, rtol=1e-9)
    np.testing.assert_allclose(list(made.weights().values()), full_weights(part))


def test_the_shares_go_to_the_member_that_foretells_the_newest_rows():
    """By hand, all weight is on the weak scorer; the learned member has to get nearly everything."""
    settings = {"weights": (1, 0, 0, 0)}
    part = train_ensemble(["weighted", "learned"], VALUES, LABEL, np.arange(len(LABEL)), NAMES, settings)
    assert part.arrays["shares"][1] > 0.85
    few = slice(0, 60)
    equal = train_ensemble(["weighted", "learned"], VALUES[few], LABEL[few], np.arange(60), NAMES, settings)
    assert equal.arrays["shares"].tolist() == [0.5, 0.5]


@pytest.mark.long
def test_the_order_of_rows_in_time_and_not_in_the_file_says_which_are_newest():
    mixed = np.random.default_rng(4).permutation(len(LABEL))
    part = train_ensemble(["weighted", "learned"], VALUES, LABEL, np.arange(len(LABEL)), NAMES, {})
    other = train_ensemble(["weighted", "learned"], VALUES[mixed], LABEL[mixed], mixed, NAMES, {})
    np.testing.assert_allclose(part.arrays["shares"], other.arrays["shares"], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {}}, {"settings": {"members": ["learned", "magic"]}}, {"settings": {"members": []}},
        {"settings": {"members": ["weighted", "learned"]}}, {"arrays": {}},
        {"arrays": {"shares": np.array([0.5, 0.6])}}, {"arrays": {"shares": np.array([1.5, -0.5])}},
        {"arrays": {"shares": np.array([np.nan, 0.5])}}, {"arrays": {"shares": np.array([1.0])}},
    ],
)  # fmt: skip
def test_an_ensemble_that_is_none_is_refused(change):
    part = train_ensemble(["weighted", "learned"], VALUES, LABEL, np.arange(len(LABEL)), NAMES, {})
    arrays = {**part.arrays, **change["arrays"]} if change.get("arrays") else change.get("arrays", part.arrays)
    with pytest.raises(PartError):
        Trained.of(Part(part.kind, part.features, arrays, {}, change.get("settings", part.settings)))


@pytest.mark.long
def test_an_ensemble_learns_what_its_adaptive_member_would_and_continues_from_its_state():
    whole, pieces = ensemble_of(["learned", "adaptive"]), ensemble_of(["learned", "adaptive"])
    alone = AdaptiveFusion(Table.of(LEARNED), NAMES)
    for fusion in (whole, alone):
        fusion.learn(experience(VALUES[:400], LABEL[:400]))
    for at in range(0, 400, 100):
        state, pieces = pieces.state(), ensemble_of(["learned", "adaptive"])
        pieces.restore(state)
        pieces.learn(experience(VALUES[at : at + 100], LABEL[at : at + 100]))
    assert whole.fuse(scores(HELD)).risk.tobytes() == pieces.fuse(scores(HELD)).risk.tobytes()
    assert whole._members[1].state()["place"].tobytes() == alone.state()["place"].tobytes()
    assert (
        whole.fuse(scores(HELD)).risk.tobytes()
        != ensemble_of(["learned", "adaptive"]).fuse(scores(HELD)).risk.tobytes()
    )
    for state in ({}, {"adaptive_place": np.zeros(5)}, {**whole.state(), "more": np.zeros(1)}):
        with pytest.raises(ValueError, match="of other members"):
            whole.restore(state)


def test_the_part_of_a_fusion_is_found_by_its_name_or_not_at_all():
    parts = {"fusion": LEARNED, "fusion.weighted": WEIGHTED, "fusion.own": WEIGHTED}
    assert fusion_part(parts, "learned", named=True) is LEARNED is fusion_part(parts, "adaptive", named=True)
    assert fusion_part(parts, "weighted", named=True) is WEIGHTED is fusion_part(parts, "own", named=True)
    for name in ("ensemble", "best"):
        assert fusion_part(parts, name, named=True) is None
    assert (
        fusion_part(parts, "adaptive", named=False) is LEARNED and fusion_part(parts, "ensemble", named=False) is None
    )
    assert fusion_part({"fusion": WEIGHTED}, "learned", named=True) is None
