"""One writer at a time: a lock on a file that the operating system releases when its process dies, however it dies."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.errors import DataFolderInUse, Unavailable

try:
    import fcntl
except ImportError:  # Windows has no flock; there SQLite's own locks are what is left.
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """An exclusive lock on the file at `path`, which is created and stays."""

    def __init__(self, path: Path, mode: int = FILE_MODE) -> None:
        self._path, self._mode = path, mode
        self._file: int | None = None

    def acquire(self, refusal: str) -> None:
        """Take the lock.

        Raises DataFolderInUse, saying `refusal`, when another holds it, and Unavailable when the disk fails.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        except OSError as error:
            raise Unavailable(f"{self._path} can't be opened for writing: {os.strerror(error.errno or 0)}") from error
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(file)
                raise DataFolderInUse(refusal) from error
        self._file = file

    def release(self) -> None:
        """Let others have it; nothing happens when it isn't held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_held(path: Path) -> bool:
    """Whether a process holds the lock at `path`, which is not created; False where that can't be seen."""
    if fcntl is None:
        return False
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
