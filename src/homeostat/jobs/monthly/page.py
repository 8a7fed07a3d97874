"""A month's report as one HTML page: no script and nothing from the network. All text from data is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.charts import Axis, Bar, Dots, Intervals, Values, figure
from homeostat.jobs.evaluation.markup import paragraphs, table
from homeostat.jobs.evaluation.page import document


def report_page(report: Mapping[str, Any]) -> str:
    """The page of a report of either kind."""
    autonomous = report["report"] == "autonomy"
    title = f"{report['app']}: {report['report']} in {report['month']}"
    return document(title, paragraphs(summary(report)), _autonomy(report) if autonomous else _fairness(report))


def summary(report: Mapping[str, Any]) -> list[str]:
    """The sentences that a person reads of it."""
    return _autonomy_summary(report) if report["report"] == "autonomy" else _fairness_summary(report)


def _autonomy_summary(report: Mapping[str, Any]) -> list[str]:
    asked, changes = report["questions"], report["changes"]
    return [
        f"{report['decisions']:,} decisions, {report['machine_alone']:,} of them by the machine alone.",
        f"{asked['asked']:,} were questioned: {asked['upheld']:,} upheld, {asked['changed']:,} changed by a person, "
        f"{asked['open']:,} open.",
        f"{changes['made']:,} changes of the settings, {changes['by_people']:,} by people or their keys and "
        f"{changes['by_machines']:,} by machines; {len(changes['promotions']):,} promotions, "
        f"{len(changes['rollbacks']):,} rollbacks; {report['jobs']['submitted']:,} jobs.",
    ]


def _autonomy(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    by, changes = report["by"], report["changes"]
    names = tuple(by)
    chart = Bar("Decisions by who had the last word", names, (Values("decisions", tuple(map(float, by.values()))),),
                y=Axis("decisions", low=0.0))  # fmt: skip
    more = [("without a part that did not answer", report["without_a_part"]),
            ("moved by thresholds of the person's group", report["moved_by_group_thresholds"])]  # fmt: skip
    decided = table("Decisions", ("by", "number"), [(name, f"{n:,}") for name, n in [*by.items(), *more]])
    decided += figure(chart, "plot-by") if report["decisions"] else ""
    for name in ("actions", "versions", "rules"):
        decided += _counted(name.capitalize(), report[name])
    changed = _counted("Changes by actor", changes["actors"]) + _counted("Changes by kind", changes["kinds"])
    for name in ("promotions", "rollbacks"):
        rows = [(f"{one['change']}", one["role"], one["version"] or "none", one["actor"], one["reason"])
                for one in changes[name]]  # fmt: skip
        changed += table(name.capitalize(), ("change", "role", "version", "actor", "reason"), rows) if rows else ""
    jobs = "".join(_counted(f"Jobs by {name[:-1]}", report["jobs"][name]) for name in ("kinds", "states", "actors"))
    none = paragraphs(["None."])
    return [
        ("decisions", "Decisions", decided), ("changes", "Changes of the settings", changed or none),
        ("jobs", "Jobs", jobs or none),
    ]  # fmt: skip


def _counted(caption: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    return table(caption, (caption.rpartition(" ")[2].lower(), "number"), [(k, f"{n:,}") for k, n in counts.items()])


def _fairness_summary(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{report['verdict']}: {report['why']}.",
        f"{report['decisions']:,} decisions by {report['groups']}; {report['without_group']:,} without a group.",
    ]


def _fairness(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    bounds = [(_measure(one), one["verdict"], _text(one["difference"]), _text(one["ratio"]), one["why"])
              for one in report["bounds"]]  # fmt: skip
    figures = [
        (f"{_measure(one)}: {one['group']}", *(_text(one[name]) for name in ("value", "low", "high")),
         f"{one['rows']:,}", f"{one['persons']:,}", one["not_enough_data"] or "")
        for one in report["figures"]
    ]  # fmt: skip
    head = ("measure and group", "value", "low", "high", "rows", "people", "not enough data")
    drawn = "".join(figure(chart, f"plot-{n}") for n, chart in enumerate(_dots(report["figures"]), 1))
    return [
        ("bounds", "Bounds", table("Bounds", ("measure", "verdict", "difference", "ratio", "why"), bounds)
         if bounds else paragraphs(["No bound is declared."])),
        ("figures", "Figures by group", table("Figures by group", head, figures) + drawn),
        ("questions", "Questions by group", _questions(report["questions"])),
    ]  # fmt: skip


def _questions(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("group", "decisions", "asked", "answered", "upheld", "asked of decisions", "upheld of answered")
    shown = [
        (one["group"] or "no group", *(f"{one[name]:,}" for name in ("decisions", "asked", "answered", "upheld")),
         _interval(one["rate"]), _interval(one["upheld_share"]))
        for one in rows
    ]  # fmt: skip
    return table("Questions by group", head, shown) if shown else paragraphs(["There are no decisions."])


def _dots(figures: Sequence[Mapping[str, Any]]) -> list[Dots]:
    charts = []
    for measure in dict.fromkeys(one["measure"] for one in figures):
        ones = [one for one in figures if one["measure"] == measure and one["value"] is not None]
        columns = ([one[name] for one in ones] for name in ("value", "low", "high"))
        value, low, high = (tuple(column) for column in columns)
        if ones:
            name = measure.replace("_", " ").capitalize()
            charts.append(
                Dots(f"{name} by group", tuple(one["group"] for one in ones), (Intervals("group", value, low, high),))
            )
    return charts


def _measure(one: Mapping[str, Any]) -> str:
    return str(one["measure"]).replace("_", " ")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _interval(one: Mapping[str, float] | None) -> str:
    return "-" if one is None else f"{one['value']:.2%} [{one['low']:.2%}, {one['high']:.2%}]"
