"""A stand-in for a trained risk model: as good and as wrong as such models are, and fast.

It sees the hidden truth through noise. Its log-odds are exact for a world of one kind of fraud; then they are bent the
way a model's are that learned on a few weeks: overconfident, too high at night, too low online.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.events import EventBatch
from homeostat.stats.chance import chances
from homeostat.stats.elementary import log, sigmoid

_STREAM = 200


@dataclass(frozen=True, slots=True)
class StandInRisk:
    """Quality and faults of the stand-in.

    signal : distance of the scenarios' scores from those of genuine payments, in standard deviations
    share : of frauds that it takes for granted
    slope : above 1 is overconfident
    night, online : shift of the log-odds in that segment
    """

    signal: tuple[float, float, float, float] = (0.0, 6.0, 3.2, 3.4)
    assumed: float = 3.3
    share: float = 0.01
    slope: float = 1.25
    night: float = 1.0
    online: float = -1.5
    online_every: int = 4

    def risk(self, events: EventBatch, scenario: Bytes, seed: int) -> Float:
        """(n,) risks of payments whose hidden truth is `scenario`."""
        draw = chances(seed + _STREAM, events.id_code, 2)
        settings = np.array([
            *self.signal, self.assumed, math.log(self.share / (1 - self.share)), self.slope, self.night, self.online,
        ])  # fmt: skip
        return _risk(draw, scenario, context(events, self.online_every), settings)


CONTEXT = ("amount", "night", "online")


def context(events: EventBatch, online_every: int = 4) -> Float:
    """(n, 3) what is seen of a payment beside its risk: `CONTEXT`."""
    hour: Int = events.time_ns // 3_600_000_000_000 % 24
    online = events.keys[:, 1] % online_every == 0
    return np.stack([events.numbers[:, 0], (hour <= 6).astype(np.float64), online.astype(np.float64)], axis=1)


@compiled
def _risk(draw: Float, scenario: Bytes, seen: Float, settings: Float) -> Float:
    out = np.empty(len(draw))
    assumed, prior, slope = settings[4], settings[5], settings[6]
    for i in range(len(draw)):
        noise = math.sqrt(-2.0 * log(1.0 - draw[i, 0])) * math.cos(2.0 * math.pi * draw[i, 1])  # Box and Muller.
        z = settings[scenario[i]] + noise
        odds = prior + assumed * z - 0.5 * assumed * assumed
        out[i] = sigmoid(slope * odds + settings[7] * seen[i, 1] + settings[8] * seen[i, 2])
    return out
