"""A learned policy's view of an event, in its training environment and when it serves: one function for both."""

from __future__ import annotations

import numpy as np

from homeostat.decide.policy.bandit_kernel import squash
from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import logit


def observation_size(actions: int, context: int) -> int:
    """How many numbers an observation has.

    >>> observation_size(3, 2)
    12
    """
    return 1 + 3 * actions + context


@compiled
def observe(risk: Float, context: Float, positive: Float, negative: Float) -> Float:
    """(n, 1 + 3 actions + context) float64 in about [-3, 3]: the risk's log-odds; each action's cost if the outcome is
    positive, if it is negative, and how much it is expected to cost beyond the cheapest; the context. No number counts
    as 0.
    """
    n, actions = positive.shape
    out = np.zeros((n, 1 + 3 * actions + context.shape[1]))
    for i in range(n):
        r = min(max(risk[i], 1e-6), 1.0 - 1e-6) if risk[i] == risk[i] else 0.5
        out[i, 0] = logit(r) / 5.0
        least = np.inf
        for a in range(actions):
            least = min(least, r * positive[i, a] + (1.0 - r) * negative[i, a])
        for a in range(actions):
            expected = r * positive[i, a] + (1.0 - r) * negative[i, a]
            out[i, 1 + a] = squash(positive[i, a]) / 5.0
            out[i, 1 + actions + a] = squash(negative[i, a]) / 5.0
            out[i, 1 + 2 * actions + a] = squash(expected - least) / 2.0
        for j in range(context.shape[1]):
            out[i, 1 + 3 * actions + j] = squash(context[i, j]) / 3.0
    return out
