"""Sums of products, row after row: a matrix product rounds by the number of its rows, and its threads wait by turning.

Two threads of a busy machine took twelve times the processor time of one for the products of a tick.
"""

from __future__ import annotations

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled


@compiled
def add_products(rows: Float, into: Float) -> None:
    """Add the product of each row (n, p) with itself to `into` (p, p)."""
    for i in range(len(rows)):
        add_product(rows[i], into)
    mirror(into)


@compiled
def add_product(row: Float, into: Float) -> None:
    """Add the product of a row with itself to the upper half of `into`; `mirror` makes the other."""
    for j in range(len(row)):
        add_times(row[j], row[j:], into[j, j:])


@compiled
def add_times(factor: float, row: Float, into: Float) -> None:
    """Add a row, times a factor, to another (p,)."""
    for k in range(len(row)):
        into[k] += factor * row[k]


@compiled
def dot(one: Float, other: Float) -> float:
    """The product of two rows (p,), added up in four sums that do not wait for each other."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = len(one) // 4 * 4
    for k in range(0, whole, 4):
        a += one[k] * other[k]
        b += one[k + 1] * other[k + 1]
        c += one[k + 2] * other[k + 2]
        d += one[k + 3] * other[k + 3]
    for k in range(whole, len(one)):
        a += one[k] * other[k]
    return (a + b) + (c + d)


@compiled
def mirror(of: Float) -> None:
    """Let the lower half be that of the upper one."""
    for j in range(len(of)):
        for k in range(j):
            of[j, k] = of[k, j]
