"""The two ways kernels are compiled: cached on disk, without the interpreter's lock, without re-ordered arithmetic."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.extending import intrinsic

from homeostat.records.compiled import compiled_with

ir: Any = importlib.import_module("llvmlite.ir")  # It has no types of its own.

# Kernels get all their memory from outside, so that they need not count references to it: counting is an atomic
# operation at every call, and took three quarters of the time.
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


FILES = (
    "accounts",
    "cursors",
    "exact",
    "pool",
    "emit",
    "layout",
    "links",
    "memory",
    "plan",
    "rows",
    "follow",
    "arrange",
    "compiled",
)
"""The parts that kernels are made of."""


def _stamp() -> str:
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


STAMP = _stamp()


def _compile(function: Kernel, **options: bool) -> Kernel:
    # Numba's cache looks at a kernel's own file only, and would serve yesterday's machine code of a kernel whose
    # callee, in another file, has changed since: hence the stamp.
    return compiled_with(function, stamp=STAMP, _nrt=False, **options)


def kernel(function: Kernel) -> Kernel:
    """`function` compiled; sums must come out bit for bit the same everywhere, so fast-math stays off."""
    return _compile(function)


def inlined(function: Kernel) -> Kernel:
    """`function` compiled into each of its callers: for the few on every event's path, where a call costs more."""
    return _compile(function, forceinline=True)


def _prefetch(typing: Any, words: Any, place: Any) -> Any:
    """Numba's protocol for an instruction of one's own: its types, and what it compiles to."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        address = builder.bitcast(builder.gep(array.data, [given[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, number(0), number(3), number(1)])  # To read, into all caches, data.
        return context.get_dummy_value()

    return numba.types.void(words, numba.types.intp), generate


prefetch = cast(Callable[[Any, int], None], intrinsic(_prefetch))
"""prefetch(words, place) asks for the cache line of words[place]; it never fails and changes nothing."""


def _mul_high(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(given[0], wide), builder.zext(given[1], wide))
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    word = numba.types.uint64
    return word(word, word), generate


mul_high = cast(Callable[[Any, Any], Any], intrinsic(_mul_high))
"""mul_high(a, b) is the upper word of the product of two unsigned words."""


def _leading_zeros(typing: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.ctlz(given[0], ir.IntType(1)(1))

    return numba.types.uint64(numba.types.uint64), generate


leading_zeros = cast(Callable[[Any], Any], intrinsic(_leading_zeros))
"""leading_zeros(word) of an unsigned word that is not 0."""
