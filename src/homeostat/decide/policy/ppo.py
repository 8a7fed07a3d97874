"""A policy trained by proximal policy optimisation, served through ONNX Runtime.

Events are run in blocks of one size, padded, on one thread: an event's answer does not depend on its batch.
Source of the training: Schulman et al. (2017), Proximal policy optimization algorithms, arXiv 1707.06347.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from homeostat.decide.policy.exploration import ExplorationPlan, decide_rows, new_account
from homeostat.decide.policy.observation import observation_size, observe
from homeostat.decide.policy.thresholds import CostFunction, expected_costs
from homeostat.records.arrays import Float, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.stats.elementary import exp

BLOCK = 32


@compiled
def softmax(logits: Float, temperature: float) -> Float:
    """(n, actions) probabilities; rows sum to 1 but for rounding."""
    out = np.empty(logits.shape)
    for i in range(len(logits)):
        top, total = logits[i].max(), 0.0
        for a in range(logits.shape[1]):
            out[i, a] = exp((logits[i, a] - top) / temperature)
            total += out[i, a]
        for a in range(logits.shape[1]):
            out[i, a] /= total
    return out


class PpoPolicy:
    """The action that the network likes best; in at most `exploration.rate` of the events, one drawn from its softmax.

    model : the ONNX file's bytes, as `models.training.policy_ppo` exports it
    context : features that it was trained with, in order

    Exploration is charged by the declared expected costs. Raises ValueError where the model does not fit; `propose`
    raises RuntimeError where it answers with what are not numbers, so that the loop falls back.
    """

    def __init__(
        self,
        model: bytes,
        costs: CostFunction,
        censoring: Sequence[bool],
        context: Sequence[str] = (),
        exploration: ExplorationPlan | None = None,
        temperature: float = 1.0,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        wanted, size = observation_size(len(censoring), len(context)), self._session.get_inputs()[0].shape[-1]
        trained = self._session.get_modelmeta().custom_metadata_map.get("context", ",".join(context))
        if size != wanted or trained != ",".join(context) or self._session.get_outputs()[0].shape[-1] != len(censoring):
            raise ValueError(
                f"the policy sees {wanted} numbers and context {','.join(context)!r}, but the model was trained on "
                f"{size} and {trained!r}: train it again, or name that context"
            )
        self._costs, self._context, self._temperature = costs, tuple(context), temperature
        self._plan = (exploration or ExplorationPlan()).settings()
        self._censoring = np.asarray(censoring, dtype=np.uint8)
        visible = np.flatnonzero(self._censoring == 0)
        self._instead = int(visible[0]) if len(visible) else -1
        self._account = new_account()

    def logits(self, observation: Float) -> Float:
        """(n, actions) what the network makes of observations (n, size), block by block."""
        n = len(observation)
        padded = np.zeros((-(-max(n, 1) // BLOCK) * BLOCK, observation.shape[1]), dtype=np.float32)
        padded[:n] = observation
        blocks = [
            self._session.run(None, {self._input: padded[start : start + BLOCK]})[0]
            for start in range(0, len(padded), BLOCK)
        ]
        out: Float = np.concatenate(blocks)[:n].astype(np.float64)
        return out

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2): the first column draws the action, the second the hold-out."""
        positive, negative = self._costs(events, features)
        columns = [features.names.index(name) for name in self._context]
        seen = np.ascontiguousarray(features.values[:, columns])
        logits = self.logits(observe(fused.risk, seen, positive, negative))
        if not np.isfinite(logits).all():
            raise RuntimeError("the PPO policy answered with what is not a number")
        n, actions = logits.shape
        propensity = np.zeros((n, actions))
        action, explored = np.zeros(n, dtype=np.int16), np.zeros(n, dtype=np.uint8)
        decide_rows(
            logits.argmax(axis=1), softmax(logits, self._temperature), expected_costs(fused.risk, positive, negative),
            events.reach, self._plan, self._account, self._censoring, self._instead, np.ascontiguousarray(chance),
            propensity, action, explored,
        )  # fmt: skip
        return Proposal(action, propensity, explored, np.zeros(n, dtype=np.uint8))

    def learn(self, experience: Experience) -> None:
        """It learns in training only."""

    @property
    def account(self) -> Float:
        """What exploration was charged: see `exploration.new_account`."""
        return self._account.copy()

    def state(self) -> State:
        return {"account": self._account.copy()}

    def restore(self, state: State) -> None:
        """Continue with the account of `state()`."""
        self._account = np.array(state["account"], dtype=np.float64)
