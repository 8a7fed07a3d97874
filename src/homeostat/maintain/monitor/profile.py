"""By how many hours a day's profile is shifted against those of the last weeks."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Int

_STEPS = 48  # Half hours.
_HALF_HOUR_NS = DAY_NS // _STEPS
_FADES = 0.9
_DAYS_LEAST = 7
_ROWS_LEAST = 200
_CLEARLY = 1.2  # A shift has to explain the day so much better than none.
_LEAST = 4  # Half hours: summer time moves a profile by two.


class Profile:
    """Counts by time of day.

    memory : `past` (48,) faded means of days, as shares; `today` (48,); `day`, `days` (1,); `shift`
        (2,) of the last day, and of the last two if they agree
    """

    def __init__(self) -> None:
        self.memory: Memory = {
            "past": np.zeros(_STEPS), "today": np.zeros(_STEPS), "day": np.zeros(1, np.int64),
            "days": np.zeros(1, np.int64), "shift": np.zeros(2),
        }  # fmt: skip

    def shift(self, time_ns: Int, end_ns: int) -> float:
        """Count events; returns the hours by which the last two days were shifted alike (later is positive), else 0.

        end_ns : of the tick
        """
        memory = self.memory
        memory["today"] += np.bincount((time_ns % DAY_NS) // _HALF_HOUR_NS, minlength=_STEPS)
        day = end_ns // DAY_NS
        if day == memory["day"][0]:
            return float(memory["shift"][1])
        memory["day"][0] = day
        today, total = memory["today"].copy(), float(memory["today"].sum())
        memory["today"][...] = 0.0
        if total < _ROWS_LEAST:
            return float(memory["shift"][1])
        today /= total
        found = _best_shift(today, memory["past"]) if memory["days"][0] >= _DAYS_LEAST else 0.0
        alike = found * memory["shift"][0] > 0 and abs(found - memory["shift"][0]) <= 1.0
        memory["shift"][...] = found, found if alike else 0.0
        if found:
            return float(memory["shift"][1])  # Such a day is not the past.
        memory["past"][...] = today if memory["days"][0] == 0 else _FADES * memory["past"] + (1 - _FADES) * today
        memory["days"][0] += 1
        return 0.0


def _best_shift(today: np.ndarray, past: np.ndarray) -> float:
    """The shift of the greatest circular correlation, in hours; 0 where none is clearly better than no shift.

    >>> base = np.exp(np.cos(np.arange(48) / 48 * 2 * np.pi))
    >>> _best_shift(np.roll(base, 6), base)
    3.0
    """
    a, b = today - today.mean(), past - past.mean()
    fit = np.array([float((np.roll(b, k) * a).sum()) for k in range(_STEPS)])
    best = int(np.argmax(fit))
    if min(best, _STEPS - best) < _LEAST or fit[best] <= _CLEARLY * max(float(fit[0]), 0.0) or fit[best] <= 0:
        return 0.0
    return (best if best <= _STEPS // 2 else best - _STEPS) / 2.0
