"""Served forests equal the trained ones, explain themselves exactly, and don't depend on the batch."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.scorers.build import serve_part
from homeostat.decide.scorers.columns import MissingFeature
from homeostat.decide.scorers.forest import Forest, ForestScorer
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.flatten import Tree, flatten
from homeostat.models.training.isolation_forest import filled, medians, train_isolation_forest
from homeostat.records.features import Features
from homeostat.records.parts import Part, PartError

NAMES = tuple(f"f{k}" for k in range(8))


def matrix(n=1200, seed=0, gaps=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NAMES))) * np.geomspace(1e-3, 1e4, len(NAMES))
    y = (rng.random(n) < 1 / (1 + np.exp(2 - 1e3 * x[:, 0] - x[:, 3] * x[:, 4] / 100))).astype(float)
    x[rng.random(x.shape) < gaps] = np.nan
    return x, y


def features(x, names=NAMES):
    return Features(names, np.ascontiguousarray(x, np.float64), np.zeros(x.shape, np.uint8))


def booster(x, y, **settings):
    import xgboost

    params = {
        "objective": "binary:logistic",
        "tree_method": "exact",
        "base_score": 0.5,
        "verbosity": 0,
        "seed": 5,
        "nthread": 1,
    }
    trees = settings.pop("num_boost_round")
    return xgboost.train({**params, **settings}, xgboost.DMatrix(x, label=y), trees)


BOOSTED = [
    ({"trees": 60, "depth": 3, "rate": 0.1}, {"num_boost_round": 60, "max_depth": 3, "eta": 0.1}),
    ({"trees": 30, "depth": 5, "rate": 0.2}, {"num_boost_round": 30, "max_depth": 5, "eta": 0.2}),
    ({"trees": 12, "depth": 8, "rate": 0.3}, {"num_boost_round": 12, "max_depth": 8, "eta": 0.3}),
    ({"trees": 1, "depth": 1, "rate": 1.0}, {"num_boost_round": 1, "max_depth": 1, "eta": 1.0}),
    ({"trees": 3, "depth": 4, "gamma": 1e9}, {"num_boost_round": 3, "max_depth": 4, "eta": 0.1, "gamma": 1e9}),
]


@pytest.mark.long
@pytest.mark.parametrize(("mine", "theirs"), BOOSTED)
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_boosted_trees_equal_xgboost_with_and_without_gaps(mine, theirs, gaps):
    import xgboost

    x, y = matrix(gaps=gaps)
    scorer = ForestScorer("boosted", train_boosted(x, y, NAMES, mine, 5), NAMES)
    expected = booster(x, y, **theirs).predict(xgboost.DMatrix(x))
    np.testing.assert_allclose(scorer.score(features(x))[0], expected, atol=1e-6, rtol=0)


def test_values_exactly_at_a_threshold_go_where_xgboost_sends_them():
    import xgboost

    x, y = matrix()
    part = train_boosted(x, y, NAMES, {"trees": 40, "depth": 4}, 5)
    inner = ~np.isnan(part.arrays["threshold"])
    limits, columns = part.arrays["threshold"][inner], part.arrays["feature"][inner]
    rows = np.repeat(x[:1], len(limits) * 3, axis=0)
    for step, to in enumerate((-np.inf, np.nan, np.inf)):
        edge = limits if step == 1 else np.nextafter(limits, np.float32(to))
        rows[np.arange(len(limits)) * 3 + step, columns] = edge
    expected = booster(x, y, num_boost_round=40, max_depth=4, eta=0.1).predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(ForestScorer("b", part, NAMES).score(features(rows))[0], expected, atol=1e-6, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("settings_", [{}, {"trees": 30, "rows": 900}, {"trees": 20, "columns": 0.5}, {"rows": 2}])
def test_an_isolation_forest_equals_that_of_scikit_learn(settings_):
    from sklearn.ensemble import IsolationForest

    x, y = matrix()
    served = ForestScorer("forest", train_isolation_forest(x, y, NAMES, settings_, 7), NAMES).score(features(x))[0]
    peer = IsolationForest(
        n_estimators=settings_.get("trees", 100), max_samples=settings_.get("rows", 256),
        max_features=settings_.get("columns", 1.0), random_state=7,
    ).fit(x)  # fmt: skip
    np.testing.assert_allclose(served, -peer.score_samples(x), atol=1e-6, rtol=0)


def test_a_gap_scores_like_the_median_in_an_isolation_forest():
    x, y = matrix(gaps=0.2)
    scorer = ForestScorer("forest", train_isolation_forest(x, y, NAMES, {"trees": 20}, 1), NAMES)
    whole = filled(x, medians(x))
    assert np.array_equal(scorer.score(features(x))[0], scorer.score(features(whole))[0])


@cache
def scorers():
    x, y = matrix(gaps=0.05)
    return [
        ForestScorer("forest", train_isolation_forest(x, y, NAMES, {"trees": 25}, 1), NAMES),
        ForestScorer("shallow", train_boosted(x, y, NAMES, {"trees": 40, "depth": 4}, 1), NAMES),
        ForestScorer(
            "deep", train_boosted(x, y, NAMES, {"trees": 10, "depth": 9, "bags": 2, "bag_rows": 0.7}, 1), NAMES
        ),
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_scores_have_the_same_bits_however_rows_are_batched(seed, cuts):
    x = matrix(sum(cuts), seed, gaps=0.02)[0]
    x.flat[:: 37 + seed % 11] = np.inf
    batch = features(x)
    edges = np.concatenate([[0], np.cumsum(cuts)])
    for scorer in scorers():
        whole = scorer.score(batch)[0]
        parts = [scorer.score(batch.slice(a, b))[0] for a, b in pairwise(edges)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
        assert ((whole >= 0) & (whole <= 1)).all()


def test_one_row_at_a_time_has_the_bits_of_the_batch():
    x = matrix(300, 9, gaps=0.02)[0]
    for scorer in scorers():
        single = [scorer.score(features(x[i : i + 1]))[0][0] for i in range(len(x))]
        assert np.array(single).tobytes() == scorer.score(features(x))[0].tobytes()


def naive_score(part: Part, x: np.ndarray) -> float:
    """One row down one tree after the other, in plain Python."""
    a, total = part.arrays, 0.0
    for root in a["start"][:-1]:
        node = int(root)
        while a["left"][node] != node:
            value = np.float32(x[a["feature"][node]])
            right = bool(a["nan_right"][node]) if np.isnan(value) else bool(value >= a["threshold"][node])
            node = int(a["left"][node]) + right
        total += float(a["value"][node])
    return part.settings["base"] + part.settings["scale"] * total


def test_both_walks_equal_their_naive_twin():
    x, y = matrix(400, 3, gaps=0.1)
    for settings_ in ({"trees": 8, "depth": 4}, {"trees": 8, "depth": 9}):
        part = train_boosted(x, y, NAMES, settings_, 1)
        naive = np.array([naive_score(part, row) for row in x])
        served = ForestScorer("b", part, NAMES).score(features(x))[0]
        np.testing.assert_allclose(np.log(served / (1 - served)), naive, atol=1e-10)


def brute_contributions(part: Part, x: np.ndarray) -> np.ndarray:
    """Shapley values by their definition, over all subsets of the features."""
    a, f = part.arrays, len(part.features)

    def worth(known: int) -> float:
        def below(node: int) -> float:
            left = int(a["left"][node])
            if left == node:
                return float(a["value"][node])
            if known >> int(a["feature"][node]) & 1:
                value = np.float32(x[a["feature"][node]])
                right = bool(a["nan_right"][node]) if np.isnan(value) else bool(value >= a["threshold"][node])
                return below(left + right)
            cover = a["cover"]
            return (cover[left] * below(left) + cover[left + 1] * below(left + 1)) / cover[node]

        return sum(below(int(root)) for root in a["start"][:-1])

    from math import factorial

    values = [worth(s) for s in range(1 << f)]
    out = np.zeros(f)
    for k in range(f):
        for s in range(1 << f):
            if not s >> k & 1:
                size = s.bit_count()
                weight = factorial(size) * factorial(f - size - 1) / factorial(f)
                out[k] += weight * (values[s | 1 << k] - values[s])
    return part.settings["scale"] * out


@pytest.mark.parametrize("depth", [2, 6])
def test_contributions_equal_the_definition_over_all_subsets(depth):
    x, y = matrix(500, 4, gaps=0.1)
    part = train_boosted(x[:, :5], y, NAMES[:5], {"trees": 3, "depth": depth}, 1)
    rows = x[:6, :5]
    mine, _ = ForestScorer("b", part, NAMES[:5]).contributions(features(rows, NAMES[:5]))
    np.testing.assert_allclose(mine, [brute_contributions(part, row) for row in rows], atol=1e-10)


@pytest.mark.long
@pytest.mark.parametrize(("mine", "theirs"), BOOSTED[:3])
def test_contributions_of_boosted_trees_equal_those_of_shap(mine, theirs):
    import shap

    x, y = matrix(gaps=0.05)
    model = booster(x, y, **theirs)
    explainer = shap.TreeExplainer(model)
    ours, base = ForestScorer("b", train_boosted(x, y, NAMES, mine, 5), NAMES).contributions(features(x[:200]))
    # For XGBoost's own models shap asks XGBoost, which sums in float32: its larger sums are off in their last places.
    np.testing.assert_allclose(ours, explainer.shap_values(x[:200]), atol=2e-6, rtol=0)
    assert base == pytest.approx(float(explainer.expected_value), abs=1e-6)


def as_shap_model(part: Part) -> dict:
    """The served trees in shap's own format, which it explains in float64."""
    a, trees = part.arrays, []
    for low, high in zip(a["start"][:-1], a["start"][1:], strict=True):
        rows = slice(int(low), int(high))
        leaf = a["left"][rows] == np.arange(low, high)
        left = np.where(leaf, -1, a["left"][rows] - low)
        right = np.where(leaf, -1, left + 1)
        trees.append({
            "children_left": left, "children_right": right,
            "children_default": np.where(a["nan_right"][rows] == 1, right, left), "features": a["feature"][rows],
            # shap sends x <= threshold left, in float64.
            "thresholds": np.where(leaf, 0.0, np.nextafter(a["threshold"][rows], np.float32(-np.inf))).astype(float),
            "values": a["value"][rows][:, None] * part.settings["scale"], "node_sample_weight": a["cover"][rows],
        })  # fmt: skip
    return {"trees": trees}


def test_contributions_equal_those_of_shap_in_float64():
    import shap

    x, y = matrix(gaps=0.05)
    x32 = x.astype(np.float32).astype(float)
    for part in (
        train_boosted(x, y, NAMES, {"trees": 40, "depth": 5}, 5),
        train_boosted(x, y, NAMES, {"trees": 5, "depth": 9, "bags": 2}, 5),
        train_isolation_forest(x, y, NAMES, {"trees": 10}, 5),
    ):
        theirs = shap.TreeExplainer(as_shap_model(part)).shap_values(x32[:100])
        mine, _ = ForestScorer("m", part, NAMES).contributions(features(x32[:100]))
        np.testing.assert_allclose(mine, theirs, atol=1e-9, rtol=0)


@pytest.mark.long
def test_contributions_of_an_isolation_forest_equal_those_of_shap_with_the_sign_of_the_score():
    import shap
    from sklearn.ensemble import IsolationForest

    x, y = matrix()
    part = train_isolation_forest(x, y, NAMES, {"trees": 50}, 7)
    peer = IsolationForest(n_estimators=50, max_samples=256, random_state=7).fit(x)
    mine, _ = ForestScorer("forest", part, NAMES).contributions(features(x[:100]))
    # shap explains the mean path length, which falls as the score rises: scale is -ln 2 / (trees * c).
    theirs = part.settings["scale"] * 50 * shap.TreeExplainer(peer).shap_values(x[:100])
    np.testing.assert_allclose(mine, theirs, atol=1e-6, rtol=0)


def test_contributions_and_their_baseline_sum_to_the_raw_output():
    x = matrix(200, 5, gaps=0.1)[0]
    for scorer, raw in zip(
        scorers(), (np.log, lambda s: np.log(s / (1 - s)), lambda s: np.log(s / (1 - s))), strict=True
    ):
        parts, base = scorer.contributions(features(x))
        np.testing.assert_allclose(parts.sum(axis=1) + base, raw(scorer.score(features(x))[0]), atol=1e-9)


def test_columns_are_found_by_name_and_confidence_is_the_share_of_fresh_ones():
    x, y = matrix()
    part = train_boosted(x[:, [2, 0]], y, ("f2", "f0"), {"trees": 5}, 1)
    scorer = ForestScorer("b", part, NAMES)
    direct = ForestScorer("b", part, ("f2", "f0")).score(features(x[:, [2, 0]], ("f2", "f0")))[0]
    batch = features(x)
    batch.freshness[0, 2] = 1
    batch.values[1, 0] = np.nan
    scores, confidence = scorer.score(batch)
    assert np.array_equal(scores[2:], direct[2:])
    assert confidence[:3].tolist() == [0.5, 0.5, 1.0]
    parts, _ = scorer.contributions(batch)
    assert parts.shape == (len(x), len(NAMES))
    assert not parts[:, [1, 3, 4, 5, 6, 7]].any()
    with pytest.raises(MissingFeature, match=r"'f0'.*did you mean 'f01'"):
        ForestScorer("b", part, ("f2", "f01"))


def test_a_batch_of_no_rows_has_no_scores():
    for scorer in scorers():
        assert scorer.score(features(np.empty((0, len(NAMES)))))[0].shape == (0,)
        assert scorer.contributions(features(np.empty((0, len(NAMES)))))[0].shape == (0, len(NAMES))


ARRAYS = ["start", "depth", "feature", "threshold", "left", "nan_right", "value", "cover"]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(ARRAYS), st.integers(0, 10**6), st.integers(-(2**31), 2**31 - 1))
def test_no_changed_number_lets_a_walk_leave_its_tree(name, at, value):
    x, part = mutated()
    arrays = {key: array.copy() for key, array in part.arrays.items()}
    with np.errstate(over="ignore"):
        arrays[name][at % len(arrays[name])] = np.array(value).astype(arrays[name].dtype)
    try:
        scorer = ForestScorer("b", Part(part.kind, part.features, arrays, settings=part.settings), NAMES)
    except PartError:
        return
    assert np.isfinite(scorer.score(features(x))[0]).all()
    scorer.contributions(features(x[:2]))


@cache
def mutated():
    x, y = matrix(60)
    return x, train_boosted(x, y, NAMES, {"trees": 4, "depth": 3}, 1)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_another_type_or_length_are_refused(name):
    part = mutated()[1]
    for wrong in (None, part.arrays[name].astype(np.float16), part.arrays[name][:-1], part.arrays[name][None]):
        arrays = {key: array for key, array in {**part.arrays, name: wrong}.items() if array is not None}
        with pytest.raises(PartError):
            Forest.of(Part(part.kind, part.features, arrays))


def test_an_unknown_kind_is_refused():
    with pytest.raises(PartError, match="no scorer serves"):
        serve_part("x", Part("quantum", NAMES), NAMES)


def test_a_tree_of_one_leaf_scores_every_row_alike():
    none = np.array([-1])
    arrays = flatten([Tree(none, none, none, np.zeros(1, np.float32), np.zeros(1, bool), np.array([0.25]), np.ones(1))])
    part = Part("boosted_trees", NAMES, arrays, settings={"base": -0.25, "scale": 1.0})
    assert ForestScorer("b", part, NAMES).score(features(np.zeros((40, 8))))[0].tolist() == [0.5] * 40
