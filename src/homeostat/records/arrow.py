"""Arrow columns made of their buffers, and read from them.

pyarrow's own `array`, `scalar` and `to_numpy` import pandas where it is installed, to ask about types: a fifth of a
second. So do its functions of columns that are given a plain Python value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    if None not in values:
        return of_numbers(np.array(values, dtype))
    known = np.array([value is not None for value in values], np.bool_)
    return of_numbers(np.array([0 if value is None else value for value in values], dtype), known)


def of_texts(values: Sequence[str | None]) -> pa.Array:
    """Texts, or None for a null. Raises UnicodeEncodeError for half a surrogate pair."""
    known = None
    texts: Sequence[str] = values  # type: ignore[assignment]
    if None in values:
        known = np.array([value is not None for value in values], np.bool_)
        texts = ["" if value is None else value for value in values]
    whole = "".join(texts)
    lengths: Iterable[int]
    if whole.isascii():  # Each character is a byte, so that the texts need not be encoded one by one.
        data, lengths = whole.encode(), map(len, texts)
    else:
        encoded = [text.encode() for text in texts]
        data, lengths = b"".join(encoded), map(len, encoded)
    if len(data) > np.iinfo(np.int32).max:  # More than one plain column of texts can hold.
        return pa.array(values, pa.string())
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(lengths, np.int32, len(values)), out=ends[1:])
    return pa.Array.from_buffers(pa.string(), len(values), [_validity(known), pa.py_buffer(ends), pa.py_buffer(data)])


def scalar(value: bool | int | float | str | None, kind: pa.DataType) -> pa.Scalar:
    """One value of a type, for a function of columns.

    >>> scalar(7, pa.int32()).as_py(), scalar("a", pa.large_string()).as_py(), scalar(None, pa.string()).as_py()
    (7, 'a', None)
    """
    if value is None:
        return pa.nulls(1, kind)[0]
    if isinstance(value, str):
        return of_texts([value]).cast(kind)[0]
    return of_numbers(np.array([value], kind.to_pandas_dtype()))[0]


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
