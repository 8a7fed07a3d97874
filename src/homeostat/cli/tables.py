"""Reports as tables, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from homeostat.embedded.profiles import Profile


def report_table(report: Mapping[str, Any], out: TextIO) -> None:
    """A run's report: counts, speed, actions and quality."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out)
    counts = Table("", "", box=None, show_header=False)
    for name in ("events", "decisions", "dead_letters", "repeated", "late"):
        counts.add_row(name.replace("_", " "), f"{report[name]:,}")
    counts.add_row("decisions a second", f"{report['decisions_per_second']:,.0f}")
    latency = report["latency_us"]
    counts.add_row(
        "latency (share of a batch)", " / ".join(f"{latency[q]:.1f}" for q in ("p50", "p99", "p999")) + " us"
    )
    console.print(counts)
    seconds = Table("stage", "seconds", title="time", title_justify="left")
    for name, value in report["seconds"].items():
        seconds.add_row(name, f"{value:.3f}")
    actions = Table("action", "decisions", "share", title="actions", title_justify="left")
    total = max(1, report["decisions"])
    for name, value in report["actions"].items():
        actions.add_row(name, f"{value:,}", f"{value / total:.2%}")
    quality = Table("quality", "", title="against the outcomes known today", title_justify="left")
    for name, value in report["quality"].items():
        quality.add_row(name.replace("_", " "), "-" if value is None else f"{value:,.4f}")
    for table in (actions, seconds, quality):
        console.print(table)
    for line in _troubles(report.get("troubles", {})):
        console.print(line, style="bold", soft_wrap=True, markup=False)
    console.print(f"audit head {report['audit_head']}")


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


def training_table(report: Mapping[str, Any], out: TextIO) -> None:
    """What a bundle was trained on, and how its scorers did on rows that they had not seen."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out)
    console.print(
        f"{report['bundle']}: version {report['version']}, {report['rows']:,} rows with known outcomes "
        f"({report['positives']:,} positive) from {report['from']} until {report['until']}",
        soft_wrap=True,
    )
    names = ("average_precision", "roc_auc", "brier", "log_loss", "calibration_error")
    table = Table("scorer", *(name.replace("_", " ") for name in names), title="out of fold", title_justify="left")
    for scorer, metrics in report["out_of_fold"].items():
        table.add_row(scorer, *(f"{metrics[name]:.4f}" for name in names))
    console.print(table)


def guards_table(report: Mapping[str, Any], out: TextIO) -> None:
    """What another set of rules would have changed."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out)
    total = max(1, report["decisions"])
    console.print(
        f"{report['changed']:,} of {report['decisions']:,} decisions would have changed "
        f"({report['changed'] / total:.2%})"
    )
    changes = Table("from", "to", "decided before", "would decide", "decisions", "examples")
    for change in report["changes"]:
        shown = ", ".join(example["event_id"] for example in change["examples"][:3])
        ruled = (change["rule_before"] or "policy", change["rule_after"] or "policy")
        changes.add_row(change["before"], change["after"], *ruled, f"{change['count']:,}", shown)
    actions = Table("action", "before", "after", title="actions", title_justify="left")
    for name, count in report["actions_before"].items():
        actions.add_row(name, f"{count:,}", f"{report['actions_after'][name]:,}")
    for table in (changes, _rules_table(report), _precision_table(report), actions):
        if table.row_count:
            console.print(table)
    if report["cost_after"] is not None and report["known"]:
        console.print(
            f"cost of the {report['known']:,} decisions whose outcome is known: {report['cost_before']:,.2f} before, "
            f"{report['cost_after']:,.2f} after {report['currency']}".rstrip(),
            soft_wrap=True,
        )


def _rules_table(report: Mapping[str, Any]) -> Any:
    """How often each rule held and decided, before and after."""
    from rich.table import Table

    heads = ("rule", "held before", "would hold", "decides", "alone", "most often with")
    table = Table(*heads, title="rules", title_justify="left")
    before, after = report["rules_before"], report["rules_after"]
    for name in dict.fromkeys((*before, *after)):
        found = after.get(name) or before[name]
        held = [f"{side[name]['held']:,}" if name in side else "-" for side in (before, after)]
        decides = f"{after[name]['decided']:,}" if name in after else "-"
        beside = max(found["overlap"].items(), key=lambda item: item[1], default=None)
        table.add_row(name, *held, decides, f"{found['alone']:,}", f"{beside[0]} ({beside[1]:,})" if beside else "")
    return table


def _precision_table(report: Mapping[str, Any]) -> Any:
    """What each rule was worth where the outcome is known; an old rule too, if no new one has its name."""
    from rich.table import Table

    heads = ("rule", "known", "precision", "cost", "proposals' cost")
    table = Table(*heads, title="where the outcome is known", title_justify="left")
    before, after = report["rules_before"], report["rules_after"]
    for name in dict.fromkeys((*before, *after)) if report["known"] else ():
        found = after.get(name) or before[name]
        precision = "-" if found["precision"] is None else f"{found['precision']:.1%}"
        costs = ["-" if found[key] is None else f"{found[key]:,.2f}" for key in ("cost", "proposed_cost")]
        table.add_row(name, f"{found['known']:,}", precision, *costs)
    return table


def profile_table(columns: Sequence[Profile], out: TextIO) -> None:
    """What each column of a file seems to be."""
    from rich.console import Console
    from rich.table import Table

    table = Table("column", "seems to be", "because", "different", "missing", "such as")
    for one in columns:
        examples = ", ".join(str(value) for value in one.examples[:2])
        shown = examples if len(examples) <= 40 else examples[:39] + "…"
        table.add_row(one.name, one.role.value, one.why, f"{one.distinct:,}", f"{one.nulls:,}", shown)
    Console(file=out).print(table, markup=False)
