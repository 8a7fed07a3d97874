"""The independent floor runs the models that are served."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.floors import GraphFloor
from benchmarks.replay import Turn, figures_of
from benchmarks.transactions import the_bundle

from homeostat.decide.scorers.build import serve_part
from homeostat.records.features import Features


@pytest.mark.long
def test_graphs_say_what_the_served_models_say():
    pytest.importorskip("onnx")
    bundle = the_bundle(None)
    if bundle is None:
        pytest.skip("the payments app has no bundle here")
    x = np.random.default_rng(0).gamma(1.0, 5.0, (300, len(bundle.features)))
    features = Features(bundle.features, x, np.zeros(x.shape, np.uint8))
    floor = GraphFloor.build(bundle, features)
    assert floor is not None
    floor.check(features, {name: serve_part(name, part, features.names) for name, part in bundle.scorers.items()})


def test_the_ratio_is_the_median_of_neighbours():
    report = {"seconds": {"read": 0.1, "train": 0.0, "total": 9.0}}
    turns = [Turn(replay, floor, replay, floor, None, report) for replay, floor in ((2.0, 1.0), (9.0, 3.0), (3.0, 2.0))]
    found = {figure.name: figure for figure in figures_of(turns, 300_000)}
    assert found["time against the floor"].value == 2.0
    assert found["decisions a second"].value == 100_000
    assert found["stage read"].value == 0.1 and "stage total" not in found
