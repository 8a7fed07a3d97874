"""Each fault does what it says to the events or features, the same however they are batched, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.config.load import load_app
from homeostat.config.tree import App
from homeostat.jobs.evaluation.deciding import Fault, Run, Truth
from homeostat.jobs.evaluation.faults import faults, most_telling, read_by_scorers, unknown_code
from homeostat.models.maturity import Matured
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness

N = 4_000
APP = """
homeostat: 1
app: many
events:
  entities: {customer: {}}
  fields:
    amount: {type: number, min: 0, max: 500}
    count: {type: integer, required: false}
    flag: {type: boolean}
    shop: {type: category, required: false}
    channel: {type: category, values: [web, till]}
  label: {name: bad}
scorers:
  one: {kind: rules, rules: [{name: large, when: amount > 100, score: 0.9}]}
  two: {kind: rules, rules: [{name: flagged, when: flag, score: 0.6}]}
fusion: {kind: weighted}
actions: [allow, block]
guards: {fallback: {scorers_absent: allow}}
"""
NAMES = ("amount", "count", "flag", "shop", "channel")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    path = tmp_path_factory.mktemp("faults") / "app.yaml"
    Path(path).write_text(APP)
    return load_app(path)


def numbers() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack([
        rng.uniform(0, 500, N), np.where(rng.random(N) < 0.1, np.nan, rng.integers(0, 9, N)), rng.random(N) < 0.5,
        np.where(rng.random(N) < 0.1, np.nan, 7.0), np.full(N, 8.0),
    ])  # fmt: skip


def events() -> EventBatch:
    code = np.arange(N) + 10
    none = np.full(N, np.nan)
    return EventBatch(code, code, code[:, None], numbers(), none, np.zeros(N, np.uint8))


def run_of(risk: np.ndarray, features: np.ndarray) -> Run:
    where, two = np.arange(N), np.zeros((N, 2))
    return Run("v", risk, where * 0, where * 0 - 1, np.zeros(N, np.uint8), two, two, features)


@pytest.fixture(scope="module")
def all_faults(app: App) -> dict[tuple[str, str, str], Fault]:
    values, where = numbers(), np.arange(N)
    nothing = np.full(N, np.nan)
    texts = {7.0: "a", 8.0: "web", 1.0: "b"}
    truth = Truth(where, where, nothing, Matured(nothing, 0, 0, 0), values, texts)
    base = run_of(values[:, 0] / 500, values)
    return {(one.kind, one.target, one.strength): one for one in faults(app, NAMES, truth, base, unknown_code(truth))}


def changed(fault: Fault) -> np.ndarray:
    return fault.events(events()).numbers


def test_there_is_every_kind_and_none_that_the_border_would_refuse(all_faults: dict[Any, Fault]) -> None:
    targets: dict[str, set[str]] = {}
    for kind, target, _ in all_faults:
        targets.setdefault(kind, set()).add(target)
    assert targets == {
        "noise": {"all numbers"}, "outliers": {"all numbers"}, "shift": {"all numbers"},
        "unit change": {"amount", "count"}, "unknown categories": {"shop"}, "missing values": {"all features"},
        "frozen feature": {"amount", "count", "flag"}, "scorer away": {"one", "two", "all scorers"},
    }  # fmt: skip
    for fault in all_faults.values():
        values = changed(fault)
        assert (values[:, 0] >= 0).all() and (values[:, 0] <= 500).all()
        known = values[~np.isnan(values[:, 1]), 1]
        assert (known == np.round(known)).all()
        assert (np.isnan(values) == np.isnan(numbers())).all()  # Absent values stay absent.
        assert (values[:, [2, 4]] == numbers()[:, [2, 4]]).all()


def test_faults_do_not_depend_on_batches(all_faults: dict[Any, Fault]) -> None:
    whole = events()
    features = Features(NAMES, numbers(), np.zeros((N, len(NAMES)), np.uint8))
    for fault in all_faults.values():
        parts = [fault.events(whole.slice(at, at + 333)).numbers for at in range(0, N, 333)]
        assert np.array_equal(np.concatenate(parts), changed(fault), equal_nan=True)
        if fault.features is not None:
            at_once = fault.features(whole, features).values
            rows = [fault.features(whole.slice(k, k + 1), features.slice(k, k + 1)).values for k in range(20)]
            assert np.array_equal(np.concatenate(rows), at_once[:20], equal_nan=True)


def test_strengths_are_those_that_are_named(all_faults: dict[Any, Fault]) -> None:
    before = numbers()
    noise = changed(all_faults["noise", "all numbers", "0.1 standard deviations"])[:, 0] - before[:, 0]
    assert np.std(noise) == pytest.approx(0.1 * np.std(before[:, 0]), rel=0.1) and abs(np.mean(noise)) < 1.5
    share = np.mean(changed(all_faults["outliers", "all numbers", "10.0% of values x 100"])[:, 0] != before[:, 0])
    assert share == pytest.approx(0.1, abs=0.02)
    shift = changed(all_faults["shift", "all numbers", "0.5 standard deviations"])[:, 0] - before[:, 0]
    assert np.median(shift) == pytest.approx(0.5 * np.std(before[:, 0]))
    assert (changed(all_faults["unit change", "amount", "x 0.01"])[:, 0] == before[:, 0] * 0.01).all()
    unknown = changed(all_faults["unknown categories", "shop", "50% of values"])[:, 3]
    there = ~np.isnan(before[:, 3])
    assert set(np.unique(unknown[there])) == {2.0, 7.0}  # 1 is taken by a text, 2 by none.
    assert np.mean(unknown[there] == 2.0) == pytest.approx(0.5, abs=0.03)


def test_features_go_missing_or_freeze_and_say_so(all_faults: dict[Any, Fault]) -> None:
    features = Features(NAMES, numbers(), np.zeros((N, len(NAMES)), np.uint8))
    spoil = all_faults["missing values", "all features", "10% of values"].features
    assert spoil is not None
    found = spoil(events(), features)
    gone = np.isnan(found.values) & ~np.isnan(features.values)
    assert np.mean(gone) == pytest.approx(0.1, abs=0.02) and (found.freshness[gone] == Freshness.ABSENT).all()
    freeze = all_faults["frozen feature", "amount", "at its first value"].features
    assert freeze is not None
    frozen = freeze(events(), features).values
    assert (frozen[:, 0] == numbers()[0, 0]).all() and np.array_equal(frozen[:, 1:], numbers()[:, 1:], equal_nan=True)
    assert np.array_equal(features.values, numbers(), equal_nan=True)  # Others read the same features.


def test_the_most_telling_features_are_those_whose_order_is_the_risks(app: App) -> None:
    rng = np.random.default_rng(2)
    risk = rng.random(N)
    values = np.column_stack([rng.random(N), -(risk**3), np.full(N, 5.0), risk + rng.random(N), np.full(N, np.nan)])
    run = run_of(risk, values)
    assert most_telling(run, range(5)) == [1, 3, 0] and most_telling(run, [0, 2]) == [0]
    assert read_by_scorers(app, NAMES) == [0, 1, 2, 3, 4]  # Rules alone do not say which.
