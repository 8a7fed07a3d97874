"""Arrow columns made of their buffers, and read from them.

pyarrow's own `array` and `to_numpy` import pandas where it is installed, to ask about types: a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray


def of_numbers(values: NDArray[Any], known: NDArray[np.bool_] | None = None) -> pa.Array:
    """(n,) numbers or booleans as a column; numbers share their memory with it.

    known : (n,) false where the column has a null; None: it has none
    """
    kind, stored = pa.from_numpy_dtype(values.dtype), np.ascontiguousarray(values)
    if values.dtype == np.bool_:
        stored = np.packbits(stored, bitorder="little")
    return pa.Array.from_buffers(kind, len(values), [_validity(known), pa.py_buffer(stored)])


def of_members(values: Sequence[Any], dtype: DTypeLike) -> pa.Array:
    """Numbers or booleans, or None for a null. Raises OverflowError for an integer that `dtype` can't hold."""
    known = np.array([value is not None for value in values], np.bool_)
    return of_numbers(np.array([0 if value is None else value for value in values], dtype), known)


def of_texts(values: Sequence[str | None]) -> pa.Array:
    """Texts, or None for a null. Raises UnicodeEncodeError for half a surrogate pair."""
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:  # More than one plain column of texts can hold.
        return pa.array(values, pa.string())
    known = np.array([value is not None for value in values], np.bool_)
    buffers = [_validity(known), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def to_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """(n,) the numbers or booleans of a column without nulls; numbers may share their memory with it."""
    if isinstance(column, pa.ChunkedArray):
        chunks = [to_numpy(chunk) for chunk in column.chunks if len(chunk)]
        return chunks[0] if len(chunks) == 1 else np.concatenate([_stored(pa.nulls(0, column.type)), *chunks])
    assert not column.null_count, "a column has nulls where none may be"
    return _stored(column)


def _stored(column: pa.Array) -> NDArray[Any]:
    n, start, stored = len(column), column.offset, column.buffers()[1]
    if pa.types.is_boolean(column.type):
        bits = np.frombuffer(stored, np.uint8) if n else np.empty(0, np.uint8)
        return np.unpackbits(bits[start // 8 : (start + n + 7) // 8], bitorder="little")[
            start % 8 : start % 8 + n
        ].view(np.bool_)
    kind = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(stored, kind, n, start * kind.itemsize) if n else np.empty(0, kind)


def _validity(known: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if known is None or known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
