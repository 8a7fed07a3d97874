"""By how many hours a day's profile is shifted against those of the last weeks."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.rows_of_ticks import ticks_of
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Float, Int

_STEPS = 48  # Half hours.
_HALF_HOUR_NS = DAY_NS // _STEPS
_FADES = 0.9
_DAYS_LEAST = 7
_ROWS_LEAST = 200
_CLEARLY = 1.2  # A shift has to explain the day so much better than none.
_LEAST = 4  # Half hours: summer time moves a profile by two.
_SHIFTED = (np.arange(_STEPS) - np.arange(_STEPS)[:, None]) % _STEPS  # Row k: the places of a profile that is k later.


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

    def shifts(self, time_ns: Int, offsets: Int, end_ns: Int) -> Float:
        """Count events; returns the hours by which two days running were shifted alike (later is positive), else 0.

        offsets : (k + 1,) of the ticks' rows; end_ns : (k,) of the ticks
        Returns (k,) as known at the end of each tick.
        """
        memory, found = self.memory, np.zeros(len(end_ns))
        place = ticks_of(offsets) * _STEPS + (time_ns % DAY_NS) // _HALF_HOUR_NS
        counted = np.bincount(place, minlength=len(end_ns) * _STEPS).reshape(len(end_ns), _STEPS)
        day, begin = end_ns // DAY_NS, 0
        last = int(memory["day"][0])
        for at in [*np.flatnonzero(np.diff(day, prepend=last)).tolist(), len(end_ns)]:
            found[begin:at] = memory["shift"][1]  # Days end at these ticks; in between, counts add up.
            memory["today"] += counted[begin : at + 1].sum(axis=0)
            begin = at + 1
            if at < len(end_ns):
                found[at] = self._end_day(int(day[at]))
        return found

    def _end_day(self, day: int) -> float:
        memory = self.memory
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
    fit = (b[_SHIFTED] * a).sum(axis=1)
    best = int(np.argmax(fit))
    if min(best, _STEPS - best) < _LEAST or fit[best] <= _CLEARLY * max(float(fit[0]), 0.0) or fit[best] <= 0:
        return 0.0
    return (best if best <= _STEPS // 2 else best - _STEPS) / 2.0
