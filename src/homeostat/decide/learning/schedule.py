"""When the online learners learn: on a grid of event time, so that how events were batched can't matter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from homeostat.records.arrays import Int, State

_NEVER = np.iinfo(np.int64).min


class Schedule:
    """Cuts batches at the moments of learning.

    every_ns : distance of two moments, in event time
    owed_ns : the last moment, while some of what was known at it is still to be learned; None once all is
    """

    def __init__(self, every_ns: int) -> None:
        self.owed_ns: int | None = None
        self._every_ns = every_ns
        self._cell = _NEVER

    @property
    def moment_ns(self) -> int:
        """The last moment of the grid that came to pass; 0 before the first event."""
        return 0 if self._cell == _NEVER else self._cell * self._every_ns

    def coming(self, running_ns: int) -> int | None:
        """The moment at which would be learned before an event that brings the watermark there; None for none.

        >>> schedule = Schedule(10)
        >>> _ = list(schedule.cuts(np.array([12])))
        >>> schedule.coming(19), schedule.coming(33)
        (None, 30)
        """
        cell = running_ns // self._every_ns
        return None if self._cell in (_NEVER, cell) else cell * self._every_ns

    def begin(self, moment_ns: int) -> None:
        """Take a moment for the last one, where none has come to pass here."""
        if self._cell == _NEVER:
            self._cell = moment_ns // self._every_ns

    def apart(self, running_ns: Int) -> int:
        """How many of these rows, the first ones, come before the first moment that lies between two of them.

        >>> Schedule(10).apart(np.array([3, 9, 12])), Schedule(10).apart(np.array([31]))
        (2, 1)
        """
        crossing = np.flatnonzero(np.diff(running_ns // self._every_ns))
        return int(crossing[0]) + 1 if len(crossing) else len(running_ns)

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
        owed = [] if self.owed_ns is None else [self.owed_ns]
        return {"cell": np.array([self._cell]), "owed": np.array(owed, np.int64)}

    def restore(self, state: State) -> None:
        self._cell = int(state["cell"][0])
        owed = state.get("owed")  # Snapshots made before there were steps have none.
        self.owed_ns = None if owed is None or len(owed) == 0 else int(owed[0])
