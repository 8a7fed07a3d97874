"""A wrapped model mends rows, sets others aside, retrains where that wins, and leaves well alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from homeostat import HealingError, SelfHealing

pytestmark = pytest.mark.long  # Seconds together.

NAMES = ["age", "weight", "load"]
MEANS, SPREADS = np.array([50.0, 25.0, 85.0]), np.array([12.0, 4.0, 45.0])
OLD, NEW = np.array([1.0, 0.5, -1.0]), np.array([-1.0, 1.0, 0.3])


def linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def rows(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(MEANS, SPREADS, (n, 3))


def label(x: np.ndarray, law: np.ndarray = OLD) -> np.ndarray:
    return (((x - MEANS) / SPREADS) @ law > 0).astype(int)


def healing(n: int = 1_000, **options: Any) -> SelfHealing:
    x = rows(0, n)
    return SelfHealing(linear(), reference=(x, label(x)), **options)


def fed(
    model: SelfHealing, spoil: Callable[[np.ndarray, np.ndarray], None], coins: bool, law: np.ndarray = OLD
) -> None:
    """Twelve batches of 100 rows, three in ten of them spoiled."""
    chance = np.random.default_rng(5)
    for batch in range(12):
        x = rows(100 + batch, 100)
        y, bad = label(x, law), chance.random(100) < 0.3
        spoil(x, bad)
        model.learn(x, np.where(bad & coins, chance.integers(0, 2, 100), y))


def scaled(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, 0] *= 20


def test_a_scaled_column_is_named_mended_and_verified_by_labels() -> None:
    model = healing()
    fed(model, scaled, coins=False)
    entry = {"since": 0, "kind": "scale", "columns": ["0"], "action": "repair", "verdict": "PASS"}
    assert entry in model.report()
    x = rows(9, 500)
    spoiled = x.copy()
    spoiled[:, 0] *= 20
    assert np.mean(model.predict(spoiled) == label(x)) > 0.9


def test_rows_with_labels_like_coins_are_set_aside_and_still_predicted() -> None:
    model = healing()
    fed(model, scaled, coins=True)
    (entry,) = model.report()
    assert (entry["kind"], entry["action"], entry["verdict"]) == ("scale", "quarantine", "PASS")
    spoiled = rows(9, 50) * [20, 1, 1]
    assert set(model.predict(spoiled)) <= {0, 1} and len(model.predict(spoiled)) == 50


def flipped(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, 1] *= -1


def swapped(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, :2] = x[bad, 1::-1]


def constant(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, 2] = 99.25


def shifted(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, 1] += 40


def gone(x: np.ndarray, bad: np.ndarray) -> None:
    x[bad, 0] = np.nan


KINDS = {"sign flip": (flipped, {"1"}), "swap": (swapped, {"0", "1"}), "constant": (constant, {"2"})}
KINDS |= {"offset": (shifted, {"1"}), "missing": (gone, {"0"})}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named_with_its_columns(kind: str) -> None:
    spoil, columns = KINDS[kind]
    model = healing()
    fed(model, spoil, coins=True)
    assert {name for entry in model.report() if entry["kind"] == kind for name in entry["columns"]} == columns


@pytest.mark.parametrize("spoil", [scaled, flipped, shifted], ids=lambda spoil: spoil.__name__)
def test_a_repair_that_labels_have_shown_right_stands_alone_in_the_report(
    spoil: Callable[[np.ndarray, np.ndarray], None],
) -> None:
    model, watched = healing(), False
    chance = np.random.default_rng(5)
    for batch in range(16):
        x = rows(100 + batch, 100)
        y, bad = label(x), chance.random(100) < 0.3
        chance.integers(0, 2, 100)  # As `fed` draws, so that these are its rows.
        spoil(x, bad)
        model.learn(x, y)
        watched = watched or any(entry["action"] == "watch" for entry in model.report())
    assert watched, "while the repair was not exact, the alarm was shown"
    (entry,) = model.report()
    assert (entry["action"], entry["verdict"]) == ("repair", "PASS")


def test_a_flipped_concept_is_learned_again_from_clean_rows() -> None:
    model = healing()
    fed(model, scaled, coins=True, law=NEW)
    x = rows(9, 1_000)
    assert np.mean(model.predict(x) == label(x, NEW)) > 0.95
    shifts = [entry for entry in model.report() if entry["kind"] == "concept shift"]
    assert [(entry["since"], entry["action"], entry["verdict"]) for entry in shifts] == [(0, "retrain", "PASS")]


def test_nothing_is_done_where_nothing_is_wrong() -> None:
    model, x = healing(), rows(9, 500)
    before = model.predict(x)
    for batch in range(5):
        fresh = rows(50 + batch, 100)
        model.learn(fresh, label(fresh))
    assert model.report() == [] and (model.predict(x) == before).all()


def test_predictions_are_those_of_the_bare_estimator_until_something_happens() -> None:
    x, fresh = rows(0, 1_000), rows(9, 300)
    assert (healing().predict(fresh) == linear().fit(x, label(x)).predict(fresh)).all()


def test_labels_that_never_come_retrain_nothing_and_rows_are_still_diagnosed() -> None:
    model = healing()
    for batch in range(4):
        x = rows(30 + batch, 100)
        x[:40, 0] *= 20
        model.learn(x)
    assert [(entry["kind"], entry["verdict"]) for entry in model.report()] == [("scale", "INCONCLUSIVE")]


def test_a_batch_of_one_class_and_an_empty_batch_do_no_harm() -> None:
    model, x = healing(), rows(9, 300)
    before = model.predict(x)
    one = rows(10, 400)
    model.learn(one[label(one) == 1], np.ones(int(label(one).sum()), dtype=int))
    model.learn(one[:0], [])
    assert np.mean(model.predict(x) == before) > 0.98 and len(model.predict(x[:0])) == 0


@given(st.integers(0, 1_000))
@settings(max_examples=5, deadline=None)
def test_a_row_is_predicted_alike_alone_in_any_order_and_twice(seed: int) -> None:
    model = healing(300)
    fed(model, scaled, coins=False)
    x = rows(seed, 30)
    x[::3, 0] *= 20
    order = np.random.default_rng(seed).permutation(30)
    together = model.predict(x)
    assert (model.predict(x[order]) == together[order]).all()
    assert [model.predict(x[at : at + 1])[0] for at in range(30)] == together.tolist()
    assert (model.predict(np.concatenate([x, x])) == np.concatenate([together, together])).all()


def test_the_order_of_rows_in_a_batch_changes_nothing() -> None:
    one, other, x = healing(300), healing(300), rows(9, 200)
    for batch in range(4):
        fresh = rows(20 + batch, 80)
        fresh[:20, 0] *= 20
        y, order = label(fresh, NEW), np.random.default_rng(batch).permutation(80)
        one.learn(fresh, y)
        other.learn(fresh[order], y[order])
    assert one.report() == other.report() and (one.predict(x) == other.predict(x)).all()


@pytest.mark.parametrize(
    "library", [np.asarray, lambda x: pd.DataFrame(x, columns=NAMES), lambda x: pl.DataFrame(x, NAMES)]
)
def test_each_library_of_tables_gives_the_same(library: Callable[[Any], Any]) -> None:
    plain, x, fresh = healing(300), rows(0, 300), rows(9, 100)
    model = SelfHealing(linear(), reference=(library(x), label(x)))
    for batch in range(4):
        more = rows(40 + batch, 100)
        more[:30, 0] *= 20
        plain.learn(more, label(more, NEW))
        model.learn(library(more), label(more, NEW))
    assert (model.predict(library(fresh)) == plain.predict(fresh)).all()
    drop = [{name: value for name, value in entry.items() if name != "columns"} for entry in model.report()]
    assert drop == [{name: value for name, value in entry.items() if name != "columns"} for entry in plain.report()]


def test_categories_whole_numbers_and_gaps_are_kept_as_they_are() -> None:
    chance = np.random.default_rng(0)

    def frame(n: int) -> pd.DataFrame:
        size = chance.normal(10, 2, n)
        size[chance.random(n) < 0.1] = np.nan
        return pd.DataFrame({"colour": chance.choice(["red", "blue"], n), "count": chance.poisson(9, n), "size": size})

    def truth(x: pd.DataFrame) -> np.ndarray:
        return np.where((x["colour"] == "red") == (x["count"] > 8), "yes", "no")

    coded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough")
    x = frame(600)
    estimator = make_pipeline(coded, HistGradientBoostingClassifier(max_iter=10))
    model = SelfHealing(estimator, reference=(x, truth(x)))
    fresh = frame(200)
    fresh.loc[:50, "colour"] = "green"
    model.learn(fresh, truth(fresh))
    assert set(model.predict(fresh)) == {"yes", "no"}
    assert any(entry["columns"] == ["colour"] for entry in model.report())


def test_a_regressor_learns_another_law_again() -> None:
    x = rows(0, 500)
    model = SelfHealing(LinearRegression(), reference=(x, x @ OLD + np.sin(x[:, 0])))
    for batch in range(4):
        fresh = rows(20 + batch, 100)
        model.learn(fresh, fresh @ NEW + np.sin(fresh[:, 0]))
    x = rows(9, 200)
    assert np.abs(model.predict(x) - x @ NEW).mean() < 2


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda model, x: model.predict(x[:, :2]), "2 columns, and the reference has 3"),
        (lambda model, x: model.learn(x, [1]), "1 labels for 10 rows"),
        (lambda model, x: model.predict(x[0]), "two dimensions"),
        (lambda model, x: model.predict(np.full((2, 3), "a", dtype=object)), "holds 'a', and numbers in the reference"),
        (lambda model, x: SelfHealing("a model", (x, x[:, 0])), "no estimator"),
        (lambda model, x: SelfHealing(linear(), x), "pair"),
        (lambda model, x: SelfHealing(linear(), (x[:0], [])), "no rows"),
        (lambda model, x: SelfHealing(linear(), (x, [None] * 10)), "label of the reference is missing"),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(wrong: Callable[[Any, np.ndarray], Any], text: str) -> None:
    model, x = healing(200), rows(9, 10)
    before = model.predict(x)
    with pytest.raises(HealingError, match=text):
        wrong(model, x)
    assert (model.predict(x) == before).all() and model.report() == []


def test_a_frame_with_other_columns_is_refused_by_name() -> None:
    x = pd.DataFrame(rows(0, 100), columns=NAMES)
    model = SelfHealing(linear(), reference=(x, label(x.to_numpy())))
    with pytest.raises(HealingError, match="without load and with speed"):
        model.predict(x.rename(columns={"load": "speed"}))
    assert (model.predict(x[NAMES[::-1]]) == model.predict(x)).all()
