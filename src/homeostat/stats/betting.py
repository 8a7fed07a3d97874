"""A confidence sequence for the difference of two means of bounded values: exact at every sample size, at every look.

Values of both arms are put together in blocks, in order of arrival. A block's difference of means lies in [-1, 1], and
its expectation is the difference that is asked for. A gambler bets against "the difference is at most delta" at fair
odds. If that is true, the gambler's wealth exceeds 1 / alpha at any time with probability alpha at most (Ville's
inequality). All deltas against which the wealth has reached 1 / alpha are excluded.

The bets are a mixture of fixed fractions. Most of the mixture lies where relative differences of 5 to 50 % of a rate
are found soonest: for a rate p, the best fraction against a relative difference r is about r / 2, whatever p is.

Sources: Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86, 1-27.
Shafer (2021), Testing by betting, JRSS A 184, 407-431.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled

_SIDE_MAX = 8  # A block has 1 value of the rarer arm and so many of the other: 1 + 1/8 of the least variance.
_MEMORY = 128.0  # Rows over which the arms' shares are measured: blocks follow a canary's ramp.
_RUN_MAX = (
    2 * _SIDE_MAX
)  # A file may hold one arm first and then the other: long runs say nothing of the shares to come.
_FOLD = 16  # Blocks between two logarithms; so few that no product of factors leaves the range of floats.
_LOG_MIN = -600.0  # A smaller share counts as none until it has grown: processors are slow on numbers near 0.
_STEPS = 60
_EXACT = 1e-9  # Of a bound, or of the logarithm of the wealth at it.
_BEYOND = 3.0  # Wealth is followed so far above its bound: e^3.
_MEAN_MIN = 1e-9  # Odds have a limit.


class Blocks(NamedTuple):
    """Differences of means in [-1, 1], (b,), and the index of the row that completed each, (b,)."""

    difference: Float
    row: Int


class Bets(NamedTuple):
    """Fractions of the wealth that are bet, (k,) in (0, 1), and the logarithms of their shares in the mixture, (k,)."""

    fraction: Float
    log_share: Float


def _bets() -> Bets:
    fraction = 0.95 * 1.5 ** -np.arange(18.0)  # Down to .001: a relative difference of .2 %.
    share = 1.0 / (1.0 + (np.log(fraction / 0.1) / 1.5) ** 2)
    return Bets(fraction, np.log(share / share.sum()))


BETS = _bets()


def blocks(treated: Mask, values: Float) -> Blocks:
    """Differences of treatment and control, first come first served.

    treated : (n,) the arm of each row, in order of arrival; must not depend on the values
    values : (n,) within [0, 1]

    >>> blocks(np.array([False, True, True, False]), np.array([0.0, 1.0, 0.5, 1.0])).difference.tolist()
    [1.0, -0.5]
    """
    return Blocks(*_blocks(treated, values))


@compiled
def _blocks(treated: Mask, values: Float) -> tuple[Float, Int]:
    n = len(values)
    waiting = np.empty((2, n))
    first, last = np.zeros(2, np.int64), np.zeros(2, np.int64)
    wanted = np.ones(2, np.int64)
    difference, rows = np.empty(n), np.empty(n, np.int64)
    share, run, made = 0.5, 0, 0
    for i in range(n):
        arm = 1 if treated[i] else 0
        waiting[arm, last[arm]] = values[i]
        last[arm] += 1
        run = run + 1 if i > 0 and treated[i] == treated[i - 1] else 1
        if run <= _RUN_MAX:
            share += (arm - share) / _MEMORY
        while last[0] - first[0] >= wanted[0] and last[1] - first[1] >= wanted[1]:
            one = waiting[1, first[1] : first[1] + wanted[1]].mean()
            difference[made] = one - waiting[0, first[0] : first[0] + wanted[0]].mean()
            rows[made] = i
            made += 1
            first += wanted
            # The next block's size is known before its values are: it depends on the arms of past rows only.
            wanted[0] = min(max(int(0.5 + (1.0 - share) / max(share, 1e-9)), 1), _SIDE_MAX)
            wanted[1] = min(max(int(0.5 + share / max(1.0 - share, 1e-9)), 1), _SIDE_MAX)
    return difference[:made], rows[:made]


@compiled
def wealth_path(
    difference: Float, delta: float, log_bound: float, fraction: Float, log_share: Float
) -> tuple[int, float]:
    """How a mixture of bets against "the mean is at most `delta`" fares, until its wealth reaches e^`log_bound`.

    difference : (b,) in [-1, 1]; delta : in [-1, 1]
    fraction, log_share : (k,), see `Bets`
    Returns the block at which the bound was reached, or -1, and the largest wealth until then.

    >>> wealth_path(np.ones(20), 0.0, np.log(40.0), *BETS)[0]
    10
    """
    mean = max((1.0 + delta) / 2.0, _MEAN_MIN)
    logs, scale, wealth = log_share.copy(), np.exp(log_share), np.ones(len(fraction))
    bound, most = np.exp(log_bound), 1.0
    for b in range(len(difference)):
        gain = (1.0 + difference[b]) / 2.0 / mean - 1.0
        for k in range(len(fraction)):
            wealth[k] *= 1.0 + fraction[k] * gain
        one, two, three = 0.0, 0.0, 0.0  # Three sums at once: an addition need not wait for the one before it.
        for k in range(0, len(fraction), 3):
            one += scale[k] * wealth[k]
            two += scale[k + 1] * wealth[k + 1]
            three += scale[k + 2] * wealth[k + 2]
        most = max(most, one + two + three)
        if most >= bound:
            return b, most
        if b % _FOLD == _FOLD - 1:
            for k in range(len(fraction)):
                logs[k] += np.log(wealth[k])
                scale[k] = np.exp(logs[k]) if logs[k] > _LOG_MIN else 0.0
                wealth[k] = 1.0
    return -1, most


def found_above(of: Blocks, delta: float, alpha: float) -> int | None:
    """The index of the row at which "the difference is at most `delta`" is refuted, None if it is not.

    alpha : the probability of refuting it at any time although it is true, at most
    """
    block, _ = wealth_path(of.difference, delta, float(-np.log(alpha)), *BETS)
    return None if block < 0 else int(of.row[block])


def found_below(of: Blocks, delta: float, alpha: float) -> int | None:
    """The index of the row at which "the difference is at least `delta`" is refuted, None if it is not."""
    return found_above(Blocks(-of.difference, of.row), -delta, alpha)


def lower_bound(difference: Float, alpha: float) -> float:
    """The largest delta such that "the mean is at most delta" was refuted at any time; -1 if none was.

    The most wealth there ever was falls as delta grows, so the bound is where it equals 1 / alpha. Its logarithm is
    nearly a straight line there, so false position comes near in few steps.

    >>> round(lower_bound(np.ones(100), 0.025), 2)
    0.86
    """
    bound = float(-np.log(alpha))
    low, high = -1.0, 1.0
    over, under = _BEYOND, -bound
    for step in range(_STEPS):
        if high - low < _EXACT:
            break
        # Each third step halves: false position alone can be slow where the line is bent.
        middle = (low + high) / 2 if step % 3 == 0 else low + (high - low) * over / (over - under)
        _, most = wealth_path(difference, middle, bound + _BEYOND, *BETS)
        found = min(float(np.log(most)), bound + _BEYOND) - bound
        if abs(found) < _EXACT:
            return middle
        if found >= 0.0:
            low, over = middle, found
        else:
            high, under = middle, found
    return low


def upper_bound(difference: Float, alpha: float) -> float:
    """The smallest delta such that "the mean is at least delta" was refuted at any time; 1 if none was."""
    return -lower_bound(-difference, alpha)
