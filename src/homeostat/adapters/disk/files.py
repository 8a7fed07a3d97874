"""Replacing a file so that a reader, or the next start, finds the old one or the new one and nothing between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from homeostat.ports import Unavailable

_ROOM_BYTES = 64 << 10  # More than an entry of one decision takes.
FILE_MODE, FOLDER_MODE = 0o600, 0o700
"""Of what holds events or decisions: its owner's alone, whatever the process's umask is."""

OPEN_FILE_MODE, OPEN_FOLDER_MODE = 0o666, 0o777
"""The same where the process's umask is to decide."""


def opener(mode: int) -> Callable[[str, int], int]:
    """For `open`: a file that is created gets this mode, less what the process's umask takes away."""
    return lambda path, flags: os.open(path, flags, mode)


def create(path: Path, mode: int) -> None:
    """Create an empty file with this mode where there is none, for a library that would choose its own.

    Raises OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode))


def replace_file(path: Path, pieces: Iterable[Any], keep: Path | None = None, mode: int = FILE_MODE) -> None:
    """Write a file whole and on the disk before it takes the name; what had the name is kept as `keep`, if given.

    pieces : bytes-like, written one after the other
    mode : who may read and write the new file, less what the process's umask takes away
    Raises Unavailable, leaving the old file as it was.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)  # A file that a dead process left keeps its own mode otherwise.
        with open(fresh, "wb", opener=opener(mode)) as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(fresh, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # A disk that takes no writing takes no removing either.
            fresh.unlink(missing_ok=True)
        raise Unavailable(f"{path} can't be written: {os.strerror(error.errno or 0)}") from error


def find_room(folder: Path) -> None:
    """Raise Unavailable where the folder's disk takes nothing more: a file is written there for a moment to see."""
    probe = folder / f".room-{os.getpid()}"
    try:
        try:
            with open(probe, "wb") as file:
                file.write(bytes(_ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} can't be written: {os.strerror(error.errno or 0)}") from error


def sync_folder(folder: Path) -> None:
    """Put the folder's names on the disk too, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
