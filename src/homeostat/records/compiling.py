"""The kernels that are being compiled in this process, for whoever shows it: a first start spends most of its time so.

It names them and takes no time: whoever looks has a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# The part of a first start that each kernel takes, measured with the payments app. The windows' is one large function.
SHARES = {"homeostat.decide.windows.rows.advance": 0.58, "homeostat.expressions.kernel._run": 0.1}
SHARE = 0.015  # Of each of the others.

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


def done() -> float:
    """The part of a first start's compiling that is done, about: from 0 to 1."""
    return min(1.0, sum(map(share_of, _done)))


def share_of(name: str) -> float:
    """The part of a first start's compiling that one kernel takes.

    >>> share_of("homeostat.decide.guards.kernel.rule_rows")
    0.015
    """
    return SHARES.get(name, SHARE)
