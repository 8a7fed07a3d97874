"""The reference's law: how its columns are spread, alone and given the others.

Each column has one or two views. A view cuts a number into bins: the column itself, or what is left of it once the
other columns have predicted it. The share of each bin in the reference is known, so a window of rows can be held
against it without any assumption on the shape of the law.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from homeostat.records.arrays import Float

BINS = 24  # Of equal share in the reference. With 40, groups of a few rows a bin were found later.
FAR = 1.0  # Ranges of the reference beyond its ends: a value out there is never taken for one of it.
_KNOTS = 201  # Of the map from values to normal scores.
_ROWS = 20_000  # Of the reference that the law is taken from. More changes no bin by a tenth of a percent.
_DEPENDENT = 0.15  # Share of variance that the others explain, from which on the second view is worth its cost.
Bins: TypeAlias = npt.NDArray[np.int16]


class View(NamedTuple):
    """A number cut into bins. The last bin is of gaps, and for levels also of unknown ones.

    column : which column it looks at
    edges : rising; bin 0 is below the first
    weights : (d,) of the others' normal scores that predict this one's, or None for the column itself
    counts : rows of the reference by bin
    """

    column: int
    edges: Float
    weights: Float | None
    counts: Float


class Law:
    """The law of a reference: bins of rows, and what stands in for a gap."""

    def __init__(self, matrix: Float, numbers: list[bool]) -> None:
        """Learn it.

        matrix : (n, d) rows of the reference, NaN where there is a gap
        numbers : whether a column holds numbers, and not levels
        """
        if len(matrix) > _ROWS:
            matrix = matrix[np.linspace(0, len(matrix) - 1, _ROWS).astype(int)]
        self.sample, self.numbers = matrix, numbers
        self.knots = [self._knots(matrix[:, at]) for at in range(matrix.shape[1])]
        self.gaps = np.isnan(matrix).mean(axis=0)
        self.middle = np.array([_middle(matrix[:, at], held) for at, held in enumerate(numbers)])
        self._learn_others(self.scores(matrix))
        self.views: list[View] = []
        for at in range(matrix.shape[1]):
            self._add(at, None)
        scores = self.scores(matrix)
        for at in np.flatnonzero(self.explained > _DEPENDENT).tolist():
            self._add(at, self.others[at], scores)

    @property
    def rows(self) -> float:
        """How many rows of the reference the shares of bins come from."""
        return float(self.views[0].counts.sum())

    def shares(self) -> list[Float]:
        """The share of each bin of each view, never 0."""
        return [(view.counts + 0.5) / (view.counts.sum() + 0.5 * len(view.counts)) for view in self.views]

    def scores(self, matrix: Float) -> Float:
        """Normal scores of the numbers, within -6 to 6, 0 for gaps and levels."""
        found = np.zeros(matrix.shape)
        for at, held in enumerate(self.numbers):
            if not held:
                continue
            values, scores = self.knots[at]
            x = matrix[:, at]
            inside = np.interp(x, values, scores)
            width = (values[-1] - values[0]) / max(scores[-1] - scores[0], 1e-9) or 1.0
            inside += np.minimum(x - values[0], 0) / width + np.maximum(x - values[-1], 0) / width
            found[:, at] = np.clip(np.nan_to_num(inside, nan=0.0), -6, 6)
        return found

    def bins(self, matrix: Float, wanted: list[int] | None = None) -> Bins:
        """The bin of each row in each view.

        wanted : the views to fill in; the others stay 0
        """
        found = np.zeros((len(matrix), len(self.views)), dtype=np.int16)
        scores: Float | None = None
        for place in range(len(self.views)) if wanted is None else wanted:
            view = self.views[place]
            x = matrix[:, view.column]
            if view.weights is not None:
                scores = self.scores(matrix) if scores is None else scores
                x = np.where(np.isnan(x), np.nan, scores[:, view.column] - scores @ view.weights)
            found[:, place] = self._cut(x, view.edges, len(view.counts))
        return found

    def far(self, matrix: Float) -> npt.NDArray[np.bool_]:
        """(n, d) numbers that lie further from the reference's range than the range is wide."""
        low = np.array([self.knots[at][0][0] if held else -np.inf for at, held in enumerate(self.numbers)])
        high = np.array([self.knots[at][0][-1] if held else np.inf for at, held in enumerate(self.numbers)])
        room = np.where(np.isfinite(high - low), FAR * (high - low), 0.0)
        return np.asarray((matrix < low - room) | (matrix > high + room), dtype=np.bool_)

    def filled(self, matrix: Float, cells: npt.NDArray[np.bool_]) -> Float:
        """The matrix with these cells replaced by what the row's other columns let expect.

        cells : (n, d) which to replace; none of them is used to predict
        """
        made = matrix.copy()
        rows = np.flatnonzero(cells.any(axis=1))
        if not len(rows):
            return made
        hidden = cells[rows] | np.isnan(matrix[rows])
        scores = np.where(hidden, 0.0, self.scores(matrix[rows]))
        for at in np.flatnonzero(cells.any(axis=0)):
            chosen = cells[rows, at]
            if self.numbers[at]:
                values, ranks = self.knots[at]
                expected = np.interp(scores[chosen] @ self.others[at], ranks, values)
            else:
                expected = np.full(int(chosen.sum()), self.middle[at])
            made[rows[chosen], at] = expected
        return made

    def split(self, column: int, value: float) -> bool:
        """Give a value of a column a bin of its own; False if it has one."""
        place = next(at for at, view in enumerate(self.views) if view.column == column)
        view = self.views[place]
        width = 1e-9 * max(abs(value), 1e-3)
        fresh = [edge for edge in (value - width, value + width) if np.abs(view.edges - edge).min() > width / 2]
        if not fresh:
            return False
        edges = np.unique([*view.edges, *fresh])
        counts = np.bincount(self._cut(self.sample[:, column], edges, len(edges) + 2), minlength=len(edges) + 2)
        self.views[place] = view._replace(edges=edges, counts=counts.astype(np.float64))
        return True

    def move(self, bins: Bins) -> None:
        """Take the shares of bins from these rows from now on: the population moved, and its labels are right."""
        self.views = [
            view._replace(counts=np.bincount(bins[:, place], minlength=len(view.counts)).astype(np.float64))
            for place, view in enumerate(self.views)
        ]

    def _knots(self, x: Float) -> tuple[Float, Float]:
        x = x[np.isfinite(x)]
        if not len(x):
            return np.array([0.0, 1.0]), np.array([-1.0, 1.0])
        count = min(_KNOTS, max(len(x), 2))
        levels = (np.arange(count) + 0.5) / count
        values = np.quantile(x, levels)
        values[0], values[-1] = x.min(), x.max()
        ranks = np.array([NormalDist().inv_cdf(level) for level in levels])
        distinct, first, times = np.unique(values, return_index=True, return_counts=True)
        mean_ranks = np.array([ranks[at : at + many].mean() for at, many in zip(first, times, strict=True)])
        if len(distinct) == 1:
            return np.array([distinct[0], distinct[0] + max(1.0, abs(distinct[0]))]), np.array([0.0, 3.0])
        return distinct, mean_ranks

    def _learn_others(self, scores: Float) -> None:
        """How each column's normal score follows from the others': ridge regressions by one inverse."""
        n, d = scores.shape
        covariance = scores.T @ scores / n + np.eye(d) * (0.01 + d / n)
        precision = np.linalg.inv(covariance)
        diagonal = np.diag(precision)
        self.others = -precision / diagonal[:, None]
        np.fill_diagonal(self.others, 0.0)
        left = 1 / (diagonal * np.diag(covariance))
        self.explained = np.where(self.numbers, 1 - left, 0.0)

    def _add(self, at: int, weights: Float | None, scores: Float | None = None) -> None:
        x = self.sample[:, at]
        if weights is not None and scores is not None:
            x = np.where(np.isnan(x), np.nan, scores[:, at] - scores @ weights)
        edges = self._edges(x, self.numbers[at])
        counts = np.bincount(self._cut(x, edges, len(edges) + 2), minlength=len(edges) + 2).astype(np.float64)
        self.views.append(View(at, edges, weights, counts))

    @staticmethod
    def _edges(x: Float, number: bool) -> Float:
        x = x[np.isfinite(x)]
        if not number:
            return np.arange(-0.5, (x.max() if len(x) else 0) + 1.0)
        if not len(x):
            return np.array([0.0])
        low, high = float(x.min()), float(x.max())
        span = (high - low) or max(1.0, abs(high))
        inner = np.unique(np.quantile(x, np.arange(1, BINS) / BINS))
        tiny = 1e-9 * span
        outer = [low - 2 * span, low - 0.25 * span, low - tiny]
        # A value that fills several bins gets one of its own, so a heap of equal values stays visible.
        heaps = np.array([inner[0] - tiny]) if len(inner) < BINS - 1 else np.array([])
        return np.unique([*outer, *(inner + tiny), *heaps, high + tiny, high + 0.25 * span, high + 2 * span])

    @staticmethod
    def _cut(x: Float, edges: Float, bins: int) -> Bins:
        found = np.searchsorted(edges, x, side="right")
        return np.where(np.isnan(x), bins - 1, np.minimum(found, bins - 1)).astype(np.int16)


def _middle(x: Float, number: bool) -> float:
    """The median of numbers, the most frequent of levels, 0 where all are gaps."""
    x = x[np.isfinite(x)]
    if not len(x):
        return 0.0
    return float(np.median(x)) if number else float(np.bincount(x.astype(int)).argmax())
