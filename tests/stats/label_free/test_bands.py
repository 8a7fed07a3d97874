"""Bands hold the realised figure, thresholds come from chunks, and labels contradict only beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.stats.label_free.bands import (
    Excess,
    Threshold,
    broken,
    contradiction,
    estimate,
    excess_of,
    student_quantile,
    thresholds,
)
from homeostat.stats.label_free.estimates import ranked, realised

NONE = Excess({}, 100)


def chunk(rng: np.random.Generator, n: int = 1000):
    score = rng.random(n)
    q = np.tile(np.clip(score, 0.02, 0.98), (6, 1))
    return ranked(score, score >= 0.5), q


def test_a_band_holds_the_realised_figure_of_95_in_100_chunks() -> None:
    rng, held = np.random.default_rng(8), []
    for _ in range(400):
        rows, q = chunk(rng, 500)
        known = realised(rows, (rng.random(500) < q[0]).astype(np.float64))
        found = estimate(rows, q, NONE)
        held.append([found[name].low <= value <= found[name].high for name, value in known.items()])
    assert np.all(np.abs(np.mean(held, axis=0) - 0.95) < 0.035)


def test_folds_that_disagree_and_excess_widen_the_band() -> None:
    rows, q = chunk(np.random.default_rng(9))
    apart = np.clip(q + np.array([0, -0.05, 0.05, -0.05, 0.05, 0.0])[:, None], 0.01, 0.99)
    plain = estimate(rows, q, NONE)["accuracy"]
    assert estimate(rows, apart, NONE)["accuracy"].deviation > plain.deviation
    wider = estimate(rows, q, Excess({"accuracy": 0.01}, 100))["accuracy"]
    assert wider.deviation == pytest.approx(np.sqrt(plain.deviation**2 + 0.01))
    few, none = (estimate(rows, q, Excess(one, 5))["accuracy"] for one in ({"accuracy": 0.01}, {}))
    assert few.high - few.low > wider.high - wider.low and none == plain


def test_the_quantile_is_that_of_published_tables() -> None:
    for freedom, value in ((4, 2.776), (13, 2.160), (30, 2.042), (1000, 1.962)):
        assert student_quantile(freedom) == pytest.approx(value, abs=0.012)


def test_excess_is_beyond_the_chance_of_labels() -> None:
    rng = np.random.default_rng(10)
    noise = rng.normal(0, 0.01, 400)
    found = excess_of({"auc": noise.tolist()}, {"auc": [1e-4] * 400})
    assert found.variance["auc"] < 3e-5 and found.chunks == 400
    more = excess_of({"auc": (noise * 3).tolist()}, {"auc": [1e-4] * 400})
    assert more.variance["auc"] == pytest.approx(8e-4, rel=0.2)
    assert excess_of({"auc": [0.5] * 3}, {"auc": [1e-4] * 3}).variance["auc"] == 0.0


def test_thresholds_are_three_deviations_of_the_chunks() -> None:
    chunks = [{"auc": value, "accuracy": 0.9, "f1": float("nan")} for value in (0.8, 0.82, 0.84, 0.8, 0.84)]
    found = thresholds(chunks, 100, {})
    auc = np.array([0.8, 0.82, 0.84, 0.8, 0.84])
    assert found["auc"].low == pytest.approx(auc.mean() - 3 * auc.std())
    assert "f1" not in found
    assert found["accuracy"].low == pytest.approx(0.895)  # Chunks that agree by luck keep a least width.
    assert thresholds(chunks, 100, {"accuracy": 0.01})["accuracy"].low == pytest.approx(0.885)
    few = thresholds(chunks[:2], 100, {"auc": 0.05})
    assert few["auc"].high == pytest.approx(0.81 + 0.15)


def test_a_short_chunk_has_wider_thresholds() -> None:
    bound = Threshold(0.8, 0.9, 0.85, 400)
    assert bound.alarms(0.79, 400) and bound.alarms(0.91, 4000)
    assert not bound.alarms(0.79, 100) and not bound.alarms(float("nan"), 400)


@pytest.mark.long
def test_labels_of_the_same_law_contradict_nothing_and_others_do() -> None:
    rng, falsely = np.random.default_rng(11), 0
    for _ in range(40):
        gaps = []
        for _ in range(12):
            rows, q = chunk(rng)
            gaps.append(contradiction(rows, (rng.random(1000) < q[0]).astype(np.float64), q, NONE))
        falsely += any(broken(gaps))
    assert falsely <= 2
    gaps = []
    for k in range(8):
        rows, q = chunk(rng)
        truth = q[0] if k < 4 else 1 - q[0]
        gaps.append(contradiction(rows, (rng.random(1000) < truth).astype(np.float64), q, NONE))
    assert broken([*gaps, None]) == [False] * 4 + [True] * 4 + [False]


def test_a_small_change_of_the_law_shows_over_several_chunks() -> None:
    rng, gaps = np.random.default_rng(12), []
    for _ in range(32):
        rows, q = chunk(rng, 400)
        gaps.append(contradiction(rows, (rng.random(400) < 0.88 * q[0]).astype(np.float64), q, NONE))
    found = broken(gaps)
    assert not found[0] and sum(found) > 5


def unrelated(q):
    return np.full(len(q), q.mean())


def rare(rng: np.random.Generator, truth=lambda q: q):
    """Gaps of 24 chunks with two positives each, of which some have none."""
    gaps = []
    for _ in range(24):
        score = rng.beta(0.05, 25.0, 1000)
        label = (rng.random(1000) < truth(score)).astype(np.float64)
        rows = ranked(score, score >= 0.05)
        gaps.append(contradiction(rows, label, score[None, :], NONE))
    return gaps


@pytest.mark.long
def test_few_positives_of_the_same_law_contradict_nothing() -> None:
    rng = np.random.default_rng(14)
    assert sum(any(broken(rare(rng))) for _ in range(25)) <= 1


def test_few_positives_of_another_law_contradict_it_over_several_chunks() -> None:
    found = broken(rare(np.random.default_rng(15), unrelated))
    assert not found[0] and any(found)


def test_the_error_of_the_law_is_the_same_in_all_chunks() -> None:
    rng, gaps = np.random.default_rng(16), []
    for _ in range(32):
        rows, q = chunk(rng)
        apart = np.clip(q + np.array([0, -0.02, 0.02, -0.02, 0.02, 0.0])[:, None], 0.01, 0.99)
        label = (rng.random(1000) < np.clip(q[0] - 0.03, 0, 1)).astype(np.float64)
        gaps.append(contradiction(rows, label, apart, NONE))
    assert not any(broken(gaps))


@pytest.mark.long
def test_many_labels_make_no_contradiction_of_a_trifle() -> None:
    rng = np.random.default_rng(13)
    rows, q = chunk(rng, 400_000)
    label = (rng.random(400_000) < np.clip(q[0] + 0.005, 0, 1)).astype(np.float64)
    assert broken([contradiction(rows, label, q, NONE)]) == [False]
