"""Rises of the mean of errors: a gambler's wealth against "the mean is still what it was".

Values lie in [0, 1]; their mean before the change, p, is learned. A lane j bets that the odds are `ODDS[j]` times as
high from now on: its wealth is multiplied by (1 + (odds - 1) x) / (1 + (odds - 1) p). That is the likelihood ratio of
zeros and ones, and for any values in [0, 1] its expectation is 1 while their mean is p. At each value every lane gets
its share of one coin and its wealth is summed up over all starts (Shiryaev and Roberts). The sum over lanes grows by 1
a value on average, so that it needs as many values as its limit to reach it: that is the mean time to a false alarm.

Four things are done about p, which nobody knows. It is learned from the values before the lane's present start alone,
so that a change does not teach itself. It is taken half a standard error or more above its estimate. While fewer than
`LEARN_MIN` values are known it is taken above 1, so that nothing is won. And a lane gives up a start when it knows
twice as many values as it did then: its p was learned from few, by chance from low ones.

Sources: Shin, Ramdas, Rinaldo (2022), E-detectors: a nonparametric framework for sequential change detection.
Waudby-Smith, Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86, 1-27. Pollak (1985),
Optimal detection of a change in distribution, Annals of Statistics 13, 206-227. Page (1954), Biometrika 41, 100-115,
for the start of a change.
"""

from __future__ import annotations

import math

import numpy as np

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled, inlined
from homeostat.stats.detectors.alarms import Alarm

# Few and far apart: a change between two of them is found by either, and each more would raise the limit of all.
# Shares are what the wanted delays need: most for the change that is common and hard, a rate four times as high. The
# highest odds need the least: after a large change each value multiplies their wealth.
ODDS = np.array([2.0, 4.5, 12.0])
SHARES = np.array([0.25, 0.55, 0.15])
CAUTION = (1.0, 0.5, 0.5)  # Bets on small changes suffer most from an estimate that is too low.
LEARN_MIN = 20
# An alarm comes when the limit is passed, by the jump of the last value. So the mean time to a false alarm is a little
# longer than the limit; the less so, the higher the mean is, since jumps are then small. The limit is that share of the
# wanted time which was measured to make up for it, at means from .005 to .9, learning included.
LIMIT_SHARE, LIMIT_MORE = 0.83, 0.35
# Standard errors that p is taken above its estimate; more where false alarms are to be rarer than that, since then the
# chance that the first values mislead counts.
_ABOVE, _ABOVE_AT = 1.0, 1e5
_NEVER = 1.01  # A mean that no values have: bets against it lose, even where every value is 1.
_PAST_MAX = 2.0  # At 4, a fifth more false alarms come in the streams of a learner that begins again, and none sooner.
_RENEWED = 1.02  # The known values grow by this factor before p is computed again.

# Columns of a lane, and numbers of the head.
WEALTH, PATH, ROW, COUNT, SUM, FACTOR, KNOWN = range(7)
N, TOTAL = range(2)


def caution(false_alarms_per: float) -> float:
    """The standard errors that p is taken above its estimate.

    >>> caution(1e5), caution(1e10)
    (1.0, 2.0)
    """
    return _ABOVE * max(1.0, math.log(false_alarms_per) / math.log(_ABOVE_AT))


@compiled
def highest_mean(total: float, n: float, above: float) -> float:
    """A cautious estimate of the mean of n values in [0, 1] with this sum: `above` standard errors over the plain one.

    >>> highest_mean(5.0, 100.0, 1.0) > 0.07, highest_mean(3.0, 10.0, 1.0)
    (True, 1.01)
    """
    if n < LEARN_MIN:
        return _NEVER
    mean = (total + 1.0) / (n + 2.0)
    return min(_NEVER, mean + above * math.sqrt(mean * (1.0 - mean) / (n + 2.0)) + 0.5 / n)


@inlined
def step(x: float, row: int, head: Float, lanes: Float, odds: Float, shares: Float, above: float) -> float:
    """Take in one value; returns the wealth of all lanes.

    head : (2,) count and sum of the values before; lanes : (lanes, 7)
    """
    n, total = head[N], head[TOTAL]
    wealth = 0.0
    for j in range(len(odds)):
        more = odds[j] - 1.0
        if n > _PAST_MAX * lanes[j, COUNT]:
            lanes[j, PATH] = lanes[j, WEALTH] = 0.0
        if lanes[j, PATH] <= 1.0:  # The likeliest start of a change is now.
            lanes[j, PATH], lanes[j, ROW], lanes[j, COUNT], lanes[j, SUM] = 1.0, row, n, total
            if n >= lanes[j, KNOWN] * _RENEWED:
                lanes[j, FACTOR] = 1.0 / (1.0 + more * highest_mean(total, n, above * CAUTION[j]))
                lanes[j, KNOWN] = n
        factor = (1.0 + more * x) * lanes[j, FACTOR]
        lanes[j, WEALTH] = (shares[j] + lanes[j, WEALTH]) * factor
        lanes[j, PATH] *= factor
        wealth += lanes[j, WEALTH]
    head[N], head[TOTAL] = n + 1.0, total + x
    return wealth


@compiled
def watch(
    values: Float,
    first: int,
    row: int,
    head: Float,
    lanes: Float,
    odds: Float,
    shares: Float,
    limit: float,
    above: float,
) -> int:
    """The index of the value at which wealth passes its limit; -1 where none does; -2 - index of an impossible value.

    row : of values[0]; a NaN is passed over. limit : the wanted mean time to a false alarm
    """
    for i in range(first, len(values)):
        x = values[i]
        if x >= 0.0 and x <= 1.0:
            wealth = step(x, row + i, head, lanes, odds, shares, above)
            if wealth > limit * (LIMIT_SHARE + LIMIT_MORE * head[TOTAL] / head[N]):
                return i
        elif x == x:
            return -2 - i
    return -1


class Rises:
    """Finds rises of the mean of values in [0, 1]."""

    fault = "is no error, which lies from 0 to 1. Choose the kind number for other values"

    def __init__(self, false_alarms_per: float) -> None:
        self._limit = false_alarms_per
        self._above = caution(false_alarms_per)
        self._head, self._lanes = np.zeros(2), np.zeros((len(ODDS), 7))

    def watch(self, values: Float, first: int, row: int) -> tuple[int, Alarm | None]:
        """Go on until an alarm or the end; returns the index of the next value.

        row : of values[0]. Without an alarm, an index before the end is that of a value that is no error.
        """
        found = watch(values, first, row, self._head, self._lanes, ODDS, SHARES, self._limit, self._above)
        if found == -1:
            return len(values), None
        if found < -1:
            return -2 - found, None
        alarm = self._alarm(row + found)
        self._head[:], self._lanes[:] = 0.0, 0.0
        return found + 1, alarm

    def _alarm(self, row: int) -> Alarm:
        n, total = self._head
        lane = self._lanes[int(np.argmax(self._lanes[:, WEALTH]))]
        before = lane[SUM] / max(1.0, lane[COUNT])
        after = (total - lane[SUM]) / max(1.0, n - lane[COUNT])
        return Alarm(row, int(lane[ROW]), float(before), float(after), "rise")

    def state(self) -> dict[str, Float]:
        """All that it remembers."""
        return {"head": self._head.copy(), "lanes": self._lanes.copy()}

    def restore(self, state: dict[str, Float]) -> None:
        """Go on from what was remembered."""
        self._head[:], self._lanes[:] = state["head"], state["lanes"]
