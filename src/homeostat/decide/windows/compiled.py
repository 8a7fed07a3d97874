"""The two ways kernels are compiled: cached on disk, without the interpreter's lock, without re-ordered arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

# Kernels get all their memory from outside, so that they need not count references to it: counting is an atomic
# operation at every call, and took three quarters of the time.
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """`function` compiled; sums must come out bit for bit the same everywhere, so fast-math stays off."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, fastmath=False, _nrt=False)(function))


def inlined(function: Kernel) -> Kernel:
    """`function` compiled into each of its callers: for the few on every event's path, where a call costs more."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, fastmath=False, forceinline=True, _nrt=False)(function))
