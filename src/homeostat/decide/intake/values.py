"""The rules for each kind of value, one value at a time: the authority that every faster path must agree with.

`Source` tells the leniences apart: JSON says what is text and what is a number; Parquet files carry whole numbers as
floats where a column has gaps; in CSV everything is text.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from math import isfinite, isnan

import numpy as np

from homeostat.decide.intake.times import ahead_text, time_of_seconds, time_of_text
from homeostat.records.identity import CODE_MAX, Coding, Identity, IdTexts, is_hashed
from homeostat.records.reasons import Reason

TEXT_MAX = 256  # Characters of an id, an entity key or a category.
SHOWN_MAX = 120  # Characters of a value in a dead letter.
INTEGER_MAX = 2**53  # float64 holds every integer up to here.
EVENT = "event"  # The field of a dead letter that no field is to blame for.
# Matched text is never given back, so that a long text is read once.
_NUMBER = re.compile(r"[+-]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,400}", re.ASCII)
SPACE = " \t\n\v\f\r"


class Source(IntEnum):
    """Where values come from."""

    JSON = 0
    COLUMNS = 1
    TEXT = 2


class Fault(Exception):
    """A value that breaks a rule; becomes a dead letter."""

    def __init__(self, reason: Reason, value: object, detail: str = "", ahead_ns: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value
        self.detail, self.ahead_ns = detail, ahead_ns


def plain(value: object, source: Source) -> object:
    """A value as JSON could have carried it: None for what counts as missing, Python's own types for NumPy's."""
    if source is Source.TEXT:
        return (value.strip(SPACE) or None) if isinstance(value, str) else value
    if isinstance(value, np.generic):
        value = value.item()
    if source is Source.COLUMNS:
        if isinstance(value, float) and isnan(value):
            return None
        if isinstance(value, Decimal) and value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise Fault(Reason.MALFORMED, value) from None
    return value


def text(value: str) -> str:
    """A text that may be a key or a category."""
    if len(value) > TEXT_MAX:
        raise Fault(Reason.OUT_OF_RANGE, value)
    if "\0" in value or not (value.isascii() or _encodable(value)):
        raise Fault(Reason.MALFORMED, value)
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # A lone surrogate.
        return False
    return True


def key(value: object, coding: Coding, texts: IdTexts, source: Source) -> Identity:
    """The identity of an id or entity key; a hashed one's text goes to `texts`."""
    kind = type(value)
    if kind is int and -CODE_MAX <= value <= CODE_MAX:  # type: ignore[operator]
        return value, 0  # type: ignore[return-value]
    if kind is str:
        found = coding.identify(text(value))  # type: ignore[arg-type]
    elif isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > 4 * TEXT_MAX or len(str(value)) > TEXT_MAX:
            raise Fault(Reason.OUT_OF_RANGE, value)
        found = coding.identify(value)
    elif isinstance(value, float) and source is Source.COLUMNS and value.is_integer():
        if abs(value) > INTEGER_MAX:  # The column has rounded it: another id may look the same.
            raise Fault(Reason.OUT_OF_RANGE, value)
        return int(value), 0
    else:
        raise Fault(Reason.WRONG_TYPE, value)
    if is_hashed(found[0]):
        name = str(value)
        if texts.setdefault(found, name) != name:
            raise Fault(Reason.AMBIGUOUS, value)
    return found


def number(value: object, source: Source) -> float:
    """A finite number."""
    if type(value) is float:
        result = value
    elif isinstance(value, int) and not isinstance(value, bool):
        try:
            result = float(value)
        except OverflowError:
            raise Fault(Reason.OUT_OF_RANGE, value) from None
    elif source is Source.TEXT and isinstance(value, str) and _NUMBER.fullmatch(value):
        result = float(value)
    else:
        comma = source is Source.TEXT and isinstance(value, str) and _NUMBER.fullmatch(value.replace(",", ".", 1))
        raise Fault(Reason.WRONG_TYPE, value, "it has a comma where a point is read" if comma else "")
    if not isfinite(result):
        raise Fault(Reason.OUT_OF_RANGE, value)
    return result + 0.0  # Makes -0.0 0.0: equal values must have equal bits.


def integer(value: object, source: Source) -> float:
    """A whole number that float64 holds exactly."""
    result = number(value, source)
    if not result.is_integer():
        raise Fault(Reason.WRONG_TYPE, value)
    if abs(result) > INTEGER_MAX:
        raise Fault(Reason.OUT_OF_RANGE, value)
    return result


def boolean(value: object, source: Source) -> float:
    """True, false, 1 or 0."""
    if isinstance(value, str) and source is Source.TEXT:
        lower = value.lower()
        if lower in ("true", "false"):
            return float(lower == "true")
        return _zero_or_one(number(value, source), value)
    if isinstance(value, bool):
        return float(value)
    return _zero_or_one(number(value, source), value)


def _zero_or_one(result: float, value: object) -> float:
    if result not in (0.0, 1.0):
        raise Fault(Reason.OUT_OF_RANGE, value)
    return result


def category(value: object, coding: Coding, allowed: frozenset[str] | None) -> float:
    """The code of a category's name, which is one of those allowed."""
    if not isinstance(value, str):
        raise Fault(Reason.WRONG_TYPE, value)
    code = coding.category(text(value))
    if allowed is not None and value not in allowed:
        raise Fault(Reason.OUT_OF_RANGE, value)
    return code


def time(value: object, now_ns: int, ahead_max_ns: int, source: Source) -> int:
    """An event time, at most `ahead_max_ns` ahead of the clock, which shows `now_ns`."""
    ns: int | None
    if isinstance(value, str):
        ns = time_of_text(value)
        if ns is None and source is Source.TEXT:
            if _INTEGER.fullmatch(value):
                ns = time_of_seconds(int(value))
            elif _NUMBER.fullmatch(value):
                ns = time_of_seconds(float(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        ns = time_of_seconds(value)
    elif isinstance(value, datetime):
        ns = time_of_text((value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat())
    elif isinstance(value, date):
        ns = time_of_text(value.isoformat())
    else:
        raise Fault(Reason.WRONG_TYPE, value)
    if ns is None:
        raise Fault(Reason.BAD_TIME, value)
    if ns > now_ns + ahead_max_ns:
        raise Fault(Reason.TOO_EARLY, value, ahead_text(ns - now_ns), ns - now_ns)
    return ns


def shown(value: object) -> str:
    r"""A value as a dead letter shows it: short, on one line, and nothing that a terminal would obey.

    >>> shown("a\x00b\ud800")
    'a\\x00b\\ud800'
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        short = value[: SHOWN_MAX + 1].decode("utf-8", "backslashreplace")
    elif isinstance(value, str):
        short = value[: SHOWN_MAX + 1]
    elif isinstance(value, list | tuple | dict | set):
        short = f"{type(value).__name__} of {len(value)}"  # Its inside may be deep, huge or both.
    else:
        try:
            short = str(value)[: SHOWN_MAX + 1]
        except Exception:  # An integer beyond Python's digit limit, or a foreign type's own failure.
            short = type(value).__name__
    safe = short if short.isprintable() else "".join(map(_safe, short))
    return safe if len(safe) <= SHOWN_MAX else safe[: SHOWN_MAX - 1] + "…"


def _safe(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
