"""Places of values among those of a reference: the share of it that lies below, ties counted by half."""

from __future__ import annotations

import math

import numpy as np

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled

GRID = 64  # Quantiles of a column's reference.


def quantile_grid(sample: Float) -> Float:
    """(columns, GRID + 1) quantiles of each column of a sample (rows, columns), from the least to the most.

    NaN stands for absent; a column without any value has NaN alone. A value of the grid is one of the sample.
    """
    grid = np.full((sample.shape[1], GRID + 1), np.nan)
    for column in range(sample.shape[1]):
        known = sample[:, column]
        known = np.sort(known[~np.isnan(known)])
        if len(known):
            grid[column] = known[np.round(np.linspace(0, len(known) - 1, GRID + 1)).astype(np.int64)]
    return grid


@compiled
def places(values: Float, grid: Float, into: Float) -> None:
    """The places of values (n, columns) among the references, in [0, 1]; NaN where there is none. Fills `into`."""
    for i in range(values.shape[0]):
        for column in range(values.shape[1]):
            into[i, column] = _place(values[i, column], grid[column])


@compiled
def _place(value: float, grid: Float) -> float:
    if value != value or grid[0] != grid[0]:
        return math.nan
    size = len(grid) - 1
    low, high = 0, size + 1  # The number of grid values below the value.
    while low < high:
        middle = (low + high) // 2
        if grid[middle] < value:
            low = middle + 1
        else:
            high = middle
    below = low
    low, high = below, size + 1
    while low < high:
        middle = (low + high) // 2
        if grid[middle] <= value:
            low = middle + 1
        else:
            high = middle
    upto = low
    if upto > below:  # Values that are equal to it: from the first of them to the last.
        return min(max(0.5 * (below + upto - 1), 0.0), float(size)) / size
    if below == 0:
        return 0.0
    if below > size:
        return 1.0
    wide = grid[below] - grid[below - 1]
    part = (value - grid[below - 1]) / wide if wide < math.inf else 0.5
    return (below - 1 + part) / size
