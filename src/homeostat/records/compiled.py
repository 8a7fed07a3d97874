"""Numba's compiler under a type: functions become machine code, cached on disk, and keep their signature."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from numba.core import config
from numba.core.compiler import Compiler, Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature
from numba.core.types.misc import unliteral

from homeostat.records import compiling
from homeostat.records.machine_code import Cache, Part, PartLibrary, connect

Function = TypeVar("Function", bound=Callable[..., Any])
_OBJECTS = 500_000
"""Between two of the collector's walks while the compiler works: it makes so many objects in 5 s, nearly all stay."""
FunctionCompiler: Any = importlib.import_module("numba.core.dispatcher")._FunctionCompiler


class _Compiler(FunctionCompiler):  # type: ignore[misc]  # Numba has no types.
    """Compiles one function: to be called from Python, or as a part of another that is being compiled."""

    as_part = False

    def _customize_flags(self, flags: Any) -> Any:
        flags.no_cfunc_wrapper = True  # Nothing calls a kernel by C's conventions.
        if self.as_part:
            flags.no_cpython_wrapper = flags.no_compile = True
        return flags

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        if self.as_part:
            return self._made(args, return_type)
        with compiling.compiles(f"{self.py_func.__module__}.{self.py_func.__name__}"), _seldom_collected():
            return self._made(args, return_type)

    def _made(self, args: Any, return_type: Any) -> Any:
        target, as_part = self.targetdescr, self.as_part
        context, flags = target.target_context, Flags()
        target.options.parse_as_flags(flags, self.targetoptions)
        library = PartLibrary(context.codegen(), self.py_func.__qualname__) if as_part else None
        made = compile_extra(
            target.typing_context, context, self.py_func, args=args, return_type=return_type,
            flags=self._customize_flags(flags), locals=self.locals, library=library, pipeline_class=Compiler,
        )  # fmt: skip
        if as_part:
            entry = Part()
            context.insert_user_function(entry, made.fndesc, [made.library])
            return made._replace(entry_point=entry)
        others = made._find_referenced_environments()
        connect(context.codegen(), others)
        return made._replace(referenced_envs=others)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """The collector's walks through all that the compiler has made took an eighth of its time."""
    usual = gc.get_threshold()
    if 0 < usual[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


class _Kernel(CPUDispatcher):  # type: ignore[misc]
    """A function and its machine code for each of the types that it was called with.

    Numba's own makes machine code of every function, and optimises it within each of its callers again: twice the time.
    A function that is compiled because another calls it becomes a part of that one only.
    """

    _compiling = 0  # Of all kernels: how many are being compiled, each because the one before calls it.

    def __init__(self, function: Callable[..., Any], stamp: object, options: dict[str, Any]) -> None:
        super().__init__(py_func=function, locals={}, targetoptions=options)
        self._compiler = _Compiler(function, self.targetdescr, options, {}, Compiler)
        self._cache = Cache(function, stamp)
        self._only: Any = None

    def only(self, signature: Any) -> None:
        """Accept no other types; compiled at the first call, so that importing a module compiles nothing."""
        self._only = signature

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        if self._only is None:
            return super()._compile_for_args(*args, **kws)
        made = self.compile(self._only)
        self.disable_compile()
        given = tuple(map(self.typeof_pyval, args))
        if given != tuple(self._only.args):  # As Numba says it at every later call.
            raise TypeError("No matching definition for argument type(s) " + ", ".join(map(str, given)))
        return made

    def compile(self, sig: Any) -> Any:
        with global_compiler_lock:
            as_part = _Kernel._compiling > 0
            args, _ = normalize_signature(sig)
            known = self.overloads.get(tuple(args))
            if known is not None:
                if as_part or not isinstance(known.entry_point, Part):
                    return known.entry_point
                del self.overloads[tuple(args)]
            before, self._compiler.as_part = self._compiler.as_part, as_part
            self._cache.as_part = as_part
            _Kernel._compiling += 1
            try:
                return super().compile(sig)
            finally:
                _Kernel._compiling -= 1
                self._compiler.as_part = self._cache.as_part = before

    @property
    def stored(self) -> bool:
        """Whether the disk holds machine code of it, for whatever types."""
        return bool(self._cache.filled(self.targetdescr.target_context.codegen()))

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """One part for all constants that its callers give it: the callers' optimising makes use of them anyway."""
        return super().get_call_template(tuple(map(unliteral, args)), {k: unliteral(v) for k, v in kws.items()})

    def add_overload(self, cres: Any) -> None:
        if isinstance(cres.entry_point, Part):
            self.overloads[tuple(cres.signature.args)] = cres
        else:
            super().add_overload(cres)


def is_stored(kernel: Callable[..., Any]) -> bool:
    """Whether the disk holds machine code of a kernel for some types, so that a first call need not compile it.

    True also where nothing is ever compiled.
    """
    return kernel.stored if isinstance(kernel, _Kernel) else True


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

    signature : of Numba's types; the function then accepts no other types, and raises TypeError for them
    stamp : what cached machine code depends on; None stands for the file of the function alone
    """
    if config.DISABLE_JIT:
        return function  # To look for a fault.
    made = _Kernel(function, stamp, {"nopython": True, "nogil": True, "fastmath": False, **options})
    if signature is not None:
        made.only(signature)
    return cast(Function, made)
