"""The ordinary course of a series of measurements, learned from its own past: season, trend, noise and autocorrelation.

A measurement is a share of n, a mean of n or a count. Its level is that of the past, moved by hour of day, weekday and
hour of the week. Each of the three profiles is shrunk by the share of its variance that is noise, so that a series
without a season keeps none (James and Stein 1961). Outliers weigh less (Huber 1964).

A residual of a share or a count is the signed root of twice its divergence from the level (the deviance residual). Its
variance hardly depends on the level, and a first hit after none for years gets its due. The variance is `of_sampling`
times the variance that follows from n alone, plus `beyond`.

A slow wave in the residuals, an autoregression of first order under noise, is followed by a Kalman
filter; its innovations are what is left. Sums of these over 6 and 24 measurements are compared with sums of independent
ones: whatever else is slow makes them larger.

Source: Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled

SHARE, MEAN, COUNT, FACT = 0, 1, 2, 3
WEEK_HOURS = 168
HORIZONS = np.array([1, 6, 24, 72])  # Measurements whose sums are looked at.
SHARE_LEAST = 0.02  # The least residual that counts: .50 against .51, .010 against .012.
COUNT_LEAST = 0.05  # The least ratio minus 1 that counts.
MEAN_LEAST = 0.02  # In standard deviations of one observation.
_HUBER = 3.0
_FAR = 3.0  # Times the width of the middle four fifths.
_PERSISTENCE = np.array([0.3, 0.5, 0.7, 0.8, 0.88, 0.94, 0.97, 0.985])
_LAGS = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24])
_GAIN_LEAST = 8.0  # Of the likelihood's logarithm, doubled: a wave must be seen before it is believed.
_FOLDED = 1.2533141373155001  # Standard deviation of a normal figure over its mean distance from 0.


class Ordinary(NamedTuple):
    """The ordinary course of k series. All arrays are (k,) but for `profile` (k, 168) and `sums` (k, 4).

    level : the mean; profile : added to it, by hour of the week from Monday 00:00 UTC
    growth : relative change per day of counts, from `middle_ns` on
    of_sampling, beyond : variance of a residual = of_sampling * that of n alone + beyond
    least : the smallest residual that matters, where the level is `level`
    wave, persistence : the share of the residuals' variance that is a slow wave, and how much of it is left from one
        measurement to the next
    sums : variance of sums over HORIZONS measurements against that of independent ones, at least 1
    known : how many measurements it rests on
    floor : the least level that its observations can tell from 0
    """

    level: Float
    profile: Float
    growth: Float
    middle_ns: Float
    of_sampling: Float
    beyond: Float
    least: Float
    wave: Float
    persistence: Float
    sums: Float
    known: Float
    floor: Float


def nothing_known(k: int) -> Ordinary:
    """Before anything was learned."""
    return Ordinary(
        np.zeros(k), np.zeros((k, WEEK_HOURS)), np.zeros(k), np.zeros(k), np.ones(k), np.zeros(k), np.zeros(k),
        np.zeros(k), np.zeros(k), np.ones((k, len(HORIZONS))), np.zeros(k), np.zeros(k),
    )  # fmt: skip


@compiled
def residual(scale: int, value: float, level: float) -> float:
    """The difference of a value and its level, where its variance does not depend on the level.

    >>> abs(residual(SHARE, 0.1, 0.1)), round(residual(COUNT, 110.0, 100.0), 2)
    (0.0, 0.98)
    """
    if scale == MEAN:
        return value - level
    sign = 1.0 if value > level else -1.0
    if scale == COUNT:
        return sign * math.sqrt(max(2.0 * (_part(value, level) - value + level), 0.0))
    held = min(max(level, 1e-12), 1.0 - 1e-12)
    return sign * math.sqrt(max(2.0 * (_part(value, held) + _part(1.0 - value, 1.0 - held)), 0.0))


@compiled
def _part(value: float, level: float) -> float:
    """value * log(value / level), 0 where the value is 0."""
    return value * math.log(value / max(level, 1e-12)) if value > 0.0 else 0.0


@compiled
def sampling(scale: int, n: float, spread: float) -> float:
    """The variance of a residual that follows from n alone; of a mean without a spread, in its own unknown unit."""
    if scale == COUNT:
        return 1.0
    if scale == SHARE:
        return 1.0 / max(n, 0.5)
    if spread == spread and spread > 0.0:
        return spread * spread
    return 1.0 / max(n, 1.0)


@compiled
def expected(ordinary: Ordinary, k: int, scale: int, hour: int, at_ns: float) -> float:
    """The level of series k at an hour of the week."""
    level = ordinary.level[k] + ordinary.profile[k, hour]
    if scale == COUNT:
        level = max(level * (1.0 + ordinary.growth[k] * (at_ns - ordinary.middle_ns[k]) / 86_400e9), ordinary.floor[k])
    if scale == SHARE:
        level = min(max(level, ordinary.floor[k]), 1.0)
    return float(level)


@compiled
def learn(  # A kernel over flat arrays.
    ordinary: Ordinary, chosen: Bytes, scale: Int, value: Float, n: Float, spread: Float, inside: Bytes, z: Float,
    u: Float, hour: Int, at_ns: Float, order: Int,
) -> None:  # fmt: skip
    """Learn the series that are chosen from their past, into `ordinary`.

    chosen : (k,) whether to learn it; scale : (k,) SHARE, MEAN, COUNT or FACT
    value, n, spread : (k, w) rings of measurements; inside : (k, w) whether one counts
    z, u : (k, w) their residuals as they were when they came; those that are NaN are filled in
    hour, at_ns : (w,) of the measurements; order : (m,) the ring's places, oldest first
    """
    m = len(order)
    work = np.zeros((7, m))
    hours, places = np.zeros((3, m), np.int64), np.zeros(m, np.int64)
    for k in range(len(scale)):
        if chosen[k] == 0 or scale[k] == FACT:
            continue
        found = 0
        for j in range(m):
            i = order[j]
            if inside[k, i] and value[k, i] == value[k, i]:
                work[0, found], work[1, found], work[2, found] = value[k, i], n[k, i], spread[k, i]
                work[3, found], places[found] = at_ns[i], i
                hours[0, found], hours[1, found], hours[2, found] = hour[i] % 24, hour[i] // 24, hour[i]
                found += 1
        ordinary.known[k] = found
        if found > 1:
            _learn_one(ordinary, k, scale[k], work[:, :found], hours[:, :found])
            for j in range(found):
                if z[k, places[j]] != z[k, places[j]]:
                    z[k, places[j]], u[k, places[j]] = work[5, j], work[4, j]


@compiled
def _learn_one(ordinary: Ordinary, k: int, scale: int, work: Float, hour: Int) -> None:
    value, n, spread, at_ns, weight, rest, error = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    m = len(value)
    middle = n.mean()
    ordinary.floor[k] = 1.0 / (m * (middle if scale == SHARE else 1.0) + 1.0) if scale != MEAN else 0.0
    for i in range(m):
        weight[i] = 1.0 if scale == COUNT else min(n[i], 2.0 * middle)
        error[i] = math.sqrt(sampling(scale, n[i], spread[i]))
    if scale != SHARE:
        _temper(value, weight)
    ordinary.middle_ns[k] = at_ns.mean()
    ordinary.growth[k] = _growth(value, at_ns) if scale == COUNT else 0.0
    freedom = 0.0
    for turn in range(2):
        freedom = _profiles(ordinary, k, scale, value, at_ns, hour, weight, rest)
        _residuals(ordinary, k, scale, value, at_ns, hour[2], rest)
        wide = 0.0
        for i in range(m):
            wide += abs(rest[i]) / error[i]
        wide *= _FOLDED / m
        for i in range(m):
            bound = _HUBER * max(wide, 1e-12) * error[i]
            if scale != MEAN or spread[i] == spread[i]:
                bound = max(bound, _HUBER * error[i])
            if abs(rest[i]) > bound:
                if turn == 0:
                    weight[i] *= bound / abs(rest[i])
                rest[i] = bound if rest[i] > 0.0 else -bound
    _variance(ordinary, k, scale, work, m / max(m - freedom, 0.5 * m))
    _residuals(ordinary, k, scale, value, at_ns, hour[2], rest)
    for i in range(m):  # The true residuals, now on one scale.
        wide = ordinary.of_sampling[k] * error[i] * error[i] + ordinary.beyond[k]
        rest[i] = rest[i] / math.sqrt(max(wide, 1e-300))
    _dependence(ordinary, k, rest, weight)


@compiled
def _residuals(
    ordinary: Ordinary, k: int, scale: int, value: Float, at_ns: Float, hour: Int, rest: Float
) -> None:  # fmt: skip
    """The residual of each value. But for counts, all values of an hour of the week have one level.

    Most shares are 0 nearly always. Those of an hour have one residual, so its logarithm is taken once.
    """
    if scale == COUNT:
        for i in range(len(value)):
            rest[i] = residual(scale, value[i], expected(ordinary, k, scale, hour[i], at_ns[i]))
        return
    level, of_nothing = np.empty(WEEK_HOURS), np.empty(WEEK_HOURS)
    for h in range(WEEK_HOURS):
        level[h] = expected(ordinary, k, scale, h, 0.0)
        of_nothing[h] = math.nan
    for i in range(len(value)):
        h = hour[i]
        if scale == MEAN or value[i] != 0.0:
            rest[i] = residual(scale, value[i], level[h])
            continue
        if of_nothing[h] != of_nothing[h]:
            of_nothing[h] = residual(scale, 0.0, level[h])
        rest[i] = of_nothing[h]


@compiled
def _temper(value: Float, weight: Float) -> None:
    """Let values far outside of the middle four fifths weigh less from the start."""
    tenth, last = len(value) // 10, len(value) - 1
    low, high = np.partition(value, tenth)[tenth], np.partition(value, last - tenth)[last - tenth]
    room = _FAR * (high - low)
    if room > 0.0:
        for i in range(len(value)):
            beyond = max(low - value[i], value[i] - high)
            if beyond > room:
                weight[i] *= (room / beyond) ** 2


@compiled
def _growth(value: Float, at_ns: Float) -> float:
    """The relative change per day, shrunk where it may be chance; 0 before two weeks are known."""
    m = len(value)
    days = (at_ns - at_ns.mean()) / 86_400e9
    if days[m - 1] - days[0] < 14.0 or value.mean() <= 0.0:
        return 0.0
    n = int(days[m - 1] - days[0])
    sums, counts = np.zeros(n), np.zeros(n)  # Of whole days, so that the daily season plays no part.
    for i in range(m):
        day = int(days[i] - days[0])
        if day < n:
            sums[day] += value[i]
            counts[day] += 1.0
    x, y = np.zeros(n), np.zeros(n)
    found = 0
    for day in range(n):
        if counts[day] > 0.0:
            x[found], y[found] = float(day), sums[day] / counts[day]
            found += 1
    x, y = x[:found], y[:found]
    if found < 10:
        return 0.0
    mean_x, mean_y = x.mean(), y.mean()
    wide = ((x - mean_x) ** 2).sum()
    slope = ((x - mean_x) * (y - mean_y)).sum() / wide
    left = ((y - mean_y - slope * (x - mean_x)) ** 2).sum() / (found - 2) / wide
    return float(slope / mean_y * slope * slope / max(slope * slope + 4.0 * left, 1e-300))


@compiled
def _profiles(
    ordinary: Ordinary, k: int, scale: int, value: Float, at_ns: Float, hour: Int, weight: Float, rest: Float
) -> float:  # fmt: skip
    """Level and shrunk profiles; returns how many figures were fitted, in effect."""
    m = len(value)
    level, total = 0.0, 0.0
    for i in range(m):
        grown = 1.0
        if scale == COUNT:
            grown = max(1.0 + ordinary.growth[k] * (at_ns[i] - ordinary.middle_ns[k]) / 86_400e9, 0.05)
        rest[i] = value[i] / grown
        level += weight[i] * rest[i]
        total += weight[i]
    ordinary.level[k] = level / max(total, 1e-300)
    ordinary.profile[k, :] = 0.0
    for i in range(m):
        rest[i] -= ordinary.level[k]
    freedom = 1.0
    for kind in range(3):
        freedom += _one_profile(ordinary, k, kind, hour[kind], weight, rest)
    return freedom


@compiled
def _one_profile(ordinary: Ordinary, k: int, kind: int, bins: Int, weight: Float, rest: Float) -> float:
    """Fit one profile (0: hour of day, 1: weekday, 2: hour of the week) to what is left, and take it away."""
    size = (24, 7, WEEK_HOURS)[kind]
    sums, weights = np.zeros(size), np.zeros(size)
    m, squares, total = len(rest), 0.0, 0.0
    for i in range(m):
        b = bins[i]
        sums[b] += weight[i] * rest[i]
        weights[b] += weight[i]
        total += weight[i]
    used, signal = 0, 0.0
    for b in range(size):
        if weights[b] > 0.0:
            sums[b] /= weights[b]
            used += 1
    if used < 2 or m < 1.5 * used or total <= 0.0:
        return 0.0
    for i in range(m):
        b = bins[i]
        squares += weight[i] * (rest[i] - sums[b]) ** 2
    one = squares / (total / m) / (m - used)  # Variance of a measurement of the mean weight.
    noise = 0.0
    for b in range(size):
        if weights[b] > 0.0:
            signal += sums[b] ** 2 / used
            noise += one * (total / m) / weights[b] / used
    signal = max(signal - noise, 0.0)
    freedom = 0.0
    for b in range(size):
        if weights[b] > 0.0:
            kept = signal / (signal + one * (total / m) / weights[b]) if signal > 0.0 else 0.0
            sums[b] *= kept
            freedom += kept
    for i in range(m):
        rest[i] -= sums[bins[i]]
    for h in range(WEEK_HOURS):
        ordinary.profile[k, h] += sums[h % 24 if kind == 0 else (h // 24 if kind == 1 else h)]
    return freedom


@compiled
def _variance(ordinary: Ordinary, k: int, scale: int, work: Float, widened: float) -> None:
    """Variance of residuals as a line over that of sampling, by least squares; of sampling counts fully."""
    n, spread, rest = work[1], work[2], work[5]
    m = len(n)
    mean_x, mean_y, given, observed = 0.0, 0.0, 0.0, 0.0
    for i in range(m):
        x = work[6, i] ** 2
        mean_x += x / m
        mean_y += rest[i] ** 2 * widened / m
        given += 1.0 if spread[i] == spread[i] else 0.0
        observed += (spread[i] ** 2 * n[i] if spread[i] == spread[i] else 0.0) / m
    over, along = 0.0, 0.0
    for i in range(m):
        x = work[6, i] ** 2
        over += (x - mean_x) ** 2
        along += (x - mean_x) * (rest[i] ** 2 * widened - mean_y)
    floor = 0.0 if scale == MEAN and given < 0.5 * m else 1.0
    slope = along / over if over > 1e-12 * mean_x * mean_x * m else floor
    if floor == 0.0 and over <= 1e-12 * mean_x * mean_x * m:
        slope = mean_y / mean_x
    slope = max(min(slope, mean_y / mean_x), floor)
    ordinary.of_sampling[k] = slope
    if scale == SHARE:
        least = SHARE_LEAST
    elif scale == COUNT:
        least = COUNT_LEAST * math.sqrt(max(ordinary.level[k], 0.0))
    else:
        least = MEAN_LEAST * math.sqrt(observed if floor == 1.0 else slope)
        least = max(least, 1e-9 * abs(ordinary.level[k]))
    ordinary.least[k] = least
    # Differences too small to matter are part of the noise, however many observations there are.
    ordinary.beyond[k] = max(mean_y - slope * mean_x, 0.0) + 0.25 * least * least


@compiled
def innovation(z: float, wave: float, persistence: float, filtered: Float) -> float:
    """The part of a residual that the wave so far did not announce, in standard deviations.

    filtered : (2,) the wave's value and its variance as known until now, brought up to date
    """
    ahead = persistence * filtered[0]
    variance = persistence * persistence * filtered[1] + wave * (1.0 - persistence * persistence)
    total = variance + 1.0 - wave
    gain = variance / total
    filtered[0] = ahead + gain * (z - ahead)
    filtered[1] = variance * (1.0 - gain)
    return float((z - ahead) / math.sqrt(total))


@compiled
def _wave(ordinary: Ordinary, k: int, rest: Float) -> None:
    """Share and persistence of the wave, by least squares on the autocovariances; none where chance explains them."""
    m = len(rest)
    ordinary.wave[k] = ordinary.persistence[k] = 0.0
    if m < 2 * _LAGS[-1]:
        return
    found, held = np.zeros(len(_LAGS)), np.empty(m)
    whole, fourth = 0.0, 0.0
    for i in range(m):
        held[i] = min(max(rest[i], -4.0), 4.0)
        whole += held[i] ** 2 / m
        fourth += held[i] ** 4 / m
    for j in range(len(_LAGS)):
        h = _LAGS[j]
        for i in range(h, m):
            found[j] += held[i] * held[i - h]
        found[j] /= max(whole, 1e-9) * (m - h)
    # Two rare hits that chance to be neighbours look like a wave: only as many values count as carry the squares.
    best = _GAIN_LEAST / min(m, max(3.0 * m * whole * whole / max(fourth, 1e-12), 1.0))
    for p in range(len(_PERSISTENCE)):
        one, both, over = _PERSISTENCE[p], 0.0, 0.0
        for j in range(len(_LAGS)):
            weight = one ** _LAGS[j]
            both += found[j] * weight
            over += weight * weight
        share = min(max(both / over, 0.0), 0.98)
        gain = 2.0 * share * both - share * share * over
        if gain > best:
            best = gain
            ordinary.wave[k], ordinary.persistence[k] = share, one


@compiled
def _dependence(ordinary: Ordinary, k: int, rest: Float, u: Float) -> None:
    """The wave, and what is left when it is taken away, into `u`."""
    m = len(rest)
    _wave(ordinary, k, rest)
    filtered = np.array([0.0, ordinary.wave[k]])
    for i in range(m):
        now = min(max(rest[i], -6.0), 6.0)
        u[i] = innovation(now, ordinary.wave[k], ordinary.persistence[k], filtered)


@compiled
def spread_of_sums(u: Float, into: Float) -> None:
    """The variance of sums over HORIZONS measurements of u (m,), oldest first, against that of independent ones."""
    m = len(u)
    sums = np.zeros(m + 1)
    for i in range(m):
        sums[i + 1] = sums[i] + u[i]
    for j in range(len(HORIZONS)):
        h = HORIZONS[j]
        if m < 4 * h:
            into[j] = into[j - 1] if j > 0 else 1.0
            continue
        total = 0.0
        for i in range(h, m + 1):
            total += (sums[i] - sums[i - h]) ** 2 / h
        found, blocks = total / (m + 1 - h), m / h
        # An estimate of few sums is drawn to 1, and raised by its own error.
        found = (blocks * found + 4.0) / (blocks + 4.0)
        into[j] = max(found * (1.0 + math.sqrt(2.0 / blocks)), 1.0)
