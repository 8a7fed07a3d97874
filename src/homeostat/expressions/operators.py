"""Which operator and function of the language is which instruction."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from homeostat.expressions import opcodes as op

ARITHMETIC: dict[type[ast.operator], int] = {
    ast.Add: op.ADD,
    ast.Sub: op.SUBTRACT,
    ast.Mult: op.MULTIPLY,
    ast.Div: op.DIVIDE,
    ast.FloorDiv: op.FLOOR_DIVIDE,
    ast.Mod: op.MODULO,
    ast.Pow: op.POWER,
}
FOLDED: dict[int, Callable[[float, float], float]] = {
    op.ADD: lambda x, y: x + y,
    op.SUBTRACT: lambda x, y: x - y,
    op.MULTIPLY: lambda x, y: x * y,
    op.DIVIDE: lambda x, y: x / y if y else math.nan,
}
COMPARISONS: dict[type[ast.cmpop], int] = {
    ast.Lt: op.LESS,
    ast.LtE: op.LESS_EQUAL,
    ast.Gt: op.GREATER,
    ast.GtE: op.GREATER_EQUAL,
    ast.Eq: op.EQUAL,
    ast.NotEq: op.NOT_EQUAL,
}
OF_NUMBER = {
    "abs": op.ABS,
    "log": op.LOG,
    "log1p": op.LOG1P,
    "exp": op.EXP,
    "expm1": op.EXPM1,
    "sqrt": op.SQRT,
    "floor": op.FLOOR,
    "ceil": op.CEIL,
    "sigmoid": op.SIGMOID,
    "logit": op.LOGIT,
}
OF_TIME = {"hour": op.HOUR, "minute": op.MINUTE, "weekday": op.WEEKDAY, "day": op.DAY}
ARGUMENTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(OF_NUMBER, (1, 1)),
    **dict.fromkeys(OF_TIME, (1, 1)),
    "min": (2, 64),
    "max": (2, 64),
    "clip": (3, 3),
    "missing": (1, 1),
    "default": (2, 2),
}
"""Function -> how few and how many arguments it takes."""

FUNCTIONS = tuple(ARGUMENTS)
"""The functions that an expression may call."""
