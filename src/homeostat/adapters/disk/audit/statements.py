"""Whether statements are as they were made: by their own chain of digests, and by the lines of the trail that name it.

Personal words may be forgotten: then their hash is all that is left, and nothing is wrong with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from json import dumps
from typing import Any

from homeostat.adapters.disk.audit.findings import Faults
from homeostat.records.statements import COLUMNS, START, Row, chained

_HASH = COLUMNS.index("text_hash")


def compare_statements(where: str, rows: Iterable[tuple[Any, ...]], named: Mapping[int, str], faults: Faults) -> None:
    """Add what is wrong with the statements of a store.

    where : the table's name in faults
    rows : by rising number, each the columns of a statement, its digest, and salt, text and contact of its words (None
        where they were forgotten)
    named : number -> the digest that the trail says it has
    """
    number, digest, forgotten = 0, START, 0
    met: set[int] = set()
    for *row, found, salt, text, contact in rows:
        if row[0] != number + 1:
            faults.add(where, f"statement {row[0]}", f"does not follow the one before it: {number + 1} is missing")
        if bytes(found) != _chained(digest, tuple(row)):
            why = "digest is not that of its columns and of the digest before it: one of them was edited"
            faults.add(where, f"statement {row[0]}", why, "digest")
        if salt is None:
            forgotten += bool(row[_HASH])
        elif row[_HASH] != sha256(bytes(salt) + dumps([text, contact]).encode("utf-8", "surrogatepass")).hexdigest():
            faults.add(
                where, f"statement {row[0]}", "text_hash is not that of its words: they were edited", "text_hash"
            )
        number, digest = row[0], bytes(found)
        if number in named:
            met.add(number)
            if named[number] != digest.hex():
                faults.differs(where, f"statement {number}", "digest", digest.hex(), named[number], "as the trail says")
    for gone in sorted(named.keys() - met):
        faults.add(where, f"statement {gone}", "is missing, and the trail names it")
    if forgotten:
        faults.notes.append(f"{where}: the words of {forgotten:,} statements were forgotten; their hashes are whole")


def _chained(digest: bytes, row: Row) -> bytes | None:
    try:
        return chained(digest, row)
    except (TypeError, ValueError):  # A damaged page may read as values of other types.
        return None
