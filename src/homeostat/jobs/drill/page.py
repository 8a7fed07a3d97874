"""The drill's report as one HTML page: tables and plots, no script, and nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from homeostat.charts import STYLE, Axis, Dots, Intervals, figure
from homeostat.charts.style import DARK, LIGHT

_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:900px;"
    "padding:0 1em}@media print{:root{color-scheme:light}}"
    "table{border-collapse:collapse}td,th{padding:.15em .9em .15em 0;text-align:left;vertical-align:top}"
)
_COLUMNS = (
    ("detected", "detected", "share"), ("median_delay_minutes", "median delay", "minutes"),
    ("top3", "true node in the first three", "share"), ("false_alarms_per_30d", "false alarms in 30 days", "count"),
)  # fmt: skip


def drill_page(summary: Mapping[str, Any]) -> str:
    """The page of a drill's summary."""
    seeds = summary["seeds"]
    title = f"{summary['app']}: drill of {len(seeds)} seeds, {summary['days']} days each"
    plots = "".join(figure(chart, f"plot-{n}") for n, chart in enumerate(_plots(summary), 1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}\n{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        "<p>Intervals are 95 %, by drawing seeds with replacement. A fault that was not noticed counts with the time "
        "to the end of the run.</p>"
        f"{_overall(summary)}{_scenarios(summary)}{plots}</body></html>\n"
    )


def _overall(summary: Mapping[str, Any]) -> str:
    groups = [("overall", summary.get("overall")), ("held out", summary.get("held_out"))]
    groups += [(f"severity {level}", one) for level, one in summary["severities"].items()]
    groups += [
        ({"ddm": "DDM", "ks": "Kolmogorov-Smirnov"}[name], one) for name, one in summary.get("baselines", {}).items()
    ]
    rows = "".join(_row(name, one) for name, one in groups if one and one["runs"])
    return f"<table>{_head('')}{rows}</table>"


def _scenarios(summary: Mapping[str, Any]) -> str:
    rows = "".join(_row(f"{name} {one['title']}", one) for name, one in summary["scenarios"].items())
    return f"<h2>By scenario</h2><table>{_head('scenario')}{rows}</table>"


def _head(first: str) -> str:
    cells = "".join(f"<th>{escape(label)}</th>" for _, label, _ in _COLUMNS)
    return f"<tr><th>{escape(first)}</th><th>runs</th>{cells}</tr>"


def _row(name: str, one: Mapping[str, Any]) -> str:
    cells = "".join(f"<td>{_text(one.get(key), unit)}</td>" for key, _, unit in _COLUMNS)
    return f"<tr><td>{escape(name)}</td><td>{one['runs']}</td>{cells}</tr>"


def _text(found: Mapping[str, float] | None, unit: str) -> str:
    if not found:
        return "-"
    if unit == "share":
        return f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
    return f"{found['value']:,.4g} ({found['low']:,.4g} to {found['high']:,.4g})"


def _plots(summary: Mapping[str, Any]) -> list[Dots]:
    scenarios = {name: one for name, one in summary["scenarios"].items() if one.get("median_delay_minutes")}
    if not scenarios:
        return []
    names = tuple(scenarios)
    delays = [_dots("homeostat", [scenarios[name]["median_delay_minutes"] for name in names])]
    for key, label in (("ddm", "DDM"), ("ks", "Kolmogorov-Smirnov")):
        if key in summary.get("baselines", {}):
            own = summary["baselines"][key]["scenarios"]
            delays.append(_dots(label, [own[name]["median_delay_minutes"] for name in names]))
    shares = [_dots(label, [scenarios[name][key] for name in names]) for key, label in
              (("detected", "detected"), ("top3", "true node in the first three"))]  # fmt: skip
    return [
        Dots("Median delay by scenario", names, tuple(delays), x=Axis("delay", "minutes", low=0.0)),
        Dots("Noticed, and named", names, tuple(shares), x=Axis("share", low=0.0, high=1.0)),
    ]


def _dots(name: str, found: list[Mapping[str, float]]) -> Intervals:
    return Intervals(
        name, tuple(one["value"] for one in found), tuple(one["low"] for one in found),
        tuple(one["high"] for one in found),
    )  # fmt: skip
