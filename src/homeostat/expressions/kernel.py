"""The stack machine: one compiled kernel that runs every program, a block of rows at a time.

Each instruction is looked up once per block and then done to each of its rows by itself, so that one kernel for all
expressions costs little more than code of their own would. It buys that nothing is compiled when an app is loaded;
and a row's result does not depend on the rows beside it, because every operation is one of single numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import types
from numpy.typing import NDArray

from homeostat.expressions import opcodes as op
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled_with
from homeostat.records.siphash import of_two

_HOUR_NS = 3_600_000_000_000
_MINUTE_NS = 60_000_000_000
_DAY_NS = 86_400_000_000_000
_NO_KEY = -(1 << 63)

BLOCK = 128
"""Rows that an instruction is done to at a time: their pending values fit the innermost cache."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _jit(function: _Function) -> _Function:
    return compiled_with(function, error_model="numpy")


def _put_in(function: _Function) -> _Function:
    """The same, put into each of its callers: a call for each value would cost more than most operations."""
    return compiled_with(function, error_model="numpy", forceinline=True)


@_put_in
def _finite(x: float) -> float:
    """No infinity leaves an operation: what has no finite value has none."""
    return x if x - x == 0.0 else math.nan


@_jit
def _day_of_month(time_ns: int) -> int:
    """Source: Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days."""
    days = time_ns // _DAY_NS + 719468
    of_era = days - (days // 146097) * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return of_year - (153 * month + 2) // 5 + 1


@_jit
def _listed(members: Int, start: int, stop: int, code: int, check: int, time_ns: int) -> bool:
    """Whether the newest stay of an identity begun by `time_ns` has not ended; see `Membership` for the order."""
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        here, its = members[0, middle], members[1, middle]
        if here < code or (here == code and (its < check or (its == check and members[2, middle] <= time_ns))):
            low = middle + 1
        else:
            high = middle
    found = low > start and members[0, low - 1] == code and members[1, low - 1] == check
    return found and time_ns < members[3, low - 1]


@_put_in
def _push(
    operation: int, a: int, b: int, c: int, time_ns: int, keys: Int, checks: Int, literals: Int, members: Int
) -> float:
    """The value of an operation that reads the event's time or keys."""
    if operation == op.HOUR:
        return float((time_ns // _HOUR_NS) % 24)
    if operation == op.MINUTE:
        return float((time_ns // _MINUTE_NS) % 60)
    if operation == op.WEEKDAY:
        return float((time_ns // _DAY_NS + 3) % 7)
    if operation == op.DAY:
        return float(_day_of_month(time_ns))
    key, check = keys[a], checks[a]
    if operation == op.ENTITY_MISSING:
        return 1.0 if key == _NO_KEY else 0.0
    if operation == op.ENTITY_CODE:
        if key == _NO_KEY:
            return math.nan
        first, second = np.uint64(literals[0, 0]), np.uint64(literals[1, 0])
        return float(of_two(first, second, np.uint64(key), np.uint64(check)) >> np.uint64(12))
    if key == _NO_KEY:
        return 0.0
    negated = operation >= op.ENTITY_IS_NOT
    holds = False
    if operation == op.ENTITY_IS or operation == op.ENTITY_IS_NOT:
        holds = key == literals[0, 1 + b] and check == literals[1, 1 + b]
    elif operation == op.ENTITY_SAME or operation == op.ENTITY_DIFFERS:
        if keys[b] == _NO_KEY:
            return 0.0
        holds = key == keys[b] and check == checks[b]
    elif operation == op.ENTITY_AMONG or operation == op.ENTITY_NOT_AMONG:
        for k in range(1 + b, 1 + b + c):
            holds = holds or (key == literals[0, k] and check == literals[1, k])
    else:
        holds = _listed(members, b, c, key, check, time_ns)
    return 1.0 if holds != negated else 0.0


@_put_in
def _among(x: float, operation: int, a: int, b: int, c: int, constants: Float, members: Int, time_ns: int) -> float:
    """Whether a number or category is in a set of constants or in a list; missing values are in none, nor out."""
    if x != x:
        return 0.0
    holds = False
    if operation == op.AMONG or operation == op.NOT_AMONG:
        for k in range(a, a + b):
            holds = holds or x == constants[k]
    else:
        holds = _listed(members, b, c, int(x), 0, time_ns)
    return 1.0 if holds != (operation >= op.NOT_AMONG) else 0.0


@_put_in
def _replace_one(operation: int, x: float) -> float:
    """An operation on one value."""
    if operation == op.NOT:
        return 0.0 if x == x and x != 0.0 else 1.0
    if operation == op.TRUTH:
        return 1.0 if x == x and x != 0.0 else 0.0
    if operation == op.MISSING:
        return 1.0 if x != x else 0.0
    if operation == op.NEGATE:
        return -x
    if operation == op.ABS:
        return abs(x)
    if operation == op.FLOOR:
        return float(np.floor(x))
    if operation == op.CEIL:
        return float(np.ceil(x))
    if operation == op.LOG:
        return math.log(x) if x > 0.0 else math.nan
    if operation == op.LOG1P:
        return math.log1p(x) if x > -1.0 else math.nan
    if operation == op.SQRT:
        return math.sqrt(x) if x >= 0.0 else math.nan
    if operation == op.EXP:
        return _finite(math.exp(x))
    if operation == op.EXPM1:
        return _finite(math.expm1(x))
    if operation == op.SIGMOID:
        if x < 0.0:
            return math.exp(x) / (1.0 + math.exp(x))
        return 1.0 / (1.0 + math.exp(-x))
    return math.log(x) - math.log1p(-x) if 0.0 < x < 1.0 else math.nan  # LOGIT


@_put_in
def _compare(operation: int, x: float, y: float) -> float:
    """A comparison, 1.0 or 0.0; false where a side is missing, whichever comparison it is."""
    if operation == op.LESS:
        holds = x < y
    elif operation == op.LESS_EQUAL:
        holds = x <= y
    elif operation == op.GREATER:
        holds = x > y
    elif operation == op.GREATER_EQUAL:
        holds = x >= y
    elif operation == op.EQUAL:
        holds = x == y
    else:
        holds = x < y or x > y
    return 1.0 if holds else 0.0


@_put_in
def _replace_two(operation: int, x: float, y: float) -> float:
    """An operation on two values, `y` being the top of the stack."""
    if operation >= op.LESS:
        return _compare(operation, x, y)
    if operation == op.ADD:
        return _finite(x + y)
    if operation == op.SUBTRACT:
        return _finite(x - y)
    if operation == op.MULTIPLY:
        return _finite(x * y)
    if operation == op.DIVIDE:
        return _finite(x / y) if y != 0.0 else math.nan
    if operation == op.AND:
        return 1.0 if x == x and x != 0.0 and y == y and y != 0.0 else 0.0
    if operation == op.OR:
        return 1.0 if (x == x and x != 0.0) or (y == y and y != 0.0) else 0.0
    if operation == op.DEFAULT:
        return x if x == x else y
    if x != x or y != y:
        return math.nan
    if operation == op.MIN:
        return min(y, x)
    if operation == op.MAX:
        return max(y, x)
    if operation == op.FLOOR_DIVIDE:
        return _finite(x // y) if y != 0.0 else math.nan
    if operation == op.MODULO:
        return x % y if y != 0.0 else math.nan
    if x == 0.0 and y < 0.0:
        return math.nan
    return _finite(math.pow(x, y))  # POWER


@_jit
def _replace_rows(operation: int, x: Float, y: Float, rows: int) -> None:
    """`_replace_two` on the first rows of a block, in x; the commonest operations have a loop of their own."""
    if operation == op.DIVIDE:
        for i in range(rows):
            x[i] = _finite(x[i] / y[i]) if y[i] != 0.0 else math.nan
    elif operation == op.MULTIPLY:
        for i in range(rows):
            x[i] = _finite(x[i] * y[i])
    elif operation == op.SUBTRACT:
        for i in range(rows):
            x[i] = _finite(x[i] - y[i])
    elif operation == op.DEFAULT:
        for i in range(rows):
            x[i] = x[i] if x[i] == x[i] else y[i]
    else:
        for i in range(rows):
            x[i] = _replace_two(operation, x[i], y[i])


def _run(
    frame: Float,
    keys: Int,
    checks: Int,
    time_ns: Int,
    code: NDArray[np.int32],
    constants: Float,
    literals: Int,
    members: Int,
) -> None:
    """Runs `code` on the rows of the frame, which it reads and writes.

    frame (n, columns), keys and checks (n, entities), time_ns (n,); code (m, 4), see `opcodes`; constants are the
    literals that are numbers, literals (2, 1 + keys) those that are keys, behind the key of the hash for counting;
    members (4, entries) see `Membership`.
    """
    stack = np.empty((op.STACK_MAX, BLOCK), dtype=np.float64)
    for start in range(0, len(frame), BLOCK):
        rows = min(BLOCK, len(frame) - start)
        top = -1
        for step in range(len(code)):
            operation, a, b, c = code[step, 0], code[step, 1], code[step, 2], code[step, 3]
            if operation < op.NEGATE:
                top += 1
                if operation == op.COLUMN:
                    for i in range(rows):
                        stack[top, i] = _finite(frame[start + i, a])
                elif operation == op.CONSTANT:
                    for i in range(rows):
                        stack[top, i] = constants[a]
                else:
                    for i in range(rows):
                        row = start + i
                        stack[top, i] = _push(
                            operation, a, b, c, time_ns[row], keys[row], checks[row], literals, members
                        )
            elif operation < op.AMONG:
                for i in range(rows):
                    stack[top, i] = _replace_one(operation, stack[top, i])
            elif operation < op.ADD:
                for i in range(rows):
                    stack[top, i] = _among(stack[top, i], operation, a, b, c, constants, members, time_ns[start + i])
            elif operation < op.CHAIN_LESS:
                top -= 1
                _replace_rows(operation, stack[top], stack[top + 1], rows)
            elif operation < op.SELECT:
                for i in range(rows):
                    stack[top - 1, i] = _compare(operation - op.CHAIN_STEP, stack[top - 1, i], stack[top, i])
            elif operation == op.SELECT:
                top -= 2
                for i in range(rows):
                    condition = stack[top + 1, i]
                    if not (condition == condition and condition != 0.0):
                        stack[top, i] = stack[top + 2, i]
            else:
                for i in range(rows):
                    frame[start + i, a] = stack[top, i]
                top -= 1


_SIGNATURE = types.void(
    types.float64[:, ::1],
    types.int64[:, ::1],
    types.int64[:, ::1],
    types.int64[::1],
    types.int32[:, ::1],
    types.float64[::1],
    types.int64[:, ::1],
    types.int64[:, ::1],
)

run: Callable[..., None] = compiled_with(_run, _SIGNATURE, error_model="numpy")
"""`_run` compiled for exactly these types: any others raise TypeError and are never compiled for while events wait."""
