"""One row of a series after another: distances from what is usual, put together to one score."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.stats.series.patterns import distance, remember
from homeostat.stats.series.shapes import (
    BLOCKS,
    CENTRE,
    CHANNELS,
    COUNT,
    ERROR,
    FAR,
    LAST,
    LEVEL,
    MANY,
    NEAR,
    PAST,
    PATTERNS,
    SCALE,
    SEASON,
    SEASON_COUNT,
    SEASON_ERROR,
    SEASON_MEAN,
    SEEN,
    SHIFT,
    SLOW,
    SPREAD,
    STEP,
    WARM,
    WEIGHT,
    Series,
)

_FADES = 0.5 ** (1 / 2500.0)  # The largest distance halves in 2,500 rows: a record of last month is no measure.
_NEAR, _FAR, _SLOW = 1 - 0.5 ** (1 / 50.0), 1 - 0.5 ** (1 / 1000.0), 1 - 0.5 ** (1 / 96.0)
_SEASON = 0.1
_SPREAD = 1 - 0.5 ** (1 / 20_000.0)  # A metric that was still during the warm-up gets its scale later.
_ERROR = 1 - 0.5 ** (1 / 500.0)
_POWER = 4.0  # Of the mean over metrics: near the largest, yet several together count more than one.
_BAND = 5.0  # Mean absolute errors on either side: 4 standard deviations of normal errors.


@compiled
def advance(
    s: Series, parts: Int, slots: Int, values: Float, raw: Float, shares: Float, low: Float, high: Float
) -> None:
    """Score the rows in order and learn each of them after its score.

    slots : (n,) half hour of the day, -1 where there is no time
    values : (n, p), NaN where one is missing
    raw : (n,) written: 0 while the series warms up; at about 1 a row is as strange as the strangest before
    shares : (n, p) written: the metrics' parts of raw
    low, high : (n, p) written: what was expected, in the units of the values; NaN while the series warms up
    """
    p = values.shape[1]
    z = np.empty(p)
    for row in range(len(raw)):
        seen = int(s.number[SEEN])
        raw[row] = 0.0
        for j in range(p):
            shares[row, j], low[row, j], high[row, j] = 0.0, np.nan, np.nan
        if seen < WARM:
            for j in range(p):
                s.early[seen, j] = values[row, j]
            s.early[seen, p] = slots[row]
            s.number[SEEN] = seen + 1
            if seen + 1 == WARM:
                _warmed(s, parts, z, raw, shares, row)
            continue
        _expected(s, slots[row], low[row], high[row])
        _scaled(s, values[row], z)
        raw[row] = _step(s, parts, slots[row], z, shares[row], seen)
        s.number[SEEN] = seen + 1


@compiled
def _warmed(s: Series, parts: Int, z: Float, raw: Float, shares: Float, row: int) -> None:
    """Take centre and scale from the rows of the warm-up, and learn these rows."""
    p = len(z)
    for j in range(p):
        column = s.early[:, j]
        known = np.sort(column[column == column])
        if len(known) == 0:
            s.metric[j, CENTRE], s.metric[j, SCALE] = 0.0, 1.0
            continue
        centre, k = np.median(known), len(known) - 1
        scale = (known[int(0.95 * k)] - known[int(0.05 * k)]) / 3.3
        if scale <= 0:
            scale = np.std(known)
        s.metric[j, CENTRE] = centre
        s.metric[j, SCALE] = max(scale, 1e-3 * abs(centre), 1e-9)
    for k in range(WARM):
        _scaled(s, s.early[k, :p], z)
        _step(s, parts, int(s.early[k, p]), z, shares[row], k)
    for j in range(p):
        shares[row, j] = 0.0


@compiled
def _scaled(s: Series, values: Float, z: Float) -> None:
    """Values in units of their scale; a missing one is the one before."""
    for j in range(len(z)):
        if values[j] == values[j]:
            z[j] = (values[j] - s.metric[j, CENTRE]) / s.metric[j, SCALE]
        else:
            z[j] = s.metric[j, LAST]


@compiled
def _expected(s: Series, slot: int, low: Float, high: Float) -> None:
    """The band around the better of two forecasts: the near mean, and the mean of this half hour."""
    for j in range(len(low)):
        m = s.metric[j]
        if m[COUNT] == 0:
            continue
        at, error = m[NEAR], m[ERROR]
        if slot >= 0 and s.season[slot, j] == s.season[slot, j] and m[SEASON_COUNT] > WARM and m[SEASON_ERROR] < error:
            at, error = s.season[slot, j], m[SEASON_ERROR]
        low[j] = m[CENTRE] + m[SCALE] * (at - _BAND * error)
        high[j] = m[CENTRE] + m[SCALE] * (at + _BAND * error)


@compiled
def _step(s: Series, parts: Int, slot: int, z: Float, shares: Float, t: int) -> float:
    """The raw score of a row, and what it teaches. shares : (p,) written."""
    p = len(z)
    far = np.zeros((CHANNELS, p))
    for j in range(p):
        shares[j] = 0.0
        if z[j] == z[j]:
            _distances(s, j, slot, z[j], t, far)
        s.past[t % PAST, j] = z[j] if z[j] == z[j] else 0.0
    total, used = 0.0, 0
    one = np.zeros(p)
    for c in range(CHANNELS):
        whole = 0.0
        for j in range(p):
            top = s.top[c, j]
            one[j] = (far[c, j] / top) ** _POWER if top > 0 else 0.0
            s.top[c, j] = max(top * _FADES, far[c, j])
            whole += one[j]
        if p <= MANY and (slot >= 0 or c < SEASON):
            total += _add(s, c, whole ** (1 / _POWER), whole, one, shares)
            used += 1
    for k in range(PATTERNS):
        whole = distance(s, k, parts[k], t, one)
        total += _add(s, CHANNELS + k, np.sqrt(whole), whole, one, shares)
        used += 1
        if t % max(1, BLOCKS[k] // 2) == 0:
            remember(s, k, parts[k], t)
    for j in range(p):
        shares[j] /= used
    total /= used
    return total


@compiled
def _add(s: Series, place: int, value: float, whole: float, one: Float, shares: Float) -> float:
    """A distance over the largest so far, shared out to the metrics."""
    top = s.top_all[place]
    s.top_all[place] = max(top * _FADES, value)
    if place < CHANNELS and len(one) == 1:
        top = 1.0  # One metric was divided by its largest distance already.
    if top <= 0 or whole <= 0:
        return 0.0
    for j in range(len(one)):
        shares[j] += value / top * one[j] / whole
    return float(value / top)


@compiled
def _distances(s: Series, j: int, slot: int, z: float, t: int, far: Float) -> None:
    """How far one value is from what was expected, in five ways; learn it."""
    m = s.metric[j]
    count = m[COUNT]
    if count > 0:
        far[STEP, j] = abs(z - m[NEAR])
        far[LEVEL, j] = abs(z - m[FAR])
        m[ERROR] += max(_ERROR, 1 / count) * (far[STEP, j] - m[ERROR])
    mean = z
    for k in range(1, 24):
        mean += s.past[(t - k) % PAST, j] if t >= k else z
    before = s.slow[t % 24, j]
    if count > 72 and before == before:
        far[SHIFT, j] = abs(mean / 24 - before)
    m[SPREAD] += max(_SPREAD, 1 / (count + 1)) * ((z - m[FAR]) ** 2 - m[SPREAD])
    if len(s.metric) > 1:
        m[WEIGHT] = 1.0 / max(1.0, np.sqrt(m[SPREAD]))
    m[NEAR] += max(_NEAR, 1 / (count + 1)) * (z - m[NEAR])
    m[FAR] += max(_FAR, 1 / (count + 1)) * (z - m[FAR])
    m[SLOW] += max(_SLOW, 1 / (count + 1)) * (z - m[SLOW])
    s.slow[t % 24, j] = m[SLOW]
    m[LAST] = z
    m[COUNT] = count + 1
    if slot >= 0:
        usual = s.season[slot, j]
        residual = 0.0
        if usual == usual:
            residual = z - usual
            s.season[slot, j] = usual + _SEASON * residual
            far[SEASON, j] = abs(residual)
            m[SEASON_COUNT] += 1
            m[SEASON_ERROR] += max(_ERROR, 1 / m[SEASON_COUNT]) * (far[SEASON, j] - m[SEASON_ERROR])
        else:
            s.season[slot, j] = z
        s.residual[t % 4, j] = residual
        far[SEASON_MEAN, j] = abs(np.mean(s.residual[:, j]))
