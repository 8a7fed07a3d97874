"""A detector of changes for many series at once: a mixture of bets, added up over all instants at which to begin.

Each residual u is bet on at fixed strengths: the factor of a bet is exp(s * u) divided by its price, which is no less
than its mean while nothing changes. The price is the mean over the series' own past, with one more measurement far out,
plus its standard error; times exp(s^2 v / 2), v the variance of sums over the time that matters to s, beyond that of
independent residuals; times a tolerance. Residuals of rare hits vary less than normal ones, so bets on them are cheap:
with normal prices, three times the hits were not found in weeks.

Each hour a bettor begins with 1; the detector is the sum of all their capitals, the Shiryaev-Roberts statistic. While
nothing changes its mean after t measurements is t at most. So a detector that alarms at T has its first alarm after T
measurements on average, or later, and the same holds for a weighted sum of detectors of series that depend on each
other in any way.

A factor is at most `FACTOR_MAX`: one odd measurement alone raises no alarm.

Sources: Shin, Ramdas and Rinaldo (2024), E-detectors, NEJSDS 2(2), 229-260. Roberts (1966), Technometrics 8, 411-430.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats import seasonal
from homeostat.stats.seasonal import HORIZONS, Ordinary

STRENGTHS = np.array([0.2, 0.4, 0.8, 1.6, 3.2])  # Doubled from one to the next, so that one exponential is enough.
_SUMS = np.array([3, 2, 2, 1, 0])  # The horizon that matters to a strength s is about 1 / s^2.
FACTOR_MAX = 300.0
_FAR_OUT = 3.5  # The residual of the one more measurement: its worth at the greatest strength is that of a normal past.
_U_MAX = 6.0
_Z_MAX = 1e6
TOLERANCE = 0.1  # Of a residual's own deviation, beside the standard error: a level may wander as far unnoticed.
_CAPITAL_MAX = 1e30
UP, DOWN, BOTH = 1, 2, 3
_PAST_LEAST = 24  # Measurements without which the past says nothing about the tails.


class Bettors(NamedTuple):
    """Capitals and prices, (k, 2, strengths): for a rise, for a fall.

    price : 1 / mean factor of a bet while nothing changes
    filtered : (k, 2) the slow wave of each, see `seasonal.innovation`
    """

    capital: Float
    price: Float
    filtered: Float


def bettors(k: int) -> Bettors:
    """Nobody has begun, and prices are those of independent normal residuals."""
    price = np.exp(-0.5 * STRENGTHS**2)
    return Bettors(
        np.zeros((k, 2, len(STRENGTHS))), np.tile(price, (k, 2, 1)).astype(np.float64), np.zeros((k, 2))
    )  # fmt: skip


class Stepped(NamedTuple):
    """Of one tick, (k,) each; NaN where there was no measurement.

    z : residual in standard deviations; u : the same, whitened
    before : the level it was compared with
    evidence : the detector's value, with both sides in one
    rise : the part of it that speaks for a rise
    """

    z: Float
    u: Float
    before: Float
    evidence: Float
    rise: Float


@compiled
def step_all(
    ordinary: Ordinary, of: Bettors, watched: Bytes, scale: Int, side: Int, value: Float, n: Float, spread: Float,
    hour: int, at_ns: float, z: Float, u: Float, before: Float, evidence: Float, rise: Float,
) -> None:  # fmt: skip
    """See `step`; of z, u, before, evidence and rise (k,) the figures of `Stepped` are written."""
    strengths = len(STRENGTHS)
    for k in range(len(scale)):
        z[k] = u[k] = before[k] = math.nan
        evidence[k] = rise[k] = 0.0
        if scale[k] == seasonal.FACT or value[k] != value[k] or ordinary.known[k] <= 0.0:
            continue
        level = seasonal.expected(ordinary, k, scale[k], hour, at_ns)
        before[k] = level
        one = ordinary.of_sampling[k] * seasonal.sampling(scale[k], n[k], spread[k]) + ordinary.beyond[k]
        z[k] = seasonal.residual(scale[k], value[k], level) / math.sqrt(max(one, 1e-300))
        z[k] = min(max(z[k], -_Z_MAX), _Z_MAX)
        now = min(max(z[k], -_U_MAX), _U_MAX)
        u[k] = seasonal.innovation(now, ordinary.wave[k], ordinary.persistence[k], of.filtered[k])
        if watched[k] == 0:
            continue
        factor = math.exp(STRENGTHS[0] * min(max(u[k], -_U_MAX), _U_MAX))
        up, down = 0.0, 0.0
        for j in range(strengths):
            gain = min(factor * of.price[k, 0, j], FACTOR_MAX)
            loss = min(of.price[k, 1, j] / factor, FACTOR_MAX)
            of.capital[k, 0, j] = min((1.0 + of.capital[k, 0, j]) * gain, _CAPITAL_MAX)
            of.capital[k, 1, j] = min((1.0 + of.capital[k, 1, j]) * loss, _CAPITAL_MAX)
            up += of.capital[k, 0, j] / strengths
            down += of.capital[k, 1, j] / strengths
            factor *= factor
        if side[k] == UP:
            down = 0.0
        elif side[k] == DOWN:
            up = 0.0
        else:
            up, down = 0.5 * up, 0.5 * down
        evidence[k], rise[k] = up + down, up


def step(
    ordinary: Ordinary, of: Bettors, watched: Bytes, scale: Int, side: Int, value: Float, n: Float, spread: Float,
    hour: int, at_ns: int,
) -> Stepped:  # fmt: skip
    """Take one measurement of each series, and bet on it.

    watched : (k,) whether to bet on a series; scale, side : (k,) of each
    value, n, spread : (k,) NaN where there is none
    """
    found = Stepped(*np.empty((5, len(scale))))
    step_all(ordinary, of, watched, scale, side, value, n, spread, hour, float(at_ns), *found)
    return found


@compiled
def set_prices(
    ordinary: Ordinary, of: Bettors, chosen: Bytes, dear: Bytes, u: Float, inside: Bytes, order: Int
) -> None:
    """Prices of bets, from the residuals of the past.

    dear : (k,) 1 where bets cost no less than they would if residuals were normal
    u, inside : (k, w) rings; order : their places, oldest first
    """
    strengths = len(STRENGTHS)
    mean, square = np.zeros((2, strengths)), np.zeros((2, strengths))
    past, sums = np.zeros(len(order)), np.ones(len(HORIZONS))
    for k in range(len(chosen)):
        if chosen[k] == 0:
            continue
        found = 0
        for i in order:
            if inside[k, i] and u[k, i] == u[k, i]:
                past[found] = min(max(float(u[k, i]), -_U_MAX), _U_MAX)
                found += 1
        seasonal.spread_of_sums(past[:found], ordinary.sums[k])
        variance = _factors(past[:found], mean, square)
        if found >= _PAST_LEAST:
            seasonal.spread_of_sums((past[:found] - past[:found].mean()) / math.sqrt(variance), sums)
        for j in range(strengths):
            s = STRENGTHS[j]
            for side in range(2):
                cost = math.exp(0.5 * s * s * ordinary.sums[k, _SUMS[j]] + s * TOLERANCE)
                if found >= _PAST_LEAST:
                    one = mean[side, j]
                    error = math.sqrt(max(square[side, j] - one * one, 0.0) / found)
                    alike = 0.5 * s * s * variance * (sums[_SUMS[j]] - 1.0)
                    seen = (one + error) * math.exp(alike + s * TOLERANCE * math.sqrt(variance))
                    cost = max(cost, seen) if dear[k] else seen
                of.price[k, side, j] = 1.0 / cost


@compiled
def _factors(past: Float, mean: Float, square: Float) -> float:
    """The mean factors of a past with one more measurement far out, and of their squares, by side and strength.

    past : (m,) residuals; mean, square : (2, strengths), filled
    Returns the variance of the residuals, 1 where there are too few.
    """
    m = len(past)
    mean[:, :] = 0.0
    square[:, :] = 0.0
    for i in range(m + 1):
        for side in range(2):
            one = _FAR_OUT if i == m else (past[i] if side == 0 else -past[i])
            factor = math.exp(STRENGTHS[0] * one)
            for j in range(len(STRENGTHS)):
                mean[side, j] += factor / (m + 1)
                square[side, j] += factor * factor / (m + 1)
                factor *= factor
    return max(past.var(), 1e-6) if m >= _PAST_LEAST else 1.0


assert len(HORIZONS) == 4
