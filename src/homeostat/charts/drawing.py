"""A chart as SVG, alone or in a page. The same spec gives the same bytes."""

from __future__ import annotations

import re

from homeostat.charts.frame import WIDTH, assemble
from homeostat.charts.kinds import picture
from homeostat.charts.shapes import place
from homeostat.charts.spec import Chart
from homeostat.charts.style import STYLE
from homeostat.charts.text import safe
from homeostat.charts.thinning import thinned
from homeostat.charts.words import html, notes, summary, table

_KEY = re.compile(r"[a-z][a-z0-9-]*")


def svg(chart: Chart) -> str:
    """A file that stands alone, with its style sheet.

    >>> from homeostat.charts.spec import Bar, Values
    >>> svg(Bar("Decisions", ("allow", "block"), (Values("today", (90.0, 10.0)),)))[:40]
    '<svg xmlns="http://www.w3.org/2000/svg" '
    """
    named, drawn, height = _inside(chart, "chart")
    size = f'width="{place(WIDTH)}" height="{place(height)}"'
    # A sheet in an SVG file is XML: its few signs need no escape.
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {size} {_names("chart", height)}>'
    return f"{head}{named}<style>{STYLE}</style>{drawn}</svg>\n"


def figure(chart: Chart, key: str) -> str:
    """A part of an HTML page: the chart, its description, and its values as a table. The page holds STYLE once.

    key : the id of the chart in the page: lower-case letters, digits and hyphens. No other chart has it
    Raises ValueError if `key` is anything else.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"the key of a chart has lower-case letters, digits and hyphens, not {key!r}")
    few = thinned(chart)
    named, drawn, height = _inside(chart, key)
    caption = f"<figcaption>{safe(chart.description)}</figcaption>" if chart.description else ""
    return (
        f'<figure class="chart" id="{key}"><svg {_names(key, height)}>{named}{drawn}</svg>{caption}'
        f"<details><summary>Show as table</summary>"
        f'<div class="rows" role="region" tabindex="0" aria-label="{safe(chart.title)}, as a table">'
        f"{html(table(few), chart.title)}</div></details></figure>\n"
    )


def _names(key: str, height: float) -> str:
    box = f'viewBox="0 0 {place(WIDTH)} {place(height)}"'
    return f'{box} role="img" aria-labelledby="{key}-title" aria-describedby="{key}-text"'


def _inside(chart: Chart, key: str) -> tuple[str, str, float]:
    """Title and description, what is drawn, and the height in pixels."""
    few = thinned(chart)
    left_out = notes(few, chart)
    parts, height = assemble(picture(few), chart.title, left_out)
    words = " ".join(part for part in (chart.description, summary(chart), *left_out) if part)
    named = f'<title id="{key}-title">{safe(chart.title)}</title><desc id="{key}-text">{safe(words)}</desc>'
    return named, parts, height
