"""Data frames of nodes' metrics, read by what they offer, so that no library of frames is imported."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import numpy as np

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float

Key: TypeAlias = tuple[Hashable, Hashable]
_LARGEST = 1e60  # Products and squares of larger numbers overflow.


class RankingError(HomeostatError, ValueError):
    """Metrics, a graph or a target from which no cause can be ranked; the text says which part is wrong."""

    why = "causes are ranked from two frames with columns (node, metric), pairs of calls, and one of the columns"
    remedy = "Correct the row, the column or the pair that the text names"


def columns_of(frame: Any, name: str) -> dict[Key, Float]:
    """The columns of a frame by (node, metric), rows in the order of time, NaN where a value is missing.

    frame : a data frame with an index of times and two-level columns
    name : what to call it in an error

    Raises RankingError.
    """
    if not all(hasattr(frame, part) for part in ("columns", "index", "to_numpy")):
        raise RankingError(f"{name} is of type {type(frame).__name__}, and not a data frame with columns and an index")
    keys = list(frame.columns)
    for key in keys:
        if not isinstance(key, tuple) or len(key) != 2:
            raise RankingError(f"column {key!r} of {name} is not a pair (node, metric)")
    if len(set(keys)) < len(keys):
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise RankingError(f"column {twice!r} of {name} is there twice")
    cells = np.asarray(frame.to_numpy())
    if not keys or len(cells) == 0:
        raise RankingError(f"{name} has no {'rows' if keys else 'columns'}")
    values = np.stack([_numbers(cells[:, place], key, name) for place, key in enumerate(keys)], axis=1)
    order = _order(frame.index, name)
    wrong = np.argwhere(np.abs(values) > _LARGEST)
    if wrong.size:
        row, column = wrong[0]
        cell = values[row, column]
        raise RankingError(f"row {row} of column {keys[column]!r} of {name} is {cell:g}, and no metric is above 1e60")
    if np.isnan(values).all():
        raise RankingError(f"{name} holds only gaps")
    return {key: values[order, place] for place, key in enumerate(keys)}


def _numbers(cells: Any, key: Key, name: str) -> Float:
    """The cells of a column as numbers; None is a gap."""
    try:
        return np.asarray(cells, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell)
        except (TypeError, ValueError):
            if cell is not None and str(cell) not in ("<NA>", "NaT"):
                raise RankingError(f"row {row} of column {key!r} of {name} is {cell!r}, and not a number") from None
            values[row] = np.nan
    return values


def _order(index: Any, name: str) -> list[int]:
    """The order of rows by time."""
    times = list(index)
    try:
        return sorted(range(len(times)), key=times.__getitem__)
    except TypeError:
        raise RankingError(f"the index of {name} holds values that can't be ordered") from None


def by_node(columns: Mapping[Key, Float]) -> dict[Hashable, dict[Hashable, Float]]:
    """Node, then metric."""
    found: dict[Hashable, dict[Hashable, Float]] = {}
    for (node, metric), values in columns.items():
        found.setdefault(node, {})[metric] = values
    return found
