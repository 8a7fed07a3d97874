"""A replay's report on one screen, and the rest of it on request."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any, TextIO

ROWS_MAX = 24
WIDTH_MAX = 79
_NAMED_MAX = 4  # Rules, breakers, scorers: the rest is counted.


def print_report(report: Mapping[str, Any], out: TextIO, whole: bool = False) -> None:
    """At most 24 rows of a terminal; all tables after them if asked for."""
    for row in screen(report):
        print(row, file=out)
    if whole:
        _rest(report, out)


def screen(report: Mapping[str, Any]) -> list[str]:
    """The rows of the screen: what matters most first, and the audit's head in any case."""
    rows = [row for line in _lines(report) for row in (wrap(line, WIDTH_MAX, subsequent_indent="  ") or [""])]
    head = f"audit head {report['audit_head']}"
    return [*rows[: ROWS_MAX - 1], head]


def _lines(report: Mapping[str, Any]) -> list[str]:
    quality, total = report["quality"], max(1, report["decisions"])
    lines = [
        f"{report['app']} {report['version']}",
        "events " + ", ".join(
            f"{report[name]:,} {said}" for name, said in (
                ("events", "read"), ("decisions", "decided"), ("dead_letters", "dead letters"),
                ("repeated", "repeated"), ("late", "late"),
            )
        ),
        f"time {report['seconds']['total']:.1f} s, {report['decisions_per_second']:,.0f} decisions a second, "
        f"{report['latency_us']['p50']:.1f} / {report['latency_us']['p99']:.1f} us a decision, "
        "each batch's time shared by its rows (p50 / p99)",
        "actions " + ", ".join(f"{name} {n:,} ({n / total:.2%})" for name, n in report["actions"].items()),
        "decided by " + ", ".join(f"{name} {n:,}" for name, n in report["decided_by"].items() if n or name == "policy"),
    ]  # fmt: skip
    rules = {name: found for name, found in report["rules"].items() if found["held"]}
    by_count = sorted(rules.items(), key=lambda item: -item[1]["decided"])
    lines += _some("rules", [f"{name} decided {f['decided']:,} of {f['held']:,}" for name, f in by_count])
    lines += _some("breakers", [f"stopped {name} {n:,} times" for name, n in report["breakers"].items()])
    lines += _some("fallbacks", [f"{name.replace('_', ' ')} {n:,}" for name, n in report["fallbacks"].items()])
    if report["failed_learning"]:
        lines.append(f"learning failed {report['failed_learning']:,} times: the learners kept what they knew")
    lines += _troubles(report.get("troubles", {}))
    lines.append("")
    lines += _outcomes(report)
    scorers = report["scorers"]
    if scorers and quality["known"]:
        lines.append(f"{'scorer':<18}{'weight':>9}{'avg. prec.':>12}{'AUC':>9}")
        shown = sorted(scorers.items(), key=lambda item: -(item[1]["average_precision"] or 0.0))
        lines += [
            f"{name[:17]:<18}{_figure(f['weight']):>9}{_figure(f['average_precision']):>12}{_figure(f['auc']):>9}"
            for name, f in shown[:_NAMED_MAX]
        ]
        lines += [f"and {len(shown) - _NAMED_MAX} more"] if len(shown) > _NAMED_MAX else []
    lines += [f"warning: {warning}" for warning in report.get("warnings", ())]
    training = report.get("training")
    if training is not None:
        lines.append(f"trained on {training['rows']:,} events ({training['positives']:,} positive){left_out(training)}")
        lines += [f"warning: {warning}" for warning in training["warnings"]]
    return lines


def _troubles(troubles: Mapping[str, Any]) -> list[str]:
    """A sentence for each scorer and each learner that failed."""
    lines = []
    for name, found in troubles.get("scorers", {}).items():
        counts = ", ".join(f"{reason.replace('_', ' ')} {n:,} times" for reason, n in found.items() if reason != "out")
        out = f"; out at the end: {found['out']}" if found["out"] else ""
        lines.append(f"scorer {name}: {counts or 'never asked'}{out}")
    for name, found in troubles.get("learning", {}).items():
        lines.append(f"learning of the {name}: {found['failed']:,} steps failed, the last with {found['last']}")
    return lines


def _outcomes(report: Mapping[str, Any]) -> list[str]:
    """The results by outcomes: cost beside the two that need no model, and how good the risk was."""
    quality, unit = report["quality"], f" {report['currency']}" if report["currency"] else ""
    aside = [
        f"{quality[name]:,} {why}" for name, why in (
            ("too_young", "too young"), ("without_outcome", "without an outcome"),
        ) if quality[name]
    ]  # fmt: skip
    lines = [
        f"outcomes known of {quality['known']:,} decisions, {quality['positives']:,} positive"
        + (f"; left out: {', '.join(aside)}" if aside else "")
    ]
    if quality["cost"] is not None:
        mildest = next(iter(report["actions"]))
        for said, name in (
            ("cost as decided", "cost"), (f"cost, {mildest} always", "cost_mildest"),
            ("cost, hard rules alone", "cost_rules"),
        ):  # fmt: skip
            lines.append(f"{said + ' ':.<24}{quality[name]:>16,.2f}{unit}")
    if quality["auc"] is not None:
        lines.append(
            f"risk: AUC {quality['auc']:.4f}, average precision {quality['average_precision']:.4f}, "
            f"CP@100 {quality['card_precision_at_100']:.4f}, calibration error {quality['calibration_error']:.4f}"
        )
    return lines


def left_out(training: Mapping[str, Any]) -> str:
    """How many events taught nothing, and why; empty where all did."""
    found = training["left_out"]
    parts = []
    if found["too_young"]:
        parts.append(
            f"{found['too_young']:,} younger than {found['age']} ({found['positives_too_young']:,} known positive)"
        )
    if found["without_outcome"]:
        parts.append(f"{found['without_outcome']:,} without an outcome")
    if found.get("censored"):  # A report of an earlier version has none.
        parts.append(f"{found['censored']:,} whose outcome could not be seen after what was done")
    return f"; left out: {', '.join(parts)}" if parts else ""


def _some(what: str, parts: list[str]) -> list[str]:
    if not parts:
        return []
    more = f", and {len(parts) - _NAMED_MAX} more" if len(parts) > _NAMED_MAX else ""
    return [f"{what}: {', '.join(parts[:_NAMED_MAX])}{more}"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _rest(report: Mapping[str, Any], out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out)
    seconds = Table("stage", "seconds", title="time", title_justify="left")
    for name, value in report["seconds"].items():
        seconds.add_row(name, f"{value:.3f}")
    quality = Table("quality", "", title="where the outcome is known", title_justify="left")
    for name, value in report["quality"].items():
        shown = "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"
        quality.add_row(name.replace("_", " "), shown)
    rules = Table("rule", "held", "decided", title="rules", title_justify="left")
    for name, found in report["rules"].items():
        rules.add_row(name, f"{found['held']:,}", f"{found['decided']:,}")
    bins = Table("mean risk", "positives", "decisions", title="calibration", title_justify="left")
    for risk, share, n in report["calibration"]:
        bins.add_row(f"{risk:.4f}", f"{share:.4f}", f"{n:,}")
    scorers = Table("scorer", "weight", "average precision", "AUC", title="scorers", title_justify="left")
    for name, found in report["scorers"].items():
        scorers.add_row(name, *(_figure(found[key]) for key in ("weight", "average_precision", "auc")))
    for table in (seconds, quality, rules, scorers, bins):
        if table.row_count:
            console.print(table)
