"""A process that compiles some kernels while this one compiles others. Of several that start at once, one has it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from homeostat.adapters.disk.file_lock import FileLock, is_held
from homeostat.errors import DataFolderInUse, Unavailable

_LOOK_S = 0.1


@contextmanager
def compiling_beside(module: str, lock: Path) -> Iterator[Callable[[], None] | None]:
    """Run a module in a process of its own; it is ended where the block is left early.

    lock : a file that is held meanwhile. Where another process holds it, that one's compiler is waited for instead
    Gives what waits until the process has ended, however it ends; None where there is no second processor for it, or
    no program that would run it.
    """
    if not _can_run():
        yield None
        return
    held = FileLock(lock)
    try:
        held.acquire("another process compiles")
    except DataFolderInUse:
        yield lambda: _wait_for(lock)
        return
    except Unavailable:
        pass  # Without a place for the lock, each process has a compiler of its own.
    try:
        process = _started(module)
        if process is None:
            yield None
            return
        try:
            yield lambda: _wait(process)
        finally:
            process.kill()
            process.wait()
    finally:
        held.release()


def _wait_for(lock: Path) -> None:
    """Wait until nobody holds the lock."""
    while is_held(lock):
        time.sleep(_LOOK_S)


def _wait(process: subprocess.Popen[bytes]) -> None:
    process.wait()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _can_run() -> bool:
    return _processors() >= 2 and Path(sys.executable or "").name.startswith("python")


def _started(module: str) -> subprocess.Popen[bytes] | None:
    words = [sys.executable, "-P", "-m", module]  # -P: the working folder holds data, never code.
    with suppress(OSError):
        return subprocess.Popen(  # noqa: S603 - a module of our own.
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return None
