"""A run's report as one HTML page with its plots drawn in: no script, and nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 240, 64, 36
_COLOURS = ("#1f5fa8", "#c2571a", "#5b7f2b", "#7a4a9e", "#8a8a8a", "#b5304a")
_ARMS = {"cost decided": "as decided", "cost mildest": "always the mildest action", "cost rules": "hard rules alone"}
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:720px;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.15em .9em .15em 0;text-align:left}td+td{text-align:right}"
    "svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#444}h2{font-size:1.1em;margin-top:2em}"
)
Line = tuple[str, Sequence[float], Sequence[float]]


def report_page(report: Mapping[str, Any]) -> str:
    """The page of a replay's report."""
    days, unit = report["days"], report["currency"] or "currency not declared"
    plots = [
        ("Cost by day", _plot(_by_day(days, _ARMS), days.get("day", ()), unit)),
        ("Calibration: positives by risk", _calibration(report["calibration"])),
        ("Precision by recall", _plot([("precision", *_columns(report["precision_recall"]))], None, "precision", 1.0)),
        ("Decisions by day", _plot(_by_day(days, _actions(days)), days.get("day", ()), "decisions")),
        ("Positives by day", _plot(_by_day(days, {"positives": "positives"}), days.get("day", ()), "events")),
    ]
    body = "".join(f"<h2>{escape(title)}</h2>{plot}" for title, plot in plots if plot)
    title = f"{report['app']}: {report['decisions']:,} decisions"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(str(report['version']))}</p>"
        f"{_figures(report)}{body}</body></html>\n"
    )


def _figures(report: Mapping[str, Any]) -> str:
    """What is known, as a table."""
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


def _by_day(days: Mapping[str, Any], names: Mapping[str, str]) -> list[Line]:
    return [(said, range(len(days[name])), days[name]) for name, said in names.items() if name in days]


def _columns(rows: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [row[0] for row in rows], [row[1] for row in rows]


def _calibration(bins: Sequence[Sequence[float]]) -> str:
    if not bins:
        return ""
    top = max(max(row[0], row[1]) for row in bins) or 1.0
    return _plot(
        [("observed", *_columns(bins)), ("as it should be", (0.0, top), (0.0, top))], None, "positives", top, top
    )


def _plot(
    lines: Sequence[Line],
    labels: Sequence[str] | None,
    unit: str,
    y_max: float | None = None,
    x_max: float | None = None,
) -> str:
    """Lines in one frame; empty where there is nothing to draw.

    labels : what stands at each whole x; numbers when None
    """
    lines = [line for line in lines if len(line[1])]
    if not lines:
        return ""
    top = y_max or max(max(y) for _, _, y in lines) or 1.0
    right = x_max or (max(len(labels) - 1, 1) if labels is not None else 1.0)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 18}" role="img">']
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(top * share)}</text>')
        at = labels[round((len(labels) - 1) * share)] if labels else _number(right * share)
        anchor = ("start", "middle", "end")[round(2 * share)]
        parts.append(f'<text x="{_x(share):.1f}" y="{_HEIGHT - 14}" text-anchor="{anchor}">{escape(at)}</text>')
    place = float(_LEFT)
    for k, (name, xs, ys) in enumerate(lines):
        points = " ".join(f"{_x(x / right):.1f},{_y(y / top):.1f}" for x, y in zip(xs, ys, strict=True))
        colour = _COLOURS[k % len(_COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(f'<text x="{place:.0f}" y="{_HEIGHT + 10}" style="fill:{colour}">{escape(name)}</text>')
        place += 7.0 * len(name) + 16
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT + 10}" text-anchor="end">{escape(unit)}</text></svg>')
    return "".join(parts)


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT) * share


def _y(share: float) -> float:
    return (_HEIGHT - _BELOW) * (1.0 - share) + 8


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"
