"""Events that nobody learns from, so that they can say what a version is worth."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Int, Mask
from homeostat.stats.chance import uniform

_STREAM = 409


def held_out(keys: Int, share: float) -> Mask:
    """(n,) which events are held out: all events of a share of the entities.

    So no event that teaches is about an entity whose events judge.
    keys : (n, entities); without any, no event is held out
    """
    if not keys.shape[1] or share <= 0:
        return np.zeros(len(keys), np.bool_)
    found: Mask = uniform(0, keys[:, 0], _STREAM) < share
    return found
