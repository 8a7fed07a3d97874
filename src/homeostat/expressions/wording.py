"""The wording for text that is no expression, and what was probably meant."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from homeostat.expressions.scope import Type

A = {
    Type.NUMBER: "a number",
    Type.BOOLEAN: "true or false",
    Type.CATEGORY: "a category",
    Type.ENTITY: "an entity",
    Type.TIME: "a time",
    Type.TEXT: "a text",
}
DOMAIN: dict[str, Callable[[float], bool]] = {
    "log": lambda x: x > 0, "log1p": lambda x: x > -1, "sqrt": lambda x: x >= 0, "logit": lambda x: 0 < x < 1,
}  # fmt: skip

_TEXTS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_SLIPS: tuple[tuple[str, str, str | None], ...] = (
    (r"&&", "`and` joins conditions here, not `&&`", "and"),
    (r"\|\|", "`or` joins conditions here, not `||`", "or"),
    (r"!==", "`!=` compares here, not `!==`", "!="),
    (r"===", "`==` compares here, not `===`", "=="),
    (r"<>", "`!=` compares here, not `<>`", "!="),
    (r"=>", "this comparison is written `>=`", ">="),
    (r"=<", "this comparison is written `<=`", "<="),
    (r"!(?!=)", "`not` denies a condition here, not `!`", "not"),
    (r"(?<![<>=!:])=(?!=)", "`==` compares; a single `=` means nothing here", "=="),
    (r"\?", "a choice is written `a if condition else b`", None),
    (r"\b(?:AND|OR|NOT|IN|IF|ELSE)\b", "this word is written in small letters", None),
    (r"\bbetween\b", "a range is written `1 <= x <= 5`", None),
    (r"\blike\b", "a category is compared as a whole, by == or `in`", None),
    (r"^\s*(?:if|when|where)\b", "leave this word out: the condition stands alone", None),
    (r"%\s*$|%\s*\)", "a share is a number: 5 % is written 0.05", None),
    (r"[$€£@;{}\\~`]", "this sign is not part of the language", None),
)


def slip(line: str) -> tuple[str, int, str | None] | None:
    """A slip into another language: the message, its place, and what was meant. None if nothing was.

    >>> slip("amount > 3 && night")
    ('`and` joins conditions here, not `&&`', 11, 'and')
    """
    bare = _TEXTS.sub(lambda text: " " * len(text[0]), line)
    found = [
        (match.start(), order, message, meant)
        for order, (pattern, message, meant) in enumerate(_SLIPS)
        if (match := re.search(pattern, bare)) is not None
    ]
    if not found:
        return None
    place, _, message, meant = min(found)
    word = bare[place:].split()[0] if meant is None and "small letters" in message else None
    return message, place, word.lower() if word is not None else meant


def dotted(node: ast.expr) -> str:
    """`score.forest` as `score_forest`; empty for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}_{node.attr}"
    return ""


def refusal(node: ast.expr) -> str:
    """Why a part of a syntax tree has no meaning here."""
    match node:
        case ast.Attribute(attr=attr):
            return f"a name has no parts here, such as .{attr}"
        case ast.Subscript():
            return "nothing has items here: each field, feature and list is asked about by its name"
        case ast.Tuple() | ast.List() | ast.Set():
            return "a list of literals stands only after `in`; a number has a point, not a comma"
        case ast.Lambda() | ast.NamedExpr():
            return "an expression defines nothing"
        case ast.JoinedStr():
            return "texts are plain literals"
    return "this is not part of the expression language"
