"""A load test as one HTML page: no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.charts import Axis, Line, Series, figure
from homeostat.charts.page import page
from homeostat.charts.text import safe
from homeostat.jobs.load_testing.figures import QUANTILES, LoadFigures

_STYLE = "td,th{text-align:left;padding:.15em .9em .15em 0;font-variant-numeric:tabular-nums}"


def report_page(found: LoadFigures) -> str:
    """The page. Text from outside is escaped."""
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
    body = (
        f"<p>{found.sent:,} requests in {found.seconds:.1f} s: {found.ok:,} answered well, {found.failed:,} failed.</p>"
        f"{warning}{_table(latency)}{plots}<h2>Answers</h2>{_table(reasons)}"
    )
    return page(f"Load test of {found.url}", body, _STYLE)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{safe(name)}</th><td>{safe(value)}</td></tr>" for name, value in rows)
    return f"<table>{lines}</table>"
