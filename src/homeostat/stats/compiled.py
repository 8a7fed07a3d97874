"""Numba's compiler under a type: functions become machine code, cached on disk, and keep their signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code that lets go of the interpreter's lock; never with reordered arithmetic."""
    return cast(Function, numba.njit(cache=True, nogil=True, fastmath=False)(function))
