"""Parts of the mappings of an app file: durations, names, expressions, and the frozen mapping itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}
DURATION_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)\s*$"
_SPAN_NS_MAX = 2**60  # 36 years: no sum of a few of them with a time leaves 64 bits.


def duration_ns(text: object) -> int:
    """A duration such as `7d`, `1.5h` or `250ms` in nanoseconds.

    >>> duration_ns("1.5h")
    5400000000000
    """
    pattern = r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|d|w)\s*"
    match = re.fullmatch(pattern, text) if isinstance(text, str) else None
    if match is None:
        shown = text if len(str(text)) <= 40 else f"{str(text)[:40]}..."
        raise ValueError(f"{shown!r} is not a duration: write a number and one of {', '.join(_UNITS_NS)}, as in 7d")
    span_ns = round(float(match[1]) * _UNITS_NS[match[2]])
    if span_ns > _SPAN_NS_MAX:
        raise ValueError(f"{text!r} is too long: at most 36 years")
    return span_ns


def duration_text(span_ns: int) -> str:
    """A span as an app file would write it: in the largest unit of which it is a whole number.

    >>> duration_text(7 * 86_400 * 10**9), duration_text(90 * 10**9), duration_text(1)
    ('7d', '90s', '1e-06ms')
    """
    for unit, length_ns in (("d", _UNITS_NS["d"]), ("h", _UNITS_NS["h"]), ("m", _UNITS_NS["m"]), ("s", _UNITS_NS["s"])):
        if span_ns % length_ns == 0:
            return f"{span_ns // length_ns}{unit}"
    return f"{span_ns / _UNITS_NS['ms']:g}ms"


def _number_as_text(value: object) -> object:
    """Lets a plain number stand where an expression is asked for: `negative: 0`."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _length(text: str) -> str:
    """A window's length stays a text, which names its features; it is a duration all the same."""
    if duration_ns(text) <= 0:
        raise ValueError("a window should be longer than nothing")
    return text


def _setting(value: object) -> object:
    """A setting as it always was kept: a list of numbers as floats, so that the app's fingerprint stays."""
    if not isinstance(value, list):
        return value
    numbers = all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)
    return tuple(map(float, value)) if numbers else tuple(value)


Duration = Annotated[
    int,
    BeforeValidator(duration_ns, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)]),
]
Length = Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m|h|d|w)$"), AfterValidator(_length)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Expression = Annotated[
    Annotated[str, Field(min_length=1, max_length=2000)],
    BeforeValidator(_number_as_text, json_schema_input_type=Annotated[str | float, Field()]),
]
Share = Annotated[float, Field(ge=0, le=1)]
Setting = Annotated[Any, BeforeValidator(_setting)]  # Each kind's own type says what it may be: `settings`.


class Node(BaseModel):
    """A frozen mapping of the app file; unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
