"""Which kind of fault a column has, and how it is taken back where that can be done."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float, Mask

_GRID = np.arange(1, 64) / 64  # Quantiles at which two laws are held against each other.
_MOST = 0.6  # Share of a group from which on a value, or gaps, are what happened to the column.
_NEAR = 0.12  # Largest distance of laws that are one, beyond chance: some rows of a group are not of it.
_CHANCE = 1.3  # Times the root of the rows: the distance that 5 % of samples of one law exceed is 1.36.
_CLEAR = 0.7  # Share of a group's weight in rows that are rather of it than not.
_KNOWN = 5_000  # Rows of the reference that a group is held against.
# Distance that a fault with numbers of its own has to gain over one without. Of a symmetric law, a flipped sign and an
# offset look alike.
_COSTS = {"scale": 0.02, "offset": 0.03, "scale and offset": 0.06}


class Fault(NamedTuple):
    """One fault of a column: its kind and its numbers.

    kind : scale, sign flip, offset, scale and offset, swap, constant, missing, unknown values
    scale, offset : the value was multiplied and then added to; 1 and 0 where that is not known
    other : the column that a swapped one was exchanged with, -1 for all other kinds
    """

    column: int
    kind: str
    scale: float = 1.0
    offset: float = 0.0
    other: int = -1

    @property
    def reversible(self) -> bool:
        """Whether the value before the fault follows from the one after it."""
        return self.kind in ("scale", "sign flip", "offset", "scale and offset", "swap")

    def undone(self, raw: Float) -> Float:
        """(n,) the column's values before the fault.

        raw : (n, d)
        """
        if self.other >= 0:
            return raw[:, self.other]
        return np.asarray((raw[:, self.column] - self.offset) / self.scale, dtype=np.float64)


def named(
    column: int, matrix: Float, weights: Float, reference: Float, numbers: list[bool], blamed: list[int]
) -> Fault:
    """The fault that explains a column of a group best.

    matrix : (n, d) rows of a window; weights : (n,) how far each is in the group
    reference : (m, d)
    numbers : whether a column holds numbers
    blamed : the group's columns, among which a swap is looked for
    """
    reference = reference[:: max(1, len(reference) // _KNOWN)]
    x, known = matrix[:, column], reference[:, column]
    sure = np.where(weights > 0.5, weights, 0.0)
    if sure.sum() > _CLEAR * weights.sum():
        weights = sure  # A fault far from the reference: rows that are hardly of the group would only blur its numbers.
    total = float(weights.sum()) or 1.0
    gap = np.isnan(x)
    if weights[gap].sum() / total > _MOST and np.isnan(known).mean() < _MOST / 2:
        return Fault(column, "missing")
    known, held = known[np.isfinite(known)], ~gap
    x, weights = x[held], weights[held]
    if not len(x) or not len(known):
        return Fault(column, "unknown values")
    values, places = np.unique(x, return_inverse=True)
    sums = np.bincount(places, weights=weights)
    common = values[int(sums.argmax())]
    if sums.max() / max(sums.sum(), 1e-12) > _MOST and (known == common).mean() < _MOST / 2:
        return Fault(column, "constant")
    if not numbers[column]:
        return Fault(column, "unknown values")
    effective = float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12))
    distances = [
        (_distance(fault, matrix[held], weights, known), fault) for fault in _linear(column, x, weights, known)
    ]
    for other in blamed:
        if other != column and numbers[other]:
            fault = Fault(column, "swap", other=other)
            there = reference[:, other][np.isfinite(reference[:, other])]
            back = Fault(other, "swap", other=column)
            apart = max(_distance(fault, matrix[held], weights, known), _distance(back, matrix[held], weights, there))
            distances.append((apart, fault))
    least, best = min(distances, key=lambda pair: pair[0] + _COSTS.get(pair[1].kind, 0.0))
    if least > _NEAR + _CHANCE / np.sqrt(max(effective, 1.0)):
        return Fault(column, "unknown values")
    return best


def _linear(column: int, x: Float, weights: Float, known: Float) -> list[Fault]:
    """The linear faults whose numbers fit the middle of the group."""
    low, middle, high = _quantiles(x, weights, np.array([0.25, 0.5, 0.75]))
    before = np.quantile(known, [0.25, 0.5, 0.75])
    found = [Fault(column, "sign flip", scale=-1.0), Fault(column, "offset", offset=float(middle - before[1]))]
    size, usual = _quantiles(np.abs(x), weights, np.array([0.5]))[0], float(np.median(np.abs(known)))
    if size > 0 and usual > 0:
        factor = float(size / usual)
        for scale in (factor, float(f"{factor:.2g}")):
            if abs(np.log(scale)) > 0.05:
                found.append(Fault(column, "scale", scale=scale))
    if high > low and before[2] > before[0]:
        factor = float((high - low) / (before[2] - before[0]))
        found.append(Fault(column, "scale and offset", factor, float(middle - factor * before[1])))
    return found


def _distance(fault: Fault, matrix: Float, weights: Float, known: Float) -> float:
    """The largest difference of two distribution functions: of the reference, and of the group once it is mended."""
    mended = fault.undone(matrix)
    held = np.isfinite(mended)
    if not held.any():
        return 1.0
    order = np.argsort(mended[held])
    at, steps = mended[held][order], np.cumsum(weights[held][order])
    points = np.quantile(known, _GRID)
    width = 1e-9 * (float(np.abs(points).max()) + 1)
    below = np.concatenate([[0.0], steps]) / max(float(steps[-1]), 1e-12)
    upper = below[np.searchsorted(at, points + width)]
    lower = below[np.searchsorted(at, points - width)]
    ordered = np.sort(known)
    most = np.searchsorted(ordered, points + width) / len(ordered)
    least = np.searchsorted(ordered, points - width) / len(ordered)
    return float(max(np.abs(upper - most).max(), np.abs(lower - least).max()))


def _quantiles(x: Float, weights: Float, levels: Float) -> Float:
    order = np.argsort(x)
    sums = np.cumsum(weights[order])
    return np.asarray(x[order][np.minimum(np.searchsorted(sums, levels * sums[-1]), len(x) - 1)], dtype=np.float64)


def mended(raw: Float, faults: list[Fault], rows: Mask, whole: list[bool]) -> Float:
    """The matrix with the faults of these rows taken back.

    whole : by column, whether the reference holds whole numbers only
    """
    made = raw.copy()
    for fault in faults:
        if fault.reversible:
            values = fault.undone(raw[rows])
            made[rows, fault.column] = np.rint(values) if whole[fault.column] else values
    return made
