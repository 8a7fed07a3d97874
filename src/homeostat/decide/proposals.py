"""Whether what a policy answered is a proposal."""

from __future__ import annotations

import numpy as np

from homeostat.records.decisions import Proposal

_SUM_ERROR_MAX = 1e-6


def checked(proposal: Proposal, n: int, actions: int) -> None:
    """Raise ValueError unless there are `n` actions among `actions`, each with propensities that sum to 1."""
    action, propensity = proposal.action, proposal.propensity
    shapes = (action.shape, propensity.shape, proposal.explored.shape, proposal.fallback.shape)
    if shapes != ((n,), (n, actions), (n,), (n,)) or action.dtype.kind not in "iu":
        raise ValueError(f"the policy's proposal for {n} events of {actions} actions has shapes {shapes}")
    if n == 0:
        return
    if int(action.min()) < 0 or int(action.max()) >= actions:
        raise ValueError(f"the policy proposed an action that is not among the {actions}")
    # Negated, so that what is not a number fails.
    if not (propensity.min() >= 0.0 and np.abs(propensity.sum(axis=1) - 1.0).max() <= _SUM_ERROR_MAX):
        raise ValueError("the policy's propensities are not probabilities that sum to 1")
