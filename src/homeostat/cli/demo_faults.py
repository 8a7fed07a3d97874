"""`homeostat demo --faults`: faults in the demo's payments, and loop 2 at work on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from homeostat.cli.demo_view import WIDTH_MAX, bar, money
from homeostat.cli.progress import Progress
from homeostat.jobs.demo.faults import SHORT, SIX, WITH, WITHOUT, FaultsDemo, FaultsPlan, done, lost_so_far, summary
from homeostat.jobs.demo.faults_page import write_page

DAYS, LONG_DAYS = 6, 14
"""Days of the short form, and those from which on all six faults come."""
_LINES = 9
_STYLES = {WITHOUT: "red", WITH: "bold green"}


def plan_of(seed: int, days: int | None) -> FaultsPlan:
    """The demo of so many days. A longer one has more faults, and monitors that have learned for longer."""
    wanted = DAYS if days is None else days
    if wanted < LONG_DAYS:
        return FaultsPlan(seed, wanted, scenarios=SHORT)
    return FaultsPlan(seed, wanted, past_days=28, warm_days=60, scenarios=SIX)


def faults(plan: FaultsPlan, out: Path | None, json: bool, announced: Any) -> None:
    """Run it, looking on, and print the end.

    out : the folder of the page
    announced : shows how far the start is
    """
    begun = perf_counter()
    demo = FaultsDemo(plan)
    with announced("starting") as progress:
        _open(demo, progress)
    opened = perf_counter()
    if sys.stderr.isatty():
        _watch_live(demo)
    else:
        _watch(demo)
    found = summary(demo, (opened - begun, perf_counter() - opened))
    written = [] if out is None else write_page(found, out)
    if json:
        print(dumps(found))
        return
    console = Console(file=sys.stdout)
    console.width = min(console.width, WIDTH_MAX)
    console.print(end(found, written))


def _open(demo: FaultsDemo, progress: Progress) -> None:
    demo.open(progress)


def _watch(demo: FaultsDemo) -> None:
    """A line for each thing that happens."""
    told = 0
    for _ in demo.run():
        lines = done(demo)
        for line in lines[told:]:
            print(_told(line), file=sys.stderr, flush=True)
        told = len(lines)


def _watch_live(demo: FaultsDemo) -> None:
    console = Console(stderr=True)
    console.width = min(console.width, WIDTH_MAX)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for share in demo.run():
            live.update(screen(demo, share), refresh=True)


def screen(demo: FaultsDemo, share: float) -> RenderableType:
    """The live view: how far it is, the money, and the last things that happened."""
    title = Text.assemble(
        (f"day {demo.day:.1f} of {demo.plan.days}", "bold"), "  ", (bar(share), "cyan"), f"  seed {demo.plan.seed}"
    )
    begun = [one for one in demo.faults if one.at_ns <= demo.frame.start_ns + int(demo.day * 86_400e9)]
    faulty = Text("faults so far: " + (", ".join(one.scenario.title for one in begun) or "none"), style="yellow")
    lines = [Text(_told(line), no_wrap=True, overflow="ellipsis") for line in done(demo)[-_LINES:]]
    return Group(title, faulty, _money(lost_so_far(demo), demo.drill.prepared.app.currency), *lines)


def end(found: Mapping[str, Any], written: Sequence[Path] = ()) -> RenderableType:
    """The last screen: the faults, what was done about them, and the money."""
    head = Text(f"{len(found['faults'])} faults in {found['days']} days, {found['events']:,} payments", style="bold")
    faulty = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("day", "fault", "at", "mended"):
        faulty.add_column(name)
    for one in found["faults"]:
        mended = "not" if one["mended"] is None else f"day {one['mended']:.2f}"
        faulty.add_row(f"{one['day']:.2f}", one["title"], one["node"], mended)
    steps = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("day", "step taken", "at", "by", "verdict", "undone"):
        steps.add_column(name)
    for one in found["steps"]:
        undone = "" if one["undone"] is None else f"day {one['undone']:.2f}"
        steps.add_row(f"{one['day']:.2f}", one["remedy"], one["scope"], one["by"], one["verdict"] or "", undone)
    under = found["under_fault"]
    last = Text(
        f"Decided while a fault was there: {under[WITHOUT]:,} without loop 2, {under[WITH]:,} with it. "
        f"Steps beyond the limits, counted from outside: {found['unauthorised']}."
    )
    pages = [Text(f"  {path}", style="cyan") for path in written]
    return Group(head, faulty, Text(), steps, Text(), _money(found["lost"], found["currency"]), last, *pages)


def _money(lost: Mapping[str, float], currency: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("")
    table.add_column(f"lost to the faults, {currency}", justify="right")
    table.add_column("")
    top = max(1.0, *lost.values())
    for name, value in lost.items():
        table.add_row(name, money(value), Text(bar(max(0.0, value) / top), style=_STYLES[name]))
    return table


def _told(line: Mapping[str, Any]) -> str:
    return f"day {line['day']:5.2f}  {line['incident'][:5]}  {line['text']}"
