"""Starts the maintenance loop's process beside a server with a data folder, and says how the loop fares.

The process takes the processor time that is left; where it ends, or hangs, it is started again: see `engine.keeping`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.process.companion import Companion
from homeostat.engine.keeping import TURN_S, Patience, ProcessKeeper, Running, Sign
from homeostat.engine.watching import name_of
from homeostat.ports import Clock
from homeostat.ports.maintenance import Lease, MaintenanceStore

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

_HANGS_S, _LOADING_S = 300.0, 900.0  # Without a sign of life; until the first, kernels may be compiled.
_BEHIND_S_MAX = 300.0
_SILENT_S = 10 * TURN_S


class MaintenanceKeeper:
    """See the module. `close` ends it, and the process.

    words : the arguments of `homeostat` that start the process
    store : of the incidents, for reading; it is closed with this
    owner : the name under which the process has its lease
    say : gets a sentence when something changes
    """

    def __init__(
        self, words: Sequence[str], store: MaintenanceStore, owner: str, *, clock: Clock | None = None,
        say: Callable[[str], None] = lambda text: None, start: Callable[[], Running] | None = None,
    ) -> None:  # fmt: skip
        self._words, self._store, self._say = (*words, "--owner", owner), store, say
        self._keeper = ProcessKeeper(
            "maintenance", self._look, start or self._started, owner, Patience(_HANGS_S, _LOADING_S),
            store="its store", said=self._failed, clock=clock,
        )  # fmt: skip
        self._lease: Lease | None = None

    def start(self) -> None:
        """Look after it from now on, in a thread."""
        self._keeper.begin()

    def close(self) -> None:
        """End the process and the thread."""
        self._keeper.close()
        self._store.close()

    def turn(self) -> None:
        """Look once. It raises nothing: a failure is the trouble."""
        self._keeper.turn()

    def end(self) -> None:
        """End the process, if one runs."""
        self._keeper.end()

    def readings(self) -> dict[str, Value]:
        """Its figures by name of a declared metric. Any thread may ask."""
        lease = self._lease
        found: dict[str, Value] = {
            "homeostat_maintain_up": lease is not None and lease.lives,
            "homeostat_maintain_restarts_total": self._keeper.restarts,
        }
        if lease is not None:
            state = lease.state
            found |= {
                "homeostat_maintain_behind_entries": max(0, state.last - state.entry),
                "homeostat_maintain_behind_seconds": self._behind_s(lease),
                "homeostat_maintain_incidents_open": state.open, "homeostat_maintain_budget_used": state.used,
            }  # fmt: skip
        return found

    def notes(self) -> list[str]:
        """The notices for people: why nothing watches the decisions, or how far that is behind."""
        lease = self._lease
        why = self._keeper.trouble or ("" if lease is None or not lease.lives else lease.state.trouble)
        if why:
            return [f"maintenance: {why}"]
        behind_s = 0.0 if lease is None else self._behind_s(lease)
        return [f"maintenance is {behind_s:,.0f} s behind"] if behind_s > _BEHIND_S_MAX else []

    def _behind_s(self, lease: Lease) -> float:
        return self._keeper.behind_s(lease.state.at_ns, lease.state.behind_s, _SILENT_S)

    def _look(self) -> None:
        lease = self._lease = self._store.lease()
        self._keeper.tend(
            None if lease is None else Sign(lease.owner, lease.lives, lease.state.at_ns, lease.state.began_ns)
        )

    def _failed(self, trouble: str) -> None:
        self._say(f"maintenance: {trouble}")

    def _started(self) -> Companion:
        return Companion(
            [sys.executable, "-P", "-m", "homeostat", "maintain", *self._words, "--parent", str(os.getpid())]
        )


def keeper_in(
    app: str, data: Path, memory_mb: int, say: Callable[[str], None], bundle: Path | None = None
) -> MaintenanceKeeper:
    """The keeper of a server on a data folder, started.

    app, bundle : as the server was given them
    """
    named = () if bundle is None else ("--bundle", str(bundle))
    words = (app, "--data", str(data), "--memory-mb", str(memory_mb), *named)
    made = MaintenanceKeeper(words, SqliteIncidents(data), f"{name_of(data)}-maintain", say=say)
    made.start()
    return made
