"""A process that compiles some kernels while this one compiles others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def compiling_beside(module: str) -> Iterator[Callable[[], None] | None]:
    """Run a module in a process of its own; it is ended where the block is left early.

    Gives what waits until the process has ended, however it ends; None where there is no second processor for it, or
    no program that would run it.
    """
    process = _started(module)
    if process is None:
        yield None
        return
    try:
        yield lambda: _wait(process)
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes]) -> None:
    process.wait()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started(module: str) -> subprocess.Popen[bytes] | None:
    if _processors() < 2 or not Path(sys.executable or "").name.startswith("python"):
        return None
    words = [sys.executable, "-P", "-m", module]  # -P: the working folder holds data, never code.
    with suppress(OSError):
        return subprocess.Popen(  # noqa: S603 - a module of our own.
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return None
