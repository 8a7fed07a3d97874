"""A result for people at a terminal: the verdict, the columns that matter, and the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from homeostat.jobs.table_monitor.result import Chunk, Monitored

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS_MAX = 30
_CHUNKS_MAX = 60


def shown(found: Monitored) -> Iterator[RenderableType]:
    """Verdict and sentence, warnings, then tables."""
    yield Text(f"{found.verdict}: {found.sentence}")
    for warning in found.warnings:
        yield Text(f"warning: {warning}")
    if found.columns:
        yield columns_table(found)
        left = len(found.columns) - _COLUMNS_MAX
        if left > 0:
            yield Text(f"{left} more columns with less drift: --json or --out show them")
    if found.chunks:
        yield chunks_table(found)
        left = len(found.chunks) - _CHUNKS_MAX
        if left > 0:
            yield Text(f"{left} more chunks: --json or --out show them")


def columns_table(found: Monitored) -> Table:
    """Columns, those with most drift first."""
    table = Table("column", "drift", "low", "high", "threshold", "n", "method", "verdict")
    rank = {"drift": 0, "not enough data": 1, "no drift": 2}
    first = sorted(found.columns, key=lambda one: (rank[one.verdict], -one.drift if isfinite(one.drift) else 0.0))
    for one in first[:_COLUMNS_MAX]:
        table.add_row(
            Text(one.name), _number(one.drift), _number(one.bound_low), _number(one.bound_high), _number(one.threshold),
            f"{one.n:,}", one.method, one.verdict,
        )  # fmt: skip
    return table


def chunks_table(found: Monitored) -> Table:
    """Estimated figures of each chunk, with the realised ones below where they are known."""
    table = Table("chunk", "rows", "auc", "accuracy", "f1", "average precision", "alert")
    for one in found.chunks[:_CHUNKS_MAX]:
        figures = [_figure(one, name) for name in ("auc", "accuracy", "f1", "average_precision")]
        table.add_row(Text(one.value or f"{one.start:,}-{one.end:,}"), f"{one.rows:,}", *figures, _marks(one))
    table.caption = "estimated ± half of its 95 % band (realised)"
    return table


def _figure(one: Chunk, name: str) -> str:
    band = one.estimated[name]
    text = "-" if not isfinite(band.value) else f"{band.value:.4f} ±{(band.high - band.low) / 2:.4f}"
    known = None if one.realised is None else one.realised[name]
    return text if known is None or not isfinite(known) else f"{text} ({known:.4f})"


def _marks(one: Chunk) -> str:
    marks = [name for name, raised in one.alert.items() if raised]
    marks += ["assumption broken"] if one.assumption_broken else []
    marks += ["new values"] if one.extrapolates else []
    return ", ".join(marks)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"
