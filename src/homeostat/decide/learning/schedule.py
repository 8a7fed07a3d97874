"""When the online learners learn: on a grid of event time, so that how events were batched can't matter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from homeostat.records.arrays import Int, State

_NEVER = np.iinfo(np.int64).min


class Schedule:
    """Cuts batches at the moments of learning.

    every_ns : distance of two moments, in event time
    """

    def __init__(self, every_ns: int) -> None:
        self._every_ns = every_ns
        self._cell = _NEVER

    def cuts(self, running_ns: Int) -> Iterator[tuple[int, int, int | None]]:
        """Slices of a batch, each with the moment at which to learn before it, or None.

        running_ns : (n,) the watermark as each row arrives, never falling
        Yields (start, stop, moment in ns or None).

        >>> list(Schedule(10).cuts(np.array([3, 9, 12, 14, 31])))
        [(0, 2, None), (2, 4, 10), (4, 5, 30)]
        """
        n = len(running_ns)
        if n == 0:
            return
        edges: list[int] = []
        if running_ns[0] // self._every_ns != running_ns[-1] // self._every_ns:
            edges = (np.flatnonzero(np.diff(running_ns // self._every_ns)) + 1).tolist()
        for start, stop in zip([0, *edges], [*edges, n], strict=True):
            cell = int(running_ns[start]) // self._every_ns
            fresh = self._cell not in (_NEVER, cell)
            self._cell = cell
            yield start, stop, cell * self._every_ns if fresh else None

    def state(self) -> State:
        return {"cell": np.array([self._cell])}

    def restore(self, state: State) -> None:
        self._cell = int(state["cell"][0])
