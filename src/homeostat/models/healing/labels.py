"""Labels as they come, and as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.models.healing.table import HealingError, is_gap
from homeostat.records.arrays import AnyArray, Mask


class Labels:
    """The labels of the reference: classes, or numbers to be predicted."""

    def __init__(self, y: Any, classes: bool) -> None:
        """Read them. Raises HealingError if one is missing."""
        cells = self._cells(y)
        self.classes = classes
        self.dtype = cells.dtype
        self._names: list[Any] = []
        self._codes: dict[Any, int] = {}
        if any(is_gap(cell) for cell in cells.tolist()):
            raise HealingError("a label of the reference is missing; leave its row out")
        if classes:
            for name in np.unique(cells).tolist():
                self._code(name)

    @property
    def coded(self) -> Any:
        """The type of labels as numbers."""
        return np.int64 if self.classes else np.float64

    def read(self, y: Any, rows: int) -> tuple[AnyArray, Mask]:
        """(rows,) labels as numbers, and whether there is one.

        y : None where no label is known; None or NaN in the place of one that is not
        """
        if y is None:
            return np.zeros(rows, dtype=self.coded), np.zeros(rows, dtype=np.bool_)
        cells = self._cells(y)
        if len(cells) != rows:
            raise HealingError(f"there are {len(cells)} labels for {rows} rows")
        known = np.array([not is_gap(cell) for cell in cells.tolist()], dtype=np.bool_)
        if self.classes:
            found = [self._code(cell) if held else 0 for cell, held in zip(cells.tolist(), known, strict=True)]
            return np.array(found, dtype=np.int64), known
        try:
            return np.array(
                [float(cell) if held else 0.0 for cell, held in zip(cells.tolist(), known, strict=True)]
            ), known
        except (TypeError, ValueError) as error:
            raise HealingError("a label is no number, and those of the reference are") from error

    def write(self, codes: AnyArray) -> AnyArray:
        """(n,) labels in the type of the reference's."""
        if not self.classes:
            return codes
        made = np.array(self._names, dtype=self.dtype if self.dtype.kind not in "US" else None)
        return np.asarray(made[codes])

    def code(self, predicted: Any) -> AnyArray:
        """(n,) predictions as numbers."""
        cells = np.asarray(predicted).reshape(-1)
        if not self.classes:
            return cells.astype(np.float64)
        names, places = np.unique(cells, return_inverse=True)
        return np.array([self._codes.get(name, -1) for name in names.tolist()], dtype=np.int64)[places]

    def _code(self, name: Any) -> int:
        if name not in self._codes:
            self._codes[name] = len(self._names)
            self._names.append(name)
        return self._codes[name]

    @staticmethod
    def _cells(y: Any) -> AnyArray:
        cells = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
        if cells.ndim == 2 and cells.shape[1] == 1:
            cells = cells[:, 0]
        if cells.ndim != 1:
            raise HealingError(f"labels are one for each row, and these have {cells.ndim} dimensions")
        return cells
