"""The elements of SVG that charts are made of, as text.

A coordinate has one decimal, so that bytes are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from homeostat.charts.style import DASHES, SERIES_LIGHT
from homeostat.charts.text import safe

COLOURS = len(SERIES_LIGHT)


class Box(NamedTuple):
    """A rectangle, in pixels from the top left."""

    left: float
    top: float
    width: float
    height: float

    def x(self, share: float) -> float:
        """From the left to the right edge."""
        return self.left + share * self.width

    def y(self, share: float) -> float:
        """From the bottom to the top edge."""
        return self.top + (1.0 - share) * self.height


Point = tuple[float, float]


def place(value: float) -> str:
    """A coordinate.

    >>> place(2.0), place(-0.01), place(3.14159)
    ('2', '0', '3.1')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def colour(k: int) -> int:
    """The colour of series k. They repeat."""
    return k % COLOURS


def dash(k: int) -> str:
    """The attribute for the dashes of series k. No two of the first 36 share colour and dashes."""
    pattern = DASHES[(k + k // COLOURS) % len(DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def path(points: Iterable[Point], k: int, extra: str = "") -> str:
    """A line through points."""
    through = " ".join(f"{place(x)},{place(y)}" for x, y in points)
    return f'<polyline class="s{colour(k)}" points="{through}" fill="none" stroke-width="1.8"{extra}/>'


def area(points: Iterable[Point], k: int) -> str:
    """The band of series k."""
    through = " ".join(f"{place(x)},{place(y)}" for x, y in points)
    return f'<polygon class="f{colour(k)}" points="{through}" fill-opacity="0.2"/>'


def segment(x1: float, y1: float, x2: float, y2: float, name: str, extra: str = "") -> str:
    """A straight line of a class."""
    return f'<line class="{name}" x1="{place(x1)}" y1="{place(y1)}" x2="{place(x2)}" y2="{place(y2)}"{extra}/>'


def text(x: float, y: float, words: str, name: str = "", anchor: str = "start") -> str:
    """A text. `anchor` says which of its ends is at x."""
    of_class = f' class="{name}"' if name else ""
    at_end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{of_class} x="{place(x)}" y="{place(y)}"{at_end}>{safe(words)}</text>'


def rect(box: Box, name: str, tip: str = "") -> str:
    """A filled rectangle. `tip` shows under the pointer."""
    left, top, width, height = map(place, box)
    inside = f"><title>{safe(tip)}</title></rect>" if tip else "/>"
    return f'<rect class="{name}" x="{left}" y="{top}" width="{width}" height="{height}"{inside}'


def dot(x: float, y: float, k: int, tip: str = "", size: float = 3.5) -> str:
    """The marker of series k: one of six shapes, that go with the six colours at other paces."""
    shape = (k + k // COLOURS) % 6
    if shape == 0:
        outline = "".join(f"M{place(x - size)},{place(y)}a{place(size)},{place(size)} 0 1 0 {place(2 * size)},0"
                          f"a{place(size)},{place(size)} 0 1 0 {place(-2 * size)},0z")  # fmt: skip
    else:
        outline = _OUTLINES[shape - 1].replace("s", place(size)).replace("d", place(2 * size))
        outline = f"M{place(x)},{place(y)}" + outline
    inside = f"><title>{safe(tip)}</title></path>" if tip else "/>"
    return f'<path class="f{colour(k)}" d="{outline}"{inside}'


# Square, triangle, diamond, cross and hourglass around the point; s is the size, d twice the size.
_OUTLINES = (
    "m-s,-s h d v d h-d z",
    "m0,-s l s,d h-d z",
    "m0,-s l s,s l-s,s l-s,-s z",
    "m-1,-s h2 v d h-2 z m-s,s m1,-1 h d v2 h-d z",
    "m-s,-s h d l-d,d h d z",
)
