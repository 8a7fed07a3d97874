"""A run's report as one HTML page with its plots drawn in: no script, and nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from homeostat.charts import STYLE, Axis, Line, Series, figure
from homeostat.charts.style import DARK, LIGHT

_ARMS = {"cost decided": "as decided", "cost mildest": "always the mildest action", "cost rules": "hard rules alone"}
_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:720px;"
    "padding:0 1em}@media print{:root{color-scheme:light}}"
    "table{border-collapse:collapse}td,th{padding:.15em .9em .15em 0;text-align:left}td+td{text-align:right}"
)


def report_page(report: Mapping[str, Any]) -> str:
    """The page of a replay's report."""
    title = f"{report['app']}: {report['decisions']:,} decisions"
    plots = "".join(figure(chart, f"plot-{n}") for n, chart in enumerate(_plots(report), 1) if chart.series)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}\n{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(str(report['version']))}</p>"
        f"{_figures(report)}{plots}</body></html>\n"
    )


def _plots(report: Mapping[str, Any]) -> list[Line]:
    """The charts of a report. Those without data have no series."""
    days, unit = report["days"], report["currency"] or "currency not declared"
    share = Axis("share", low=0.0, high=1.0)
    return [
        _by_day("Cost by day", days, _ARMS, Axis("cost", unit, low=0.0)),
        _calibration(report["calibration"]),
        Line("Precision by recall", _series("precision", report["precision_recall"]),
             x=replace(share, label="recall"), y=replace(share, label="precision")),
        _by_day("Decisions by day", days, _actions(days), Axis("decisions", low=0.0)),
        _by_day("Positives by day", days, {"positives": "positives"}, Axis("events", low=0.0)),
    ]  # fmt: skip


def _figures(report: Mapping[str, Any]) -> str:
    """The known figures, as a table."""
    rows = [(name.replace("_", " "), value) for name, value in report["quality"].items()]
    rows += [(f"{name}", count) for name, count in report["actions"].items()]
    rows += [(f"decided by {name}", count) for name, count in report["decided_by"].items()]
    rows += [(f"rule {name}", f"held {found['held']:,}, decided {found['decided']:,}")
             for name, found in report["rules"].items()]  # fmt: skip
    return (
        "<table>"
        + "".join(f"<tr><td>{escape(name)}</td><td>{_text(value)}</td></tr>" for name, value in rows)
        + ("</table>")
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:,.4f}" if isinstance(value, float) else escape(str(value))
    )


def _actions(days: Mapping[str, Any]) -> dict[str, str]:
    return {name: name.partition(" ")[2] for name in days if name.startswith("action ")}


def _by_day(title: str, days: Mapping[str, Any], names: Mapping[str, str], y: Axis) -> Line:
    """A line for each of the columns that `days` has."""
    labels = tuple(days.get("day", ()))
    places = tuple(map(float, range(len(labels))))
    lines = tuple(Series(said, places, tuple(days[name])) for name, said in names.items() if labels and name in days)
    return Line(title, lines, x=Axis("day", names=labels), y=y)


def _series(name: str, rows: Sequence[Sequence[float]]) -> tuple[Series, ...]:
    """The first two columns as x and y, or nothing where there is no row."""
    return (Series(name, tuple(row[0] for row in rows), tuple(row[1] for row in rows)),) if rows else ()


def _calibration(bins: Sequence[Sequence[float]]) -> Line:
    top = max((max(row[0], row[1]) for row in bins), default=0.0) or 1.0
    ideal = _series("as it should be", ((0.0, 0.0), (top, top))) if bins else ()
    said = "Where the lines agree, a risk of 10 % means that 10 % of the events are positive."
    return Line("Calibration: positives by risk", _series("observed", bins) + ideal, said,
                Axis("risk", low=0.0), Axis("share of positives", low=0.0))  # fmt: skip
