"""The usual sizes of numbers, as counts in half octaves: all fields at once, forgotten slowly."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float

_OCTAVES = 48  # Sizes from 2 ** -24 to 2 ** 24 differ; those beyond count as the last.
_BINS = 2 * _OCTAVES
_WIDTH = 2 * _BINS + 1  # Negative sizes, zero, positive sizes.


def bins_of(numbers: Float) -> Float:
    """(n, fields) the half octave of each number, from -96 to 96; 0 for 0, NaN where there is none.

    >>> bins_of(np.array([[1.0, 2.0, -2.0, 0.0, np.nan]])).tolist()
    [[49.0, 51.0, -51.0, 0.0, nan]]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.floor(2.0 * np.log2(np.abs(numbers))) + _OCTAVES + 1.0
        found: Float = np.sign(numbers) * np.clip(size, 1.0, float(_BINS))
    return np.where(numbers == 0.0, 0.0, found)


class Magnitudes:
    """Half octaves in which the numbers of each field have lain, the last days left out.

    memory : `past` and `waiting` (fields, bins): counts; `quantiles` (fields, 3): half octave of the 1 %, 50 %, 99 %
        points of the past, NaN where it is too short; `days` (1,)
    """

    def __init__(self, fields: int) -> None:
        self._fields = fields
        self.memory: Memory = {
            "past": np.zeros((fields, _WIDTH)), "waiting": np.zeros((_WAITS, fields, _WIDTH)),
            "quantiles": np.full((fields, 3), np.nan), "days": np.zeros(1, np.int64),
        }  # fmt: skip

    def add(self, bins: Float) -> None:
        """Count numbers, see `bins_of`."""
        there = ~np.isnan(bins)
        column = np.broadcast_to(np.arange(self._fields), bins.shape)[there]
        place = column * _WIDTH + (bins[there].astype(np.int64) + _BINS)
        counted = np.bincount(place, minlength=self._fields * _WIDTH).reshape(self._fields, _WIDTH)
        self.memory["waiting"][0] += counted

    def end_day(self) -> None:
        """A day is over: what was counted some days ago becomes the past, and the past fades."""
        memory = self.memory
        memory["days"][0] += 1
        first = memory["days"][0] <= _WAITS  # At first there is no past but these days themselves.
        memory["past"] *= _FADES
        if first:
            memory["past"] += memory["waiting"][0]
            memory["waiting"][0] = 0.0
        else:
            memory["past"] += memory["waiting"][-1]
            memory["waiting"][1:] = memory["waiting"][:-1].copy()
            memory["waiting"][0] = 0.0
        self._rank()

    def _rank(self) -> None:
        past = self.memory["past"]
        total = past.sum(axis=1)
        below = np.cumsum(past, axis=1)
        for k, q in enumerate((0.01, 0.5, 0.99)):
            place = (below < q * total[:, None]).sum(axis=1) - _BINS
            self.memory["quantiles"][:, k] = np.where(total >= _LEAST, place, np.nan)

    @property
    def quantiles(self) -> Float:
        """(fields, 3) see `memory`."""
        found: Float = self.memory["quantiles"]
        return found


_WAITS = 3  # Days after which a day is past, so that a change does not hide itself at once.
_FADES = 0.95  # A day's weight falls to a half in two weeks.
_LEAST = 200.0  # Numbers without which nothing is usual.
