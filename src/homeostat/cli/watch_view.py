"""The live view of `homeostat watch`: a line for each metric, and the last alerts. Fits 80 columns and 24 lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from homeostat.jobs.watching.watching import Course, Watching

_BLOCKS = "▁▂▃▄▅▆▇█"
_FIXED = 42
"""Columns of a line beside its course."""
_EPISODES = 6
_UNITS = {
    "cpu": "%", "memory": "", "swap": "%", "disk": "%", "disk_io": "MB/s", "network": "MB/s", "requests": "/s",
    "latency": "ms", "errors": "/s",
}  # fmt: skip


def screen(name: str, watching: Watching, width: int) -> RenderableType:
    """The view of a sampler by its name, in so many columns."""
    from homeostat.cli.watch import sentence

    state = "learning" if watching.learning else ("ok", "watch", "ALERT")[watching.action]
    style = {"learning": "yellow", "ok": "green", "watch": "yellow", "ALERT": "bold red"}[state]
    head = Text.assemble((" homeostat ", "bold reverse cyan"), f" {name}  step {watching.step}  ", (state, style))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for title in ("", "now", "", "usual", ""):
        table.add_column(title, no_wrap=True, justify="right" if title == "now" else "left")
    for metric, course in watching.courses.items():
        if np.isfinite(list(course.values)).any():
            table.add_row(*_row(metric, course, min(width, 100) - _FIXED))
    last = [Text(sentence(one), no_wrap=True, overflow="ellipsis") for one in watching.episodes[-_EPISODES:]]
    return Group(head, table, Text(), *last)


def _row(metric: str, course: Course, width: int) -> tuple[str | Text, ...]:
    now = course.now
    style = "bold red" if now.out > 4 else "yellow" if now.out > 2 else ""
    usual = "-" if np.isnan(now.low) else f"{now.low:.3g}..{now.high:.3g}"
    return (
        metric,
        Text(f"{now.value:.4g}", style=style),
        _UNITS[metric],
        f"{usual:>13}",
        spark(list(course.values)[-width:]),
    )


def spark(values: list[float]) -> str:
    """A course in blocks, from 0 or the least value to the highest.

    >>> spark([0.0, 1.0, 2.0, float("nan")])
    '▁▅█ '
    """
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return ""
    low, high = min(0.0, *known), max(*known, 1e-9)
    places = ((value - low) / (high - low) * (len(_BLOCKS) - 1) if np.isfinite(value) else None for value in values)
    return "".join(" " if place is None else _BLOCKS[round(place)] for place in places)
