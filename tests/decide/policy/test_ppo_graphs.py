"""A policy's graph that is damaged, or is another than it says, is refused when the app is loaded."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.app import brain, feature_plan
from homeostat.config.load import parse_app
from homeostat.decide.policy.observation import observation_size
from homeostat.models.bundle import Bundle, load_bundle
from homeostat.records.parts import Part, PartError

PAYMENTS = Path(str(resources.files("homeostat.apps").joinpath("payments")))
APP = parse_app((PAYMENTS / "app.yaml").read_text().replace("kind: thresholds", "kind: ppo"), folder=PAYMENTS)
FEATURES = feature_plan(APP)
SIZE = observation_size(3, 0)


@pytest.fixture(scope="module")
def whole() -> Bundle:
    return load_bundle(PAYMENTS / "bundle")


def served(bundle: Bundle, part: Part) -> object:
    """The policy that serves where the bundle's is another."""
    return brain(APP, FEATURES, replace(bundle, parts={**bundle.parts, "policy.ppo": part})).policy


def of(graph: bytes) -> Part:
    return Part("ppo", (), {}, {"model": graph}, {})


def test_the_shipped_policy_is_served(whole):
    assert served(whole, whole.parts["policy.ppo"])


@pytest.mark.parametrize("damage", ["cut", "empty", "turned", "text"])
def test_a_graph_that_cannot_be_read_is_an_error_of_the_part(whole, damage):
    graph = whole.parts["policy.ppo"].graphs["model"]
    bad = {"cut": graph[:9000], "empty": b"", "turned": b"\xff" + graph[1:], "text": b"policy"}[damage]
    with pytest.raises(PartError, match="the policy's graph"):
        served(whole, of(bad))


def test_nothing_is_printed_about_a_graph_whose_names_are_no_text(whole, capfd):
    """Standard output is for data; ONNX Runtime wrote there that it would try again."""
    graph = whole.parts["policy.ppo"].graphs["model"]
    with pytest.raises(PartError, match="the policy's graph can't be read"):
        served(whole, of(graph.replace(b"observation", b"\xdfbservation", 1)))
    assert capfd.readouterr() == ("", "")


def test_a_policy_without_its_graph_is_an_error_of_the_part(whole):
    with pytest.raises(PartError, match="needs its graph"):
        served(whole, Part("ppo", (), {}, {}, {}))


def test_the_graph_of_a_scorer_is_no_policy(whole):
    with pytest.raises(PartError, match="policy"):
        served(whole, of(whole.parts["scorer.network"].graphs["network"]))


def made(nodes: list[tuple[str, list[str], Any]], kind: str = "FLOAT", shape: tuple = ("n", SIZE)) -> bytes:
    """A graph from `observation` to `logits`, whatever it does between them."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    constants = [
        onnx.numpy_helper.from_array(np.ones((SIZE, 3), np.float32), "three"),
        onnx.numpy_helper.from_array(np.ones((SIZE, 4), np.float32), "four"),
        onnx.numpy_helper.from_array(np.array([0], np.int64), "rows"),
    ]
    steps = [helper.make_node(name, given, [f"v{k}"], **settings) for k, (name, given, settings) in enumerate(nodes)]
    last = helper.make_node("Identity", [f"v{len(nodes) - 1}"], ["logits"])
    inputs = [helper.make_tensor_value_info("observation", getattr(types, kind), list(shape))]
    outputs = [helper.make_tensor_value_info("logits", types.FLOAT, None)]
    graph = helper.make_graph([*steps, last], "policy", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "graph",
    [
        {"nodes": [("MatMul", ["observation", "four"], {})]},
        {"nodes": [("MatMul", ["observation", "three"], {}), ("ReduceSum", ["v0", "rows"], {})]},
        {"nodes": [("MatMul", ["observation", "three"], {}), ("CumSum", ["v0", "rows"], {})]},
        {"nodes": [("ReduceSum", ["observation", "rows"], {"keepdims": 0})]},
        {"nodes": [("Identity", ["observation"], {})]},
        {"nodes": [("MatMul", ["observation", "three"], {})], "shape": ("n", SIZE, 1)},
        {"nodes": [("Cast", ["observation"], {"to": 1}), ("MatMul", ["v0", "three"], {})], "kind": "DOUBLE"},
    ],
    ids=["four actions", "one row for all", "rows that add up", "no rows", "what it sees", "three axes", "float64"],
)  # fmt: skip
def test_a_graph_that_answers_otherwise_than_row_by_row_is_refused(whole, graph):
    with pytest.raises(PartError, match="the policy"):
        served(whole, of(made(**graph)))


def test_a_graph_that_answers_row_by_row_is_served(whole):
    assert served(whole, of(made([("MatMul", ["observation", "three"], {})])))
