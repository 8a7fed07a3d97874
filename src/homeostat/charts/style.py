"""The colours of charts, light and dark, as one style sheet.

Graphics contrast with the paper by 3 to 1 and text by 4.5 to 1 (WCAG 2.2, 1.4.3 and 1.4.11). Series differ also
in dashes, shapes and patterns.
"""

from __future__ import annotations

from typing import NamedTuple

# Six hues after Wong (2011), Nature Methods 8, 441. A search moved them until each contrasts with the paper, and any
# two are 25 apart in CIELAB for people who see all colours, no red or no green.
SERIES_LIGHT = ("#0072b2", "#d97700", "#0fa062", "#b684a4", "#504e07", "#474b4f")
SERIES_DARK = ("#56b4e9", "#f7ab00", "#0b7a35", "#845675", "#f1de95", "#d2dbd7")
HEAT_LIGHT = ("#eef5fb", "#cfe3f3", "#a5cbe8", "#72afd9", "#4594ca", "#0f6aa8", "#08466f")
HEAT_DARK = ("#15283a", "#173f61", "#17598b", "#1d6ba6", "#56a0d6", "#93c6eb", "#d8ecfa")
DASHES = ("", "7 3", "2 2", "9 3 2 3", "12 4", "5 2 1 2")


class Tokens(NamedTuple):
    """The colours that do not belong to a series."""

    paper: str
    ink: str
    soft: str  # The text of ticks and notes, and axes.
    grid: str


LIGHT = Tokens("#ffffff", "#1c2026", "#565d68", "#dfe3e8")
DARK = Tokens("#14171c", "#e9ecf1", "#a9b1bd", "#2e343d")


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, 0 to 1. Source: WCAG 2.2.

    >>> luminance("#ffffff"), luminance("#000000")
    (1.0, 0.0)
    """
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21. Source: WCAG 2.2.

    >>> round(contrast("#ffffff", "#000000"), 6)
    21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def heat_ink(step: int, heat: tuple[str, ...], tokens: Tokens) -> str:
    """The colour of text on a step of a heat map: ink or paper, by the higher contrast."""
    return max((tokens.ink, tokens.paper), key=lambda colour: contrast(colour, heat[step]))


def _variables(tokens: Tokens, series: tuple[str, ...], heat: tuple[str, ...]) -> str:
    named = [*zip(("paper", "ink", "soft", "grid"), tokens)]
    named += [(f"s{k}", colour) for k, colour in enumerate(series)]
    named += [(f"h{k}", colour) for k, colour in enumerate(heat)]
    named += [(f"t{k}", heat_ink(k, heat, tokens)) for k in range(len(heat))]
    return "".join(f"--{name}:{colour};" for name, colour in named)


def _sheet() -> str:
    light, dark = _variables(LIGHT, SERIES_LIGHT, HEAT_LIGHT), _variables(DARK, SERIES_DARK, HEAT_DARK)
    # Where the reader chose the colours, series differ by dashes, shapes and patterns, and heat maps by their texts.
    series, heat = range(len(SERIES_LIGHT)), range(len(HEAT_LIGHT))
    forced = "--paper:Canvas;--ink:CanvasText;--soft:CanvasText;--grid:GrayText;"
    forced += "".join(f"--s{k}:CanvasText;" for k in series)
    forced += "".join(f"--h{k}:Canvas;--t{k}:CanvasText;" for k in heat)
    rules = [
        f".chart{{{light}color-scheme:light;background:var(--paper);color:var(--ink)}}",
        f"@media (prefers-color-scheme:dark){{.chart{{{dark}color-scheme:dark}}}}",
        f"[data-theme=light] .chart{{{light}color-scheme:light}}",
        f"[data-theme=dark] .chart{{{dark}color-scheme:dark}}",
        f"@media print{{.chart,[data-theme] .chart{{{light}color-scheme:light}}}}",
        f"@media (forced-colors:active){{.chart,[data-theme] .chart{{{forced}}}}}",
        # On a narrow screen a figure scrolls: smaller, its texts could not be read. Larger, they would be headings.
        ".chart svg{display:block;width:100%;height:auto;min-width:520px;max-width:760px}figure.chart{overflow-x:auto}",
        ".chart text{font:11px system-ui,sans-serif;fill:var(--soft)}.chart .title{font-size:15px;font-weight:600}",
        ".chart .title,.chart .name{fill:var(--ink)}.chart .grid{stroke:var(--grid)}.chart .axis{stroke:var(--soft)}",
        ".chart .mark{stroke:var(--ink);stroke-dasharray:1 3}.chart .paper{stroke:var(--paper)}",
        "figure.chart{margin:1em 0;padding:.5em}.chart table{border-collapse:collapse;font:13px system-ui,sans-serif}",
        ".chart caption,.chart th,.chart td{padding:.15em .8em .15em 0;text-align:left}.chart td{text-align:right}",
        ".chart .rows{max-height:24em;overflow:auto}.chart figcaption{font:13px system-ui,sans-serif}",
    ]
    rules += [f".chart .s{k}{{stroke:var(--s{k})}}.chart .f{k}{{fill:var(--s{k})}}" for k in series]
    rules += [f".chart .h{k}{{fill:var(--h{k});stroke:var(--grid)}}.chart text.t{k}{{fill:var(--t{k})}}" for k in heat]
    return "\n".join(rules)


STYLE = _sheet()
