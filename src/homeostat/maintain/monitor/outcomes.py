"""The outcomes of a tick as monitors look at them: those just reported, and those that are mature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.contracts import Block, Known
from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float, Int, Mask

OUTCOME_COSTS = "costs of outcomes"
"""The name under which what known outcomes cost is shared in a block."""
SEEN = "rows of outcomes"
"""The same of `seen`."""


class Seen(NamedTuple):
    """Rows of `Known`.

    positives : just reported, positive, of remembered decisions
    reports : just reported, of remembered decisions whose action does not hide the outcome
    mature : count for quality: the decision is remembered and its action does not hide the outcome
    """

    positives: Int
    reports: Int
    mature: Int


def seen(known: Known) -> Seen:
    """The rows of each kind."""
    decided = (known.action >= 0) & (known.censored == 0) & np.isfinite(known.risk)
    fresh = decided & (known.fresh == 1) & ~np.isnan(known.label)
    return Seen(
        np.flatnonzero(fresh & (known.label == 1.0)), np.flatnonzero(fresh),
        np.flatnonzero(decided & (known.mature == 1) & ~np.isnan(known.label)),
    )  # fmt: skip


def seen_of(block: Block) -> Seen:
    """The same for all outcomes of a block."""
    return seen(block.whole.known)


class Ripening:
    """Outcomes mean little before the first events are mature: at first, only those that come early are there.

    memory : `first`, the end of the first tick
    """

    def __init__(self, matures_ns: int) -> None:
        self._matures_ns = matures_ns
        self.memory: Memory = {"first": np.zeros(1, np.int64)}

    def ripe(self, end_ns: int) -> bool:
        """Whether a tick that ends now shows outcomes as they will always be."""
        return bool(self.ripe_ticks(np.array([end_ns]))[0])

    def ripe_ticks(self, end_ns: Int) -> Mask:
        """(k,) the same for each tick of a block."""
        first = self.memory["first"]
        first[0] = first[0] or end_ns[0]
        found: Mask = end_ns - first[0] > self._matures_ns
        return found


def chance_of(risk: Float) -> Float:
    """Risks as probabilities, held within [.0005, .9995]."""
    return np.clip(risk, 0.0005, 0.9995)
