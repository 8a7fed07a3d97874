"""Boosted trees for the probability of a label: small, on bins, in machine code, the same on every machine.

Each round fits one tree of a fixed depth to the gradients of the log loss, by histograms, on top of an offset that the
caller gives.

Source: Friedman (2001), Greedy Function Approximation, Annals of Statistics 29; Ke et al. (2017), LightGBM, NeurIPS,
for histograms; Chen and Guestrin (2016), XGBoost, KDD, for the gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled

BINS = 256  # Of a column at most: a bin is a byte.


@dataclass(frozen=True, slots=True)
class Settings:
    """How trees are grown.

    depth : of each tree
    rate : the part of each tree's step that is taken
    rounds : trees at most
    l2 : penalty on the squared steps, in units of the curvature of the loss
    curvature_min : of each leaf; a row whose label is uncertain has .25
    """

    depth: int = 5
    rate: float = 0.08
    rounds: int = 150
    l2: float = 10.0
    curvature_min: float = 5.0


class Trees(NamedTuple):
    """Trees as flat arrays: node k of a tree has the children 2k + 1 and 2k + 2.

    column : (trees, inner) of the split, -1 where a node does not split: its rows go left
    cut : (trees, inner) rows with a bin above it go right
    step : (trees, leaves) added to the margin
    """

    column: Small
    cut: Small
    step: Float


class Rows(NamedTuple):
    """Training rows. bins : (columns, n); label : (n,) 0 or 1; offset : (n,) margins to begin from."""

    bins: Bytes
    label: Float
    offset: Float


def fit(rows: Rows, settings: Settings) -> Trees:
    """Trees whose steps, added to the offset, make the log loss of the rows small.

    >>> x = np.array([[0, 0, 1, 1] * 50], np.uint8)
    >>> trees = fit(Rows(x, np.array([0.0, 0, 1, 1] * 50), np.zeros(200)), Settings(depth=1, rounds=20))
    >>> margin = predict(trees, x)
    >>> bool(margin[0] < -0.5 and margin[2] > 0.5)
    True
    """
    inner, leaves = 2**settings.depth - 1, 2**settings.depth
    trees = Trees(
        np.full((settings.rounds, inner), -1, np.int64), np.zeros((settings.rounds, inner), np.int64),
        np.zeros((settings.rounds, leaves)),
    )  # fmt: skip
    if rows.bins.size:
        _grow(
            rows.bins, rows.label, rows.offset, settings.depth, settings.rate, settings.l2, settings.curvature_min,
            trees.column, trees.cut, trees.step,
        )  # fmt: skip
    return trees


def predict(trees: Trees, bins: Bytes, rounds: int | None = None) -> Float:
    """The sum of the first trees, or of all, added to the margin of each row (n,) of `bins` (columns, n)."""
    used = len(trees.step) if rounds is None else rounds
    return _walk(bins, trees.column[:used], trees.cut[:used], trees.step[:used])


def staged_loss(trees: Trees, rows: Rows) -> Float:
    """The log loss of the rows after each number of trees, (trees + 1,)."""
    margin, out = rows.offset.copy(), np.empty(len(trees.step) + 1)
    for k in range(len(out)):
        if k:
            margin += _walk(rows.bins, trees.column[k - 1 : k], trees.cut[k - 1 : k], trees.step[k - 1 : k])
        out[k] = float(np.mean(np.logaddexp(0.0, margin) - rows.label * margin)) if len(margin) else 0.0
    return out


@compiled
def _grow(
    bins: Bytes, label: Float, offset: Float, depth: int, rate: float, l2: float, curvature_min: float,
    column: Small, cut: Small, step: Float,
) -> None:  # fmt: skip
    """Rows are kept in the order of their nodes. Only the smaller child of a node is counted: the other is the rest."""
    columns, n = bins.shape
    wide = 2 ** max(depth - 1, 0)
    margin = offset.copy()
    slopes, order = np.empty((n, 2)), np.empty(n, np.int64)
    first, spare = np.zeros(2 * wide + 1, np.int64), np.empty(n, np.int64)
    sums, before = np.zeros((columns, wide, BINS, 2)), np.zeros((columns, wide, BINS, 2))
    for tree in range(len(step)):
        for i in range(n):
            p = 1.0 / (1.0 + np.exp(-margin[i]))
            slopes[i, 0], slopes[i, 1], order[i] = p - label[i], p * (1.0 - p), i
        first[0], first[1] = 0, n
        for level in range(depth):
            for c in range(columns):
                _count(bins[c], slopes, order, first, level, sums[c], before[c])
            _split(sums, level, l2, curvature_min, column[tree], cut[tree])
            _divide(bins, order, first, spare, level, column[tree], cut[tree])
            sums, before = before, sums
        for k in range(len(first) - 1 if depth else 1):
            g, h = 0.0, 0.0
            for j in range(first[k], first[k + 1]):
                g += slopes[order[j], 0]
                h += slopes[order[j], 1]
            step[tree, k] = -rate * g / (h + l2)
            for j in range(first[k], first[k + 1]):
                margin[order[j]] += step[tree, k]


@compiled
def _count(
    bins: Bytes, slopes: Float, order: Int, first: Int, level: int, sums: Float, before: Float
) -> None:  # fmt: skip
    """Sums of gradient and curvature by node and bin of one column, (nodes, BINS, 2); `before` is of the parents."""
    if level == 0:
        _add(bins, slopes, order, 0, first[1], sums[0])
        return
    for parent in range(2 ** (level - 1)):
        left, right = 2 * parent, 2 * parent + 1
        small = left if first[left + 1] - first[left] < first[right + 1] - first[right] else right
        other = left + right - small
        _add(bins, slopes, order, first[small], first[small + 1], sums[small])
        for b in range(BINS):
            sums[other, b, 0] = before[parent, b, 0] - sums[small, b, 0]
            sums[other, b, 1] = before[parent, b, 1] - sums[small, b, 1]


@compiled
def _add(bins: Bytes, slopes: Float, order: Int, start: int, end: int, sums: Float) -> None:
    for b in range(BINS):
        sums[b, 0] = sums[b, 1] = 0.0
    for j in range(start, end):
        i = order[j]
        sums[bins[i], 0] += slopes[i, 0]
        sums[bins[i], 1] += slopes[i, 1]


@compiled
def _split(sums: Float, level: int, l2: float, curvature_min: float, column: Small, cut: Small) -> None:
    """The best split of each node of a level, written into `column` and `cut`."""
    first = 2**level - 1
    for k in range(2**level):
        best = 0.0
        for c in range(len(sums)):
            g_all, h_all = 0.0, 0.0
            for b in range(BINS):
                g_all += sums[c, k, b, 0]
                h_all += sums[c, k, b, 1]
            if h_all < 2.0 * curvature_min:
                break
            whole = g_all * g_all / (h_all + l2)
            g, h = 0.0, 0.0
            for b in range(BINS - 1):
                g += sums[c, k, b, 0]
                h += sums[c, k, b, 1]
                if h < curvature_min:
                    continue
                if h_all - h < curvature_min:
                    break
                gain = g * g / (h + l2) + (g_all - g) * (g_all - g) / (h_all - h + l2) - whole
                if gain > best + 1e-9:
                    best, column[first + k], cut[first + k] = gain, c, b


@compiled
def _divide(
    bins: Bytes, order: Int, first: Int, spare: Int, level: int, column: Small, cut: Small
) -> None:  # fmt: skip
    """Put the rows of each node in the order of its children, whose places `first` then has."""
    nodes = 2**level
    for k in range(nodes - 1, -1, -1):
        start, end = first[k], first[k + 1]
        chosen, bound = column[nodes - 1 + k], cut[nodes - 1 + k]
        left, right = start, 0
        for j in range(start, end):
            i = order[j]
            if chosen >= 0 and bins[max(chosen, 0), i] > bound:
                spare[right] = i
                right += 1
            else:
                order[left] = i
                left += 1
        for j in range(right):
            order[left + j] = spare[j]
        first[2 * k + 2], first[2 * k + 1] = end, left
    first[0] = 0


@compiled
def _walk(bins: Bytes, column: Small, cut: Small, step: Float) -> Float:
    n = bins.shape[1]
    inner = column.shape[1]
    out = np.zeros(n)
    for tree in range(len(step)):
        for i in range(n):
            at = 0
            while at < inner:
                chosen = column[tree, at]
                right = chosen >= 0 and bins[max(chosen, 0), i] > cut[tree, at]
                at = 2 * at + 1 + right
            out[i] += step[tree, at - inner]
    return out
