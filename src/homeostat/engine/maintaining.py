"""Starts the maintenance loop's process beside a server with a data folder, and says how the loop fares.

A thread of its own does that, once a second. Deciding neither asks it nor waits for it. The process takes the processor
time that is left; where it ends, or hangs, it is started again.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.companion import Companion
from homeostat.engine.shadowing import Running, ending
from homeostat.engine.watching import name_of
from homeostat.errors import HomeostatError
from homeostat.ports import Clock
from homeostat.ports.maintenance import Lease, MaintenanceStore

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

_TURN_S = 1.0
_AGAIN_S, _AGAIN_S_MAX = 1.0, 300.0
_WELL_S = 600.0  # A process that lived for so long begins again after the shortest wait.
_CALM_S = 60.0  # After this nobody need look at why the process before it has ended.
_HANGS_S, _LOADING_S = 300.0, 900.0  # Without a sign of life; until the first, kernels may be compiled.
_BEHIND_S_MAX = 300.0


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
        self._words, self._store, self._owner = (*words, "--owner", owner), store, owner
        self._clock, self._say = SystemClock() if clock is None else clock, say
        self._start = start or self._started
        self._process: Running | None = None
        self._began_ns = self._next_ns = self._sign_ns = 0
        self._starved_s = 0.0
        self._lease: Lease | None = None
        self._trouble, self._failures, self.restarts = "", 0, 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look after it from now on, in a thread."""
        self._thread = threading.Thread(target=self._look_after, name="maintenance", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.end()
        self._store.close()

    def turn(self) -> None:
        """Look once. It raises nothing: a failure is the trouble."""
        try:
            self._lease = self._store.lease()
            if self._process is not None:
                self._watch(self._process)
            elif self._clock.monotonic_ns() >= self._next_ns and not self._elsewhere():
                self._process, self._began_ns = self._start(), self._clock.monotonic_ns()
        except HomeostatError as error:
            self._trouble = f"its store can't be read: {error}"
        except Exception as error:  # It must never be in the way of what decides.
            self._trouble = f"it can't be looked after: {type(error).__name__}: {error}"

    def end(self) -> None:
        """End the process, if one runs."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def readings(self) -> dict[str, Value]:
        """Its figures by name of a declared metric. Any thread may ask."""
        lease = self._lease
        found: dict[str, Value] = {
            "homeostat_maintain_up": lease is not None and lease.lives,
            "homeostat_maintain_restarts_total": self.restarts,
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
        why = self._trouble or ("" if lease is None or not lease.lives else lease.state.trouble)
        if why:
            return [f"maintenance: {why}"]
        behind_s = 0.0 if lease is None else self._behind_s(lease)
        return [f"maintenance is {behind_s:,.0f} s behind"] if behind_s > _BEHIND_S_MAX else []

    def _behind_s(self, lease: Lease) -> float:
        """How long ago it had read all that there was, as far as is known."""
        since_s = max(0.0, (self._clock.now_ns() - lease.state.at_ns) / 1e9)
        return lease.state.behind_s + (since_s if since_s > 10 * _TURN_S else 0.0)

    def _look_after(self) -> None:
        while not self._stop.wait(_TURN_S):
            self.turn()

    def _elsewhere(self) -> bool:
        """Whether another process has the lease."""
        return self._lease is not None and self._lease.lives and self._lease.owner != self._owner

    def _watch(self, process: Running) -> None:
        """Take in that the process has ended, or hangs."""
        code, lived_s = process.ended(), (self._clock.monotonic_ns() - self._began_ns) / 1e9
        if code is None and not self._hangs(process, lived_s):
            self._trouble = "" if lived_s > _CALM_S else self._trouble
            return
        line = process.last_line()
        process.kill()
        self._process = None
        self._failures = 1 if lived_s > _WELL_S else self._failures + 1
        wait_s = min(_AGAIN_S * 2 ** (self._failures - 1), _AGAIN_S_MAX)
        self._next_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self.restarts += 1
        why = "it gave no sign of life and was killed" if code is None else ending(code, line)
        self._trouble = f"{why}; it is started again in {wait_s:,.0f} s"
        self._say(f"maintenance: {self._trouble}")

    def _hangs(self, process: Running, lived_s: float) -> bool:
        """Whether it has given no sign of life for too long. Waiting for a processor does not count."""
        own = self._lease is not None and self._lease.owner == self._owner
        sign_ns = self._lease.state.at_ns if own and self._lease is not None else 0
        if sign_ns != self._sign_ns:
            self._sign_ns, self._starved_s = sign_ns, process.starved_s()
        silent_s = min(lived_s, (self._clock.now_ns() - sign_ns) / 1e9) if own else lived_s
        bound_s = _HANGS_S if own and silent_s < lived_s else _LOADING_S
        return silent_s > bound_s and silent_s - (process.starved_s() - self._starved_s) > bound_s

    def _started(self) -> Companion:
        return Companion(
            [sys.executable, "-P", "-m", "homeostat", "maintain", *self._words, "--parent", str(os.getpid())]
        )


def keeper_in(app: str, data: Path, memory_mb: int, say: Callable[[str], None]) -> MaintenanceKeeper:
    """The keeper of a server on a data folder, started.

    app : as the server was given it
    """
    words = (app, "--data", str(data), "--memory-mb", str(memory_mb))
    made = MaintenanceKeeper(words, SqliteIncidents(data), f"{name_of(data)}-maintain", say=say)
    made.start()
    return made
