"""Train a PPO policy and export its actor as ONNX; needs `homeostat[train]`.

Training starts from a copy of given actions, the best by their immediate cost, and improves on it by what the
environment answers: what the actions lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.errors import needs
from homeostat.records.arrays import Float, Int

with needs("train", "training a PPO policy"):
    import onnx
    import stable_baselines3
    import torch
    from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True, slots=True)
class PpoSettings:
    """How the policy is trained; the defaults take about a minute on two threads."""

    steps: int = 400_000
    environments: int = 256
    hidden: tuple[int, int] = (64, 64)
    rate: float = 1e-4
    rollout: int = 64
    epochs: int = 4
    batch: int = 4096
    entropy: float = 0.002
    discount: float = 0.9
    imitation_steps: int = 3_000
    threads: int = 1


def train_ppo(
    make_environments: Callable[[int, int], Any], observations: Float, actions: Int, seed: int,
    settings: PpoSettings | None = None, context: Sequence[str] = (),
) -> bytes:  # fmt: skip
    """An ONNX policy, the same bytes for the same seed, versions and machine.

    make_environments : (seed, count) -> Stable-Baselines3 VecEnv
    observations, actions : (n, size) and (n,) what seems best at once, to start from
    context : names kept with the model, so that it is refused where others are served
    """
    s = settings or PpoSettings()
    threads = torch.get_num_threads()
    torch.set_num_threads(s.threads)
    try:
        model = _model(make_environments(seed, s.environments), seed, s)
        _imitate(model, observations, actions, seed, s)
        model.learn(s.steps)
        return export_actor(model.policy, context)
    finally:
        torch.set_num_threads(threads)


def _model(environments: Any, seed: int, s: PpoSettings) -> Any:
    return stable_baselines3.PPO(
        "MlpPolicy", environments, learning_rate=lambda left: s.rate * max(left, 0.0), n_steps=s.rollout,
        batch_size=s.batch, n_epochs=s.epochs, gamma=s.discount, ent_coef=s.entropy, target_kl=0.02, vf_coef=0.2,
        seed=seed, device="cpu",
        policy_kwargs={"net_arch": {"pi": list(s.hidden), "vf": list(s.hidden)}},
    )  # fmt: skip


def _imitate(model: Any, observations: Float, actions: Int, seed: int, s: PpoSettings) -> None:
    """Fit the actor to given actions: cross-entropy, evenly over the observations given."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    inputs = torch.as_tensor(np.asarray(observations, dtype=np.float32))
    targets = torch.as_tensor(np.asarray(actions, dtype=np.int64))
    optimiser = torch.optim.Adam(model.policy.parameters(), lr=2e-3)
    for step in range(s.imitation_steps):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1.0 - step / s.imitation_steps)
        rows = torch.as_tensor(rng.integers(0, len(inputs), 512))
        loss = -model.policy.get_distribution(inputs[rows]).log_prob(targets[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def export_actor(policy: Any, context: Sequence[str] = ()) -> bytes:
    """The actor of an SB3 MlpPolicy as ONNX: observation (n, size) float32 -> logits (n, actions), nothing else."""
    layers = [layer for layer in policy.mlp_extractor.policy_net if hasattr(layer, "weight")] + [policy.action_net]
    nodes, constants, name = [], [], "observation"
    for number, layer in enumerate(layers):
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        constants.append(numpy_helper.from_array(np.ascontiguousarray(weight), f"weight_{number}"))
        constants.append(numpy_helper.from_array(np.ascontiguousarray(bias), f"bias_{number}"))
        last = number == len(layers) - 1
        out = "logits" if last else f"linear_{number}"
        nodes.append(helper.make_node("Gemm", [name, f"weight_{number}", f"bias_{number}"], [out], transB=1))
        if not last:
            nodes.append(helper.make_node("Tanh", [out], [f"hidden_{number}"]))
            name = f"hidden_{number}"
    size, actions = int(layers[0].weight.shape[1]), int(layers[-1].weight.shape[0])
    graph = helper.make_graph(
        nodes, "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", actions])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="homeostat")
    model.ir_version = 8
    helper.set_model_props(model, {"context": ",".join(context)})
    onnx.checker.check_model(model)
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported
