"""Feed-forward networks, served by ONNX Runtime in blocks of one size, so that a row has the same bits in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.graphs import open_graph, signature
from homeostat.decide.scorers.columns import confidence_of, resolve
from homeostat.decide.scorers.network_contributions import contributions, raw_outputs
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.features import Features
from homeostat.records.parts import Part, PartError
from homeostat.stats.elementary import sigmoid
from homeostat.stats.transforms import prepare

_PROBES = 3
_AGREE = 1e-3  # The graph works in float32, the stored weights are summed in float64; log-odds reach some tens.
_WIDTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class Weights:
    """The network's weights outside of its graph, for contributions.

    sizes : (layers + 1,) inputs, hidden units, 1 output
    flat : each member's layers: the matrix (inputs, outputs) row by row, then the biases
    members : networks whose log-odds are averaged
    """

    sizes: Int
    flat: Float
    members: int

    @classmethod
    def of(cls, part: Part) -> Weights:
        """The weights of a part; raises PartError when they don't fit together."""
        sizes, flat, members = part.arrays.get("sizes"), part.arrays.get("weights"), part.settings.get("members")
        if sizes is None or sizes.dtype != np.int64 or sizes.ndim != 1 or not 2 <= len(sizes) <= 32:
            raise PartError("a network needs its layers' sizes")
        wide = [int(size) for size in sizes.tolist()]
        if min(wide) < 1 or max(wide) > _WIDTH_MAX or wide[0] != len(part.features) or wide[-1] != 1:
            raise PartError("a network's layers must lead from its features to one output")
        if not isinstance(members, int) or not 1 <= members <= 1000:
            raise PartError("a network needs to know how many members it has")
        count = members * sum((wide[k] + 1) * wide[k + 1] for k in range(len(wide) - 1))
        if flat is None or flat.dtype != np.float32 or flat.shape != (count,) or not np.isfinite(flat).all():
            raise PartError(f"a network of these layers needs {count} finite float32 weights")
        return cls(np.ascontiguousarray(sizes, np.int64), flat.astype(np.float64), members)


@dataclass(frozen=True, slots=True)
class Inputs:
    """How features become inputs: see `stats.transforms.prepare`."""

    fill: Float
    logarithmic: Bytes
    center: Float
    scale: Float
    clip: float

    @classmethod
    def of(cls, part: Part) -> Inputs:
        """The transform of a part; raises PartError when it does not fit its features."""
        read: dict[str, Any] = {}
        for name, dtype in (
            ("fill", np.float64),
            ("logarithmic", np.uint8),
            ("center", np.float64),
            ("scale", np.float64),
        ):
            array = part.arrays.get(name)
            if array is None or array.dtype != dtype or array.shape != (len(part.features),):
                raise PartError(f"a network needs {name!r} for each of its features")
            if not np.isfinite(array).all():
                raise PartError(f"a network's {name!r} must be finite")
            read[name] = np.ascontiguousarray(array)
        clip = part.settings.get("clip")
        if not isinstance(clip, float) or not 0 < clip < 1e6:
            raise PartError("a network needs a positive number clip")
        return cls(**read, clip=clip)


@dataclass(frozen=True, slots=True)
class _Block:
    """One run's inputs and outputs at fixed places in memory, so that a run neither allocates nor looks up names.

    inputs : (block, inputs); outputs : (block,) as the graph writes them
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    binding: Any

    @classmethod
    def of(cls, session: Any, rows: int, width: int) -> _Block:
        """Raises PartError where the graph's answers are not one float32 a row."""
        inputs, outputs = np.zeros((rows, width), np.float32), np.zeros(rows, np.float32)
        wanted = [([rows, 1], "tensor(float)")]
        answers = session.get_outputs()
        if [(node.shape, node.type) for node in answers] != wanted:
            raise PartError("a network's graph must answer one float32 a row")
        binding = session.io_binding()
        binding.bind_input("inputs", "cpu", 0, np.float32, inputs.shape, inputs.ctypes.data)
        binding.bind_output(answers[0].name, "cpu", 0, np.float32, (rows, 1), outputs.ctypes.data)
        return cls(inputs, outputs, binding)


class NetworkScorer:
    """Serves a network. Its raw output is the log-odds.

    ONNX Runtime rounds a row differently in a matrix of another height, but not at another place in one of the same
    height: so rows always go in blocks of one size, the last one filled up with zeros.
    """

    def __init__(self, name: str, part: Part, available: Sequence[str]) -> None:
        """Raises PartError when the graph can't be run or is not that of the stored weights."""
        if part.kind != "network":
            raise PartError(f"{part.kind!r} is not a network")
        block = part.settings.get("block")
        if not isinstance(block, int) or not 1 <= block <= 4096:
            raise PartError("a network needs its block's number of rows")
        self.name = name
        self._block = block
        self._columns = resolve(name, part.features, available)
        self._inputs, self._weights = Inputs.of(part), Weights.of(part)
        if "network" not in part.graphs:
            raise PartError("a network needs its graph")
        self._session = _session(part.graphs["network"], (block, len(part.features)))
        self._blocks: list[_Block] = []
        self._own: Int = np.arange(len(part.features))
        self._check_graph()

    def _check_graph(self) -> None:
        """The graph must be the network of the stored weights: tried on a few rows."""
        probe = np.random.default_rng(0).normal(size=(self._block, len(self._own))).astype(np.float32)
        probe[0] = 0.0
        rows = min(_PROBES, self._block)
        expected = np.empty(rows)
        raw_outputs(probe[:rows], self._weights.sizes, self._weights.flat, self._weights.members, expected)
        block = self._block_of_its_own()
        block.inputs[:] = probe
        if not np.abs(self._run(block)[:rows] - expected).max() <= _AGREE * (1.0 + np.abs(expected).max()):
            raise PartError("a network's graph is not the network of its stored weights")

    def _run(self, block: _Block) -> NDArray[np.float32]:
        """(block,) what the graph answers; valid until the block runs again."""
        try:
            self._session.run_with_iobinding(block.binding)
        except Exception as error:  # ONNX Runtime's errors share no class but this.
            raise PartError(f"a network's graph does not run: {error}") from error
        return block.outputs

    def _block_of_its_own(self) -> _Block:
        """Memory for one run; each thread that scores gets other memory, given back to `_blocks` after use."""
        try:
            return self._blocks.pop()
        except IndexError:
            return _Block.of(self._session, self._block, len(self._columns))

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) the share of its features that are fresh."""
        raw = self.raw(features)
        scores = np.empty(len(raw))
        _probabilities(raw, scores)
        return scores, confidence_of(features, self._columns)

    def raw(self, features: Features) -> Float:
        """(n,) log-odds."""
        n, size, i = len(features), self._block, self._inputs
        out = np.empty(n)
        block = self._block_of_its_own()
        inputs = block.inputs
        for first in range(0, n, size):
            last = min(first + size, n)
            if last - first < size:
                inputs[last - first :] = 0.0
            prepare(
                features.values, first, last, self._columns, i.fill, i.logarithmic, i.center, i.scale, i.clip, inputs
            )
            out[first:last] = self._run(block)[: last - first]
        self._blocks.append(block)
        return out

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) each feature's part of the log-odds, and those of the typical row: each feature at its fill.

        Summed in float64, where the graph works in float32: they agree to float32's rounding.
        """
        i, w = self._inputs, self._weights
        typical = np.zeros((1, len(self._columns)), np.float32)
        prepare(i.fill[None, :].copy(), 0, 1, self._own, i.fill, i.logarithmic, i.center, i.scale, i.clip, typical)
        out = np.zeros((len(features), len(features.names)))
        rows = np.empty((len(features), len(self._columns)), np.float32)
        prepare(
            features.values, 0, len(rows), self._columns, i.fill, i.logarithmic, i.center, i.scale, i.clip, rows
        )  # fmt: skip
        base = contributions(rows, typical[0], self._columns, w.sizes, w.flat, w.members, out)
        return out, float(base)


def _session(graph: bytes, shape: tuple[int, int]) -> Any:
    session = open_graph(graph, "a network's")
    if signature(session.get_inputs()) != [("inputs", list(shape), "tensor(float)")]:
        raise PartError(f"a network's graph must take inputs of {shape[0]} rows and {shape[1]} columns of float32")
    return session


@compiled
def _probabilities(raw: Float, out: Float) -> None:
    for row in range(len(raw)):
        out[row] = sigmoid(raw[row])
