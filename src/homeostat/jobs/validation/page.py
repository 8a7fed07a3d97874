"""The checks of a table as one HTML page: no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.charts.style import DARK, LIGHT
from homeostat.charts.text import safe
from homeostat.jobs.validation.checks import Check
from homeostat.jobs.validation.validating import Validation

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:960px;"
    "padding:0 1em}h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em}.wide{overflow-x:auto}td,th{text-align:left;"
    "padding:.15em .9em .15em 0;font-variant-numeric:tabular-nums;vertical-align:top}"
)


def report_page(found: Validation) -> str:
    """The page. All text from the table is escaped."""
    title = f"{found.path.name}: {verdict(found)}"
    overview = [("pass" if one.passed else "FAIL", one.name, f"{one.rows:,}") for one in found.checks]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{_STYLE}</style></head><body><main><h1>{safe(title)}</h1>"
        f"<p>{found.rows:,} rows. The cleaned table {safe(found.cleaned.name)} has {found.kept:,} rows, and "
        f"{found.emptied:,} cells less.</p>{_table(('', 'check', 'rows'), overview)}"
        f"{''.join(_examples(one) for one in found.checks if one.examples)}</main></body></html>\n"
    )


def verdict(found: Validation) -> str:
    """How many checks passed."""
    passed = sum(one.passed for one in found.checks)
    return f"{passed} of {len(found.checks)} checks passed"


def _examples(check: Check) -> str:
    shown = [
        ("" if one["row"] is None else f"{one['row']:,}", one["column"], str(one["value"]), one["why"])
        for one in check.examples
    ]
    return f"<h2>{safe(check.name)}</h2>" + _table(("row", "column", "value", "why"), shown)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f"<th>{safe(one)}</th>" for one in head)
    lines = "".join(f"<tr>{''.join(f'<td>{safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'
