"""The law of labels: trees beside a naive twin, and folds that see what the score does not."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.stats.label_free.boosting import Rows, Settings, fit, predict, staged_loss
from homeostat.stats.label_free.law import FOLDS, calibrate, folds_of, learn, orders, sigmoid


def naive_tree(bins: np.ndarray, g: np.ndarray, h: np.ndarray, depth: int, settings: Settings) -> np.ndarray:
    """The steps of one tree for each row, by trying each split of each node."""
    if depth:
        best, chosen = 1e-9, None
        whole = g.sum() ** 2 / (h.sum() + settings.l2)
        for column in bins:
            for cut in np.unique(column)[:-1]:
                left = column <= cut
                if min(h[left].sum(), h[~left].sum()) < settings.curvature_min:
                    continue
                gain = sum(g[s].sum() ** 2 / (h[s].sum() + settings.l2) for s in (left, ~left)) - whole
                if gain > best + 1e-9:
                    best, chosen = gain, left
        if chosen is not None:
            out = np.empty(len(g))
            for side in (chosen, ~chosen):
                out[side] = naive_tree(bins[:, side], g[side], h[side], depth - 1, settings)
            return out
    return np.full(len(g), -settings.rate * g.sum() / (h.sum() + settings.l2))


@pytest.mark.long
def test_trees_equal_their_naive_twin() -> None:
    rng = np.random.default_rng(4)
    bins = rng.integers(0, 6, (3, 300)).astype(np.uint8)
    label = (rng.random(300) < sigmoid(bins[0] - bins[1] * 1.0)).astype(np.float64)
    settings = Settings(depth=3, rounds=4, rate=0.3, l2=1.0, curvature_min=2.0)
    offset = np.full(300, 0.1)
    margin = offset.copy()
    trees = fit(Rows(bins, label, offset), settings)
    losses = staged_loss(trees, Rows(bins, label, offset))
    for k in range(5):
        assert np.allclose(offset + predict(trees, bins, k), margin)
        assert losses[k] == pytest.approx(np.mean(np.log1p(np.exp(margin)) - label * margin))
        p = 1 / (1 + np.exp(-margin))
        margin = margin + naive_tree(bins, p - label, p * (1 - p), 3, settings)
    assert np.all(np.diff(losses) < 0)


@pytest.mark.long
def test_the_law_sees_a_group_whose_score_means_something_else() -> None:
    rng = np.random.default_rng(6)
    n = 6000
    score, group = rng.random(n), (rng.random(n) < 0.2).astype(np.uint8)
    truth = np.where(group == 1, 0.2 * score, score)
    label = (rng.random(n) < truth).astype(np.float64)
    found = learn(score, group[None, :], label, np.array([False]), Settings(rounds=60))
    assert found is not None and found.trees > 0
    q = found.probabilities(np.array([0.8, 0.8]), np.array([[0, 1]], np.uint8))
    assert q.shape == (FOLDS + 1, 2)
    assert abs(q[0, 0] - 0.8) < 0.06 and abs(q[0, 1] - 0.16) < 0.08
    assert abs(found.out_of_fold.mean() - label.mean()) < 0.02


@pytest.mark.long
def test_columns_that_say_nothing_get_hardly_any_trees() -> None:
    rng = np.random.default_rng(7)
    score = rng.random(3000)
    label = (rng.random(3000) < score).astype(np.float64)
    found = learn(score, rng.integers(0, 200, (3, 3000)).astype(np.uint8), label, np.zeros(3, bool))
    assert found is not None and found.trees < 25
    assert np.abs(found.out_of_fold - score).mean() < 0.04


def test_one_class_teaches_nothing() -> None:
    assert learn(np.linspace(0, 1, 60), np.empty((0, 60), np.uint8), np.zeros(60), np.zeros(0, bool)) is None
    assert learn(np.empty(0), np.empty((0, 0), np.uint8), np.empty(0), np.zeros(0, bool)) is None


def test_folds_are_stripes_of_neighbours() -> None:
    fold = folds_of(1000)
    assert np.bincount(fold).tolist() == [200] * FOLDS
    assert np.count_nonzero(np.diff(fold)) == 24


def test_categories_are_put_in_order_of_their_labels() -> None:
    codes = np.array([[0] * 50 + [1] * 50 + [2] * 50], np.uint8)
    label = np.array([1.0] * 50 + [0.0] * 50 + [1.0, 0.0] * 25)
    order = orders(codes, label, np.array([True]))[0]
    assert order[1] < order[2] < order[0]
    assert orders(codes, label, np.array([False]))[0].tolist() == list(range(256))


def test_a_calibration_of_scores_at_the_ends_is_finite() -> None:
    score = np.array([0.0, 1.0] * 100)
    found = calibrate(score, np.array([0.0, 1.0, 1.0, 1.0] * 50)).margin(score)
    assert np.isfinite(found).all() and sigmoid(found)[0] == pytest.approx(0.5, abs=0.05)
