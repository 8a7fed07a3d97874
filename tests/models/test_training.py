"""Training is seeded, fits its fusion on rows left out, and says what is wrong with its settings."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tests.models.training_rows import NAMES, training_rows

from homeostat.decide.fusion.ensemble import Trained
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion
from homeostat.decide.scorers.build import serve_part
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.bundles import features_of, train_bundle, train_part
from homeostat.models.training.extras import BadSetting, TrainingUnavailable
from homeostat.models.training.folds import grouped_folds
from homeostat.models.training.fusion import fused_risk
from homeostat.models.training.isolation_forest import train_isolation_forest
from homeostat.models.training.network import train_network
from homeostat.models.training_set import FusionTask, NothingToLearn, ScorerTask, TrainingSet
from homeostat.records.decisions import Scores
from homeostat.stats.metrics import average_precision

TASKS = [
    ScorerTask("forest", "isolation_forest", settings={"trees": 20}),
    ScorerTask("boosted", "boosted_trees", settings={"trees": 30, "depth": 3}),
    ScorerTask("network", "network", ("amount", "risk", "night"), {"epochs": 6, "hidden": (8,), "batch": 64}),
]


class ByAmount:
    """A scorer that needs no training."""

    name = "rules"

    def score(self, features):
        value = features.values[:, features.names.index("amount")]
        return np.where(value > 5, 0.9, 0.0), np.ones(len(value))


def bundle(seed=0, **more):
    return train_bundle(
        training_rows(), TASKS, FusionTask(), serve_part, app="demo", ready={"rules": ByAmount()}, seed=seed, folds=3,
        **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    return bundle()


@pytest.mark.long
def test_a_trained_bundle_is_saved_loaded_and_beats_its_base_rate_on_rows_it_never_saw(trained, tmp_path):
    version = save_bundle(trained, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle", NAMES)
    assert loaded.version == version
    held = training_rows(seed=1)
    batch = features_of(NAMES, held.x)
    served = [serve_part(name, part, NAMES) for name, part in loaded.scorers.items()] + [ByAmount()]
    names = tuple(scorer.name for scorer in served)
    values = np.column_stack([scorer.score(batch)[0] for scorer in served])
    fused = FixedFusion(Table.of(loaded.fusion), names).fuse(
        Scores(names, values, np.ones(values.shape), np.zeros(len(values), np.uint8))
    )
    precision = average_precision(held.y, fused.risk)
    assert precision > 2 * held.y.mean()
    assert precision > max(average_precision(held.y, values[:, j]) for j in range(len(names))) - 0.02


def test_the_manifest_tells_of_rows_times_and_scores_of_rows_left_out(trained):
    rows = training_rows()
    assert trained.about["rows"] == len(rows)
    assert trained.about["positives"] == int(rows.y.sum())
    assert trained.about["until_ns"] == int(rows.time_ns.max())
    metrics = trained.about["out_of_fold"]
    assert set(metrics) == {"forest", "boosted", "network", "rules"}
    again = serve_part("boosted", trained.scorers["boosted"], NAMES).score(features_of(NAMES, rows.x))[0]
    assert metrics["boosted"]["average_precision"] < average_precision(rows.y, again)
    assert "numpy" in trained.about["libraries"]


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(trained, tmp_path):
    first, second = save_bundle(trained, tmp_path / "a"), save_bundle(bundle(), tmp_path / "b")
    assert first == second
    assert save_bundle(bundle(seed=1), tmp_path / "c") != first


@pytest.mark.parametrize("trainer", [train_boosted, train_isolation_forest, train_network])
def test_training_does_not_touch_global_randomness_or_its_rows(trainer):
    rows = training_rows(300)
    before, x = np.random.get_state()[1].copy(), rows.x.copy()
    trainer(rows.x, rows.y, NAMES, {"epochs": 1} if trainer is train_network else {"trees": 3}, 1)
    assert np.array_equal(before, np.random.get_state()[1])
    assert np.array_equal(x, rows.x, equal_nan=True)


@pytest.mark.long
def test_the_number_of_threads_makes_no_difference():
    rows = training_rows(600)
    one, two = (train_boosted(rows.x, rows.y, NAMES, {"trees": 10, "threads": t}, 1) for t in (1, 2))
    assert all(np.array_equal(array, two.arrays[key], equal_nan=True) for key, array in one.arrays.items())
    assert one.settings == two.settings


def test_folds_share_no_group_and_each_has_its_positives():
    rows = training_rows(2000)
    fold = grouped_folds(rows.groups, rows.y, 4, 0)
    for k in range(4):
        assert not set(rows.groups[fold == k]) & set(rows.groups[fold != k])
        assert 0.7 < rows.y[fold == k].sum() / (rows.y.sum() / 4) < 1.3


@pytest.mark.long
def test_progress_rises_to_1():
    seen = []
    bundle(progress=lambda what, share: seen.append((what, share)))
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert seen[-1] == ("done", 1.0)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("boosted_trees", {"tree": 3}, "no setting 'tree'"),
        ("boosted_trees", {"trees": 0}, "at least 1"),
        ("boosted_trees", {"trees": "many"}, "'many'"),
        ("boosted_trees", {"trees": True}, "True"),
        ("isolation_forest", {"rows": 1}, "at least 2"),
        ("network", {"hidden": ()}, "at least one unit"),
        ("network", {"logarithm": "some"}, "all, none or tails"),
        ("magic", {}, "nobody trains 'magic'"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(kind, settings, message):
    with pytest.raises(BadSetting, match=message):
        train_part(ScorerTask("s", kind, settings=settings), training_rows(100), 0)


def test_a_missing_library_is_named_with_what_to_install(monkeypatch):
    for module, kind in (("xgboost", "boosted_trees"), ("sklearn.ensemble", "isolation_forest"), ("torch", "network")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(TrainingUnavailable, match=r"homeostat\[train\]"):
            train_part(ScorerTask("s", kind), training_rows(100), 0)


def test_a_training_set_needs_both_outcomes_and_columns_of_one_length():
    rows = training_rows(50)
    with pytest.raises(ValueError, match="positive and negative"):
        TrainingSet(NAMES, rows.x, np.zeros(50), rows.time_ns, rows.id_code, rows.groups)
    with pytest.raises(ValueError, match="differ in length"):
        TrainingSet(NAMES, rows.x[:40], rows.y, rows.time_ns, rows.id_code, rows.groups)


@pytest.mark.parametrize("kind", ["isolation_forest", "network", "boosted_trees"])
def test_a_feature_that_is_never_there_or_never_varies_does_no_harm(kind):
    rows = training_rows(300)
    x = rows.x.copy()
    x[:, 1], x[:, 2] = np.nan, 7.0
    odd = TrainingSet(NAMES, x, rows.y, rows.time_ns, rows.id_code, rows.groups)
    scorer = serve_part("s", train_part(ScorerTask("s", kind), odd, 0), NAMES)
    assert np.isfinite(scorer.score(features_of(NAMES, x))[0]).all()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["isolation_forest", "network", "boosted_trees"])
@pytest.mark.parametrize("logarithm", ["all", "none", "tails"])
@pytest.mark.parametrize("huge", [3.5e38, 1e39, 1e200, -1e39, np.inf])
def test_values_beyond_float32_train_and_are_scored_like_the_largest_of_it(kind, logarithm, huge):
    if kind != "network" and logarithm != "all":
        return
    rows = training_rows(300)
    x, largest = rows.x.copy(), np.copysign(float(np.finfo(np.float32).max), huge)
    x[::50, 1] = huge
    odd = TrainingSet(NAMES, x, rows.y, rows.time_ns, rows.id_code, rows.groups)
    task = ScorerTask("s", kind, settings={"logarithm": logarithm} if kind == "network" else {})
    scorer = serve_part("s", train_part(task, odd, 0), NAMES)
    scores = scorer.score(features_of(NAMES, x))[0]
    assert np.isfinite(scores).all()
    held = np.where(np.isinf(x) | (np.abs(x) > 3.4e38), largest, x)
    np.testing.assert_allclose(scores, scorer.score(features_of(NAMES, held))[0], atol=1e-6)


def test_a_fold_that_leaves_nothing_to_learn_from_is_named_with_its_entity():
    rows = training_rows(60)
    one = TrainingSet(NAMES, rows.x, (np.arange(60) == 7).astype(float), rows.time_ns, rows.id_code, rows.groups)
    message = r"without fold \d of 2 no positive outcome .* 1 of 60 events .* name 1 different customer"
    with pytest.raises(NothingToLearn, match=message):
        train_bundle(one, TASKS, FusionTask(), serve_part, folds=2, group="customer")
    of_one = TrainingSet(
        NAMES, rows.x, (np.arange(60) < 12).astype(float), rows.time_ns, rows.id_code, rows.groups
    )  # fmt: skip
    with pytest.raises(NothingToLearn, match=r"12 of 60 events .* name 1 different customer"):
        train_bundle(of_one, TASKS, FusionTask(), serve_part, folds=2, group="customer")


def test_a_forest_with_declared_weights_learns_without_outcomes_and_others_say_that_they_need_some():
    rows = training_rows(200)
    without = TrainingSet(
        NAMES, rows.x, np.full(200, np.nan), rows.time_ns, rows.id_code, rows.groups
    )  # fmt: skip
    made = train_bundle(without, TASKS[:1], FusionTask("weighted"), serve_part)
    assert set(made.parts) == {"scorer.forest"}
    assert made.about["without_outcomes"] is True
    assert np.array_equal(made.parts["scorer.forest"].arrays["value"], train_part(TASKS[0], rows, 0).arrays["value"])
    with pytest.raises(NothingToLearn, match="scorer 'boosted' of kind boosted_trees"):
        train_bundle(without, TASKS[:2], FusionTask("weighted"), serve_part)
    with pytest.raises(NothingToLearn, match="the fusion of kind learned"):
        train_bundle(without, TASKS[:1], FusionTask("learned"), serve_part)


def test_the_manifest_tells_what_each_scorer_adds_to_the_fused_risk(trained):
    fused = trained.about["fused"]
    assert set(fused["without"]) == {"forest", "boosted", "network", "rules"}
    best = max(metrics["average_precision"] for metrics in trained.about["out_of_fold"].values())
    assert fused["average_precision"] > best - 0.02
    weights = trained.parts["fusion"].arrays["weights"][-1]
    assert [found["weight"] for found in fused["without"].values()] == weights.tolist()
    assert fused["log_loss"] <= min(found["log_loss"] for found in fused["without"].values()) + 1e-3


def test_the_fused_risk_of_training_is_that_of_serving(trained):
    scores = np.random.default_rng(3).random((50, 4))
    part = trained.parts["fusion"]
    for subset in (15, 6, 1):
        there = (subset >> np.arange(4)) & 1 == 1
        values = np.where(there, scores, np.nan)
        served = FixedFusion(Table.of(part), part.features).fuse(
            Scores(part.features, values, there * np.ones((50, 1)), np.zeros(50, np.uint8))
        )
        np.testing.assert_allclose(fused_risk(part, scores, subset), served.risk, rtol=1e-12)


def test_an_ensemble_is_trained_with_each_member_and_the_fusions_asked_for(tmp_path):
    task = FusionTask("ensemble", {"weights": (1.0, 2.0)}, ("weighted", "learned"), ("adaptive", "weighted", "learned"))
    made = train_bundle(training_rows(), TASKS[:2], task, serve_part, app="demo", folds=3)
    assert {name for name in made.parts if name.startswith("fusion")} == {
        "fusion", "fusion.adaptive", "fusion.weighted", "fusion.learned",
    }  # fmt: skip
    assert set(made.about["fusions"]) == {"ensemble", "adaptive", "weighted", "learned"}
    assert made.about["fused"]["average_precision"] == made.about["fusions"]["ensemble"]["average_precision"]
    save_bundle(made, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    ensemble = Trained.of(loaded.parts["fusion"])
    assert ensemble.kinds == ("weighted", "learned") and ensemble.shares.sum() == pytest.approx(1)
    for kind, table in zip(ensemble.kinds, ensemble.tables, strict=True):
        assert table.weights.tobytes() == loaded.parts[f"fusion.{kind}"].arrays["weights"].tobytes()
