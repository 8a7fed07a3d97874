"""The kernels that are being compiled in this process, for whoever shows it: a first start spends most of its time so.

It names them and takes no time: whoever looks has a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_now: list[str] = []
_done: list[str] = []


@contextmanager
def compiles(name: str) -> Iterator[None]:
    """Say that the kernel of this name, its module's included, is compiled while the block runs."""
    _now.append(name)
    try:
        yield
    finally:
        _now.remove(name)
        _done.append(name)


def now() -> str:
    """The kernel that is being compiled; empty where none is."""
    return _now[-1] if _now else ""


def done() -> int:
    """How many kernels this process has compiled."""
    return len(_done)
