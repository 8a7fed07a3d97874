"""The demo's last screen: what it cost, one payment explained, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from homeostat.cli.demo_view import bar, duration, money, phrase
from homeostat.engine.explaining import shown

NEXT = (
    "homeostat simulate payments --days 90 --out sim",
    "homeostat replay payments sim/events.parquet --outcomes sim/outcomes.parquet \\\n    --out out",
    "homeostat serve payments --data state",
)
_STYLES = ("red", "yellow", "cyan", "bold green")


def end(summary: Mapping[str, Any]) -> RenderableType:
    """One screen: 80 columns, at most 24 lines."""
    explained, kept = summary["explained"], summary["machine"].get("kept")
    again: tuple[str, ...] = ()
    if explained is not None and kept is not None:
        again = (f"homeostat explain {explained['event_id']} \\\n    --app {kept}/app.yaml \\\n    --out {kept}",)
    return Group(_title(summary), _costs(summary), _explained(explained, summary["currency"]), _next((*again, *NEXT)))


def _title(summary: Mapping[str, Any]) -> Text:
    machine = summary["machine"]
    single = machine["single_decision_us"]
    quick = "" if single is None else f"; one alone {duration(single['p50'])}, p99 {duration(single['p99'])}"
    return Text.assemble(
        (f"{summary['decisions']:,} payments of {summary['days']} days", "bold"),
        f" at {machine['decisions_per_second']:,.0f}/s{quick}",
    )


def _costs(summary: Mapping[str, Any]) -> Table:
    currency, costs = summary["currency"], summary["costs"]
    best = list(costs)[-1]
    table = Table(box=None, padding=(0, 1), expand=False, header_style="dim")
    table.add_column("protected by", no_wrap=True)
    # Of frauds stopped, each world has another number: who is stopped may try again, and who is not comes back.
    table.add_column("frauds that succeeded", justify="right")
    table.add_column(f"cost, {currency}", justify="right")
    table.add_column(f"more than {best}, {currency}", justify="right")
    table.add_column("")
    top = max(1.0, *costs.values())
    for (name, cost), style in zip(costs.items(), _STYLES):
        counts = summary["ledger"][name]["counts"]
        more = "" if name == best else money(cost - costs[best])
        succeeded = f"{counts['frauds'] - counts['stopped']:,}"
        table.add_row(name, succeeded, money(cost), more, Text(bar(cost / top), style=style))
    return table


def _explained(found: Mapping[str, Any] | None, currency: str) -> RenderableType:
    if found is None:
        return Text("No fraud was blocked, so there is none to explain.", style="dim")
    head = Text.assemble(
        "\nWhy payment ", (found["event_id"], "bold"), f" of {found['amount']:,.2f} {currency} was ",
        ("blocked", "bold red"), f": risk {found['risk']:.1%}",
    )  # fmt: skip
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(style="dim", no_wrap=True)
    for part in found["features"]:
        value = "-" if part["value"] is None else shown(part["value"], "unit" in part)
        raised = Text(f"{part['contribution']:+.2f}", style="red" if part["contribution"] > 0 else "green")
        table.add_row("  " + part["name"], value, raised, phrase(part["name"]))
    change = found["change"]
    last = Text("  no single change of a feature would have changed that", style="dim")
    if change is not None:
        last = Text.assemble(
            "  it would have been ", (change["action"], "bold"),
            f" with {change['feature']} at {shown(change['becomes'], 'unit' in change)} instead of "
            f"{shown(change['was'], 'unit' in change)}",
        )  # fmt: skip
    return Group(head, table, last)


def _next(commands: Sequence[str]) -> RenderableType:
    shown = (Text(f"  {command}", style="cyan", no_wrap=True, overflow="fold") for command in commands)
    return Group(Text("\nTry next", style="bold"), *shown)
