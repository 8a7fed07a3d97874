"""Opens the ONNX graphs of a bundle. An error of ONNX Runtime about one is an error of the part that holds it."""

from __future__ import annotations

from typing import Any

from homeostat.records.parts import PartError

_ERRORS_ONLY = 4  # Of ONNX Runtime's log levels, the one that says nothing: what is wrong is raised.


def open_graph(graph: bytes, whose: str) -> Any:
    """An ONNX Runtime session on one thread, so that a row has the same bits in each run.

    whose : whose graph it is, as a sentence begins: "the network's"
    Raises PartError where the graph can't be read.
    """
    import onnxruntime  # Not needed before a graph is loaded, and slow to import.

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    try:
        # The fallback would print on standard output that it tries the same provider once more.
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors share no class but this.
        raise PartError(f"{whose} graph can't be read: {error}") from error


def signature(nodes: Any) -> list[tuple[str, list[Any], str]]:
    """Name, shape and type of each of a session's inputs or outputs."""
    return [(node.name, list(node.shape), node.type) for node in nodes]
