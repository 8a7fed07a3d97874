"""An index of ids in sorted runs, each at least twice the next: adding costs a merge now and then, no rebuilding."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Int


class IdRuns:
    """Codes -> numbers that only grow. Of equal codes, the last that was added is found."""

    def __init__(self) -> None:
        self._runs: list[tuple[Int, Int]] = []  # Codes by rising code, and their numbers.

    def add(self, code: Int, first: int, oldest: int = 0) -> None:
        """Know codes (n,), whose numbers count from `first` on; those of numbers before `oldest` may be forgotten."""
        if not len(code):
            return
        run = _sorted(np.array(code, np.int64), np.arange(first, first + len(code)))
        while self._runs and len(self._runs[-1][0]) < 2 * len(run[0]):
            run = _merged(self._runs.pop(), run, oldest)
        self._runs.append(run)

    def find(self, code: Int, oldest: int) -> Int:
        """(m,) the number of each code, -1 where it has none that is at least `oldest`."""
        found = np.full(len(code), -1, np.int64)
        least, most = (code.min(), code.max()) if len(code) else (0, 0)
        for known, number in self._runs:
            if not len(code) or known[-1] < least or known[0] > most:
                continue  # Where ids count up, most runs are of another time.
            place = np.searchsorted(known, code, "right") - 1
            hit = (place >= 0) & (known[np.maximum(place, 0)] == code)
            found[hit] = np.maximum(found[hit], number[place[hit]])
        found[found < oldest] = -1
        return found


def _sorted(code: Int, number: Int) -> tuple[Int, Int]:
    if np.all(code[1:] >= code[:-1]):
        return code, number
    order = np.argsort(code, kind="stable")
    return code[order], number[order]


def _merged(one: tuple[Int, Int], other: tuple[Int, Int], oldest: int) -> tuple[Int, Int]:
    live = one[1] >= oldest
    code, number = np.concatenate([one[0][live], other[0]]), np.concatenate([one[1][live], other[1]])
    return _sorted(code, number)
