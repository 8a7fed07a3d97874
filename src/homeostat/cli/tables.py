"""Reports as tables, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO


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
    console.print(f"audit head {report['audit_head']}")
