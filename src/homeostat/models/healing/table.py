"""Rows of NumPy, pandas or Polars as one matrix of numbers, and back to what the estimator was fitted on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float


class HealingError(HomeostatError, ValueError):
    """Rows, labels or an estimator that can't be healed; the text says which, and what to do."""

    why = "rows are healed by the columns of the reference, and each row may have one label"
    remedy = "Give the columns of the reference, and a label or a gap for each row"


def library_of(x: Any) -> str:
    """`pandas`, `polars` or `numpy`: which library the rows are of."""
    for name in ("pandas", "polars"):
        module = sys.modules.get(name)
        if module is not None and isinstance(x, module.DataFrame):
            return name
    return "numpy"


class Table:
    """The columns of the reference: their names, their types, and the levels of those that hold no numbers.

    A matrix of this table has a row for each row and a column for each column. A level is its number in the order of
    its text; NaN is a gap.
    """

    def __init__(self, x: Any) -> None:
        """Read the columns of the reference. Raises HealingError."""
        self.library = library_of(x)
        columns = self._columns(x)
        if not columns or not len(columns[0]):
            raise HealingError("the reference has no rows or no columns")
        self.names: tuple[str, ...] = tuple(str(name) for name in self._labels(x, len(columns)))
        if len(set(self.names)) < len(self.names):
            raise HealingError("two columns of the reference have one name")
        self._given = list(self._labels(x, len(columns)))
        self.named = self.library != "numpy"
        self.types: list[Any] = list(x.dtypes) if self.named else [np.asarray(x).dtype] * len(columns)
        self.numbers = [numeric(column) is not None for column in columns]
        self.levels: list[dict[Any, int]] = [{} for _ in columns]
        self.whole = [
            self._whole(column) if held else False for column, held in zip(columns, self.numbers, strict=True)
        ]

    def read(self, x: Any) -> Float:
        """The rows as a matrix.

        Raises HealingError if columns are missing, unknown, or hold something else than in the reference.
        """
        library = library_of(x)
        columns = self._columns(x)
        if library == "numpy" or not self.named:
            if len(columns) != len(self.names):
                raise HealingError(f"the rows have {len(columns)} columns, and the reference has {len(self.names)}")
        else:
            given = [str(name) for name in x.columns]
            absent = [name for name in self.names if name not in given]
            unknown = [name for name in given if name not in self.names]
            if absent or unknown or len(set(given)) < len(given):
                faults = [
                    f"without {', '.join(absent)}" if absent else "",
                    f"with {', '.join(unknown)}, which the reference does not have" if unknown else "",
                    "with a column twice" if len(set(given)) < len(given) else "",
                ]
                raise HealingError(f"the rows come {' and '.join(fault for fault in faults if fault)}")
            columns = [columns[given.index(name)] for name in self.names]
        parts = [self._coded(column, at) for at, column in enumerate(columns)]
        matrix = np.column_stack(parts) if parts else np.empty((0, len(self.names)))
        matrix[~np.isfinite(matrix)] = np.nan
        return matrix

    def write(self, matrix: Float) -> Any:
        """The matrix as rows of the reference's library, names and types."""
        if not self.named and all(self.numbers):
            kept = self.types[0]
            return matrix.astype(kept) if np.issubdtype(kept, np.floating) else matrix
        columns = [self._decoded(matrix[:, at], at) for at in range(len(self.names))]
        if not self.named:
            made = np.empty(matrix.shape, dtype=object)
            for at, column in enumerate(columns):
                made[:, at] = column
            return made
        module = sys.modules[self.library]
        if self.library == "polars":
            return module.DataFrame(
                {name: self._polars(module, column, at) for at, (name, column) in enumerate(self._pairs(columns))}
            )
        frame = module.DataFrame(dict(self._pairs(columns)))
        fitting = {
            name: kind
            for at, (name, kind) in enumerate(zip(self._given, self.types, strict=True))
            if not self.numbers[at] or "float" in str(kind).lower() or self._integral(columns[at])
        }
        return frame.astype(fitting)

    def _pairs(self, columns: Sequence[Any]) -> list[tuple[Any, Any]]:
        return list(zip(self._given, columns, strict=True))

    def _polars(self, module: Any, column: Any, at: int) -> Any:
        """A column of Polars: of the reference's type where the values allow it; NaN is a gap as in the reference."""
        if not self.numbers[at]:
            return module.Series(list(column), dtype=self.types[at], strict=False)
        made = module.Series(column)
        if self.types[at].is_float() or self._integral(column):
            made = made.cast(self.types[at], strict=False)
        return made

    @staticmethod
    def _integral(column: Any) -> bool:
        return bool(np.isfinite(column).all() and (column == np.rint(column)).all())

    @staticmethod
    def _whole(column: Any) -> bool:
        values = numeric(column)
        assert values is not None
        values = values[np.isfinite(values)]
        return bool(len(values)) and bool((values == np.rint(values)).all())

    @staticmethod
    def _labels(x: Any, columns: int) -> Sequence[Any]:
        return list(x.columns) if library_of(x) != "numpy" else [str(at) for at in range(columns)]

    @staticmethod
    def _columns(x: Any) -> list[Any]:
        library = library_of(x)
        if library == "pandas":
            return [x.iloc[:, at].to_numpy() for at in range(x.shape[1])]
        if library == "polars":
            return [x.to_series(at).to_numpy() for at in range(x.width)]
        try:
            cells = np.asarray(x)
        except ValueError as error:
            raise HealingError("the rows differ in how many columns they have") from error
        if cells.ndim != 2:
            raise HealingError(f"rows are a table of two dimensions, and these have {cells.ndim}")
        return [cells[:, at] for at in range(cells.shape[1])]

    def _coded(self, column: Any, at: int) -> Float:
        """A column as numbers. Raises HealingError for text where the reference has numbers."""
        if self.numbers[at]:
            values = numeric(column)
            if values is None:
                raise HealingError(f"column {self.names[at]} holds {_example(column)!r}, and numbers in the reference")
            return values
        levels = self.levels[at]
        cells = column.tolist()
        # In the order of their text, so that the order of rows does not matter.
        for cell in sorted({cell for cell in cells if not is_gap(cell)} - levels.keys(), key=str):
            levels[cell] = len(levels)
        found = [np.nan if is_gap(cell) else levels[cell] for cell in cells]
        return np.array(found, dtype=np.float64)

    def _decoded(self, column: Float, at: int) -> Any:
        if self.numbers[at]:
            return column
        names = list(self.levels[at])
        made = np.empty(len(column), dtype=object)
        made[:] = [None if np.isnan(code) else names[int(code)] for code in column]
        return made


def numeric(column: Any) -> Float | None:
    """A column as numbers, gaps as NaN; None if a cell is no number."""
    cells = np.asarray(column)
    if cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    if cells.dtype.kind not in "OUST":
        return None
    if any(isinstance(cell, (str, bytes)) for cell in cells.tolist()):
        return None
    try:
        return np.array([np.nan if is_gap(cell) else float(cell) for cell in cells.tolist()], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def is_gap(cell: Any) -> bool:
    """Whether a cell is a gap: None, NaN or pandas' NA."""
    if cell is None:
        return True
    try:
        return bool(cell != cell)
    except TypeError:  # The truth of NA is not defined.
        return True


def _example(column: Any) -> Any:
    """The first cell that is no number."""
    for cell in np.asarray(column).tolist():
        try:
            if isinstance(cell, (str, bytes)):
                return cell
            float(cell)
        except (TypeError, ValueError):
            if not is_gap(cell):
                return cell
    return column[0]
