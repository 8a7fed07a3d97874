"""Request bodies as JSON values. One broken item of an array costs the others nothing."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec


def _number(text: str) -> int | float:
    """A number with a point or an exponent; a whole one is an integer, as JSON Schema has it, and exact.

    >>> _number("-5.0"), _number("1e17"), _number("0.5"), _number("1e999")
    (-5, 100000000000000000, 0.5, inf)
    """
    value = float(text)
    return int(Decimal(text)) if value.is_integer() else value


_decode = msgspec.json.Decoder(float_hook=_number).decode
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"
FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)


class NotJson(ValueError):
    """A body that is no JSON at all; the text says what is wrong."""


def decoded(body: bytes) -> object:
    """A body as a JSON value. Raises NotJson, also for an array with a broken item: `items` still reads the others."""
    try:
        return _decode(body)
    except FAULTS as error:
        raise NotJson(_said(error)) from error


def items(body: bytes) -> list[object]:
    r"""The items of an array, each decoded on its own; an item that is no JSON stays as its bytes.

    Raises NotJson where the body is no array, or does not end.

    >>> items(b'[{"a": 1}, {"b": oops}, {"c": "\xff"}, [3]]')
    [{'a': 1}, b'{"b": oops}', b'{"c": "\xff"}', [3]]
    """
    text = body.strip(_SPACE)
    if not text.startswith(b"["):
        raise NotJson("it is neither an object nor an array")
    found: list[object] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        what = token[0]
        if what in (b"[", b"{"):
            depth += 1
        elif what in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                if what != b"]" or token.end() != len(text):
                    raise NotJson("something follows the end of the array")
                found.append(_item(text[start : token.start()]))
                return found
        elif what == b"," and depth == 1:
            found.append(_item(text[start : token.start()]))
            start = token.end()
    raise NotJson("the array does not end")


def _item(text: bytes) -> object:
    text = text.strip(_SPACE)
    if not text:
        raise NotJson("an item of the array is missing")
    try:
        return _decode(text)
    except FAULTS:
        return text


def _said(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)
