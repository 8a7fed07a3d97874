"""The deadline of decisions: which of them have used up their budget."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from homeostat.decide.canary import Sides
from homeostat.decide.stages import Limits, in_proportion
from homeostat.records.arrays import Bytes
from homeostat.records.reasons import Fallback


def overdue(limits: Limits, n: int, elapsed_ns: Callable[[], int], sides: Sides | None, arm: Bytes | None) -> Bytes:
    """(n,) the DEADLINE bit where scorers and policy have used up the decision's budget.

    elapsed_ns : by the batch so far, without work that happened to be due at it (joining, learning): that must come
        before the event, wherever it is in a batch, but none of it is the event's own
    sides, arm : of a batch that a canary shares: the time of the other side is not charged to a decision
    """
    limit_ns, late = in_proportion(limits.decision_ns, n, limits.rows), np.zeros(n, np.uint8)
    if limit_ns is None:
        return late
    took_ns = elapsed_ns()
    if sides is not None and arm is not None:
        over = np.where(arm, took_ns - sides.champion_ns > limit_ns, took_ns - sides.canary_ns > limit_ns)
        late[over] = Fallback.DEADLINE
    elif took_ns > limit_ns:
        late[:] = Fallback.DEADLINE
    return late
