"""The sizes that processes chose by their load, for `homeostat doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.config.servers import Servers
from homeostat.engine.shared.health import Diagnosis
from homeostat.ports.settings import Settings
from homeostat.ports.statements import Statements
from homeostat.records.statements import StatementKind

READ_MAX = 1000
"""Choices that are looked through, the newest first."""
_SIZES = (("batch_rows", "batches", "rows"), ("memory_mb", "memory for logs", "MB"))


def of_sizes(servers: Servers, settings: Settings, store: Statements, now_ns: int) -> Iterator[Diagnosis]:
    """The bounds that were declared, and the last choice of each process that lives; nothing without bounds.

    Raises Unavailable, SettingsError, StatementsError.
    """
    declared = [
        (name, f"{what} of {low:,} to {getattr(servers, name):,} {unit}")
        for name, what, unit in _SIZES
        if (low := getattr(servers, f"{name}_min")) is not None
    ]
    if not declared:
        return
    lives = {one.process for one in settings.processes() if not one.gone(now_ns)}
    last: dict[tuple[str, str], float] = {}
    for one in store.list(StatementKind.SIZE, limit=READ_MAX):
        if one.about in lives and one.value is not None:
            last.setdefault((one.topic, one.about), float(one.value))
    for name, bounds in declared:
        chosen = [f"{process} chose {value:,.0f}" for (of, process), value in sorted(last.items()) if of == name]
        yield Diagnosis(name, "ok", "; ".join([bounds, *chosen]))
