"""The models of a bundle in ONNX Runtime, written again from the bundle's arrays: a floor that owes nothing to the
kernels it is compared with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from homeostat.decide.scorers.network import Inputs
from homeostat.models.bundle import Bundle
from homeostat.records.features import Features
from homeostat.records.parts import Part
from homeostat.stats.transforms import prepare

CHECKED_ROWS = 5_000
AGREE = 1e-4  # ONNX Runtime adds leaves up in float32.


@dataclass(slots=True)
class GraphFloor:
    """Sessions for whole batches, by scorer."""

    sessions: dict[str, tuple[Part, np.ndarray, Any]]

    @classmethod
    def build(cls, bundle: Bundle, features: Features) -> GraphFloor | None:
        """The bundle's models as graphs that take any number of rows; None where `onnx` is not installed."""
        try:
            import onnx  # noqa: F401
        except ImportError:
            return None
        sessions = {}
        for name, part in bundle.scorers.items():
            columns = np.array([features.names.index(feature) for feature in part.features], np.int64)
            graph = network_graph(part) if part.kind == "network" else forest_graph(part)
            sessions[name] = (part, columns, _session(graph))
        return cls(sessions)

    def run(self, events: Path, features: Features) -> float:
        """Seconds to read the file and score the whole matrix."""
        begun = time.perf_counter()
        pq.read_table(events)
        self.raw(features)
        return time.perf_counter() - begun

    def raw(self, features: Features) -> dict[str, np.ndarray]:
        """Each scorer's raw output, (n,)."""
        found = {}
        for name, (part, columns, session) in self.sessions.items():
            if part.kind == "network":
                i, n = Inputs.of(part), len(features)
                x = np.empty((n, len(columns)), np.float32)
                prepare(
                    features.values, 0, n, columns, i.fill, i.logarithmic, i.center, i.scale, i.clip, x
                )  # fmt: skip
            else:
                x = features.values[:, columns].astype(np.float32)
            found[name] = session.run(None, {session.get_inputs()[0].name: x})[0][:, 0]
        return found

    def check(self, features: Features, served: dict[str, Any]) -> None:
        """The graphs must say what the served forms say, else the floor is that of other models."""
        step = max(1, len(features) // CHECKED_ROWS)
        some = Features(features.names, features.values[::step].copy(), features.freshness[::step].copy())
        for name, raw in self.raw(some).items():
            expected = served[name].raw(some)
            worst = float(np.max(np.abs(raw - expected) / (1.0 + np.abs(expected))))
            assert worst < AGREE, f"{name}: the graph differs from the served form by {worst}"


def forest_graph(part: Part) -> bytes:
    """A forest's trees as one node that adds up their leaves."""
    from onnx import TensorProto, helper

    arrays = part.arrays
    start, left = arrays["start"].astype(np.int64), arrays["left"].astype(np.int64)
    nodes = len(left)
    tree = np.repeat(np.arange(len(start) - 1), np.diff(start))
    own = np.arange(nodes) - start[tree]
    leaf = left == np.arange(nodes)
    right = np.where(leaf, 0, left + 1 - start[tree])
    at = np.flatnonzero(leaf)
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=tree.tolist(), nodes_nodeids=own.tolist(),
        nodes_featureids=np.where(leaf, 0, arrays["feature"]).tolist(),
        nodes_values=np.where(leaf, 0, arrays["threshold"]).astype(float).tolist(),
        nodes_modes=["LEAF" if flag else "BRANCH_LT" for flag in leaf.tolist()],
        nodes_truenodeids=np.where(leaf, 0, left - start[tree]).tolist(),
        nodes_falsenodeids=right.tolist(),
        nodes_missing_value_tracks_true=np.where(leaf, 0, arrays["nan_right"] == 0).astype(int).tolist(),
        target_treeids=tree[at].tolist(), target_nodeids=own[at].tolist(), target_ids=[0] * len(at),
        target_weights=arrays["value"][at].tolist(),
    )  # fmt: skip
    wide = [None, len(part.features)]
    graph = helper.make_graph(
        [node], "forest", [helper.make_tensor_value_info("x", TensorProto.FLOAT, wide)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def network_graph(part: Part) -> bytes:
    """A network's own graph, for any number of rows at once."""
    import onnx

    model = onnx.load_from_string(part.graphs["network"])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].ClearField("dim_value")
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    return bytes(model.SerializeToString())


def _session(graph: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
