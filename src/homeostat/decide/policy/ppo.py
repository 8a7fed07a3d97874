"""A policy trained by proximal policy optimisation, served through ONNX Runtime.

Events are run in blocks of one size, padded, on one thread: an event's answer does not depend on its batch.
Source of the training: Schulman et al. (2017), Proximal policy optimization algorithms, arXiv 1707.06347.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from homeostat.decide.graphs import open_graph
from homeostat.decide.policy.exploration import Chosen, ExplorationPlan, allow, decide_rows, exploring_of
from homeostat.decide.policy.observation import observation_size, observe
from homeostat.decide.policy.thresholds import CostFunction, expected_costs
from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Float, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.parts import PartError
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

    Exploration is charged by the declared expected costs. Raises PartError where the model can't be read, does not run
    or does not fit; `propose` raises RuntimeError where it answers with what are not numbers, so that the loop falls
    back.
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
        self._session = open_graph(model, "the policy's")
        size = observation_size(len(censoring), len(context))
        self._input = _input_of(self._session, size, tuple(context))
        self._actions = len(censoring)
        self._costs, self._context, self._temperature = costs, tuple(context), temperature
        self._exploring = exploring_of(exploration, censoring)
        self._try(size)

    def _try(self, size: int) -> None:
        """Run the graph once: it must answer each row by itself, one number an action."""
        seen = np.zeros((BLOCK, size))
        seen[BLOCK // 2 :] = 0.5
        try:
            answers = self.logits(seen), self.logits(seen[::-1])[::-1]
        except Exception as error:  # ONNX Runtime's errors share no class but this.
            raise PartError(f"the policy's graph does not run: {error}") from error
        if not np.array_equal(*answers, equal_nan=True):
            raise PartError("the policy's graph answers a row otherwise where other rows are in other places")

    def logits(self, observation: Float) -> Float:
        """(n, actions) what the network makes of observations (n, size), block by block.

        Raises RuntimeError where it does not answer each row with one number an action.
        """
        n = len(observation)
        padded = np.zeros((-(-max(n, 1) // BLOCK) * BLOCK, observation.shape[1]), dtype=np.float32)
        padded[:n] = observation
        blocks = [
            self._session.run(None, {self._input: padded[start : start + BLOCK]})[0]
            for start in range(0, len(padded), BLOCK)
        ]
        if any(block.shape != (BLOCK, self._actions) or block.dtype.kind != "f" for block in blocks):
            raise RuntimeError(f"it must answer {BLOCK} rows with {self._actions} numbers each")
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
        out = Chosen.room(n, actions)
        decide_rows(
            logits.argmax(axis=1), softmax(logits, self._temperature), expected_costs(fused.risk, positive, negative),
            events.reach, self._exploring, np.ascontiguousarray(chance), out,
        )  # fmt: skip
        return Proposal(out.action, out.propensity, out.explored, np.zeros(n, dtype=np.uint8))

    def learn(self, experience: Experience) -> None:
        """It learns in training only."""

    @property
    def account(self) -> Float:
        """The charges for exploration: see `exploration.new_account`."""
        return self._exploring.account.copy()

    def allow(self, allowance: Allowance) -> None:
        """See `contracts.Explorer`."""
        allow(self._exploring, allowance)

    def state(self) -> State:
        return {"account": self._exploring.account.copy()}

    def restore(self, state: State) -> None:
        """Continue with the account of `state()`."""
        self._exploring = self._exploring._replace(account=np.array(state["account"], dtype=np.float64))


def _input_of(session: Any, size: int, context: tuple[str, ...]) -> str:
    """The name of the graph's input. Raises PartError where it was trained to see something else."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2 or len(outputs) != 1:
        raise PartError("the policy's graph must take one table of float32 and answer with one")
    width = inputs[0].shape[1]
    trained = session.get_modelmeta().custom_metadata_map.get("context", ",".join(context))
    if width != size or trained != ",".join(context):
        raise PartError(
            f"the policy sees {size} numbers and context {','.join(context)!r}, but the model was trained on "
            f"{width} and {trained!r}: train it again, or name that context"
        )
    name: str = inputs[0].name
    return name
