"""Categories are learned as such: not as the numbers that their texts happen to become."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.scorers import SCORER_CHECKS
from homeostat.decide.scorers.build import check_categories, serve_part
from homeostat.models.bundle import Bundle, load_bundle, save_bundle
from homeostat.models.training.bundles import features_of, train_bundle, train_part
from homeostat.models.training.categories import FOLDS, PRIOR_ROWS, learned_encodings
from homeostat.models.training.folds import grouped_folds
from homeostat.models.training_set import FusionTask, ScorerTask, TrainingSet
from homeostat.records.identity import category_code
from homeostat.records.parts import PartError
from homeostat.stats.categories import FREQUENCY, ONE_HOT, SETTING, TARGET, Encoder, Encoding, read, written
from homeostat.stats.elementary import logit
from homeostat.stats.metrics import average_precision

sys.path.insert(0, str(Path(__file__).parents[2]))  # Trials are no part of the installed package.

from trials.corruption.noise import change

NAMES = ("amount", "country", "merchant")
COUNTRIES = ("FR", "DE", "IT", "ES", "XX")
MERCHANTS = tuple(f"merchant {k}" for k in range(300))
TREES = ScorerTask("boosted", "boosted_trees", settings={"trees": 60, "depth": 3})
FOREST = ScorerTask("forest", "isolation_forest", settings={"trees": 20})
NETWORK = ScorerTask("network", "network", settings={"epochs": 3, "hidden": (8,), "members": 1})
TASKS = [FOREST, TREES, NETWORK]


def rows(n: int = 20_000, seed: int = 0, categories: bool = True) -> TrainingSet:
    """Payments whose amount says little: one country is bad, and so is one merchant in ten."""
    rng = np.random.default_rng([5, seed])
    country = rng.choice(len(COUNTRIES), n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    merchant = rng.integers(0, len(MERCHANTS), n)
    bad = np.random.default_rng(5).random(len(MERCHANTS)) < 0.1
    amount = rng.exponential(50, n)
    log_odds = -4.5 + 2.5 * (country == 4) + 2.5 * bad[merchant] + 0.002 * amount
    y = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float)
    texts = {category_code(text): text for text in (*COUNTRIES, *MERCHANTS)}
    x = np.column_stack([
        amount,
        np.array([category_code(text) for text in COUNTRIES])[country],
        np.array([category_code(text) for text in MERCHANTS])[merchant],
    ])  # fmt: skip
    x[rng.random(n) < 0.02, 1] = np.nan
    codes = np.arange(n, dtype=np.int64)
    known = {"categories": frozenset(NAMES[1:]), "texts": texts} if categories else {}
    return TrainingSet(NAMES, x, y, codes * 10**9, codes, rng.integers(0, n // 10, n), **known)


@pytest.fixture(scope="module")
def learned() -> TrainingSet:
    return rows()


@pytest.fixture(scope="module")
def later() -> TrainingSet:
    return rows(seed=1)


def precision(task: ScorerTask, learned: TrainingSet, later: TrainingSet) -> float:
    scorer = serve_part("s", train_part(task, learned, 0), NAMES)
    return average_precision(later.y, scorer.score(features_of(NAMES, later.x))[0])


@pytest.mark.long
def test_categories_are_worth_more_than_leaving_them_out_and_than_their_hashes(learned, later):
    native = precision(TREES, learned, later)
    without = precision(replace(TREES, features=("amount",)), learned, later)
    hashed = precision(TREES, rows(categories=False), later)
    assert native > 3 * without
    assert native > 1.3 * hashed


@pytest.mark.long
def test_a_category_without_an_effect_costs_next_to_nothing(learned, later):
    rng = np.random.default_rng(3)
    idle = [replace(one, x=np.column_stack([one.x[:, :2], rng.permutation(one.x[:, 2])])) for one in (learned, later)]
    assert precision(TREES, *idle) > 0.85 * precision(replace(TREES, features=NAMES[:2]), *idle)


@pytest.mark.long
def test_few_categories_get_a_column_each_and_many_are_ordered_by_their_outcomes(learned):
    encodings, columns, _ = learned_encodings(learned, NAMES, 0, supervised=True)
    assert encodings["country"] == Encoding(ONE_HOT, ("FR", "DE", "IT", "ES", "XX"))
    assert encodings["merchant"].kind == TARGET and len(encodings["merchant"].values) == 300
    assert columns == ("amount", *(f"country.{k}" for k in range(5)), "country.other", "merchant.target")
    assert learned_encodings(learned, NAMES, 0, supervised=False)[0]["merchant"].kind == FREQUENCY


def test_a_number_that_rows_learn_from_is_made_of_other_groups_outcomes(learned):
    """The naive twin: row by row, from the rows of the other folds."""
    part = learned.rows(np.arange(5_000))
    encodings, columns, x = learned_encodings(part, NAMES, 7, supervised=True)
    few = set(encodings["merchant"].values)
    assert 8 < len(few) < 200
    fold = grouped_folds(part.groups, part.y, FOLDS, 7)
    assert all(np.unique(fold[part.groups == group]).size == 1 for group in part.groups[:50].tolist())
    texts = np.array([part.texts[code] for code in part.x[:, 2].tolist()])
    names = np.where(np.isin(texts, list(few)), texts, "other")
    for row in range(0, 5_000, 97):
        same = (names == names[row]) & (fold != fold[row])
        share = (part.y[same].sum() + PRIOR_ROWS * part.y.mean()) / (same.sum() + PRIOR_ROWS)
        assert np.isclose(x[row, columns.index("merchant.target")], logit(share))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_a_new_category_and_a_missing_one_are_scored(task, learned):
    scorer = serve_part("s", train_part(task, learned.rows(np.arange(4_000)), 0), NAMES)
    x = np.array([[10.0, category_code("ZZ"), category_code("new")], [10.0, np.nan, np.nan]])
    score, confidence = scorer.score(features_of(NAMES, x))
    assert ((score >= 0) & (score <= 1)).all()
    assert confidence.tolist() == [1.0, 1 / 3]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("check", SCORER_CHECKS, ids=lambda check: check.__name__)
def test_an_encoded_scorer_conforms(check, task, learned, parts):
    check(lambda: serve_part("s", parts[task.kind], NAMES), features_of(NAMES, learned.x[:300]))


@pytest.fixture(scope="module")
def parts(learned):
    few = learned.rows(np.arange(4_000))
    return {task.kind: train_part(task, few, 0) for task in TASKS}


def test_contributions_are_by_feature_and_add_up(learned, parts):
    batch = features_of(NAMES, learned.x[:200])
    moved, baseline = serve_part("s", parts["boosted_trees"], NAMES).contributions(batch)
    assert moved.shape == (200, 3)
    score = serve_part("s", parts["boosted_trees"], NAMES).score(batch)[0]
    assert np.allclose(1 / (1 + np.exp(-(moved.sum(axis=1) + baseline))), score)
    assert moved[learned.x[:200, 1] == category_code("XX"), 1].min() > 0


@pytest.mark.long
def test_codes_have_no_part_in_what_is_learned(learned):
    """Codes may be keyed, in each folder by another secret."""
    few = learned.rows(np.arange(4_000))
    rng = np.random.default_rng(0)
    other = dict(zip(few.texts.values(), rng.permutation(1 << 20)[: len(few.texts)].astype(float).tolist()))
    x = few.x.copy()
    for column in (1, 2):
        x[:, column] = [np.nan if code != code else other[few.texts[code]] for code in x[:, column].tolist()]
    keyed = replace(few, x=x, texts={code: text for text, code in other.items()})
    for task in TASKS:
        one, two = train_part(task, few, 0), train_part(task, keyed, 0)
        assert one.settings == two.settings
        assert all(one.arrays[name].tobytes() == two.arrays[name].tobytes() for name in one.arrays)
        scores = [
            serve_part("s", one, NAMES).score(features_of(NAMES, few.x))[0],
            serve_part("s", two, NAMES, other.__getitem__).score(features_of(NAMES, keyed.x))[0],
        ]
        assert scores[0].tobytes() == scores[1].tobytes()


@pytest.mark.long
def test_a_bundle_keeps_the_categories_by_text_and_is_the_same_twice(learned, tmp_path):
    few = learned.rows(np.arange(4_000))
    made = [train_bundle(few, TASKS[:2], FusionTask(), serve_part, app="demo", folds=2) for _ in range(2)]
    versions = {save_bundle(bundle, tmp_path / str(k)) for k, bundle in enumerate(made)}
    assert len(versions) == 1
    loaded = load_bundle(tmp_path / "0", NAMES)
    manifest = (tmp_path / "0" / "manifest.json").read_text()
    assert '"merchant 17"' in manifest
    batch = features_of(NAMES, few.x)
    for name, part in made[0].scorers.items():
        assert part.features == NAMES
        served = [serve_part(name, one, NAMES).score(batch)[0] for one in (part, loaded.scorers[name])]
        assert served[0].tobytes() == served[1].tobytes()


def test_rows_without_texts_are_learned_from_as_the_rare_are(learned):
    encodings, _, x = learned_encodings(replace(learned, texts={}), NAMES, 0, supervised=True)
    assert encodings["merchant"] == Encoding(ONE_HOT, ())
    assert (x[:, 2] == 1.0).all()


def test_a_part_of_before_is_refused_with_a_sentence(learned):
    raw = train_part(TREES, replace(learned.rows(np.arange(500)), categories=frozenset()), 0)
    with pytest.raises(PartError, match=r"country, merchant as numbers that mean nothing.*train the bundle again"):
        check_categories("boosted", raw, frozenset(("country", "merchant")))
    check_categories("boosted", raw, frozenset())


def broken(setting):
    whole = written({"country": Encoding(ONE_HOT, ("FR", "DE")), "merchant": Encoding(TARGET, ("a",), (0.5,), -1.0)})
    return setting(whole, whole["features"])


@pytest.mark.parametrize(
    "setting",
    [
        lambda whole, by: [],
        lambda whole, by: {**whole, "version": 2},
        lambda whole, by: {**whole, "version": True},
        lambda whole, by: {**whole, "more": 1},
        lambda whole, by: {**whole, "features": {}},
        lambda whole, by: {**whole, "features": {"amuont": by["country"]}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "kind": "hash"}}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "kind": ["one_hot"]}}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "values": ["FR", "FR"]}}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "values": ["FR", 7]}}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "values": "FR"}}},
        lambda whole, by: {**whole, "features": {"country": {**by["country"], "numbers": [0.0, 1.0]}}},
        lambda whole, by: {**whole, "features": {"merchant": {**by["merchant"], "numbers": [0.0, 1.0]}}},
        lambda whole, by: {**whole, "features": {"merchant": {**by["merchant"], "numbers": [float("nan")]}}},
        lambda whole, by: {**whole, "features": {"merchant": {**by["merchant"], "numbers": [10**400]}}},
        lambda whole, by: {**whole, "features": {"merchant": {**by["merchant"], "other": None}}},
    ],
)
def test_broken_categories_are_refused(setting):
    with pytest.raises(PartError):
        read(broken(setting), NAMES)


def test_corrupted_categories_are_refused_in_a_sentence_or_serve(parts, learned):
    batch, ended = features_of(NAMES, learned.x[:50]), set()
    for case in range(150):
        chance = np.random.default_rng([3, case])
        part = parts[("boosted_trees", "network")[case % 2]]
        settings = json.loads(json.dumps(part.settings))
        few = settings[SETTING]["features"]
        for _ in range(int(chance.integers(1, 4))):
            change(few if case % 3 else settings[SETTING], chance)
        try:
            score, confidence = serve_part("s", replace(part, settings=settings), NAMES).score(batch)
        except PartError:
            ended.add("refused")
            continue
        assert ((score >= 0) & (score <= 1) & (confidence >= 0) & (confidence <= 1)).all()
        ended.add("served")
    assert ended == {"refused", "served"}


def test_a_model_of_other_columns_than_its_categories_make_is_refused(parts):
    network = parts["network"]
    by = network.settings[SETTING]["features"]
    narrow = {"version": 1, "features": {**by, "country": {**by["country"], "values": ["FR"]}}}
    with pytest.raises(PartError):
        serve_part("s", replace(network, settings={**network.settings, SETTING: narrow}), NAMES)


@given(
    st.lists(st.text(max_size=3), unique=True, max_size=12),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=12),
    st.sampled_from([ONE_HOT, TARGET]),
)
def test_the_kernel_is_its_naive_twin(values, asked, kind):
    numbers = tuple(float(k) + 0.25 for k in range(len(values))) if kind == TARGET else ()
    encoding = Encoding(kind, tuple(values), numbers, -9.0 if kind == TARGET else 0.0)
    encoder = Encoder(("a", "c", "b", "c2"), np.array([2, 0, 1, 0]), {"c": encoding, "c2": encoding}, category_code)
    x = np.array([[np.nan if text is None else category_code(text), 5.0, 7.0] for text in asked]).reshape(-1, 3)
    table = encoding.table()
    expected = []
    for text in asked:
        row = np.full(encoding.width, np.nan) if text is None else table[values.index(text) if text in values else -1]
        expected.append([7.0, *row, 5.0, *row])
    made = encoder.encode(x)
    assert np.array_equal(made, np.array(expected).reshape(len(asked), len(encoder.names)), equal_nan=True)


def test_a_bundle_whose_text_was_changed_by_hand_is_another_bundle(learned, tmp_path):
    part = train_part(FOREST, learned.rows(np.arange(500)), 0)
    version = save_bundle(Bundle("demo", NAMES, {}, {"scorer.forest": part}), tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    path.write_text(path.read_text().replace('"FR"', '"GB"'))
    assert load_bundle(tmp_path / "bundle", NAMES).version != version
    path.write_text(path.read_text().replace('"GB"', '"DE"'))
    twice = load_bundle(tmp_path / "bundle", NAMES).scorers["forest"]
    with pytest.raises(PartError, match="a text twice"):
        serve_part("s", twice, NAMES)
