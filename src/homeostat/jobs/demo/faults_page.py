"""The demo of faults as one HTML page, and its money as an SVG that stands alone; nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import replace_file
from homeostat.charts import STYLE, Axis, Line, Mark, Series, figure, svg
from homeostat.charts.style import DARK, LIGHT
from homeostat.jobs.demo.faults import WITH, WITHOUT

_STYLE = (
    f":root{{color-scheme:light dark}}body{{background:light-dark({LIGHT.paper},{DARK.paper});"
    f"color:light-dark({LIGHT.ink},{DARK.ink});font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:900px;"
    "padding:0 1em}@media print{:root{color-scheme:light}}"
    "table{border-collapse:collapse}td,th{padding:.15em .9em .15em 0;text-align:left;vertical-align:top}"
)
_DAY_H = 24


def write_page(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `faults.html`, `money.svg` and `faults.json`. Raises Unavailable where the disk fails.

    found : see `demo.faults.summary`
    """
    folder.mkdir(parents=True, exist_ok=True)
    money = _money(found)
    made = {
        "faults.html": [_page(found).encode()], "money.svg": [svg(money).encode()],
        "faults.json": [json.dumps(found, indent=2).encode(), b"\n"],
    }  # fmt: skip
    for name, parts in made.items():
        replace_file(folder / name, parts)
    return [folder / name for name in made]


def _page(found: Mapping[str, Any]) -> str:
    lost, currency = found["lost"], found["currency"]
    title = f"{len(found['faults'])} faults in {found['days']} days of simulated payments"
    lead = (
        f"Without loop 2, {found['under_fault'][WITHOUT]:,} of {found['events']:,} payments are decided while a fault "
        f"is there, and {lost[WITHOUT]:,.0f} {currency} are lost to the faults. With it, these are "
        f"{found['under_fault'][WITH]:,} payments and {lost[WITH]:,.0f} {currency}. "
        "A fault stays until somebody mends it."
    )
    plots = "".join(figure(chart, f"plot-{n}") for n, chart in enumerate((_money(found), _decisions(found)), 1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}\n{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(lead)}</p>{plots}"
        f"{_faults(found)}{_steps(found)}{_lines(found)}</body></html>\n"
    )


def _money(found: Mapping[str, Any]) -> Line:
    series = tuple(
        Series(name, _days(found), tuple(round(one, 2) for one in accumulate(found["lost_by_hour"][name])))
        for name in (WITHOUT, WITH)
    )
    return Line(
        "Money lost to the faults", series, x=Axis("day"), y=Axis("lost so far", found["currency"]),
        marks=_marks(found),
        description="The cost by true amounts and labels, less that of the same payments without a fault.",
    )  # fmt: skip


def _decisions(found: Mapping[str, Any]) -> Line:
    hours = found["under_fault_by_hour"]
    series = tuple(Series(name, _days(found), _of_last_day(hours[name])) for name in (WITHOUT, WITH))
    return Line(
        "Decisions under fault", series, x=Axis("day"), y=Axis("decisions of the last 24 hours", low=0.0),
        marks=_marks(found),
        description="Payments that were decided while a fault had begun and was not mended.",
    )  # fmt: skip


def _of_last_day(hours: Sequence[int]) -> tuple[float, ...]:
    return tuple(float(sum(hours[max(0, hour - _DAY_H + 1) : hour + 1])) for hour in range(len(hours)))


def _days(found: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple((hour + 1) / _DAY_H for hour in range(len(found["lost_by_hour"][WITH])))


def _marks(found: Mapping[str, Any]) -> tuple[Mark, ...]:
    return tuple(Mark(one["day"], str(number), "x") for number, one in enumerate(found["faults"], 1))


def _faults(found: Mapping[str, Any]) -> str:
    rows = [
        (str(n), one["title"], one["node"], f"{one['day']:.2f}",
         "-" if one["mended"] is None else f"{one['mended']:.2f}")
        for n, one in enumerate(found["faults"], 1)
    ]  # fmt: skip
    return "<h2>The faults</h2>" + _table(("", "fault", "at", "from day", "until day"), rows)


def _steps(found: Mapping[str, Any]) -> str:
    rows = [
        (f"{one['day']:.2f}", one["remedy"], one["scope"], one["by"], one["verdict"] or "-",
         "-" if one["undone"] is None else f"{one['undone']:.2f}")
        for one in found["steps"]
    ]  # fmt: skip
    return "<h2>The steps that were taken</h2>" + _table(
        ("day", "remedy", "at", "by", "verdict", "undone on day"), rows
    )


def _lines(found: Mapping[str, Any]) -> str:
    rows = [(f"{one['day']:.2f}", one["incident"][:8], one["text"]) for one in found["done"]]
    return "<h2>The time line</h2>" + _table(("day", "incident", ""), rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
