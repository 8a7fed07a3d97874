"""The engine's state in one file: named arrays and a digest over all of it. No pickle, no code.

The file: magic, length of the index, the index (JSON: sequence, history, software, meaning, settings, and name, type,
shape of each array), the arrays one after the other at multiples of 64 bytes, and the SHA-256 of everything before it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.files import FILE_MODE, replace_file
from homeostat.ports import Snapshot, Unavailable
from homeostat.records.arrays import State
from homeostat.records.meaning import Meaning

_MAGIC = b"HMSTSNAP\x02\0\0\0\0\0\0\0"
_OLD = b"HMSTSNAP\x01"
_DIGEST_BYTES = 32
_KINDS = "biufSU"  # Plain numbers and texts of fixed length. Objects would need pickle.
_ALIGNMENT = 64


class FileSnapshots:
    """The newest snapshot and the one before it, in a folder. A damaged newest one falls back to the one before."""

    def __init__(self, folder: Path | str, mode: int = FILE_MODE) -> None:
        """mode : who may read and write files that are created"""
        self._mode = mode
        self.newest = Path(folder) / "snapshot.bin"
        self.previous = Path(folder) / "snapshot.previous.bin"
        self.skipped: list[str] = []  # Why a snapshot was passed over by `load`.

    def save(self, snapshot: Snapshot) -> None:
        """Replace the snapshot. Raises Unavailable, keeping the old one; ValueError for arrays of objects."""
        pieces = list(_pieces(snapshot))
        digest = sha256()
        for piece in pieces:
            digest.update(piece)
        # A damaged newest one must not push the good one before it out.
        keep = self.previous if self._read(self.newest, None) is not None else None
        replace_file(self.newest, [*pieces, digest.digest()], keep, self._mode)

    def load(self, refused: Callable[[Snapshot], str] | None = None) -> Snapshot | None:
        """See `Snapshots`. Why others were passed over is in `skipped`."""
        self.skipped = []
        for path in (self.newest, self.previous):
            loaded = self._read(path, self.skipped)
            if loaded is None:
                continue
            why = "" if refused is None else refused(loaded)
            if not why:
                return loaded
            self.skipped.append(f"{path} {why}")
        return None

    @staticmethod
    def _read(path: Path, skipped: list[str] | None) -> Snapshot | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{path} can't be read: {os.strerror(error.errno or 0)}") from error
        try:
            return decode(data)
        except ValueError as error:
            if skipped is not None:
                skipped.append(f"{path}: {error}")
            return None


def encode(snapshot: Snapshot, sealed: bool = True) -> bytes:
    """The bytes of a snapshot, the same for the same snapshot. Raises ValueError for arrays of objects.

    sealed : with a digest of them; without, where something else covers the bytes
    """
    if not sealed:
        return b"".join([*_pieces(snapshot), b"\0" * _DIGEST_BYTES])
    pieces, digest = list(_pieces(snapshot)), sha256()
    for piece in pieces:
        digest.update(piece)
    return b"".join([*pieces, digest.digest()])


def decode(data: bytes, sealed: bool = True) -> Snapshot:
    """The snapshot of a file's bytes. Raises ValueError on anything but a whole snapshot.

    sealed : as in `encode`
    """
    if data.startswith(_OLD):
        raise ValueError("an older version wrote it, which did not say of which history it is")
    if len(data) < len(_MAGIC) + 8 + _DIGEST_BYTES or not data.startswith(_MAGIC):
        raise ValueError("this is not a snapshot of this format")
    view = memoryview(data)
    if sealed and sha256(view[:-_DIGEST_BYTES]).digest() != view[-_DIGEST_BYTES:]:
        raise ValueError("the snapshot is torn or damaged: its digest does not fit")
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(view[len(_MAGIC) : start], "little")
    try:
        index = json.loads(bytes(view[start:end]))
        sequence, arrays = int(index["sequence"]), index["arrays"]
        history, software = str(index["history"]), str(index["software"])
        settings = int(index.get("settings", 0))
        meaning = {str(part): Meaning.of_json(stored) for part, stored in dict(index["meaning"]).items()}
        state: State = {}
        at = end
        for name, dtype, shape in arrays:
            at += -at % _ALIGNMENT
            state[name] = _array(view, at, dtype, tuple(shape))
            at += state[name].nbytes
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("the snapshot's index can't be read") from error
    return Snapshot(sequence, state, history, software, meaning, settings)


def _array(view: memoryview, at: int, code: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    dtype = np.dtype(code)
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise ValueError(f"a snapshot holds no arrays of type {code}")
    count = math.prod(shape)
    if any(size < 0 for size in shape) or at + count * dtype.itemsize > len(view) - _DIGEST_BYTES:
        raise ValueError("the snapshot ends within an array")
    array = np.frombuffer(view, dtype, count, at) if count else np.empty(0, dtype)
    return array.reshape(shape).copy()


def _pieces(snapshot: Snapshot) -> Iterator[Any]:
    state = snapshot.state
    for name, array in state.items():
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"{name} is of type {array.dtype}: a snapshot holds numbers and texts only")
    arrays = [(name, array.dtype.str, array.shape) for name, array in state.items()]
    index = json.dumps({
        "sequence": snapshot.sequence, "history": snapshot.history, "software": snapshot.software,
        "meaning": {part: meaning.as_json() for part, meaning in snapshot.meaning.items()}, "arrays": arrays,
        **({"settings": snapshot.settings} if snapshot.settings else {}),
    }).encode()  # fmt: skip
    yield _MAGIC
    yield len(index).to_bytes(8, "little")
    yield index
    at = len(_MAGIC) + 8 + len(index)
    for array in state.values():
        if at % _ALIGNMENT:
            yield b"\0" * (-at % _ALIGNMENT)
            at += -at % _ALIGNMENT
        if array.nbytes:
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        at += array.nbytes
