"""Reports as tables, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from homeostat.jobs.profiles import Profile
    from homeostat.records.job import Job

_ABOUT_MAX = 80  # Characters of a job in a list; `jobs show` has all.


def training_table(report: Mapping[str, Any], out: TextIO) -> None:
    """A bundle's training rows, how its scorers did on rows that they had not seen, and what each adds."""
    from rich.console import Console
    from rich.table import Table

    from homeostat.cli.report_view import left_out

    console = Console(file=out)
    console.print(
        f"{report['bundle']}: version {report['version']}, {report['rows']:,} events that teach "
        f"({report['positives']:,} positive) from {report['from']} until {report['until']}{left_out(report)}",
        soft_wrap=True,
    )
    if report["repeated"]:
        console.print(f"{report['repeated']:,} events were given more than once: the first of each id counts")
    names = {"average_precision": "avg. prec.", "roc_auc": "AUC", "brier": "Brier", "calibration_error": "calibr."}
    table = Table("out of fold", *names.values(), "weight", "adds")
    fused = report["fused"]
    for scorer, metrics in report["out_of_fold"].items():
        without = fused["without"][scorer]
        adds = fused["average_precision"] - without["average_precision"]
        table.add_row(scorer, *(f"{metrics[name]:.4f}" for name in names), f"{without['weight']:.3f}", f"{adds:+.4f}")
    if fused is not None:
        table.add_row("fused", *(f"{fused[name]:.4f}" for name in names), "", "")
        console.print(table)
        console.print("adds: by how much the fused average precision falls without the scorer", soft_wrap=True)
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", soft_wrap=True)


def tuning_table(result: Mapping[str, Any], out: TextIO) -> None:
    """The best settings of a tuning beside those of the app file, and which of them matter."""
    from rich.console import Console
    from rich.table import Table

    console, best = Console(file=out), result["best"]
    states = ", ".join(f"{count} {state}" for state, count in result["states"].items() if count)
    console.print(f"{result['trials']} trials of study {result['study']} ({states})", soft_wrap=True)
    hand = "" if result["hand_made"] is None else f", {result['hand_made']:.4f} with the settings of the app file"
    console.print(f"{result['metric']} {best['value']:.4f} in trial {best['trial']}{hand}", soft_wrap=True)
    table = Table("setting", "best", "importance")
    for name, value in sorted(best["params"].items(), key=lambda one: -result["importances"].get(one[0], 0.0)):
        share = result["importances"].get(name)
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value), f"{share:.1%}" if share else "")
    if best["params"]:
        console.print(table)
    console.print(
        f"{result['bundle']}: version {result['version']}; plots and trials in {result['report']}", soft_wrap=True
    )
    for warning in result["warnings"]:
        console.print(f"warning: {warning}", soft_wrap=True)


def guards_table(report: Mapping[str, Any], out: TextIO) -> None:
    """The changes that another set of rules would have made."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from homeostat.adapters.process.printable import printable

    console = Console(file=out)
    total = max(1, report["decisions"])
    console.print(
        f"{report['changed']:,} of {report['decisions']:,} decisions would have changed "
        f"({report['changed'] / total:.2%})"
    )
    changes = Table("from", "to", "decided before", "would decide", "decisions", "examples")
    for change in report["changes"]:
        shown = ", ".join(escape(printable(example["event_id"])) for example in change["examples"][:3])
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
    """The worth of each rule where the outcome is known; also of an old rule, if no new one has its name."""
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
    """The likely role of each column of a file."""
    from rich.console import Console
    from rich.table import Table

    table = Table("column", "seems to be", "because", "different", "missing", "such as")
    for one in columns:
        examples = ", ".join(list(dict.fromkeys(map(str, one.examples)))[:2])
        shown = examples if len(examples) <= 40 else examples[:39] + "…"
        table.add_row(one.name, one.role.value, one.why, f"{one.distinct:,}", f"{one.nulls:,}", shown)
    Console(file=out).print(table, markup=False)


def jobs_table(found: Sequence[Job], out: TextIO) -> None:
    """Jobs, a line each."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from homeostat.adapters.process.printable import printable
    from homeostat.records.job import facts

    table = Table("job", "kind", "state", "done", Column("since", no_wrap=True), "by", "arguments or error")
    for job in found:
        shown = facts(job)
        since = shown["ended"] or shown["started"] or shown["created"]
        last = (job.error.strip().splitlines() or [""])[-1]
        about = job.note or last or " ".join(job.arguments)
        table.add_row(
            str(job.id), job.kind, str(job.state), f"{job.progress:.0%}", since, escape(printable(job.actor)),
            escape(printable(about if len(about) <= _ABOUT_MAX else f"{about[: _ABOUT_MAX - 1]}…")),
        )  # fmt: skip
    Console(file=out).print(table)


def job_lines(job: Job) -> list[str]:
    """One job, a line for each fact that there is."""
    from json import dumps

    from homeostat.adapters.process.printable import printable
    from homeostat.records.job import facts

    shown = facts(job)
    shown["arguments"] = " ".join(job.arguments)
    shown["progress"] = f"{job.progress:.0%}"
    shown["result"] = None if job.result is None else dumps(job.result)
    return [f"{name:<12} {printable(str(value))}" for name, value in shown.items() if value not in (None, "")]
