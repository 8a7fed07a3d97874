"""How far decisions moved between two samples: the mix of actions and the risk, as a whole or because of one column."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float, Int

CERTAIN = 2.0
"""The standard errors below which a difference counts as none."""

_PART_OF_DAY_NS, _DAY_NS = 4 * 3_600 * 10**9, 86_400 * 10**9
_BINS, _BIN_LEAST, _VALUES_MAX = 16, 8, 32
_ROOM = 0.02  # Of the span of the past's values: those farther away are outside.


class Rows(NamedTuple):
    """Decisions. values : (n, columns), the risk first; action, start_ns : (n,), the latter of their ticks"""

    values: NDArray[np.float32]
    action: NDArray[np.int16]
    start_ns: Int


class Moved(NamedTuple):
    """How far decisions moved.

    share : the part of decisions by which the mix of actions moved: at least so many came out otherwise
    risk : the mean risk before, and now
    mix : (actions, 2) the share of each action before, and now
    """

    share: float
    risk: tuple[float, float]
    mix: Float


def moved(past: Rows, now: Rows, column: int | None, actions: int) -> Moved:
    """How far decisions moved, seen against the past at the same time of day.

    column : that whose effect alone is wanted, None for the whole change

    Both samples have rows. The share is the total variation distance of the two mixes; actions whose share moved by
    less than two standard errors are left out.
    """
    weight = _as_now(past.start_ns, now.start_ns)
    before, after = _answers(past, actions), _answers(now, actions)
    noise = np.full(actions + 1, 1e-18)  # Of rounding.
    if column is not None:
        cell, into = _cells(past.values[:, column], now.values[:, column])
        size = np.bincount(cell, minlength=_CELLS)
        known = size >= _BIN_LEAST
        total = np.bincount(cell, weight, _CELLS)
        sums = np.stack([np.bincount(cell, weight * one, _CELLS) for one in before.T], axis=1)
        mean = sums / np.maximum(total, 1e-300)[:, None]
        change = np.where(known, np.bincount(into, minlength=_CELLS) / len(into) - total, 0.0)
        noise += ((change[cell] * weight / np.maximum(total, 1e-300)[cell]) ** 2) @ (before - mean[cell]) ** 2
        after = np.where(known[into][:, None], mean[into], after)
        before = np.where(known[cell][:, None], mean[cell], before)
    means = weight @ before, after.mean(axis=0)
    noise += (weight**2) @ (before - means[0]) ** 2 + after.var(axis=0) / len(after)
    difference = means[1] - means[0]
    mix = np.where(np.abs(difference) >= CERTAIN * np.sqrt(noise), difference, 0.0)[:actions]
    share = max(float(mix[mix > 0].sum()), float(-mix[mix < 0].sum()))
    risk = float(means[0][-1]), float(means[1][-1])
    return Moved(min(share, 1.0), risk, np.stack([means[0][:actions], means[1][:actions]], axis=1))


def spread(offsets: Int, quota: Int) -> tuple[Int, Int]:
    """Rows of each tick, evenly spread and not more than its quota; and the tick of each.

    offsets : (k + 1,) of the rows of k ticks; quota : (k,)

    >>> spread(np.array([0, 4, 5]), np.array([2, 2]))[0].tolist()
    [0, 2, 4]
    """
    n = np.diff(offsets)
    sizes = np.minimum(n, quota)
    tick = np.repeat(np.arange(len(n)), sizes)
    each = np.arange(len(tick)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return offsets[tick] + each * n[tick] // sizes[tick], tick


def mean_of(sums: Float) -> tuple[float, float]:
    """A mean and its standard error. sums : of anything, the count, the sum, and the sum of squares

    >>> mean_of(np.array([0.0, 4.0, 8.0, 20.0]))
    (2.0, 0.5)
    """
    n = float(sums[1])
    mean = float(sums[2]) / n
    return mean, sqrt(max(float(sums[3]) / n - mean * mean, 0.0) / n)


_CELLS = max(_BINS, _VALUES_MAX) + 3  # Of values, beyond them on two sides, and of absent ones.


def _answers(rows: Rows, actions: int) -> Float:
    """(n, actions + 1) 1 at the action of each row, then the risk; an absent risk counts as 0."""
    found = np.zeros((len(rows.action), actions + 1))
    some = np.flatnonzero(rows.action < actions)
    found[some, rows.action[some]] = 1.0
    found[:, -1] = np.nan_to_num(rows.values[:, 0], nan=0.0)
    return found


def _as_now(past_ns: Int, now_ns: Int) -> Float:
    """(n,) weights of the past's rows, of sum 1, so that each part of the day has the share that it has now."""
    parts = _DAY_NS // _PART_OF_DAY_NS
    past, now = past_ns % _DAY_NS // _PART_OF_DAY_NS, now_ns % _DAY_NS // _PART_OF_DAY_NS
    size = np.bincount(past, minlength=parts)
    weight = (np.bincount(now, minlength=parts) / np.maximum(size, 1))[past]
    total = float(weight.sum())
    return np.asarray(weight / total if total > 0 else np.full(len(past), 1.0 / len(past)))


def _cells(past: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[Int, Int]:
    """The cell of each value: that of a category, else of a sixteenth of the past's values; others are outside."""
    values = np.unique(past[~np.isnan(past)])
    absent, outside = _CELLS - 1, _CELLS - 2
    if len(values) <= _VALUES_MAX:

        def cell(of: NDArray[np.float32]) -> Int:
            at = np.searchsorted(values, of)
            return np.where(values[np.minimum(at, len(values) - 1)] == of, at, outside) if len(values) else at + outside

    else:
        edges = np.unique(np.quantile(past[~np.isnan(past)], np.linspace(0.0, 1.0, _BINS + 1)))
        low, high = float(edges[0]), float(edges[-1])
        room = _ROOM * (high - low)

        def cell(of: NDArray[np.float32]) -> Int:
            at = np.clip(np.searchsorted(edges, of, "right") - 1, 0, max(len(edges) - 2, 0))
            return np.where((of < low - room) | (of > high + room), outside, at)

    return np.where(np.isnan(past), absent, cell(past)), np.where(np.isnan(now), absent, cell(now))
