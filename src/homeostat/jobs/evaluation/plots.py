"""The plots of an evaluation, each with its values as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homeostat.charts import Axis, Chart, Dots, Intervals, Line, Mark, Series, figure
from homeostat.jobs.evaluation.words import NAMES, capital, fault, short

_SEGMENTS_MAX = 12


def plots(report: Mapping[str, Any]) -> dict[str, str]:
    """The figures of each section, as HTML; empty where there is nothing to draw."""
    charts = {
        "quality": list(_by_time(report)),
        "calibration": list(_calibration(report)),
        "cost": list(_cost(report)),
        "slices": list(_slices(report)),
        "robustness": list(_robustness(report)),
        "fairness": list(_fairness(report)),
    }
    return {
        section: "".join(figure(chart, f"plot-{section}-{index}") for index, chart in enumerate(ones, 1))
        for section, ones in charts.items()
    }


def _versions(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if report["against"] is None:
        return [("this version", report)]
    return [("this version", report), ("the other one", report["against"])]


def _column(figures: Sequence[Mapping[str, Any]], name: str) -> tuple[float | None, ...]:
    return tuple(one[name] for one in figures)


def _intervals(name: str, figures: Sequence[Mapping[str, Any]]) -> Intervals:
    return Intervals(name, _column(figures, "value"), _column(figures, "low"), _column(figures, "high"))


def _by_time(report: Mapping[str, Any]) -> Iterator[Chart]:
    """AUC, average precision and cost by day or week, with their intervals as bands."""
    for measure in ("auc", "average_precision", "cost"):
        lines = []
        for name, section in _versions(report):
            periods = section["quality"]["by_time"]["periods"]
            ones = [period[measure] for period in periods if measure in period]
            if any(one["value"] is not None for one in ones):
                places = tuple(map(float, range(len(ones))))
                lines.append(Series(name, places, _column(ones, "value"), _column(ones, "low"), _column(ones, "high")))
        if lines:
            by_time = report["quality"]["by_time"]
            names = tuple(period["from"] for period in by_time["periods"])
            title = f"{capital(NAMES[measure])} by {by_time['unit']}"
            said = f"Bands are 95 % intervals. A {by_time['unit']} without one has not enough data."
            yield Line(title, tuple(lines), said, x=Axis(by_time["unit"], names=names))


def _calibration(report: Mapping[str, Any]) -> Iterator[Chart]:
    lines, top = [], 0.0
    for name, section in _versions(report):
        bins = [one for one in section["calibration"]["bins"] if one["share"]["value"] is not None]
        if bins:
            shares = [one["share"] for one in bins]
            risk = tuple(one["risk"] for one in bins)
            top = max(top, *risk, *(one["value"] for one in shares))
            lines.append(Series(name, risk, _column(shares, "value"), _column(shares, "low"), _column(shares, "high")))
    if lines:
        ideal = Series("as it should be", (0.0, top or 1.0), (0.0, top or 1.0))
        said = "Where the lines agree, a risk of 10 % means that 10 % of the events are positive."
        yield Line(
            "Calibration: share of positives by risk", (*lines, ideal), said, Axis("risk"), Axis("share of positives")
        )


def _cost(report: Mapping[str, Any]) -> Iterator[Chart]:
    found = report["cost"]
    if found["why"] is not None:
        return
    names: tuple[str, ...] = ("as decided", "mildest action always", "hard rules alone")
    ones = [found[name] for name in ("per_event", "mildest", "rules")]
    if report["against"] is not None:
        names, ones = (*names, "as the other one decided"), [*ones, report["against"]["cost"]["per_event"]]
    unit = found["currency"] or "currency not declared"
    yield Dots("Cost of an event", names, (_intervals("mean", ones),), x=Axis("cost", unit))


def _slices(report: Mapping[str, Any]) -> Iterator[Chart]:
    for loss, found in report["slices"]["found"].items():
        ones = [one for one in found if one["excess"]["value"] is not None][:_SEGMENTS_MAX]
        if ones:
            names = tuple(f"{n}. {' and '.join(one['segment'])}" for n, one in enumerate(found, 1) if one in ones)
            said = (
                "The excess is the mean in a segment less the mean outside. The bound holds for all segments at once."
            )
            series = (_intervals("excess", [one["excess"] for one in ones]),)
            unit = report["cost"]["currency"] if loss == "cost" else None
            title, marks = f"Segments by {loss.replace('_', ' ')}", (Mark(0.0, "the rest", "x"),)
            yield Dots(title, names, series, said, Axis("excess", unit or ""), marks=marks)


def _robustness(report: Mapping[str, Any]) -> Iterator[Chart]:
    cases = (report["robustness"] or {}).get("cases", ())
    for measure in ("auc_change", "cost_change"):
        numbered = [(n, case) for n, case in enumerate(cases, 1) if case.get(measure, {}).get("value") is not None]
        if not numbered:
            continue
        ones = [case for _, case in numbered]
        series = [_intervals("this version", [case[measure] for case in ones])]
        other = {} if report["against"] is None else report["against"]["robustness"]
        theirs = {fault(case): case[measure] for case in other.get("cases", ()) if measure in case}
        missing = {"value": None, "low": None, "high": None}
        if theirs:
            series.append(_intervals("the other one", [theirs.get(fault(case), missing) for case in ones]))
        title = f"Change of {NAMES[measure.removesuffix('_change')]} under faults"
        names = tuple(short(*one) for one in numbered)
        yield Dots(title, names, tuple(series), marks=(Mark(0.0, "without a fault", "x"),))


def _fairness(report: Mapping[str, Any]) -> Iterator[Chart]:
    figures = report["fairness"]["figures"]
    for measure in dict.fromkeys(one["measure"] for one in figures):
        ones = [one for one in figures if one["measure"] == measure and one["value"] is not None]
        if ones:
            title = f"{capital(measure.replace('_', ' '))} by group"
            yield Dots(title, tuple(one["group"] for one in ones), (_intervals("group", ones),))
