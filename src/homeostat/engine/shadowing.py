"""Starts a challenger's process while there is a challenger, ends it with the role, and says how it fares.

On servers each process keeps one, see `engine.keeping`, and the lease in the store says which of them goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.opening import shadow_opener
from homeostat.adapters.process.companion import Companion
from homeostat.config.beside import ShadowOptions
from homeostat.config.servers import Servers
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.keeping import TURN_S, Patience, ProcessKeeper, Running, Sign
from homeostat.engine.watching import name_of
from homeostat.models.deployments import CHALLENGER, scope_of, version_in
from homeostat.ports import Clock
from homeostat.ports.shadow import Held, ShadowStore

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

TAKEN = 75  # The exit code of a process whose version another one has.
_BEHIND_S_MAX = 60.0
_LOADING_S = 300.0
_SILENT_S = 5 * TURN_S

OpensStore = Callable[[], AbstractContextManager[ShadowStore]]
"""Opens the decisions of challengers for reading. Raises Unavailable."""


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
        self._challenger, self._open_store, self._options, self._say = challenger, open_store, options, say
        self._words = (*words, "--since-deployed", "--memory-mb", str(options.memory_mb), "--owner", owner)
        self._close_store = close_store
        self._keeper = ProcessKeeper(
            "shadow", self._look, start or self._started, owner, Patience(options.hang / 1e9, _LOADING_S),
            store="the store of its decisions", said=self._failed, clock=clock, taken=TAKEN,
        )  # fmt: skip
        self._version: str | None = None
        self._held: Held | None = None

    @property
    def restarts(self) -> int:
        """How often the process failed."""
        return self._keeper.restarts

    def start(self) -> None:
        """Look after it from now on, in a thread; where it is not to be started, only its state is read."""
        self._keeper.begin()

    def close(self) -> None:
        """End the process and the thread."""
        self._keeper.close()
        self._close_store()

    def turn(self) -> None:
        """Look once. It raises nothing: what fails is the trouble."""
        self._keeper.turn()

    def end(self) -> None:
        """End the process, if one runs."""
        self._keeper.end()

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
        why = self._keeper.trouble or ("" if held is None else held.state.trouble)
        if why:
            return [f"challenger {version} in shadow: {why}"]
        behind_s = 0.0 if held is None else self._behind_s(held)
        if behind_s > _BEHIND_S_MAX:
            return [f"challenger {version} in shadow is {behind_s:,.0f} s behind"]
        return []

    def _behind_s(self, held: Held) -> float:
        return self._keeper.behind_s(held.state.at_ns, held.state.behind_s, _SILENT_S)

    def _look(self) -> None:
        version = self._challenger()
        if version != self._version:
            self._keeper.renew()
            self._version, self._held = version, None
        if version is None:
            return
        with self._open_store() as store:
            held = self._held = store.held().get(version)
        sign = None if held is None else Sign(held.owner, held.lives, held.state.at_ns, held.state.began_ns)
        self._keeper.tend(sign, self._options.start)

    def _failed(self, trouble: str) -> None:
        self._say(f"challenger {self._version} in shadow: {trouble}")

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


def notes_of(keeper: ShadowKeeper | None) -> list[str]:
    """The notes of a keeper, where there is one."""
    return [] if keeper is None else keeper.notes()


def readings_of(keeper: ShadowKeeper | None) -> Mapping[str, Value]:
    """The readings of a keeper, where there is one."""
    return {} if keeper is None else keeper.readings()
