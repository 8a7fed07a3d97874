"""Feed-forward networks, trained by PyTorch and written as ONNX graphs by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.models.training.extras import BadSetting, at_least, library, read_settings
from homeostat.models.training.isolation_forest import medians
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Bytes, Float
from homeostat.records.parts import Part
from homeostat.stats.transforms import prepare, soft_logs

DEFAULTS: dict[str, Any] = {
    "hidden": (64.0, 64.0),
    "epochs": 12,
    "rate": 0.002,
    "warm_up": 0.1,
    "batch": 256,
    "dropout": 0.2,
    "decay": 1e-4,
    "positive_weight": 1.0,
    "members": 2,
    "logarithm": "all",
    "clip": 6.0,
    "block": 64,
    "patience": 0,
    "held_out": 0.15,
}
_TAIL = 15.0  # Standard deviations from the mean to the farthest value, from which on a feature has a tail.

_Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def train_network(
    x: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any], seed: int, progress: Progress = silent
) -> Part:
    """Train on `x` (n, features), NaN where missing, and `y` (n,) of 0 and 1.

    Settings: hidden, units of each hidden layer; epochs, rate, warm_up (the share of the
    steps in which the rate rises), batch, dropout, decay; positive_weight; members, how
    many networks of different seeds are averaged in log-odds; logarithm, of all, none or the features with tails;
    clip, in standard deviations; block, rows a run of the served graph; patience, epochs without a better loss on the
    share held_out of the rows before the best epoch is taken (0: all epochs on all rows).
    One thread and seeded, so that the same training gives the same bits.
    """
    chosen = read_settings("network", DEFAULTS, settings)
    at_least("network", chosen, epochs=1, rate=1e-9, batch=2, dropout=0, members=1, clip=1e-3, block=1, patience=0)
    hidden = tuple(int(units) for units in chosen["hidden"])
    if not hidden or min(hidden) < 1 or chosen["dropout"] >= 1.0:
        raise BadSetting("network: hidden must name at least one unit a layer, and dropout be below 1")
    transform = _transform(x, chosen["logarithm"])
    inputs = np.zeros(x.shape, np.float32)
    fill, logarithmic, center, scale = transform.values()
    rows, columns = np.ascontiguousarray(x), np.arange(x.shape[1])
    prepare(rows, 0, len(x), columns, fill, logarithmic, center, scale, chosen["clip"], inputs)
    torch = library("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        members = []
        for member in range(chosen["members"]):
            progress("network", member / chosen["members"])
            with torch.random.fork_rng(devices=[]):
                members.append(_fit(torch, inputs, y, hidden, chosen, (seed + 104729 * member) % 2**31))
    finally:
        torch.set_num_threads(threads)
    progress("network", 1.0)
    sizes = np.array([x.shape[1], *hidden, 1], np.int64)
    flat = np.concatenate([array.ravel() for layers in members for layer in layers for array in layer])
    return Part(
        "network",
        tuple(names),
        {**transform, "sizes": sizes, "weights": flat.astype(np.float32)},
        {"network": network_graph(members, chosen["block"])},
        {**chosen, "hidden": list(hidden), "seed": seed},
    )


def _transform(x: Float, logarithm: str) -> dict[str, Any]:
    """fill, logarithmic, center and scale, in the order in which `prepare` takes them."""
    if logarithm not in ("all", "none", "tails"):
        raise BadSetting(f"network: logarithm is {logarithm!r}; it may be all, none or tails")
    fill = medians(x)
    whole = np.where(np.isnan(x), fill, x)
    spread = np.maximum(whole.std(axis=0), 1e-12)
    far = np.abs(whole - whole.mean(axis=0)).max(axis=0) > _TAIL * spread
    logarithmic: Bytes = np.where(logarithm == "all", True, (logarithm == "tails") & far).astype(np.uint8)
    for column in np.flatnonzero(logarithmic):
        whole[:, column] = soft_logs(np.ascontiguousarray(whole[:, column]))
    deviation = whole.std(axis=0)
    scale = np.where(deviation > 1e-9, 1.0 / np.maximum(deviation, 1e-9), 0.0)
    return {"fill": fill, "logarithmic": logarithmic, "center": whole.mean(axis=0), "scale": scale}


def _fit(
    torch: Any, inputs: NDArray[np.float32], y: Float, hidden: tuple[int, ...], chosen: dict[str, Any], seed: int
) -> _Layers:
    """One network's layers: (matrix (inputs, outputs), biases)."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layers: list[Any] = []
    width = inputs.shape[1]
    for units in hidden:
        layers += [torch.nn.Linear(width, units), torch.nn.ReLU(), torch.nn.Dropout(chosen["dropout"])]
        width = units
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))
    with torch.no_grad():  # Starts at the base rate: no epoch is spent on learning how rare positives are.
        model[-1].bias.fill_(float(np.log(y.mean() / (1.0 - y.mean()))))
    order = rng.permutation(len(y))
    held = order[: round(chosen["held_out"] * len(y))] if chosen["patience"] else order[:0]
    rows = order[len(held) :]
    x_all, y_all = torch.from_numpy(inputs), torch.from_numpy(y.astype(np.float32)[:, None])
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([chosen["positive_weight"]], dtype=torch.float32))
    optimiser = torch.optim.AdamW(model.parameters(), lr=chosen["rate"], weight_decay=chosen["decay"])
    steps = chosen["epochs"] * -(-len(rows) // chosen["batch"])
    warm_up = min(max(chosen["warm_up"], 2.0 / (steps + 1)), 1.0)  # The schedule divides by the steps of its rise.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, chosen["rate"], total_steps=steps + 1, pct_start=warm_up)
    best, best_loss, since = _layers(model, torch), np.inf, 0
    for _ in range(chosen["epochs"]):
        model.train()
        rng.shuffle(rows)
        for first in range(0, len(rows), chosen["batch"]):
            batch = torch.from_numpy(rows[first : first + chosen["batch"]])
            optimiser.zero_grad()
            loss_of(model(x_all[batch]), y_all[batch]).backward()
            optimiser.step()
            schedule.step()
        if not len(held):
            continue
        model.eval()
        with torch.no_grad():
            loss = float(loss_of(model(x_all[torch.from_numpy(held)]), y_all[torch.from_numpy(held)]))
        if loss < best_loss:
            best, best_loss, since = _layers(model, torch), loss, 0
        elif (since := since + 1) >= chosen["patience"]:
            break
    return best if len(held) else _layers(model, torch)


def _layers(model: Any, torch: Any) -> _Layers:
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    return [
        (np.ascontiguousarray(layer.weight.detach().numpy().T).copy(), layer.bias.detach().numpy().copy())
        for layer in linear
    ]


def network_graph(members: list[_Layers], block: int) -> bytes:
    """The ONNX graph of the mean of some networks, for blocks of exactly `block` rows."""
    onnx = library("onnx")
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    nodes, weights, outputs = [], [], []
    for m, layers in enumerate(members):
        value = "inputs"
        for k, (matrix, bias) in enumerate(layers):
            names = [f"matrix_{m}_{k}", f"bias_{m}_{k}"]
            weights += [tensor(matrix, names[0]), tensor(bias, names[1])]
            nodes.append(helper.make_node("Gemm", [value, *names], [f"sum_{m}_{k}"]))
            value = f"sum_{m}_{k}"
            if k < len(layers) - 1:
                nodes.append(helper.make_node("Relu", [value], [f"unit_{m}_{k}"]))
                value = f"unit_{m}_{k}"
        outputs.append(value)
    nodes.append(helper.make_node("Mean", outputs, ["log_odds"]))
    float32 = onnx.TensorProto.FLOAT
    inputs = helper.make_tensor_value_info("inputs", float32, [block, members[0][0][0].shape[0]])
    output = helper.make_tensor_value_info("log_odds", float32, [block, 1])
    graph = helper.make_graph(nodes, "network", [inputs], [output], weights)
    # An old version of the format on purpose: every runtime of recent years reads it.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="homeostat"
    )
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString(deterministic=True)
    return written
