"""Machine code on disk: how Numba's results are written, read and found again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple, cast

import llvmlite.binding as llvm
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.environment import Environment, lookup_environment
from numba.core.runtime import rtsys
from numba.core.sigutils import normalize_signature

FORMAT = ("homeostat", 2)
"""The form of what is stored, `Stored`: what another form wrote is compiled again."""


class Part:
    """Stands for a function that is only a part of others: it has no machine code of its own to be called."""


class Constants(NamedTuple):
    """The constants of Python that machine code needs of one function, by its module and its name there."""

    module: str
    values: list[Any]
    name: str


class Stored(NamedTuple):
    """One function for one signature, as it lies on disk.

    code : machine code; None for a part of others
    bitcode : the form that is put into callers
    symbols : what the machine code defines
    """

    name: str
    code: bytes | None
    bitcode: bytes
    symbols: tuple[str, ...]
    description: Any
    own: Constants
    signature: Any
    initialise: Any
    others: tuple[Constants, ...]


class PartLibrary(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types.
    """A function that only others call: neither optimised nor made into machine code, for each caller does both."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def read(self, bitcode: bytes) -> None:
        """Become what another process has compiled."""
        self._final_module = llvm.parse_bitcode(bitcode)
        self._finalize_final_module()


class LoadedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Machine code from disk. Code that callers put into themselves is read only when one of them is compiled.

    Reading it takes five times as long as loading the machine code.
    """

    _shared_module: Any

    def __init__(self, codegen: Any, stored: Stored) -> None:
        super().__init__(codegen, stored.name)
        self._bitcode = stored.bitcode
        self.enable_object_caching()
        self._set_compiled_object(stored.code)
        self._finalize_final_module()
        codegen._engine._defined_symbols.update(stored.symbols)

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            self._shared_module = llvm.parse_bitcode(self._bitcode)
        return self._shared_module


class Form(CompileResultCacheImpl):  # type: ignore[misc]
    """How a compiled function is written and read."""

    def reduce(self, result: Any) -> Stored:
        library, description = result.library, result.fndesc
        linked = library._get_module_for_linking()
        description.typemap = description.calltypes = None  # Not needed again, and not always writable.
        code: bytes | None = None
        symbols: tuple[str, ...] = ()
        if not isinstance(result.entry_point, Part):
            code = library._get_compiled_object()
            symbols = (*_defined(linked.functions), *_defined(linked.global_variables))
        others = result._find_referenced_environments()
        return Stored(
            library.name, code, linked.as_bitcode(), symbols, description, _constants(result.environment),
            result.signature, result.reload_init, tuple(map(_constants, others)),
        )  # fmt: skip

    def rebuild(self, target: Any, stored: Stored) -> Any:
        for initialise in stored.initialise or ():
            initialise()
        codegen = target.codegen()
        own = _environment(stored.own)
        others = [_environment(constants) for constants in stored.others]
        if stored.code is None:
            library, entry = PartLibrary(codegen, stored.name), Part()
            library.read(stored.bitcode)
        else:
            library = LoadedLibrary(codegen, stored)
            entry = target.get_executable(library, stored.description, own)
            connect(codegen, others)
        return CompileResult(
            target_context=target, typing_context=target.typing_context, library=library, environment=own,
            entry_point=entry, fndesc=stored.description, type_annotation="", signature=stored.signature,
            objectmode=False, lifted=(), typing_error=None, call_helper=None, metadata=None,
            reload_init=stored.initialise, referenced_envs=others,
        )  # fmt: skip


def connect(codegen: Any, environments: Iterable[Any]) -> None:
    """Let machine code find the constants of the functions that it is made of."""
    for environment in environments:
        codegen.set_env(environment.env_name, environment)


def _defined(symbols: Iterable[Any]) -> list[str]:
    return [symbol.name for symbol in symbols if not symbol.is_declaration]


def _constants(environment: Any) -> Constants:
    return Constants(environment.globals.get("__name__"), environment.consts, environment.env_name)


def _environment(constants: Constants) -> Any:
    """Numba's holder of constants. Its own imports the module; machine code never looks at a module's names."""
    made = lookup_environment(constants.name)
    if made is None:
        module = sys.modules.get(constants.module)
        made = Environment({"__name__": constants.module} if module is None else module.__dict__)
        made.consts[:] = constants.values
        made.env_name = constants.name
        Environment._memo[constants.name] = made
    return made


class Files(IndexDataCacheFile):  # type: ignore[misc]
    """Files of the cache on disk. One that can't be read counts as absent, so that the function is compiled again.

    A crash leaves a file empty or cut off, and another version leaves one that names classes which are gone.
    """

    def _load_index(self) -> dict[Any, str]:
        try:
            found = super()._load_index()
        except Exception:  # Reading a pickle raises errors of every kind.
            return {}
        return found if isinstance(found, dict) else {}

    def _load_data(self, name: str) -> Stored:
        try:
            found = super()._load_data(name)
        except Exception as error:
            raise OSError(f"{name} can't be read") from error  # As Numba has it for a file that is absent.
        if not isinstance(found, Stored):
            raise OSError(f"{name} holds something else")
        return found


class Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, which loads machine code without what only compiling needs.

    Before it loads anything, Numba's own imports all that it can compile (and SciPy, where that is installed), enters
    it in tables, and reads what callers would need: most of the time that a short command takes. Compiling does the
    same by itself, so nothing is missing when a function is not in the cache. The place on disk is looked for when it
    is needed: most functions are only ever called by others, whose machine code has all of theirs.
    """

    def __init__(self, function: Callable[..., Any], stamp: object) -> None:
        self._name, self._py_func, self._stamp = repr(function), function, stamp
        self.as_part = False
        self.enable()

    @cached_property
    def _impl(self) -> Form:
        return Form(self._py_func)

    @cached_property
    def _cache_path(self) -> str:
        return cast(str, self._impl.locator.get_cache_path())

    @cached_property
    def _cache_file(self) -> Any:
        stamp = self._impl.locator.get_source_stamp() if self._stamp is None else self._stamp
        return Files(self._cache_path, self._impl.filename_base, (*FORMAT, stamp))

    def filled(self, codegen: Any) -> bool:
        """Whether there is machine code of the function for some types, of its present text and for this processor."""
        of_this = self._index_key(None, codegen)[2:]
        return any(not as_part and found == of_this for as_part, _, *rest in self._overloads() for found in [(*rest,)])

    def _overloads(self) -> Collection[Any]:
        try:
            return cast(dict[Any, str], self._cache_file._load_index())
        except OSError:
            return ()

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (self.as_part, *super()._index_key(sig, codegen))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # Machine code calls it by name.
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        stored = self._cache_file.load(self._index_key(sig, target_context.codegen()))
        if stored is None or not self._is_of(stored, sig):
            return None
        return self._impl.rebuild(target_context, stored)

    def _is_of(self, stored: Stored, sig: Any) -> bool:
        """Two processes that compile a function for other types at once may give their files one name."""
        wanted, _ = normalize_signature(sig)
        return tuple(stored.signature.args) == tuple(wanted) and (stored.code is None) == self.as_part

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code for the next process, where the disk takes it."""
        with suppress(OSError):  # A full disk must not stop what is compiled already.
            super().save_overload(sig, data)
