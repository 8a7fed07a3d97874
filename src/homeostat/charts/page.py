"""A report as one HTML page: no script, and nothing from the network."""

from __future__ import annotations

from homeostat.charts.style import DARK, LIGHT, STYLE
from homeostat.charts.text import safe

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:960px;"
    "padding:0 1em}@media print{:root{color-scheme:light}}h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em}"
)


def page(title: str, body: str, style: str) -> str:
    """The page, with its title as its heading.

    title : any text
    body : HTML, in which all text from outside is escaped
    style : CSS beside that of pages and charts
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{_STYLE}{style}\n{STYLE}</style></head><body>"
        f"<main><h1>{safe(title)}</h1>{body}</main></body></html>\n"
    )
