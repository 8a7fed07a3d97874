"""The plane near which the rows of the past lie: their first principal components, and the distance from it."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float

_DAY_NS = 86_400 * 10**9
_HELD = 0.9  # The share of the variance that the plane holds.
_LEAST = 500  # Rows without which there is no plane.
_MEMORY_DAYS = 28.0
_WIDTH_MAX = 64


class Plane:
    """Second moments of rows that forget slowly, and the plane of their first components, made after one and two weeks.

    It then stays: a plane that is made again has other distances.

    Source: Jackson and Mudholkar (1979), Control procedures for residuals associated with principal component analysis,
    Technometrics 21, 341-349.
    """

    def __init__(self, columns: int) -> None:
        width = min(columns, _WIDTH_MAX)
        self.memory: Memory = {
            "moments": np.zeros((width, width)), "rows": np.zeros(1), "away": np.zeros((width, width)),
            "day": np.zeros(1, np.int64), "left": np.array([2]),
        }  # fmt: skip

    def distance(self, place: Float) -> Float:
        """(m,) the mean square distance of each complete row from the plane; none before it is known."""
        if not self.memory["day"][0]:
            return np.zeros(0)
        away = self._figures(place) @ self.memory["away"]
        found: Float = (away * away).mean(axis=1)
        return found

    def add(self, place: Float, start_ns: int, end_ns: int) -> None:
        """Take a tick's places in."""
        memory, width = self.memory, len(self.memory["moments"])
        if width < 2:
            return
        figures = self._figures(place)
        kept = 1.0 - min(1.0, (end_ns - start_ns) / (_MEMORY_DAYS * _DAY_NS))
        memory["moments"][...] = kept * memory["moments"] + figures.T @ figures
        memory["rows"][...] = kept * memory["rows"] + len(figures)
        day = end_ns // _DAY_NS
        if memory["rows"][0] >= _LEAST and memory["left"][0] > 0 and day >= memory["day"][0] + 7:
            memory["day"][0] = day
            memory["left"][0] -= 1
            values, vectors = np.linalg.eigh(memory["moments"] / memory["rows"][0])
            beyond = np.cumsum(values) <= (1.0 - _HELD) * max(float(values.sum()), 1e-300)
            beyond[0] = True
            memory["away"][...] = vectors[:, beyond] @ vectors[:, beyond].T

    def _figures(self, place: Float) -> Float:
        """Places as figures around 0; an absent one lies in the middle."""
        some = place[:, : len(self.memory["moments"])]
        known = np.where(np.isnan(some), 0.5, some)
        found: Float = 2.0 * known - 1.0
        return found
