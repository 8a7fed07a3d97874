"""A comparison for people: the verdict, its figures, and how the interval came to be as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import numpy as np

from homeostat.records.arrays import Float
from homeostat.stats.comparison import Comparison, interval_at

_WIDTH = 48
_LOOKS = 8


def print_comparison(found: Comparison, arms: Sequence[str], values: Float, out: TextIO) -> None:
    """The verdict first, then a table, then the interval after more and more rows."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out, markup=False, highlight=False)
    console.print(f"{found.verdict.value}: {found.why}")
    table = Table("", "control", "treatment", "difference", "low", "high")
    means = [_shown(_mean(arms, values, arm)) for arm in found.n]
    table.add_row(found.metric, *means, *(_shown(one) for one in (found.estimate, found.low, found.high)))
    table.add_row("values", *(f"{count:,}" for count in found.n.values()), "", "", "")
    if any(found.missing.values()):
        table.add_row("missing", *(f"{count:,}" for count in found.missing.values()), "", "", "")
    console.print(table)
    for warning in found.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)
    for line in plot(looks(found, arms, values), _edge(found)):
        console.print(line, soft_wrap=True)


def _edge(found: Comparison) -> float:
    return (-found.margin if found.better == "higher" else found.margin) + 0.0


def _mean(arms: Sequence[str], values: Float, arm: str) -> float | None:
    chosen = values[(np.asarray(arms, dtype=str) == arm) & ~np.isnan(values)] if len(values) else values
    return float(chosen.mean()) if len(chosen) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def looks(found: Comparison, arms: Sequence[str], values: Float) -> list[tuple[int, float, float]]:
    """Rows and bounds at up to 8 numbers of rows, each double the one before; the row of the verdict among them."""
    at = {len(values) >> halvings for halvings in range(_LOOKS)} | {found.stopped_at or 0}
    seen = [(rows, *interval_at(rows, arms, values, found)) for rows in sorted(at - {0})]
    return [(rows, low, high) for rows, low, high in seen if low is not None and high is not None]


def plot(seen: Sequence[tuple[int, float, float]], edge: float) -> list[str]:
    """One line a look: the interval as a bar, and where PASS ends and FAIL begins as an upright stroke.

    >>> print("\\n".join(plot([(10, -1.0, 1.0), (1000, 0.5, 1.0)], 0.0)))
    difference after so many rows, | = 0
        10 [-----------------------|-----------------------] -1 to 1
     1,000                         |           [-----------] 0.5 to 1
    """
    if not seen:
        return []
    least, most = min(edge, *(low for _, low, _ in seen)), max(edge, *(high for _, _, high in seen))
    span = (most - least) or 1.0

    def place(value: float) -> int:
        return round((value - least) / span * _WIDTH)

    lines = [f"difference after so many rows, | = {edge:.5g}"]
    for rows, low, high in seen:
        bar = [" "] * (_WIDTH + 1)
        begin, end = sorted((place(low), place(high)))
        bar[begin : end + 1] = "-" * (end + 1 - begin)
        bar[begin], bar[end] = "[", "]"
        bar[place(edge)] = "|"
        lines.append(f"{rows:6,} {''.join(bar)} {low:.4g} to {high:.4g}")
    return lines
