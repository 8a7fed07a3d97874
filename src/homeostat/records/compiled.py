"""Numba's compiler under a type: functions become machine code, cached on disk, and keep their signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

Function = TypeVar("Function", bound=Callable[..., Any])


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba has no types.
    """Numba's cache on disk, which loads machine code without what only compiling needs.

    Before it loads anything, Numba's own imports all that it can compile (and SciPy, where that is installed) and
    enters it in tables: half of the time that a short command takes. Compiling does the same by itself, so nothing is
    missing when a function is not in the cache.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # Machine code calls it by name.
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def compiled(function: Function) -> Function:
    """The function as machine code that lets go of the interpreter's lock; never with reordered arithmetic."""
    return compiled_with(function)


def inlined(function: Function) -> Function:
    """The same, put into each of its callers: for the few on every event's path, where a call costs more."""
    return compiled_with(function, forceinline=True)


def compiled_with(
    function: Function, signature: Any = None, *, stamp: object = None, **options: bool | str
) -> Function:
    """The function as machine code, with more of Numba's options.

    signature : of Numba's types; the function is then compiled at once and accepts no other types
    stamp : what cached machine code depends on; None stands for the file of the function alone
    """
    made: Any = numba.njit(nogil=True, fastmath=False, **options)(function)
    if made is function:
        return function  # As where Numba is switched off to look for a fault.
    made._cache = cache = _Cache(function)
    if stamp is not None:
        cache._cache_file._source_stamp = stamp
    if signature is not None:
        made.compile(signature)
        made.disable_compile()
    return cast(Function, made)
