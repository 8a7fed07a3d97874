"""Text in charts: escaped, measured and shortened. Numbers have few digits."""

from __future__ import annotations

import re
from html import escape
from math import isnan
from unicodedata import combining, east_asian_width

from homeostat.charts.spec import Number

LETTER = 6.2  # Pixels of a common letter at 11 pixels; east Asian ones take 11.
# XML has no place for these. The bidirectional controls would let a label rewrite the text around it.
_BARRED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def safe(text: str) -> str:
    """Text that can stand in an element or attribute of SVG and HTML.

    >>> safe("<b onload='x'>\\x00")
    '&lt;b onload=&#x27;x&#x27;&gt;\ufffd'
    """
    return escape(_BARRED.sub(_in_place, text))


def _in_place(found: re.Match[str]) -> str:
    return " " if found[0] in "\t\n\r" else "\ufffd"


def width(text: str) -> float:
    """How wide a text is at 11 pixels, about.

    >>> round(width("abc"), 1), width("東京")
    (18.6, 22.0)
    """
    return sum(0.0 if combining(sign) else 11.0 if east_asian_width(sign) in "WF" else LETTER for sign in text)


def fit(text: str, room: float) -> str:
    """The text, shortened with an ellipsis to `room` pixels.

    >>> fit("a long category", 50)
    'a long…'
    """
    if len(text) < 200 and width(text) <= room:
        return text
    used = LETTER
    for n, sign in enumerate(text):
        used += width(sign)
        if used > room:
            return text[:n].rstrip() + "…"
    return text


def number(value: Number, digits: int = 6) -> str:
    """A value as text.

    >>> [number(v) for v in (None, 0.25, 1234567.0, 1e-9, float("-inf"), float("nan"), -0.0)]
    ['missing', '0.25', '1,234,567', '1e-09', 'minus infinite', 'missing', '0']
    """
    if value is None or isnan(value):
        return "missing"
    if value in (float("inf"), float("-inf")):
        return "infinite" if value > 0 else "minus infinite"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"
