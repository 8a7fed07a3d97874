"""Served networks equal PyTorch's, explain themselves, and don't depend on the batch."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.scorers.network import NetworkScorer
from homeostat.models.training.network import train_network
from homeostat.records.features import Features
from homeostat.records.parts import PartError
from homeostat.stats.elementary import sigmoid
from homeostat.stats.transforms import prepare, soft_log

pytestmark = pytest.mark.long  # PyTorch trains them: its import alone takes seconds.
NAMES = tuple(f"f{k}" for k in range(9))


def matrix(n=900, seed=0, gaps=0.03):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NAMES)))
    x[:, 2] = np.exp(3 * x[:, 2])
    x[:, 8] = 4.0
    y = (rng.random(n) < 1 / (1 + np.exp(2 - 2 * x[:, 0] - x[:, 1] * x[:, 3]))).astype(float)
    x[rng.random(x.shape) < gaps] = np.nan
    return x, y


def features(x):
    return Features(NAMES, np.ascontiguousarray(x, np.float64), np.zeros(x.shape, np.uint8))


def train(**settings):
    x, y = matrix()
    chosen = {"epochs": 3, "hidden": (16, 8), "members": 1, "logarithm": "tails", **settings}
    return train_network(x, y, NAMES, chosen, 3)


@cache  # Trained when a test asks, not by every process that only collects the tests.
def trained():
    return [train(), train(members=3, hidden=(8,), block=16), train(patience=2, logarithm="all", hidden=(8, 8, 8))]


@cache
def served():
    return [NetworkScorer("network", part, NAMES) for part in trained()]


def as_torch(part, x):
    """The network's log-odds, by PyTorch from the stored weights."""
    import torch

    a, rows = part.arrays, np.zeros(x.shape, np.float32)
    prepare(x, 0, len(x), np.arange(x.shape[1]), a["fill"], a["logarithmic"], a["center"], a["scale"],
            part.settings["clip"], rows)  # fmt: skip
    sizes, flat, at, total = a["sizes"].tolist(), a["weights"], 0, 0.0
    for _ in range(part.settings["members"]):
        value = torch.from_numpy(rows)
        for k, (wide, narrow) in enumerate(pairwise(sizes)):
            layer = torch.nn.Linear(wide, narrow)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(flat[at : at + wide * narrow].reshape(wide, narrow).T.copy()))
                layer.bias.copy_(torch.from_numpy(flat[at + wide * narrow : at + (wide + 1) * narrow].copy()))
                value = layer(value if k == 0 else torch.relu(value))
            at += (wide + 1) * narrow
        total = total + value[:, 0].double().numpy()
    return total / part.settings["members"]


@pytest.mark.long  # Imports PyTorch.
@pytest.mark.parametrize("k", range(3))
def test_served_networks_equal_those_of_pytorch(k):
    x = matrix(200, 5)[0]
    expected = [sigmoid(value) for value in as_torch(trained()[k], x)]
    np.testing.assert_allclose(served()[k].score(features(x))[0], expected, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 150), min_size=1, max_size=6))
def test_scores_have_the_same_bits_however_rows_are_batched(seed, cuts):
    x = matrix(sum(cuts), seed)[0]
    x.flat[::97] = 1e300
    batch, edges = features(x), np.concatenate([[0], np.cumsum(cuts)])
    for scorer in served():
        whole = scorer.score(batch)[0]
        parts = [scorer.score(batch.slice(int(a), int(a + c)))[0] for a, c in zip(edges, cuts, strict=False)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
        assert ((whole >= 0) & (whole <= 1)).all()


def test_a_row_has_the_same_bits_at_every_place_of_a_block_whatever_is_beside_it():
    row, rng = matrix(1, 8)[0][0], np.random.default_rng(2)
    for part, scorer in zip(trained(), served(), strict=True):
        alone = scorer.raw(features(row[None]))[0]
        for place in range(part.settings["block"]):
            for size in (0.0, 1.0, 1e6):
                x = rng.normal(size=(part.settings["block"], len(NAMES))) * size
                x[place] = row
                assert scorer.raw(features(x))[place] == alone


def test_contributions_sum_to_the_log_odds_less_those_of_the_typical_row():
    x = matrix(300, 6)[0]
    for part, scorer in zip(trained(), served(), strict=True):
        parts, base = scorer.contributions(features(x))
        np.testing.assert_allclose(parts.sum(axis=1) + base, as_torch(part, x), atol=5e-6, rtol=0)
        np.testing.assert_allclose(parts.sum(axis=1) + base, scorer.raw(features(x)), atol=5e-6, rtol=0)
        typical, again = scorer.contributions(features(part.arrays["fill"][None]))
        assert again == base
        assert not typical.any()
        assert scorer.raw(features(part.arrays["fill"][None]))[0] == pytest.approx(base, abs=1e-6)
        assert not parts[:, 8].any()  # A feature that never varied has no part in anything.


def test_contributions_of_a_network_without_bends_are_its_gradient_times_the_distance():
    part = train(hidden=(1,))
    arrays = dict(part.arrays)
    arrays["weights"] = np.array([0.5, -1, 0, 0, 2, 0, 0, 0, 0, 1000.0, 0.25, -100.0], np.float32)
    x = matrix(50, 6, gaps=0.0)[0]
    import onnx  # The graph must fit the changed weights.

    from homeostat.models.training.network import network_graph

    assert onnx.__version__
    w = arrays["weights"]
    graph = network_graph([[(w[:9].reshape(9, 1), w[9:10]), (w[10:11].reshape(1, 1), w[11:12])]], 64)
    scorer = NetworkScorer("n", dataclasses.replace(part, arrays=arrays, graphs={"network": graph}), NAMES)
    rows, typical = np.zeros(x.shape, np.float32), np.zeros((1, 9), np.float32)
    for values, out in ((x, rows), (arrays["fill"][None], typical)):
        prepare(values, 0, len(values), np.arange(9), arrays["fill"], arrays["logarithmic"], arrays["center"],
                arrays["scale"], part.settings["clip"], out)  # fmt: skip
    expected = (rows.astype(float) - typical.astype(float)) * w[:9].astype(float) * 0.25
    np.testing.assert_allclose(scorer.contributions(features(x))[0], expected, atol=1e-9)


@pytest.mark.parametrize(
    "changed",
    [
        lambda parts: {"graphs": {}},
        lambda parts: {"graphs": {"network": b"nonsense"}},
        lambda parts: {"graphs": parts[1].graphs},
        lambda parts: {"settings": {**parts[0].settings, "block": 32}},
        lambda parts: {"settings": {**parts[0].settings, "block": "64"}},
        lambda parts: {"settings": {**parts[0].settings, "clip": 0.0}},
        lambda parts: {"settings": {**parts[0].settings, "members": 3}},
        lambda parts: {"kind": "forest"},
        lambda parts: {"arrays": {**parts[0].arrays, "fill": np.full(9, np.nan)}},
        lambda parts: {"arrays": {**parts[0].arrays, "scale": np.ones(8)}},
        lambda parts: {"arrays": {**parts[0].arrays, "weights": parts[0].arrays["weights"] + np.float32(0.1)}},
        lambda parts: {"arrays": {**parts[0].arrays, "weights": parts[0].arrays["weights"][:-1]}},
        lambda parts: {"arrays": {**parts[0].arrays, "sizes": np.array([9, 2**40, 1])}},
        lambda parts: {"arrays": {**parts[0].arrays, "sizes": np.array([9, 16, 8, 2])}},
    ],
)
def test_a_network_that_does_not_fit_itself_is_refused(changed):
    with pytest.raises(PartError):
        NetworkScorer("network", dataclasses.replace(trained()[0], **changed(trained())), NAMES)


@settings(deadline=None)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_soft_log_rises_with_its_argument_and_is_odd(a, b):
    low, high = sorted((a, b))
    assert soft_log(low) <= soft_log(high)
    assert soft_log(-a) == -soft_log(a)
    if abs(a) < 1e290:
        assert abs(abs(soft_log(a)) - np.log2(1 + abs(a))) < 0.0861


def test_threads_that_score_at_the_same_time_do_not_disturb_each_other():
    parts = [features(matrix(700, seed)[0]) for seed in range(4)]
    alone = [served()[0].raw(part).tobytes() for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda part: served()[0].raw(part).tobytes(), parts * 10))
    assert together == alone * 10
