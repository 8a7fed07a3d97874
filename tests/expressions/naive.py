"""The naive twin of the expression language: Python's own operators over the syntax tree, one row at a time."""

from __future__ import annotations

import ast
import datetime
import math
import operator
from collections.abc import Mapping

from homeostat.records.identity import ABSENT

NAN = math.nan
EPOCH = datetime.datetime(1970, 1, 1)
COMPARE = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.In: lambda x, y: x in y, ast.NotIn: lambda x, y: x not in y,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip


class Key(str):
    """An entity's key, as its text."""


def missing(x) -> bool:
    return x is None or (isinstance(x, float) and math.isnan(x))


def finite(compute, *arguments: float) -> float:
    """The number that a computation gives, NaN when it gives none."""
    if any(missing(a) for a in arguments):
        return NAN
    try:
        result = compute(*(float(a) for a in arguments))
    except (ZeroDivisionError, ValueError, OverflowError):
        return NAN
    return result if isinstance(result, float) and math.isfinite(result) else NAN


FUNCTIONS = {
    "abs": abs, "log": math.log, "log1p": math.log1p, "exp": math.exp, "expm1": math.expm1, "sqrt": math.sqrt,
    "floor": lambda x: float(math.floor(x)), "ceil": lambda x: float(math.ceil(x)),
    "min": min, "max": max, "clip": lambda x, low, high: min(max(x, low), high),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)),
    "logit": lambda x: math.log(x) - math.log1p(-x),
}  # fmt: skip


def truth(x) -> bool:
    return not missing(x) and x != 0


def evaluate(text: str, row: Mapping, lists: Mapping[str, list], time_ns: int):
    """A row maps names to floats (NaN missing), text (categories), Key (entities) or None.

    lists : name -> [(member, since_ns, until_ns)]
    """
    moment = EPOCH + datetime.timedelta(microseconds=time_ns // 1000)

    def value(node: ast.expr):
        match node:
            case ast.Constant(value=v):
                return v if isinstance(v, str) else float(v)
            case ast.Name(id=name):
                return row[name]
            case ast.BinOp(left=left, op=op, right=right):
                return finite(ARITHMETIC[type(op)], value(left), value(right))
            case ast.UnaryOp(op=op, operand=operand):
                return float(not truth(value(operand))) if isinstance(op, ast.Not) else -value(operand)
            case ast.BoolOp(op=op, values=values):
                held = [truth(value(v)) for v in values]
                return float(all(held) if isinstance(op, ast.And) else any(held))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return value(body) if truth(value(test)) else value(orelse)
            case ast.Compare():
                return compare(node)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return call(name, arguments)
        raise AssertionError(ast.dump(node))

    def members(node: ast.expr, like) -> list:
        if isinstance(node, ast.Name):
            return [m for m, since, until in lists[node.id] if since <= time_ns < until]
        return [side(e, like) for e in node.elts]

    def side(node: ast.expr, like):
        if isinstance(like, Key):
            return Key(ast.literal_eval(node)) if not isinstance(node, ast.Name) else value(node)
        return value(node)

    def compare(node: ast.Compare) -> float:
        nodes = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, nodes, nodes[1:]):
            if isinstance(op, ast.In | ast.NotIn):
                x = value(left)
                held = not missing(x) and COMPARE[type(op)](x, members(right, x))
            else:
                x = value(left) if not isinstance(left, ast.Constant) else None
                y = side(right, x) if not missing(x) else value(right)
                x = value(left)
                held = not missing(x) and not missing(y) and COMPARE[type(op)](x, y)
            if not held:
                return 0.0
        return 1.0

    def call(name: str, arguments: list[ast.expr]):
        if name == "hour":
            return float(moment.hour)
        if name == "minute":
            return float(moment.minute)
        if name == "weekday":
            return float(moment.weekday())
        if name == "day":
            return float(moment.day)
        first = value(arguments[0])
        if name == "missing":
            return float(missing(first))
        if name == "default":
            return value(arguments[1]) if missing(first) else first
        return finite(FUNCTIONS[name], first, *(value(a) for a in arguments[1:]))

    return value(ast.parse(text.strip(), mode="eval").body)


def identity(key: Key | None, coding) -> tuple[int, int]:
    return (ABSENT, 0) if key is None else coding.identify(key)
