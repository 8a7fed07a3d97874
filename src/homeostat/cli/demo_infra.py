"""`homeostat demo infra`: the live view and the last screen. They fit 80 columns and 24 lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from json import dumps
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from homeostat.cli.demo_view import WIDTH_MAX, bar, duration

if TYPE_CHECKING:
    from homeostat.jobs.infra.demo import InfraDemo

_BINS = 48
_LEVELS = ((4.0, "#", "bold red"), (3.0, "+", "yellow"), (1.0, ".", "cyan"))
"""Spreads out of the band, how they are drawn, and in which style."""
_NEXT = (
    "homeostat watch                              # this machine, live",
    "homeostat simulate infra --days 10 --out sim",
    "homeostat up infra",
)


def infra(seed: int, json: bool, announced: Any) -> None:
    """Run it, looking on, and print the end.

    announced : shows how far the start is
    """
    from homeostat.jobs.infra.demo import InfraDemo, Plan

    begun = perf_counter()
    with announced("starting") as progress:
        progress("simulating twelve hosts", 0.0)
        demo = InfraDemo(Plan(seed=seed))
        demo.open(progress)
    with demo:
        opened = perf_counter()
        if sys.stderr.isatty():
            _watch_live(demo, begun)
        else:
            _watch(demo)
        ran = perf_counter()
        found = demo.summary() | {"seconds": {"start": opened - begun, "run": ran - opened}}
    if json:
        print(dumps(found))
        return
    console = Console(file=sys.stdout)
    console.width = min(console.width, WIDTH_MAX)
    console.print(end(found))


def _watch(demo: InfraDemo) -> None:
    """A line for each episode."""
    shown: set[int] = set()
    for _ in demo.run():
        for one in demo.found():
            if one["step"] not in shown and one["looked"] < demo.now:
                shown.add(one["step"])
                print(_sentence(one), file=sys.stderr, flush=True)


def _watch_live(demo: InfraDemo, begun: float) -> None:
    console = Console(stderr=True)
    console.width = min(console.width, WIDTH_MAX)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for share in demo.run():
            live.update(screen(demo, share, perf_counter() - begun), refresh=True)


def screen(demo: InfraDemo, share: float, seconds: float) -> RenderableType:
    """The live view: how far each host is out of its bands, by half hours, and the last episodes."""
    title = Text.assemble(
        (" homeostat ", "bold reverse cyan"), " twelve hosts, four faults  ", (demo.clock(demo.now - 1), "bold"), "  ",
        (bar(share), "cyan"), (f"  {seconds:.0f} s", "dim"),
    )  # fmt: skip
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for host, name in enumerate(demo.infra.names):
        table.add_row(name, _course(demo, host))
    legend = Text("spreads out of the usual band: . 1   + 3   # 4, an alert", style="dim")
    lines = [Text(_sentence(one), no_wrap=True, overflow="ellipsis") for one in demo.found()[-6:]]
    return Group(title, Text(), table, legend, Text(), *lines)


def _course(demo: InfraDemo, host: int) -> Text:
    out = demo.watch.seen.out[demo.first :, host].max(axis=1)
    text = Text()
    for part in np.array_split(np.nan_to_num(out), _BINS):
        mark = next(((sign, style) for least, sign, style in _LEVELS if part.max() >= least), (" ", ""))
        text.append(*mark)
    return text


def _sentence(one: Mapping[str, Any]) -> str:
    low, high = (_short(end) for end in one["usual"])
    began = one["began"] or "nobody"
    return (
        f"{one['at']}  {one['metric']} of {one['host']} {_short(one['value'])}, usual {low} to {high}; "
        f"began in {began} ({one['probability']:.0%})"
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def end(found: Mapping[str, Any]) -> RenderableType:
    """The last screen."""
    head = Text.assemble(
        (f"{found['decisions']:,} events of {found['hosts']} hosts in a day", "bold"),
        f", {found['metrics']} metrics each; one alone takes {duration(found['single_us']['p50'])}",
    )
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("at", "fault", "of", "after", "by", "usual", "began in"):
        table.add_column(name, no_wrap=True)
    for one in found["faults"]:
        table.add_row(*_row(one))
    false = found["false_alarms"]
    which = "".join(f"; {one['at']} {', '.join(one['hosts'])}" for one in found["false"])
    last = Text(f"False alarms: {false or 'none'}{which}")
    following = (Text(f"  {command}", style="cyan", no_wrap=True, overflow="fold") for command in _NEXT)
    return Group(head, table, last, Text("\nTry next", style="bold"), *following)


def _row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    seen, minutes = one["found"], one["found_after_minutes"]
    if seen is None:
        return one["at"], one["kind"], one["service"], Text("not found", style="red"), "", "", ""
    low, high = (_short(value) for value in seen["usual"])
    by = f"{seen['metric']} {_short(seen['value'])}"
    began = Text(seen["began"] or "nobody", style="green" if one["right"] else "red")
    began.append(f" {seen['probability']:.0%}", style="dim")
    after = "at once" if minutes == 0 else f"{minutes} min"
    return one["at"], one["kind"], one["service"], after, by, f"{low}..{high}", began
