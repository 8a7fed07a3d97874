"""The last notes of each series, as they stood at each tick of a block."""

from __future__ import annotations


class Noted:
    """See the module. Notes stay until others take their place."""

    def __init__(self) -> None:
        self._notes: dict[int, list[tuple[int, dict[str, object]]]] = {}

    def begin(self) -> None:
        """A block begins: of its past, the last notes are enough."""
        self._notes = {series: [(0, notes[-1][1])] for series, notes in self._notes.items()}

    def put(self, series: int, at: int, notes: dict[str, object]) -> None:
        """Notes from the tick `at` of the block on."""
        self._notes.setdefault(series, []).append((at, notes))

    def get(self, series: int, at: int = -1) -> dict[str, object]:
        """The notes at a tick of the block, -1 for the last; empty where there are none.

        >>> noted = Noted()
        >>> noted.put(0, 3, {"groups": 2})
        >>> noted.get(0, 2), noted.get(0, 4), noted.get(0)
        ({}, {'groups': 2}, {'groups': 2})
        """
        found = [notes for since, notes in self._notes.get(series, []) if at < 0 or since <= at]
        return dict(found[-1]) if found else {}
