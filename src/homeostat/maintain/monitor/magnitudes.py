"""The usual sizes of numbers, as counts in half octaves: all fields at once, forgotten slowly."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

_OCTAVES = 48  # Sizes from 2 ** -24 to 2 ** 24 differ; those beyond count as the last.
_BINS = 2 * _OCTAVES
_ROOT = 0.7071067811865476  # Where the second half of an octave begins, between a half and 1.
_WIDTH = 2 * _BINS + 1  # Negative sizes, zero, positive sizes.


@compiled
def bin_of(number: float) -> int:
    """The half octave of a number, from -96 to 96; 0 for 0.

    >>> [bin_of(one) for one in (1.0, 2.0, -2.0, 0.0)]
    [49, 51, -51, 0]
    """
    if number == 0.0:
        return 0
    part, octave = math.frexp(abs(number))
    if math.isinf(number):
        found = _BINS
    else:
        found = min(max(2 * (octave - 1) + (1 if part >= _ROOT else 0) + _OCTAVES + 1, 1), _BINS)
    return found if number > 0.0 else -found


class Sizes(NamedTuple):
    """Of each tick and field, (k, fields): how many numbers there are, and how many of them are far from the past.

    points : (k, fields, 3) the half octaves of the 25 %, 50 % and 75 % points
    decimals : the sum of the numbers' decimals, from 0 to 3: how many of 1, 0.1, 0.01 a number is no multiple of
    """

    n: Float
    far: Float
    points: Float
    decimals: Float


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

    def add(self, numbers: Float, offsets: Int, far: float = math.inf) -> Sizes:
        """Count numbers of ticks of one day, and say how they lie against the past.

        numbers : (n, fields); offsets : (k + 1,) of the ticks' rows
        far : so many half octaves beyond the 99 % point, or below the 1 % point, are far
        """
        shape = (len(offsets) - 1, self._fields)
        found = Sizes(np.zeros(shape), np.zeros(shape), np.zeros((*shape, 3)), np.zeros(shape))
        _measure(
            numbers,
            offsets,
            far,
            self.memory["quantiles"],
            self.memory["waiting"][0],
            np.zeros(_WIDTH, np.int64),
            found,
        )
        return found

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


@compiled
def _measure(
    numbers: Float, offsets: Int, far: float, quantiles: Float, waiting: Float, counts: Int, found: Sizes
) -> None:  # fmt: skip
    """counts : (bins,) all 0"""
    for k in range(len(offsets) - 1):
        for field in range(numbers.shape[1]):
            low, high, n = quantiles[field, 0] - far, quantiles[field, 2] + far, 0
            for i in range(offsets[k], offsets[k + 1]):
                number = numbers[i, field]
                if number != number:
                    continue
                place = bin_of(number)
                n += 1
                counts[place + _BINS] += 1
                if place > high or (place < low and place != 0):
                    found.far[k, field] += 1.0
                found.decimals[k, field] += _decimals(number)
            found.n[k, field] = n
            below, last, point = 0, max(n - 1, 0), 1
            for place in range(_WIDTH):
                if counts[place]:
                    waiting[field, place] += counts[place]
                    below += counts[place]
                    counts[place] = 0
                    while point < 4 and below > last * point // 4:
                        found.points[k, field, point - 1] = place - _BINS
                        point += 1


@compiled
def _decimals(number: float) -> float:
    total, size = 0.0, max(abs(number), 1.0)
    for scale in (1.0, 10.0, 100.0):
        scaled = number * scale
        if abs(scaled - np.rint(scaled)) > 1e-7 * size * scale:
            total += 1.0
    return total


_WAITS = 3  # Days after which a day is past, so that a change does not hide itself at once.
_FADES = 0.95  # A day's weight falls to a half in two weeks.
_LEAST = 200.0  # Numbers without which nothing is usual.
