"""A result as one HTML page: no script, nothing from the network, and the values of every plot as a table."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from homeostat.charts import Axis, Dots, Intervals, Line, Mark, Series, figure
from homeostat.charts.page import page
from homeostat.charts.text import safe
from homeostat.jobs.table_monitor.result import Column, Monitored

_NAMES = {"auc": "ROC AUC", "accuracy": "Accuracy", "f1": "F1", "average_precision": "Average precision"}
_RANK = {"drift": 0, "not enough data": 1, "no drift": 2}
_PLOTTED_MAX = 40
_STYLE = (
    ".wide{overflow-x:auto}.wide>table{border-collapse:collapse}.wide td,.wide th{padding:.15em .9em .15em 0;"
    "text-align:left;font-variant-numeric:tabular-nums}"
)


def report_page(found: Monitored) -> str:
    """The page. All text from the tables is escaped."""
    return page(f"Table monitor: {found.verdict}", report_body(found), _STYLE)


def report_body(found: Monitored) -> str:
    """The parts of the page between title and end."""
    return _summary(found) + _drift(found) + _quality(found)


def _summary(found: Monitored) -> str:
    rows, reference = found.settings.get("rows", 0), found.settings.get("reference_rows", 0)
    lines = [found.sentence, f"{rows:,} rows are compared with {reference:,} rows of the reference."]
    lines += [f"Warning: {warning}." for warning in found.warnings]
    return "".join(f"<p>{safe(line)}</p>" for line in lines)


def _drift(found: Monitored) -> str:
    if not found.columns:
        return ""
    ordered = sorted(found.columns, key=lambda one: (_RANK[one.verdict], -one.drift if isfinite(one.drift) else 0.0))
    shown = ordered[:_PLOTTED_MAX]
    chart = Dots(
        "Drift of columns", tuple(one.name for one in shown),
        (Intervals("share of rows that lie elsewhere", tuple(one.drift for one in shown),
                   tuple(one.bound_low for one in shown), tuple(one.bound_high for one in shown)),),
        "The lower bounds hold for all columns together.", Axis("share of rows", low=0.0),
        (Mark(float(found.settings.get("size", 0.05)), "least size that counts", "x"),), len(shown) < len(ordered),
    )  # fmt: skip
    head = ("column", "drift", "low", "high", "threshold", "n", "missing", "before", "method", "verdict", "why")
    return "<h2>Columns</h2>" + figure(chart, "drift") + _table(head, [_row(one) for one in ordered])


def _row(one: Column) -> tuple[str, ...]:
    return (one.name, _number(one.drift), _number(one.bound_low), _number(one.bound_high), _number(one.threshold),
            f"{one.n:,}", _number(one.missing), _number(one.reference_missing), one.method, one.verdict,
            one.why)  # fmt: skip


def _quality(found: Monitored) -> str:
    if not found.chunks:
        return ""
    plots = "".join(figure(_plot(found, name), f"quality-{name.replace('_', '-')}") for name in _NAMES)
    head = ("chunk", "rows", "labels", "alerts", "assumption broken", "rows with new values")
    rows = [
        (_label(found, k), f"{one.rows:,}", f"{one.labels:,}", ", ".join(n for n, up in one.alert.items() if up),
         "yes" if one.assumption_broken else "", f"{one.outside:.1%}") for k, one in enumerate(found.chunks)
    ]  # fmt: skip
    return "<h2>Quality of predictions, estimated without labels</h2>" + plots + _table(head, rows)


def _label(found: Monitored, k: int) -> str:
    one = found.chunks[k]
    return one.value if one.value is not None else f"{one.start}-{one.end}"


def _plot(found: Monitored, name: str) -> Line:
    x = tuple(map(float, range(len(found.chunks))))
    bands = [chunk.estimated[name] for chunk in found.chunks]
    series = [Series("estimated, with its 95 % band", x, tuple(one.value for one in bands),
                     tuple(one.low for one in bands), tuple(one.high for one in bands))]  # fmt: skip
    known = tuple(None if chunk.realised is None else chunk.realised[name] for chunk in found.chunks)
    if any(one is not None for one in known):
        series.append(Series("realised", x, known))
    bound = found.thresholds.get(name, {})
    marks = tuple(
        Mark(float(bound[side]), f"{side} threshold") for side in ("low", "high")
        if side in bound and isfinite(bound[side])
    )  # fmt: skip
    axis = Axis("chunk", names=tuple(_label(found, k) for k in range(len(found.chunks))))
    return Line(
        _NAMES[name], tuple(series), "Thresholds come from the reference alone.", axis, Axis(_NAMES[name]), marks
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if isfinite(value) else "-"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    top = "".join(f"<th>{safe(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
