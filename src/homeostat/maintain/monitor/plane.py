"""The plane near which the rows of the past lie: their first principal components, and the distance from it."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory, taken
from homeostat.maintain.monitor.products import add_products
from homeostat.maintain.monitor.reference import Spans
from homeostat.records.arrays import Float, Int, State
from homeostat.records.compiled import compiled

_DAY_NS = 86_400 * 10**9
_HELD = 0.9  # The share of the variance that the plane holds.
_LEAST = 500  # Rows without which there is no plane.
_MEMORY_DAYS = 28.0
_WIDTH_MAX = 64


class Plane:
    """Second moments of rows that forget slowly, and the plane of their first components, made after one and two weeks.

    It then stays: a plane that is made again has other distances. From then on, nothing is learned.

    Source: Jackson and Mudholkar (1979), Control procedures for residuals associated with principal component analysis,
    Technometrics 21, 341-349.
    """

    def __init__(self, columns: int) -> None:
        width = min(columns, _WIDTH_MAX)
        self.memory: Memory = {
            "moments": np.zeros((width, width)), "rows": np.zeros(1), "away": np.zeros((width, width)),
            "day": np.zeros(1, np.int64), "left": np.array([2]),
        }  # fmt: skip

        self._basis, self._inverse = np.zeros((0, 0)), False

    @property
    def width(self) -> int:
        """The columns that it looks at, the first ones."""
        return len(self.memory["moments"])

    def distances(self, figures: Float, offsets: Int, spans: Spans) -> Float:
        """(n,) the mean square distance of each row of a block from the plane, NaN before it is known; then learn.

        figures : (width, n) of each tick's rows, twice the place less 1: an absent value has 0
        """
        found = np.full(figures.shape[1], np.nan)
        if self.width < 2:
            return found
        edges, first, left = offsets.tolist(), 0, self.memory["left"]
        while first < len(edges) - 1:
            last = first + 1 if left[0] else len(edges) - 1
            if self.memory["day"][0]:
                basis, inverse = self._plane()
                _measure(figures, edges[first], edges[last], basis, inverse, found)
            if left[0]:
                rows = np.ascontiguousarray(figures[:, edges[first] : edges[last]].T)
                self._learn(rows, int(spans.start_ns[first]), int(spans.end_ns[first]))
            first = last
        return found

    def _plane(self) -> tuple[Float, bool]:
        """Directions that span the plane, or those that are left, whichever are fewer; and whether it is the plane."""
        if not len(self._basis):
            values, vectors = np.linalg.eigh(self.memory["away"])
            away = values > 0.5
            self._inverse = bool(2 * away.sum() > len(away))
            self._basis = np.ascontiguousarray(vectors[:, ~away if self._inverse else away].T)
        return self._basis, self._inverse

    def restore(self, state: State) -> None:
        """Go on from a memory."""
        taken(self.memory, state)
        self._basis = np.zeros((0, 0))

    def _learn(self, figures: Float, start_ns: int, end_ns: int) -> None:
        memory = self.memory
        kept = 1.0 - min(1.0, (end_ns - start_ns) / (_MEMORY_DAYS * _DAY_NS))
        memory["moments"] *= kept
        add_products(figures, memory["moments"])
        memory["rows"][...] = kept * memory["rows"] + len(figures)
        day = end_ns // _DAY_NS
        if memory["rows"][0] >= _LEAST and day >= memory["day"][0] + 7:
            memory["day"][0] = day
            memory["left"][0] -= 1
            values, vectors = np.linalg.eigh(memory["moments"] / memory["rows"][0])
            beyond = np.cumsum(values) <= (1.0 - _HELD) * max(float(values.sum()), 1e-300)
            beyond[0] = True
            memory["away"][...] = vectors[:, beyond] @ vectors[:, beyond].T
            self._basis = np.zeros((0, 0))


@compiled
def _measure(figures: Float, start: int, stop: int, basis: Float, inverse: bool, into: Float) -> None:
    """The mean square distance of columns from a plane: by its directions if `inverse`, else by those that are left."""
    width, n = len(figures), stop - start
    along = np.empty(n)
    square = np.zeros(n)
    for k in range(len(basis)):
        along[:] = 0.0
        for column in range(width):
            share = basis[k, column]
            for i in range(n):
                along[i] += share * figures[column, start + i]
        for i in range(n):
            square[i] += along[i] * along[i]
    if inverse:
        along[:] = 0.0
        for column in range(width):
            for i in range(n):
                along[i] += figures[column, start + i] * figures[column, start + i]
        for i in range(n):
            square[i] = max(along[i] - square[i], 0.0)
    for i in range(n):
        into[start + i] = square[i] / width
