"""Literals of an expression as the numbers that the stack machine compares."""

from __future__ import annotations

import ast
import math

from homeostat.expressions.scope import ExpressionError, Type
from homeostat.records.identity import category_code


def number_of(node: ast.Constant) -> float:
    """A number's value; raises ExpressionError for other constants and for what float64 cannot hold."""
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise ExpressionError(f"{type(node.value).__name__} values are not for here", node.col_offset)
    try:
        number = float(node.value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ExpressionError("this number is too large", node.col_offset)
    return number


def _signed(node: ast.expr) -> tuple[ast.expr, int]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand, -1
    return node, 1


def key_of(node: ast.expr) -> int | str:
    """An entity's key, written as a text or an integer."""
    inner, sign = _signed(node)
    if isinstance(inner, ast.Constant):
        if isinstance(inner.value, str) and sign == 1:
            return inner.value
        if isinstance(inner.value, int) and not isinstance(inner.value, bool):
            return sign * inner.value
    raise ExpressionError("an entity is compared with its key, a text or an integer", node.col_offset)


def element_of(node: ast.expr, kind: Type) -> float:
    """One literal of a list after `in`."""
    inner, sign = _signed(node)
    if isinstance(inner, ast.Constant):
        if isinstance(inner.value, str):
            if kind == Type.CATEGORY and sign == 1:
                return category_code(inner.value)
        elif kind != Type.CATEGORY:
            return sign * (float(inner.value) if isinstance(inner.value, bool) else number_of(inner))
    wanted = "texts" if kind == Type.CATEGORY else "numbers"
    raise ExpressionError(f"the list after `in` holds {wanted}, written out", node.col_offset)
