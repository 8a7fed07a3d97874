"""Compiled expressions, and how several of them are run on the rows of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.expressions import opcodes as op
from homeostat.expressions.membership import Membership
from homeostat.expressions.scope import Type
from homeostat.records.arrays import Float, Int
from homeostat.records.identity import Coding, number_of

Code = NDArray[np.int32]

_CONSTANT_READERS = (op.AMONG, op.NOT_AMONG)
_LIST_READERS = (op.LISTED, op.NOT_LISTED, op.ENTITY_LISTED, op.ENTITY_NOT_LISTED)
_KEY_READERS = (op.ENTITY_IS, op.ENTITY_IS_NOT, op.ENTITY_AMONG, op.ENTITY_NOT_AMONG)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """An expression as a program of the stack machine.

    type : of its result.
    code : (m, 4) instructions, see `opcodes`; operand b of a list reader is the list's index until it is linked.
    keys : literals that entities' keys are compared with; they become codes when it is linked.
    names : the symbols that it reads; lists : the lists.
    column : the column it merely repeats, -1 where it computes something.
    """

    text: str
    type: Type
    code: Code
    constants: Float
    keys: tuple[int | str, ...]
    names: frozenset[str]
    lists: frozenset[str]
    column: int


@cache
def _kernel() -> Callable[..., None]:
    """The compiled kernel; imported on first use, because loading an app file must not wait for the compiler."""
    from homeostat.expressions.kernel import run

    machine: Callable[..., None] = run
    return machine


def _linked(program: Compiled, constants: int, keys: int, lists: Membership) -> Code:
    """The program's code for literals that begin at these positions, and for these lists."""
    code = program.code.copy()
    for line in code:
        operation = int(line[0])
        if operation == op.CONSTANT or operation in _CONSTANT_READERS:
            line[1] += constants
        elif operation in _KEY_READERS:
            line[2] += keys
        elif operation in _LIST_READERS:
            line[2:] = lists.range_of(int(line[2]))
    return code


def _key_table(literals: Sequence[int | str], coding: Coding | None) -> Int:
    """(2, 1 + literals) the key of the hash that entities are counted by, then each literal's code and check."""
    if coding is None:
        assert all(number_of(key) is not None for key in literals), "texts are compared by a coding"
        identities = [(int(key), 0) for key in literals]
        words = np.zeros(2, np.uint64)
    else:
        identities = [coding.identify(key) for key in literals]
        words = np.array(coding.words(b"distinct"), np.uint64)
    table = np.concatenate([words.view(np.int64).reshape(1, 2), np.array(identities, np.int64).reshape(-1, 2)])
    return np.ascontiguousarray(table.T)


class Programs:
    """Expressions that are evaluated together: each writes its result where later ones may read it."""

    def __init__(self, programs: Sequence[Compiled], targets: Sequence[int], lists: Membership | None = None) -> None:
        """`targets` are the columns of the frame that the programs' results go to."""
        if len(programs) != len(targets):
            raise ValueError(f"{len(programs)} programs cannot write {len(targets)} columns")
        self._programs, self._targets = tuple(programs), tuple(targets)
        lists = lists or Membership.build()
        parts: list[Code] = []
        literals = [key for program in programs for key in program.keys]
        constants = keys = 0
        for program, target in zip(programs, targets):
            parts.append(_linked(program, constants, keys, lists))
            parts.append(np.array([[op.STORE, target, 0, 0]], dtype=np.int32))
            constants += len(program.constants)
            keys += len(program.keys)
        self._tables: tuple[Any, ...] = (
            np.concatenate(parts) if parts else np.empty((0, 4), dtype=np.int32),
            np.concatenate([np.empty(0), *(p.constants for p in programs)]),
            _key_table(literals, lists.coding),
            np.array(lists.table, dtype=np.int64, order="C"),
        )
        self._run = _kernel()

    def __len__(self) -> int:
        return len(self._programs)

    def with_lists(self, lists: Membership) -> Programs:
        """The same programs asking other lists."""
        return Programs(self._programs, self._targets, lists)

    def run(self, frame: Float, keys: Int, key_checks: Int, time_ns: Int) -> None:
        """Evaluates every program on each row, in place; booleans are 0 and 1.

        frame : (n, columns); keys, key_checks : (n, entities) see `records.identity`; time_ns : (n,).
        """
        try:
            self._run(frame, keys, key_checks, time_ns, *self._tables)
        except TypeError:  # Read-only or strided arrays have a machine type of their own: run on copies instead.
            work = np.array(frame, dtype=np.float64, order="C")
            keys = np.array(keys, dtype=np.int64, order="C").reshape(len(work), -1)
            checks = np.array(key_checks, dtype=np.int64, order="C").reshape(len(work), -1)
            self._run(work, keys, checks, np.array(time_ns, dtype=np.int64), *self._tables)
            frame[...] = work
