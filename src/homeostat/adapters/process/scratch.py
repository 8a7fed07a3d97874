"""A folder for temporary files that is gone with its owner: at its end, or when the next owner begins."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from homeostat.adapters.disk.file_lock import FileLock, is_held
from homeostat.adapters.disk.files import FOLDER_MODE
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Unavailable

_PREFIX, _LOCK = "homeostat-jobs-", "lock"
_NEW = "homeostat-new-"  # A folder that is not locked as yet. Nobody else looks into it.
_NEW_S_MAX = 3600.0  # After this the process that made it was killed before it had locked it.


class Scratch:
    """A folder of this process, below the system's folder for temporary files or below `root`."""

    def __init__(self, root: Path | None = None) -> None:
        """Make it, and remove those of owners that were killed. Raises Unavailable."""
        base = Path(tempfile.gettempdir()) if root is None else root
        try:
            _remove_abandoned(base)
            made = Path(tempfile.mkdtemp(prefix=_NEW, dir=base))
            self._lock = FileLock(made / _LOCK)
            self._lock.acquire("the folder is new")
            self.folder = made.rename(base / (_PREFIX + made.name.removeprefix(_NEW)))
        except OSError as error:
            raise Unavailable(f"no folder can be made in {base}: {os.strerror(error.errno or 0)}") from error

    def room(self, name: str) -> Path:
        """An empty folder in it. Raises OSError."""
        self.clear(name)
        made = self.folder / name
        made.mkdir(mode=FOLDER_MODE, parents=True)
        return made

    def clear(self, name: str) -> None:
        """Remove such a folder with all that is in it."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def close(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def _remove_abandoned(base: Path) -> None:
    for found in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if _is_ours(found) and (found / _LOCK).is_file() and not is_held(found / _LOCK):
                shutil.rmtree(found, ignore_errors=True)
    for found in base.glob(f"{_NEW}*"):
        with suppress(OSError):
            if _is_ours(found) and SystemClock().now_ns() / 1e9 - found.lstat().st_mtime > _NEW_S_MAX:
                shutil.rmtree(found, ignore_errors=True)


def _is_ours(found: Path) -> bool:
    return found.lstat().st_uid == os.getuid() and not found.is_symlink()
