"""A load test as one HTML page: no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.charts import STYLE, Axis, Line, Series, figure
from homeostat.charts.style import DARK, LIGHT
from homeostat.charts.text import safe
from homeostat.jobs.load_testing.figures import QUANTILES, LoadFigures

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:960px;"
    "padding:0 1em}h1{font-size:1.4em}td,th{text-align:left;padding:.15em .9em .15em 0;"
    "font-variant-numeric:tabular-nums}"
)


def report_page(found: LoadFigures) -> str:
    """The page. Text from outside is escaped."""
    title = f"Load test of {found.url}"
    x = tuple(float(one["second"]) for one in found.by_second)
    lines = tuple(Series(name, x, tuple(one[name] for one in found.by_second)) for name in QUANTILES)
    counts = tuple(Series(name, x, tuple(float(one[name]) for one in found.by_second)) for name in ("sent", "failed"))
    timed = "Each request is timed from the moment at which it was due."
    plots = figure(Line("Latency", lines, timed, Axis("second"), Axis("latency", "ms", log=True)), "latency")
    plots += figure(Line("Requests", counts, "", Axis("second"), Axis("requests a second", low=0.0)), "requests")
    latency = [(name, f"{value:g} ms") for name, value in found.latency_ms.items()]
    reasons = [(f"status {one}", f"{count:,}") for one, count in found.statuses.items()]
    reasons += [(one, f"{count:,}") for one, count in found.failures.items() if not one.startswith("status")]
    warning = f"<p><strong>{safe(found.warning)}</strong></p>" if found.warning else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{_STYLE}\n{STYLE}</style></head><body><main><h1>{safe(title)}</h1>"
        f"<p>{found.sent:,} requests in {found.seconds:.1f} s: {found.ok:,} answered well, {found.failed:,} failed.</p>"
        f"{warning}{_table(latency)}{plots}<h2>Answers</h2>{_table(reasons)}</main></body></html>\n"
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{safe(name)}</th><td>{safe(value)}</td></tr>" for name, value in rows)
    return f"<table>{lines}</table>"
