"""Contributions of a ReLU network that sum to its log-odds less those of a baseline.

Gradients times the distance from the baseline, with each ReLU's slope replaced by its mean slope between the baseline
and the row: so nothing is lost on the way, whatever lies between.
Source: Shrikumar, Greenside, Kundaje (2017), DeepLIFT (the rescale rule), ICML; as a modified gradient: Ancona,
Ceolini, Öztireli, Gross (2018), ICLR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled

_SAME = 1e-12  # Closer than this, a unit's mean slope is its slope.


@compiled
def _widest(sizes: Int) -> int:
    widest = 0  # By hand: NumPy's maximum would import SciPy with the machine code, where that is installed.
    for size in sizes:
        widest = max(widest, size)
    return widest


@compiled
def raw_outputs(rows: NDArray[np.float32], sizes: Int, weights: Float, members: int, out: Float) -> None:
    """(n,) log-odds of prepared inputs (n, inputs), in float64, a row at a time."""
    widest = _widest(sizes)
    before = np.empty((len(sizes), widest))
    for row in range(len(rows)):
        total, at = 0.0, 0
        for _ in range(members):
            at = _forward(rows[row], sizes, weights, at, before)
            total += before[len(sizes) - 1, 0]
        out[row] = total / members


@compiled
def _forward(x: NDArray[np.float32], sizes: Int, weights: Float, at: int, before: Float) -> int:
    """before[k] becomes layer k's values before its ReLU; returns where the next member's weights begin."""
    for i in range(sizes[0]):
        before[0, i] = x[i]
    for k in range(len(sizes) - 1):
        inputs, outputs = sizes[k], sizes[k + 1]
        for j in range(outputs):
            before[k + 1, j] = weights[at + inputs * outputs + j]
        for i in range(inputs):
            value = before[k, i] if k == 0 else max(before[k, i], 0.0)
            if value != 0.0:
                for j in range(outputs):
                    before[k + 1, j] += value * weights[at + i * outputs + j]
        at += (inputs + 1) * outputs
    return at


@compiled
def contributions(
    rows: NDArray[np.float32],
    baseline: NDArray[np.float32],
    columns: Int,
    sizes: Int,
    weights: Float,
    members: int,
    out: Float,
) -> float:
    """Add each input's part to its feature's column of `out` (n, features); returns the baseline's log-odds."""
    layers, widest = len(sizes), _widest(sizes)
    here, there, slope = np.empty((layers, widest)), np.empty((layers, widest)), np.empty((layers, widest))
    base, start = 0.0, 0
    for _ in range(members):
        end = _forward(baseline, sizes, weights, start, there)
        base += there[layers - 1, 0] / members
        for row in range(len(rows)):
            _forward(rows[row], sizes, weights, start, here)
            _backward(here, there, sizes, weights, end, slope)
            for i in range(sizes[0]):
                out[row, columns[i]] += slope[0, i] * (here[0, i] - there[0, i]) / members
        start = end
    return base


@compiled
def _backward(here: Float, there: Float, sizes: Int, weights: Float, end: int, slope: Float) -> None:
    """slope[k] becomes the mean slope of the log-odds by layer k's values before its ReLU."""
    last = len(sizes) - 1
    slope[last, 0] = 1.0
    at = end
    for k in range(last - 1, -1, -1):
        inputs, outputs = sizes[k], sizes[k + 1]
        at -= (inputs + 1) * outputs
        for i in range(inputs):
            total = 0.0
            for j in range(outputs):
                total += weights[at + i * outputs + j] * slope[k + 1, j]
            if k > 0:
                a, b = here[k, i], there[k, i]
                if abs(a - b) > _SAME:
                    total *= (max(a, 0.0) - max(b, 0.0)) / (a - b)
                elif a <= 0.0:
                    total = 0.0
            slope[k, i] = total
