"""Text to a syntax tree small enough to walk, and a window's filter to its two conditions."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from enum import IntEnum
from functools import lru_cache

from homeostat.expressions.scope import ExpressionError
from homeostat.expressions.wording import slip

LENGTH_MAX = 2000
"""Characters; what is longer should be several derived features."""

NESTING_MAX = 50
"""Levels of one expression inside another; sums and products of many terms are one level."""


def parse(text: str) -> ast.expr:
    """The syntax tree of an expression; raises ExpressionError. Nothing is evaluated."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"{len(text)} characters are too many: at most {LENGTH_MAX}", LENGTH_MAX)
    _refuse_comments(text)
    line = re.sub(r"\s", " ", text)  # A folded YAML string is one expression; offsets stay.
    lead = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(line[lead:], mode="eval").body
    except SyntaxError as error:
        meant = slip(line)
        if meant is not None:
            raise ExpressionError(*meant) from None
        place = lead + max((error.offset or 1) - 1, 0)
        raise ExpressionError(f"this is not an expression: {error.msg}", min(place, len(text))) from None
    except (ValueError, MemoryError, RecursionError, OverflowError):
        raise ExpressionError("this is not an expression, or is nested too deep") from None
    _Measure(line, lead).check(tree)
    return tree


@lru_cache(maxsize=1024)  # An app asks for those of one expression some ten times while it is loaded.
def names_in(text: str) -> frozenset[str]:
    """The names in an expression; none where it is not one."""
    try:
        return frozenset(node.id for node in ast.walk(parse(text)) if isinstance(node, ast.Name))
    except ExpressionError:
        return frozenset()


def _refuse_comments(text: str) -> None:
    """A comment would hide what comes after it once lines are joined."""
    if "#" not in text:
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                raise ExpressionError("an expression has no comments", text.index("#"))
    except (tokenize.TokenError, SyntaxError):  # Left to the parser, which words it better.
        return


class _Measure:
    """Turns byte offsets into characters, and refuses what is nested too deep or written with look-alikes."""

    def __init__(self, line: str, lead: int) -> None:
        self._line, self._lead = line, lead
        self._bytes = line[lead:].encode("utf-8", "surrogatepass")

    def check(self, tree: ast.expr) -> None:
        waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
        while waiting:
            node, depth = waiting.pop()
            if isinstance(node, ast.expr):
                start, stop = node.col_offset, node.end_col_offset or 0
                node.col_offset = self._characters(start)
                node.end_col_offset = self._characters(stop)
                if depth > NESTING_MAX:
                    raise ExpressionError(f"nested deeper than {NESTING_MAX} levels", node.col_offset)
                if isinstance(node, ast.Name) and stop - start != len(node.id):
                    raise ExpressionError("names are written in plain letters", node.col_offset)
            left = node.left if isinstance(node, ast.BinOp) else None
            for child in ast.iter_child_nodes(node):
                waiting.append((child, depth if child is left and isinstance(left, ast.BinOp) else depth + 1))

    def _characters(self, offset: int) -> int:
        return self._lead + len(self._bytes[:offset].decode("utf-8", "surrogatepass"))


class LabelCondition(IntEnum):
    """Which events a filter admits by their outcome."""

    ANY = 0
    POSITIVE = 1
    NEGATIVE = 2
    KNOWN = 3


def split_conjunction(text: str, label: str) -> tuple[LabelCondition, str | None]:
    """A window's filter as its condition on the outcome's label and its condition on the event, None if there is none.

    The label may be asked about as a term of a conjunction: `label == 1`, `label == 0`, `not missing(label)`.
    Raises ExpressionError where it is named in any other way.

    >>> split_conjunction("fraud == 1 and amount <= 220", "fraud")
    (<LabelCondition.POSITIVE: 1>, 'amount <= 220')
    >>> split_conjunction("not missing(fraud)", "fraud")
    (<LabelCondition.KNOWN: 3>, None)
    """
    tree = parse(text)
    condition = LabelCondition.ANY
    rest: list[ast.expr] = []
    for term in _terms(tree):
        found = _label_condition(term, label)
        if found is None:
            _refuse_label(term, label)
            rest.append(term)
        elif {condition, found} == {LabelCondition.POSITIVE, LabelCondition.NEGATIVE}:
            raise ExpressionError(f"{label} cannot be both 0 and 1", term.col_offset)
        elif condition in (LabelCondition.ANY, LabelCondition.KNOWN):
            condition = found
    if not rest:
        return condition, None
    if condition == LabelCondition.ANY:
        return condition, text
    pieces = [text[term.col_offset : term.end_col_offset] for term in rest]
    if len(pieces) > 1:
        pieces = [p if isinstance(t, ast.Compare | ast.Name | ast.Call) else f"({p})" for p, t in zip(pieces, rest)]
    return condition, " and ".join(pieces)


def _terms(tree: ast.expr) -> list[ast.expr]:
    """The terms of a conjunction, in order; nesting is limited by `parse`."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [term for value in tree.values for term in _terms(value)]
    return [tree]


def _label_condition(term: ast.expr, label: str) -> LabelCondition | None:
    match term:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Eq()], comparators=[ast.Constant(value=value)]):
            if name == label and type(value) in (int, float) and value in (0, 1):
                return LabelCondition.POSITIVE if value == 1 else LabelCondition.NEGATIVE
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name(id="missing"), args=[ast.Name(id=name)])):
            if name == label:
                return LabelCondition.KNOWN
    return None


def _refuse_label(term: ast.expr, label: str) -> None:
    for node in ast.walk(term):
        if isinstance(node, ast.Name) and node.id == label:
            raise ExpressionError(
                f"the outcome may only be asked about as `{label} == 1`, `{label} == 0` or `not missing({label})`, "
                "joined by `and`",
                node.col_offset,
            )
