"""Rows -> chunks: so many rows in a row, or the rows of each value of a column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import AnyArray, Int, Mask


@dataclass(frozen=True, slots=True)
class Outputs:
    """Rows of a model's outputs, (n,) each.

    row : number in the table, from 0
    score : probability, or the prediction where there is none; NaN where it is missing
    decided : whether the row is predicted positive
    label : NaN where it is unknown
    q : (folds + 1, n) probabilities of the label, (0, n) without an estimate
    outside : whether a feature has a value that the reference never has
    """

    row: Int
    score: AnyArray
    decided: Mask
    label: AnyArray
    q: AnyArray
    outside: Mask

    def __len__(self) -> int:
        return len(self.row)

    def at(self, rows: slice | Mask) -> Outputs:
        """Some of the rows."""
        return Outputs(self.row[rows], self.score[rows], self.decided[rows], self.label[rows], self.q[:, rows],
                       self.outside[rows])  # fmt: skip


def joined(parts: list[Outputs]) -> Outputs:
    """Rows of several parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Outputs(*(np.concatenate([getattr(part, name) for part in parts], axis=-1)
                     for name in ("row", "score", "decided", "label", "q", "outside")))  # fmt: skip


class ByRows:
    """Chunks of `size` rows. Holds one of them at most."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: list[Outputs] = []
        self._rows = 0

    def add(self, part: Outputs) -> Iterator[tuple[str | None, Outputs]]:
        """The chunks that are now full."""
        self._held.append(part)
        self._rows += len(part)
        if self._rows < self.size:
            return
        whole, first = joined(self._held), 0
        while self._rows - first >= self.size:
            yield None, whole.at(slice(first, first + self.size))
            first += self.size
        self._held, self._rows = [whole.at(slice(first, None))], self._rows - first

    def rest(self) -> Iterator[tuple[str | None, Outputs]]:
        """The last chunk, which may be short."""
        if self._rows:
            yield None, joined(self._held)


class ByValue:
    """A chunk for each value of a column, in order of its first row. It holds all outputs.

    Labels and estimates are held as small numbers. Scores are not: rounded, two could tie, and ranks would change.
    """

    def __init__(self) -> None:
        self._held: dict[str | None, list[Outputs]] = {}

    def add(self, part: Outputs, names: list[str], index: Int) -> None:
        """Rows, and for each of them its value as a position in `names`, -1 for a missing one."""
        small = Outputs(part.row, part.score, part.decided, part.label.astype(np.float32), part.q.astype(np.float32),
                        part.outside)  # fmt: skip
        ends = np.append(np.flatnonzero(np.diff(index)) + 1, len(index)) if len(index) else np.empty(0, np.int64)
        first = 0
        for end in ends.tolist():
            name = names[index[first]] if index[first] >= 0 else None
            self._held.setdefault(name, []).append(small.at(slice(first, end)))
            first = end

    def rest(self) -> Iterator[tuple[str | None, Outputs]]:
        """All chunks."""
        for name, parts in self._held.items():
            whole = joined(parts)
            yield ("missing" if name is None else name), Outputs(
                whole.row, whole.score, whole.decided, whole.label.astype(np.float64),
                whole.q.astype(np.float64), whole.outside,
            )  # fmt: skip
