"""The sections of an evaluation's page: tables beside plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homeostat.charts.text import safe
from homeostat.jobs.evaluation.card import parts
from homeostat.jobs.evaluation.markup import Notes, paragraphs, table
from homeostat.jobs.evaluation.plots import plots
from homeostat.jobs.evaluation.words import capital, fault, interval, percent, plain


def sections(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, title and content of each section, in order."""
    drawn = plots(report)
    found = [
        ("quality", "Quality", _actions(report) + drawn["quality"]),
        ("calibration", "Calibration", _calibration(report) + drawn["calibration"]),
        ("cost", "Cost", _cost(report) + drawn["cost"]),
        ("slices", "Segments", _slices(report) + drawn["slices"]),
        ("robustness", "Robustness", _robustness(report) + drawn["robustness"]),
        ("fairness", "Fairness", _fairness(report) + drawn["fairness"]),
        ("latency", "Latency", _latency(report)),
        ("card", "Model card", _card(report)),
    ]
    judged = [] if report["judgement"] is None else [("judgement", "Judgement", _judgement(report))]
    return judged + found


def _judgement(report: Mapping[str, Any]) -> str:
    found = report["judgement"]
    rows = [
        (one["statistic"], plain(one["estimate"]), plain(one["low"]), plain(one["high"]), f"{one['n']['events']:,}")
        for one in found["evidence"]
    ]
    evidence = table("Evidence", ("figure", "estimate", "low", "high", "events"), rows) if rows else ""
    return paragraphs([f"{found['verdict']}: {found['why']}."]) + evidence


def _actions(report: Mapping[str, Any]) -> str:
    columns, notes = ("rate", "rate_or_harsher", "precision", "recall"), Notes()
    rows = [
        (one["action"], *(interval(one[name], share=True, reason=notes.mark) for name in columns))
        for one in report["quality"]["actions"]
    ]
    note = (
        "Actions are those that the app's thresholds and guards took. Precision and recall are of an action together "
        "with all harsher ones."
    )
    head = ("action", "rate", "rate, with harsher ones", *columns[2:])
    return paragraphs([note]) + table("Actions", head, rows) + notes.paragraphs()


def _calibration(report: Mapping[str, Any]) -> str:
    error = interval(report["calibration"]["error"])
    return paragraphs([f"Mean distance of risk and share of positives, over bins of equally many events: {error}."])


def _cost(report: Mapping[str, Any]) -> str:
    found = report["cost"]
    if found["why"] is not None:
        return paragraphs([f"{capital(found['why'])}."])
    unit = found["currency"] or "currency not declared"
    names = {
        "per_event": "as decided", "mildest": "always the mildest action", "rules": "hard rules alone",
        "saved_against_mildest": "saved against the mildest action", "saved_against_rules": "saved against hard rules",
    }  # fmt: skip
    rows = [(said, interval(found[name])) for name, said in names.items()]
    return table(f"Cost of an event ({unit}); {plain(found['total'])} in all", ("actions", "cost"), rows)


def _slices(report: Mapping[str, Any]) -> str:
    found = report["slices"]
    text = paragraphs([
        f"Segments of {found['columns']} columns are found on one half of the people and tested on the other. Any of "
        f"them is shown wrongly with probability {found['alpha']:g} at most."
    ])  # fmt: skip
    head = ("segment", "rows", "people", "mean", "the rest", "excess", "finding")
    for loss, ones in found["found"].items():
        said, notes = loss.replace("_", " "), Notes()
        text += table(f"By {said}", head, _segments(ones, notes)) if ones else paragraphs([f"None by {said}."])
        text += notes.paragraphs()
    if found["named"]:
        notes = Notes()
        rows = [
            (" and ".join(one["segment"]), f"{one['known']:,}",
             *(interval(one.get(name), name == "acted", notes.mark) for name in ("auc", "brier", "acted", "cost")))
            for one in found["named"]
        ]  # fmt: skip
        columns = ("segment", "rows", "AUC", "Brier score", "acted on", "cost of an event")
        text += table("Groups that the app names", columns, rows) + notes.paragraphs()
    return text


def _segments(found: Sequence[Mapping[str, Any]], notes: Notes) -> Iterator[tuple[str, ...]]:
    """A row for each segment, with its number in the plot."""
    for number, one in enumerate(found, 1):
        finding = notes.mark(one["why"]) if one["why"] else "shown" if one["shown"] else "may be chance"
        excess = interval(one["excess"]) if one["why"] is None else "-"
        figures = f"{one['rows']:,}", f"{one['persons']:,}", plain(one["mean"]), plain(one["rest"]), excess, finding
        yield (f"{number}. {' and '.join(one['segment'])}", *figures)


def _robustness(report: Mapping[str, Any]) -> str:
    found = report["robustness"]
    if found is None:
        return paragraphs(["It was left out."])
    costs = ("cost of an event",) if report["cost"]["why"] is None else ()
    rows, notes = [], Notes()
    for number, case in enumerate(found["cases"], 1):
        served = case["served"]
        measures = ("auc_change", "average_precision_change", *(("cost_change",) if costs else ()))
        changed = [interval(case[name], reason=notes.mark) for name in measures]
        lacked = ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in served["fallbacks"].items())
        what = _shares(served["actions"]), percent(served["other_action"]), lacked or "none"
        rows.append((f"{number}. {fault(case)}", *changed, *what))
    head = ("fault", "AUC", "average precision", *costs, "served", "other action", "fallbacks")
    before = _shares(found["served_without_fault"]["actions"])
    note = (
        "Figures are changes against the same events without the fault. Served is what the app would have done "
        f"meanwhile. Without a fault: {before}, of {found['decisions']:,} decisions."
    )
    return paragraphs([note]) + table("Faults", head, rows) + notes.paragraphs()


def _shares(shares: Mapping[str, float]) -> str:
    # A line may break between two shares, not between a name and its share.
    return ", ".join(f"{name} {percent(share)}".replace(" ", "\xa0") for name, share in shares.items())


def _fairness(report: Mapping[str, Any]) -> str:
    found = report["fairness"]
    if found["verdict"] is None:
        return paragraphs([f"{capital(found['why'])}."])
    text = paragraphs([f"Groups by {found['groups']}: {found['verdict']}."])
    rows = [
        (_measure(one), one["verdict"], plain(one["difference"]), plain(one["ratio"]), one["why"])
        for one in found["bounds"]
    ]
    text += table("Bounds", ("measure", "verdict", "difference", "ratio", "why"), rows) if rows else ""
    figures = [
        (f"{_measure(one)}: {one['group']}", *(plain(one[name]) for name in ("value", "low", "high")),
         f"{one['rows']:,}", one["not_enough_data"] or "")
        for one in found["figures"]
    ]  # fmt: skip
    head = ("measure and group", "value", "low", "high", "rows", "not enough data")
    return text + table("Figures by group", head, figures)


def _measure(one: Mapping[str, Any]) -> str:
    return str(one["measure"]).replace("_", " ")


def _latency(report: Mapping[str, Any]) -> str:
    notes = Notes()
    rows = [
        (f"{one['rows']:,} at a time", *(interval(one[name], reason=notes.mark) for name in ("p50", "p99")),
         f"{one['p50']['n']:,}")
        for one in report["latency_us"].values()
    ]  # fmt: skip
    note, head = "In this process, without journal and network.", ("events", "p50", "p99", "calls")
    return paragraphs([note]) + table("Microseconds a decision", head, rows) + notes.paragraphs()


def _card(report: Mapping[str, Any]) -> str:
    return "".join(
        f"<h3>{safe(part.title)}</h3><dl>"
        + "".join(f"<dt>{safe(name)}</dt><dd>{safe(text)}</dd>" for name, text in part.items)
        + "</dl>"
        for part in parts(report)
    )
