"""Pages of an index of decisions as rows of a table and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import numpy as np

from homeostat.adapters.journals.decision_columns import Array, Head, form_of
from homeostat.ports.decision_lists import DecisionListsError

PLAIN, ZLIB = 0, 1
ALL = (1 << 63) - 1  # No entry has this number.
HeadRow = tuple[int, int, int, int, int, str, str]
"""First and last entry, rows, first and last event time, the names as JSON, and the digest."""


def head_row(head: Head) -> HeadRow:
    """A head as a row."""
    names = [head.actions, head.rules, head.versions, head.entities]
    return head.first, head.last, head.rows, head.since_ns, head.until_ns, json.dumps(names), head.digest


def read_head(where: str, row: HeadRow) -> Head:
    """The head of a row. Raises DecisionListsError."""
    try:
        actions, rules, versions, entities = (tuple(map(str, names)) for names in json.loads(row[5]))
    except (ValueError, TypeError) as error:
        raise DecisionListsError(f"{where}: the index of decisions is damaged at entry {row[0]}") from error
    return Head(row[0], row[1], row[2], row[3], row[4], actions, rules, versions, entities, str(row[6]))


def column_rows(head: Head, columns: Mapping[str, Array]) -> list[tuple[int, str, int, bytes]]:
    """The columns of a page as rows: its first entry, the column's name, how it is stored, and its bytes."""
    packed = {name: _packed(column.tobytes()) for name, column in columns.items()}
    return [(head.first, name, stored_as, stored) for name, (stored_as, stored) in packed.items()]


def _packed(body: bytes) -> tuple[int, bytes]:
    """A column as stored, and how. zlib lets threads run, and needs no package whose import would hold decisions up."""
    small = zlib.compress(body, 1)
    return (ZLIB, small) if len(small) < len(body) // 2 else (PLAIN, body)


def read_column(where: str, first: int, name: str, row: tuple[int, bytes] | None) -> Array:
    """The column of a row. Raises DecisionListsError where it is missing or damaged."""
    form = form_of(name)
    try:
        if row is None:
            raise ValueError("it is missing")
        if row[0] not in (PLAIN, ZLIB):
            raise ValueError(f"it is stored in an unknown way ({row[0]})")
        return np.frombuffer(zlib.decompress(row[1]) if row[0] == ZLIB else bytes(row[1]), form)
    except (ValueError, zlib.error) as error:
        raise DecisionListsError(
            f"{where}: the index of decisions is damaged: {name} of entry {first}: {error}"
        ) from error
