"""The demo's live view and its last screen. Fits 80 columns and 24 lines; figures come from `demo_summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

WIDTH_MAX = 100
_BAR = 12
_ACTION_STYLES = ("green", "yellow", "red", "magenta")
_ARM_STYLES = ("red", "yellow", "cyan", "bold green")
_PHRASES = (  # The longest matching beginning of a feature's name says it for people.
    ("customer_fraud", "frauds on this card before"),
    ("customer_mean", "the customer's usual amounts"),
    ("customer_", "how often the customer pays"),
    ("large_amount", "a very large amount"),
    ("amount", "the amount"),
    ("night", "the hour"),
    ("weekend", "the day"),
    ("past_", "the customer's last days"),
    ("ratio", "far above what is usual"),
    ("terminal_clean", "what is known of the terminal"),
    ("terminal_count", "what is known of the terminal"),
    ("terminal_", "frauds at this terminal"),
)


def money(value: float, currency: str = "") -> str:
    """Whole units with separators.

    >>> money(-1234.5, "EUR")
    '-1,234 EUR'
    """
    return f"{value:,.0f}" + (f" {currency}" if currency else "")


def duration(microseconds: float) -> str:
    """Microseconds, or milliseconds once there are many.

    >>> duration(312.4), duration(4100)
    ('312 us', '4.1 ms')
    """
    return f"{microseconds:,.0f} us" if microseconds < 1000 else f"{microseconds / 1000:,.1f} ms"


def phrase(feature: str) -> str:
    """The subject of a feature in words for people; its own name where no phrase is known.

    >>> phrase("terminal_risk_7d"), phrase("burst")
    ('frauds at this terminal', 'burst')
    """
    return next((words for start, words in _PHRASES if feature.startswith(start)), feature)


def bar(share: float, width: int = _BAR) -> str:
    """A bar of a share in [0, 1]; the smallest share shows.

    >>> bar(0.5, 4), bar(0.0, 4)
    ('━━', '')
    """
    return "━" * (max(1, round(share * width)) if share > 0 else 0)


def screen(shot: Mapping[str, Any], share: float, seconds: float, title: str) -> RenderableType:
    """The live view."""
    columns = Table.grid(expand=True, padding=(0, 0))
    columns.add_column(ratio=9)
    columns.add_column(ratio=11)
    columns.add_row(_decisions(shot), _costs(shot))
    columns.add_row(_reasons(shot), _learning(shot))
    return Group(_head(shot, share, seconds, title), columns, _scorers(shot))


def _head(shot: Mapping[str, Any], share: float, seconds: float, title: str) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    filled = round(share * 24)
    progress = Text.assemble(("━" * filled, "cyan"), ("━" * (24 - filled), "bright_black"))
    line.add_row(
        Text.assemble((" homeostat ", "bold reverse cyan"), f" {title}"),
        Text.assemble(progress, f" day {shot['day']:.0f}/{shot['days']} ", (f" {seconds:.0f} s ", "dim")),
    )
    return line


def _panel(content: RenderableType, title: str, height: int | None = None) -> Panel:
    return Panel(content, title=f"[bold]{title}[/]", title_align="left", border_style="bright_black", height=height)


def _pairs(*justify: str) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    for side in justify:
        table.add_column(justify=side, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    return table


def _decisions(shot: Mapping[str, Any]) -> Panel:
    table = _pairs("left", "right", "left")
    total = max(1, sum(shot["actions"].values()))
    for (action, count), style in zip(shot["actions"].items(), _ACTION_STYLES):
        table.add_row(action, f"{count:,}", Text(f"{count / total:6.2%}", style=style))
    single = shot["single_us"]
    quick = Text("...") if single is None else Text(f"{duration(single['p50'])}, {duration(single['p99'])}")
    speed = _pairs("left", "right")
    speed.add_row("decisions/s", f"{shot['rate']:,.0f}")
    speed.add_row("alone, p50, p99", quick)
    return _panel(Group(table, Text(""), speed), "decisions", 8)


def _costs(shot: Mapping[str, Any]) -> Panel:
    table = _pairs("left", "right", "left")
    costs: Mapping[str, float] = shot["costs"]
    top = max(1.0, *costs.values())
    for (name, cost), style in zip(costs.items(), _ARM_STYLES):
        table.add_row(name, money(cost), Text(bar(cost / top), style=style))
    first, second, *_, last = costs.values()
    saved = _pairs("left", "right")
    saved.add_row("saved against no protection", Text(money(first - last), style="bold green"))
    saved.add_row("saved against scoring rules", Text(money(second - last), style="bold green"))
    return _panel(Group(table, saved), "what it cost so far, EUR", 8)


def _reasons(shot: Mapping[str, Any]) -> Panel:
    table = _pairs("left", "right")
    for words, count in grouped(shot["reasons"])[:6]:
        table.add_row(words, f"{count:,}")
    return _panel(table, "why payments were stopped", 8)


def grouped(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Reasons that say the same for people, together; most frequent first.

    >>> grouped([("ratio", 3), ("terminal_run", 2), ("ratio_rms", 1)])
    [('far above what is usual', 4), ('frauds at this terminal', 2)]
    """
    counts: dict[str, int] = {}
    for feature, count in reasons:
        counts[phrase(feature)] = counts.get(phrase(feature), 0) + count
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _learning(shot: Mapping[str, Any]) -> Panel:
    learned = shot["learning"]
    table = _pairs("left", "right")
    table.add_row("outcomes arrived", f"{learned['outcomes']:,}")
    table.add_row("frauds the models expect", f"{learned['expected']:,.0f}")
    table.add_row("frauds the bandit expects", f"{learned['corrected']:,.0f}")
    table.add_row("frauds there were", f"{learned['happened']:,}")
    budget = learned["budget_a_day"] * ceil(shot["day"])  # A day that has begun has its whole budget.
    table.add_row("explored, charged", f"{learned['explored']:,}, {money(learned['charged'])} of {money(budget)}")
    gain = -learned["against_models"]
    table.add_row("saved against models", Text(money(gain), style="bold green" if gain >= 0 else "yellow"))
    return _panel(table, "the bandit learns", 8)


def _scorers(shot: Mapping[str, Any]) -> Panel:
    table = _pairs(*["center"] * max(1, len(shot["scorers"])))
    if shot["scorers"]:
        table.add_row(*[Text.assemble((f"{name} ", "dim"), f"{ap:.3f}") for name, ap in shot["scorers"].items()])
    else:
        table.add_row(Text("no fraud so far", style="dim"))
    return _panel(table, "how well each ranks frauds (average precision)", 3)
