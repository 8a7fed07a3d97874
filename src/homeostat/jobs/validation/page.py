"""The checks of a table as one HTML page: no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.charts.page import page
from homeostat.charts.text import safe
from homeostat.jobs.validation.checks import Check
from homeostat.jobs.validation.validating import Validation

_STYLE = (
    ".wide{overflow-x:auto}td,th{text-align:left;padding:.15em .9em .15em 0;font-variant-numeric:tabular-nums;"
    "vertical-align:top}"
)


def report_page(found: Validation) -> str:
    """The page. All text from the table is escaped."""
    overview = [("pass" if one.passed else "FAIL", one.name, f"{one.rows:,}") for one in found.checks]
    body = (
        f"<p>{found.rows:,} rows. The cleaned table {safe(found.cleaned.name)} has {found.kept:,} rows, and "
        f"{found.emptied:,} cells less.</p>{_table(('', 'check', 'rows'), overview)}"
        f"{''.join(_examples(one) for one in found.checks if one.examples)}"
    )
    return page(f"{found.path.name}: {found.verdict}", body, _STYLE)


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
