"""Starts a challenger's process while there is a challenger, ends it with the role, and says how it fares.

A thread of its own does that, once a second. Deciding neither asks it nor waits for it. On servers each process has
such a thread, and the lease in the store says which of the processes that they start goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.opening import shadow_opener
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.companion import Companion
from homeostat.config.beside import ShadowOptions
from homeostat.config.servers import Servers
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.watching import name_of
from homeostat.errors import HomeostatError
from homeostat.models.deployments import CHALLENGER, scope_of, version_in
from homeostat.ports import Clock
from homeostat.ports.shadow import Held, ShadowStore

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

TAKEN = 75  # The exit code of a process whose version another one has.
_TURN_S = 1.0
_AGAIN_S, _AGAIN_S_MAX = 1.0, 300.0
_CALM_S = 60.0  # After this nobody need look at why the process before it has ended.
_WELL_S = 600.0  # A process that lived for so long begins again after the shortest wait.
_BEHIND_S_MAX = 60.0
_LOADING_S = 300.0


OpensStore = Callable[[], AbstractContextManager[ShadowStore]]
"""Opens the decisions of challengers for reading. Raises Unavailable."""


class Running(Protocol):
    """A process beside this one."""

    def ended(self) -> int | None: ...

    def starved_s(self) -> float: ...

    def last_line(self) -> str: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(slots=True)
class _Run:
    """A process that was started.

    sign_ns : the time of its last sign of life, by the process's clock
    starved_s : how long it had waited for a processor by then
    """

    version: str
    process: Running
    began_ns: int
    sign_ns: int = 0
    starved_s: float = 0.0


def challenger_of(loop: DecisionLoop) -> str | None:
    """The challenger under the settings that are in force; any thread may ask."""
    scope = scope_of(CHALLENGER)
    return next((version_in(one.body) for one in loop.stages.in_force if one.where == scope), None)


class ShadowKeeper:
    """See the module. `close` ends it, and the process.

    challenger : the version that is to be decided for; None for none
    words : the arguments of `homeostat` that start the process
    open_store : where its decisions are, for reading
    owner : the name under which it has its lease
    say : gets a sentence when something changes
    """

    def __init__(
        self, challenger: Callable[[], str | None], words: Sequence[str], open_store: OpensStore,
        options: ShadowOptions, owner: str, *, clock: Clock | None = None,
        say: Callable[[str], None] = lambda text: None, start: Callable[[], Running] | None = None,
        close_store: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._challenger, self._open_store, self._options, self._owner = challenger, open_store, options, owner
        self._clock, self._say = SystemClock() if clock is None else clock, say
        self._words = (*words, "--since-deployed", "--memory-mb", str(options.memory_mb), "--owner", owner)
        self._start, self._close_store = start or self._started, close_store
        self._run: _Run | None = None
        self._version: str | None = None
        self._held: Held | None = None
        self._trouble = ""
        self._failures, self._next_ns = 0, 0
        self.restarts = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look after it from now on, in a thread; where it is not to be started, only its state is read."""
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._look_after, name="shadow", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._close_store()

    def turn(self) -> None:
        """Look once. It raises nothing: what fails is the trouble."""
        try:
            self._look()
        except HomeostatError as error:
            self._trouble = f"the store of its decisions can't be read: {error}"
        except Exception as error:  # It must never be in the way of what decides.
            self._trouble = f"it can't be looked after: {type(error).__name__}: {error}"

    def end(self) -> None:
        """End the process, if one runs."""
        if self._run is not None:
            self._run.process.stop()
            self._run = None

    def readings(self) -> dict[str, Value]:
        """Its figures by name of a declared metric; none where there is no challenger. Any thread may ask."""
        version, held = self._version, self._held
        if version is None:
            return {}
        found: dict[str, Value] = {
            "homeostat_shadow_up": held is not None and held.lives,
            "homeostat_shadow_restarts_total": self.restarts,
        }
        if held is not None:
            state = held.state
            found |= {
                "homeostat_shadow_behind_entries": max(0, state.last - state.entry),
                "homeostat_shadow_behind_seconds": self._behind_s(held), "homeostat_shadow_events": state.events,
                "homeostat_shadow_differing": state.differing, "homeostat_shadow_failed": state.failed,
            }  # fmt: skip
        return found

    def notes(self) -> list[str]:
        """The notices for people: why the challenger is not decided for, or how far it is behind."""
        version, held = self._version, self._held
        if version is None:
            return []
        why = self._trouble or ("" if held is None else held.state.trouble)
        if why:
            return [f"challenger {version} in shadow: {why}"]
        behind_s = 0.0 if held is None else self._behind_s(held)
        if behind_s > _BEHIND_S_MAX:
            return [f"challenger {version} in shadow is {behind_s:,.0f} s behind"]
        return []

    def _behind_s(self, held: Held) -> float:
        """How long ago it had decided all that there was, as far as is known."""
        since_s = max(0.0, (self._clock.now_ns() - held.state.at_ns) / 1e9)
        return held.state.behind_s + (since_s if since_s > 5 * _TURN_S else 0.0)

    def _look_after(self) -> None:
        while not self._stop.wait(_TURN_S):
            self.turn()
        self.end()

    def _look(self) -> None:
        version = self._challenger()
        if version != self._version:
            self.end()
            self._version, self._held, self._trouble, self._failures, self._next_ns = version, None, "", 0, 0
        if version is None:
            return
        with self._open_store() as store:
            self._held = store.held().get(version)
        if self._run is not None:
            self._watch(self._run)
        elif self._options.start and self._clock.monotonic_ns() >= self._next_ns and not self._elsewhere():
            self._run = _Run(version, self._start(), self._clock.monotonic_ns())

    def _elsewhere(self) -> bool:
        """Whether another process decides for it."""
        return self._held is not None and self._held.lives and self._held.owner != self._owner

    def _watch(self, run: _Run) -> None:
        """Take in that a process has ended, or hangs."""
        code, lived_s = run.process.ended(), (self._clock.monotonic_ns() - run.began_ns) / 1e9
        if code is None and not self._hangs(run, lived_s):
            self._trouble = "" if lived_s > _CALM_S else self._trouble
            return
        line = run.process.last_line()
        run.process.kill()
        self._run = None
        if code == TAKEN:
            self._next_ns = self._clock.monotonic_ns() + int(_AGAIN_S * 1e9)
            return
        self._failed("it gave no sign of life and was killed" if code is None else ending(code, line), lived_s)

    def _hangs(self, run: _Run, lived_s: float) -> bool:
        """Whether it has not stored its state for too long; until it first has, it is loading.

        The time in which it waited for a processor does not count: others come first.
        """
        own = self._held if self._held is not None and self._held.owner == self._owner else None
        sign_ns, loading = (0, True) if own is None else (own.state.at_ns, own.state.at_ns == own.state.began_ns)
        if sign_ns != run.sign_ns:
            run.sign_ns, run.starved_s = sign_ns, run.process.starved_s()
        silent_s = lived_s if own is None else min(lived_s, (self._clock.now_ns() - sign_ns) / 1e9)
        bound_s = max(self._options.hang / 1e9, _LOADING_S if loading else 0.0)
        return silent_s > bound_s and silent_s - (run.process.starved_s() - run.starved_s) > bound_s

    def _failed(self, why: str, lived_s: float) -> None:
        self._failures = 1 if lived_s > _WELL_S else self._failures + 1
        wait_s = min(_AGAIN_S * 2 ** (self._failures - 1), _AGAIN_S_MAX)
        self._next_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self.restarts += 1
        self._trouble = f"{why}; it is started again in {wait_s:,.0f} s"
        self._say(f"challenger {self._version} in shadow: {self._trouble}")

    def _started(self) -> Companion:
        return Companion(
            [sys.executable, "-P", "-m", "homeostat", "shadow", *self._words, "--parent", str(os.getpid())]
        )


def keeper_in(
    loop: DecisionLoop, options: ShadowOptions, app: str, data: Path, say: Callable[[str], None]
) -> ShadowKeeper:
    """The keeper of a server on a data folder, started.

    app : as the server was given it
    """
    made = ShadowKeeper(
        lambda: challenger_of(loop), (app, "--data", str(data)), lambda: closing(ShadowFile(data, readonly=True)),
        options, name_of(data), say=say,
    )  # fmt: skip
    made.start()
    return made


def keeper_on(
    loop: DecisionLoop, options: ShadowOptions, app: str, config: str | None, servers: Servers, owner: str,
    say: Callable[[str], None],
) -> ShadowKeeper | None:  # fmt: skip
    """The keeper of one process on servers, started; None where no versions are kept there.

    config : the file that names servers, as the process was given it
    """
    url = servers.journal
    if url is None or servers.models is None:
        return None
    opened: list[ShadowStore] = []

    def open_store() -> AbstractContextManager[ShadowStore]:
        if not opened:
            opened.append(shadow_opener(url)(url))
        return nullcontext(opened[0])

    def close_store() -> None:
        for store in opened:
            store.close()

    words = (app, *(() if config is None else ("--config", config)))
    made = ShadowKeeper(
        lambda: challenger_of(loop), words, open_store, options, owner, say=say, close_store=close_store
    )
    made.start()
    return made


def ending(code: int, line: str) -> str:
    """Why a process has ended, in a few words.

    >>> ending(-9, ""), ending(1, "homeostat: no room")
    ('it was ended by signal 9', 'it ended: homeostat: no room')
    """
    if code < 0:
        return f"it was ended by signal {-code}"
    return f"it ended: {line}" if line else f"it ended with exit code {code}"


def notes_of(keeper: ShadowKeeper | None) -> list[str]:
    """The notes of a keeper, where there is one."""
    return [] if keeper is None else keeper.notes()


def readings_of(keeper: ShadowKeeper | None) -> Mapping[str, Value]:
    """The readings of a keeper, where there is one."""
    return {} if keeper is None else keeper.readings()
