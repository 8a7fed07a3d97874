"""How the maintenance loop is, for `homeostat doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.engine.shared.health import Diagnosis
from homeostat.ports.maintenance import MaintenanceStore
from homeostat.records.times import time_text

BEHIND_S_MAX = 300.0
_MEND = "Start homeostat maintain, or a server with serve --maintain; it goes on from where it was saved."


def of_maintenance(store: MaintenanceStore, now_ns: int) -> Iterator[Diagnosis]:
    """Whether a process watches the decisions, and keeps up; nothing where none ever did. Raises Unavailable."""
    lease = store.lease()
    if lease is None:
        return
    state = lease.state
    silent_s = max(0.0, (now_ns - state.at_ns) / 1e9)
    if not lease.lives:
        since = f" since {time_text(state.at_ns)}" if state.at_ns else ""
        yield Diagnosis("maintenance", "warning", f"no process watches the decisions{since}", _MEND)
    elif state.trouble:
        yield Diagnosis("maintenance", "warning", state.trouble, "Mend that; decisions are not touched by it.")
    elif state.behind_s + silent_s > BEHIND_S_MAX:
        mend = "It has the processor only where nobody else wants it: if the figure grows, use a larger machine."
        seen = f"it has not caught up with the journal for {state.behind_s + silent_s:,.0f} s"
        yield Diagnosis("maintenance", "warning", seen, mend)
    else:
        seen = f"{lease.owner} has read entry {state.entry:,}, and takes {state.series:,} figures"
        yield Diagnosis("maintenance", "ok", seen)
