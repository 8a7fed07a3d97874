"""Whether what a policy answered is a proposal."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Proposal

_SUM_ERROR_MAX = 1e-6
_NO_ACTION, _NO_PROBABILITY = 1, 2


def checked(proposal: Proposal, n: int, actions: int) -> None:
    """Raise ValueError unless there are `n` actions among `actions`, each with propensities that sum to 1."""
    action, propensity = proposal.action, proposal.propensity
    shapes = (action.shape, propensity.shape, proposal.explored.shape, proposal.fallback.shape)
    if shapes != ((n,), (n, actions), (n,), (n,)) or action.dtype.kind not in "iu":
        raise ValueError(f"the policy's proposal for {n} events of {actions} actions has shapes {shapes}")
    fault = _fault(np.ascontiguousarray(action, np.int64), np.ascontiguousarray(propensity, np.float64))
    if fault == _NO_ACTION:
        raise ValueError(f"the policy proposed an action that is not among the {actions}")
    if fault == _NO_PROBABILITY:
        raise ValueError("the policy's propensities are not probabilities that sum to 1")


@compiled
def _fault(action: Int, propensity: Float) -> int:
    """The first kind of fault in any row, 0 for none."""
    n, actions = propensity.shape
    for row in range(n):
        if not 0 <= action[row] < actions:
            return _NO_ACTION
    for row in range(n):
        total = 0.0
        for k in range(actions):
            if not propensity[row, k] >= 0.0:  # Negated, so that what is not a number fails.
                return _NO_PROBABILITY
            total += propensity[row, k]
        if not abs(total - 1.0) <= _SUM_ERROR_MAX:
            return _NO_PROBABILITY
    return 0
