"""The border: the one place where bytes from outside become values.

Nothing beyond it parses JSON that others wrote. It never raises: a message that can't be read is an `Unread`, which
says why, and becomes one dead letter. A message has a budget: so many bytes, so many levels; every pass over it is
linear in its length, so these bound time and memory too.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NoReturn

import msgspec
import numpy as np

from homeostat.records.arrays import Bytes, Int

MESSAGE_MAX = 1 << 20  # Bytes of one event. It needs a few hundred; memory is some 25 times as much at the worst.
DEPTH_MAX = 64  # Levels of nesting; no event has any need of them.
ITEMS_MAX = 1 << 16  # Events of one body.
SPACE = b" \t\r\n"
_DIGITS_MAX = 1024  # Longer integers are not computed: conversion takes time with the square of their length.
_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder().decode
_decode_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Anything(msgspec.Struct):
    """Fits every JSON object and keeps nothing of it."""


_check_syntax = msgspec.json.Decoder(_Anything).decode


class Unread:
    """A message that is no JSON.

    why : what the parser knows, as the end of a sentence that begins with the message
    value : what a lenient parser made of it (a NaN, half a surrogate pair): it may show which field is to blame
    """

    __slots__ = ("raw", "value", "why")

    def __init__(self, raw: bytes, why: str, value: object = None) -> None:
        self.raw, self.why, self.value = raw, why, value

    def __repr__(self) -> str:
        return f"Unread({self.raw[:40]!r}, {self.why!r})"


class Texts(dict[str, object]):
    """An event whose members are all text: each is read by its declared type, as in CSV."""


class TextMessage(bytes):
    """A message that is a JSON object of texts: the fields of an entry that knows no types."""


class Huge(int):
    """An integer of more digits than are computed: out of every range, and shown as it was written."""

    text: str

    def __new__(cls, text: str) -> Huge:
        """`text` : its digits, perhaps with a sign."""
        made = super().__new__(cls, -(10**_DIGITS_MAX) if text.startswith("-") else 10**_DIGITS_MAX)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text


class Broken(ValueError):
    """A body that is no JSON as a whole; the text says why."""


class TooMany(Broken):
    """A body with more events than are read of one."""


def value_of(raw: bytes) -> object:
    r"""One message's JSON value; an `Unread` where it is none. Of a name that occurs twice the last value counts.

    >>> value_of(b'{"a": 1}'), value_of(b'{"a": 1,}')
    ({'a': 1}, Unread(b'{"a": 1,}', 'has a trailing comma in an object (byte 8)'))
    """
    if len(raw) > MESSAGE_MAX:
        return Unread(raw, f"is longer than {MESSAGE_MAX >> 20} MiB")
    if too_deep(raw):
        return Unread(raw, f"is nested deeper than {DEPTH_MAX} levels")
    try:
        value = _decode(raw)
    except Exception as error:  # The border's very purpose: of whatever kind it is.
        return _lenient(raw, error)
    if type(raw) is TextMessage and type(value) is dict:
        return Texts(value)
    return value


def _lenient(raw: bytes, error: Exception) -> object:
    """A message that the strict parser refuses, read by one that takes NaN, half surrogate pairs and huge numbers."""
    constants: list[str] = []

    def constant(name: str) -> float:
        constants.append(name)
        return float(name)

    try:
        text = raw.decode()
        value = json.loads(text, parse_int=_integer, parse_constant=constant)
    except Exception as worse:
        return Unread(raw, _why(raw, worse if isinstance(worse, UnicodeDecodeError) else error))
    if constants:
        return Unread(raw, f"holds {constants[0]}, which is no JSON", value)
    if type(raw) is TextMessage and type(value) is dict:
        return Texts(value)  # Text that is no UTF-8 is half a surrogate pair by now, which its own field refuses.
    if type(value) is dict:
        try:
            _check_syntax(raw)  # Huge numbers in members that mean nothing do no harm; anything else does.
        except Exception:
            return Unread(raw, "holds half a surrogate pair", value)
    return value


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS_MAX else Huge(digits)


_WORDS = (
    ("trailing comma in array", "has a trailing comma in an array"),
    ("trailing comma in object", "has a trailing comma in an object"),
    ("trailing characters", "goes on after its end"),
    ("keys must be strings", "has a name that is no text"),
    ("invalid number", "has a number that is none"),
    ("invalid escape", "has an invalid escape in a text"),
    ("invalid character", "has a character that does not belong there"),
)


def _why(raw: bytes, error: Exception) -> str:
    """The parser's finding, for people."""
    text = str(error)
    if not raw.strip(SPACE):
        return "is empty"
    if raw.startswith(_BOM):
        return "begins with a byte order mark: send UTF-8 without one"
    if raw.startswith(b"\x1f\x8b"):
        return "is gzipped: unpack it, or declare how it is packed"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:4]:
        return "is UTF-16 or UTF-32: send UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return f"is no UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return f"is nested deeper than {DEPTH_MAX} levels"
    if "truncated" in text:
        return "ends too early"
    at = text[text.rindex(" (byte ") :] if " (byte " in text else ""
    for sign, words in _WORDS:
        if sign in text:
            return words + at
    return f"can't be read: {text}"


def too_deep(raw: bytes, levels: int = DEPTH_MAX) -> bool:
    """Whether brackets nest deeper than so many levels."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    return bool(_depths(_outside(raw)).max(initial=0) > levels)


_STEP = np.zeros(256, np.int8)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1


def _outside(raw: bytes) -> Bytes:
    """The bytes with 0 for all that texts hold; a text that is never closed goes on to the end.

    Escaped backslashes go first: then each escaped quote has one, and each quote without one begins or ends a text.
    """
    plain = np.frombuffer(raw.replace(b"\\\\", b"__").replace(b'\\"', b"__"), np.uint8)
    inside = np.bitwise_and(np.cumsum(plain == ord('"'), dtype=np.int32), 1)
    return plain * (1 - inside).astype(np.uint8)


def _depths(outside: Bytes) -> Int:
    return np.cumsum(_STEP[outside], dtype=np.int32)


def body_of(body: bytes) -> object:
    """A body's JSON value, its items read as `value_of` reads them.

    Raises Broken where it is no JSON; for an array with a broken item, too: `items_of` still reads the others.
    """
    if not _is_array(body):
        value = value_of(body)
        if isinstance(value, Unread) and value.value is None:
            raise Broken(value.why)
        return value
    try:
        value = _decode(body)
    except Exception as error:
        raise Broken(_why(body, error)) from None
    assert isinstance(value, list)
    if len(value) > ITEMS_MAX:
        raise TooMany(_too_many(len(value)))
    plain = body.count(b"[") + body.count(b"{") <= len(value) + DEPTH_MAX
    if plain and len(body) <= MESSAGE_MAX:
        return value
    return items_of(body)


def items_of(body: bytes) -> list[object]:
    r"""The items of an array, each read on its own; one that is no JSON is an `Unread`.

    Raises Broken where the body is no array, or does not end.

    >>> items_of(b'[{"a": 1}, {"b": oops}, [3]]')
    [{'a': 1}, Unread(b'{"b": oops}', 'has a character that does not belong there (byte 6)'), [3]]
    """
    if not _is_array(body):
        _refuse_whole(body)
    return [value_of(item) for item in elements_of(body)]


def elements_of(body: bytes) -> list[bytes]:
    """The items of an array, each still JSON, or what stands in the place of one. Raises as `items_of`."""
    try:
        found = [bytes(element) for element in _decode_elements(body)]
    except Exception as error:
        found = _split(body.strip(SPACE), error)
    if len(found) > ITEMS_MAX:
        raise TooMany(_too_many(len(found)))
    return found


def _split(text: bytes, error: Exception) -> list[bytes]:
    """The items of a broken array: what lies between the commas of its own level."""
    outside = _outside(text)
    depth = _depths(outside)
    ends = np.flatnonzero(depth <= 0)
    if not len(ends):
        raise Broken("ends too early: the array does not end")
    end = int(ends[0])
    if end != len(text) - 1:
        raise Broken("goes on after the end of the array")
    commas = np.flatnonzero((outside == ord(",")) & (depth == 1))
    if len(commas) >= ITEMS_MAX:
        raise TooMany(_too_many(len(commas) + 1))
    marks = [0, *commas.tolist(), end]
    found = [text[start + 1 : stop].strip(SPACE) for start, stop in pairwise(marks)]
    if not all(found):
        raise Broken(_why(text, error))
    return found


def _too_many(count: int) -> str:
    return f"has {count} events, where one body may have {ITEMS_MAX}"


def _is_array(body: bytes) -> bool:
    return body.lstrip(SPACE)[:1] == b"["


def _refuse_whole(body: bytes) -> NoReturn:
    value = value_of(body)
    raise Broken(value.why if isinstance(value, Unread) else "is neither an object nor an array")
