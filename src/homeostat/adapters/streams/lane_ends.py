"""How far a lane is done: up to the first message that isn't, whatever is done beyond it."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from itertools import islice


class LaneEnds:
    """One thread pulls, another finishes.

    >>> ends = LaneEnds()
    >>> for offset in (3, 4, 7): ends.pulled(offset)
    >>> ends.after({4}), ends.after({3, 4})
    (3, 7)
    >>> ends.finish({4}); ends.after({3}), ends.after({3, 7})
    (7, 8)
    """

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._done: set[int] = set()
        self._end = 0

    def pulled(self, offset: int) -> None:
        """A message came; offsets rise."""
        self._waiting.append(offset)

    def after(self, offsets: Set[int]) -> int:
        """The offset to continue from once these are done too."""
        first = next((one for one in self._copy(len(offsets)) if one not in offsets and one not in self._done), None)
        if first is not None:
            return first
        return max(max(offsets, default=-1), max(self._done, default=-1), self._end - 1) + 1

    def finish(self, offsets: Set[int]) -> None:
        """These are done."""
        self._done |= offsets
        while self._waiting and self._waiting[0] in self._done:
            offset = self._waiting.popleft()
            self._done.discard(offset)
            self._end = offset + 1

    def _copy(self, few: int) -> list[int]:
        """As many of those that wait as it may take to find the first that isn't done."""
        while True:
            try:
                return list(islice(self._waiting, few + len(self._done) + 1))
            except RuntimeError:  # The other thread appended meanwhile.
                continue
