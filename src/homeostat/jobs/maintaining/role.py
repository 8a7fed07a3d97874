"""One part of maintenance in a process of its own: it brings incidents on from some phases, and leaves the others.

Nothing is kept in memory that another process could not read from the stores. So any number of processes may have a
role, on any number of machines. Each incident is worked on by one of them at a time, and one at a time coordinates:
rules, acts and verifies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import StrEnum

from homeostat.adapters.process.standing import Standing
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.maintaining.responding import LeaseLost, Responding
from homeostat.jobs.maintaining.running import Setting
from homeostat.ports.incidents import IncidentsError
from homeostat.records.incidents import Phase

POLL_S = 1.0
_BACKOFF = Backoff(0.5, 30.0)


class MaintainRole(StrEnum):
    """The parts. WATCH and ALL are of `Maintaining`, which has the loop's lease; the others of `RoleProcess`."""

    ALL = "all"
    WATCH = "watch"
    INVESTIGATE = "investigate"
    REHEARSE = "rehearse"
    COORDINATE = "coordinate"


PHASES: Mapping[MaintainRole, tuple[Phase, ...]] = {
    MaintainRole.INVESTIGATE: (Phase.OPEN,),
    MaintainRole.REHEARSE: (Phase.INVESTIGATED,),
    MaintainRole.COORDINATE: (Phase.PLANNED, Phase.RULED, Phase.ACTING, Phase.VERIFYING),
}
"""The phases that each role ends."""


class RoleProcess:
    """See the module. `run` until `stop`, then `close`. One thread runs it; any may ask for `trouble`.

    say : gets sentences for people
    """

    def __init__(self, setting: Setting, name: MaintainRole, say: Callable[[str], None] = lambda text: None) -> None:
        """Raises ValueError for a role without phases of its own."""
        if name not in PHASES:
            raise ValueError(f"{name} is no role beside the loop: it is one of {', '.join(PHASES)}")
        assert setting.open_means is not None, "a role answers incidents"
        self._setting, self._name, self._say = setting, name, say
        self._stop = threading.Event()
        self._standing = Standing(say, setting.clock, f"{name} goes on")
        self._opened = ExitStack()
        self._responding: Responding | None = None
        self._moved: Callable[[], bool] = lambda: False
        self.trouble = "it is starting"

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped. Raises what is not of a store."""
        pauses = Pauses(_BACKOFF)
        while not self._stop.is_set():
            try:
                stored = self.turn()
            except (Unavailable, IncidentsError) as error:
                self.trouble = str(error)
                self._standing.now(f"{self._name} waits: {error}")
                self._stop.wait(pauses.next_s())
                continue
            self.trouble = ""
            self._standing.now("")
            pauses = Pauses(_BACKOFF)
            if not stored:
                self._stop.wait(POLL_S)

    def turn(self) -> int:
        """All that is due now; returns how many phases were stored.

        Nothing is due before the loop of the role `watch` has closed a tick. Raises Unavailable, IncidentsError,
        JournalError; the next turn opens the stores again.
        """
        try:
            lease = self._setting.store.lease()
            if lease is None or not lease.state.reached_ns:
                return 0
            return self._ready().step(lease.state.reached_ns)
        except LeaseLost:
            self._say("another process works on the same incident")
            self._drop()
            return 0
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Give leases back, and let go of the stores. The store of incidents is its owner's to close."""
        try:
            if self._responding is not None:
                self._responding.close()
        except HomeostatError as error:
            self._say(f"its lease ends by itself: {error}")
        finally:
            self._drop()

    def _ready(self) -> Responding:
        if self._responding is not None and not self._moved():
            return self._responding
        self._drop()
        setting, opened = self._setting, self._opened
        source = opened.enter_context(setting.open_source())
        assert setting.open_means is not None
        means = opened.enter_context(setting.open_means(self._keep))
        self._responding = Responding(
            source, means, setting.clock, self._say, owner=setting.owner, phases=PHASES[self._name]
        )
        self._moved = source.moved
        self._say(f"{setting.owner} takes the role {self._name} for {setting.app.app}")
        return self._responding

    def _keep(self) -> None:
        """Have its leases for longer, while a rehearsal goes on. Raises LeaseLost, Unavailable."""
        if self._responding is not None:
            self._responding.renew()

    def _drop(self) -> None:
        self._responding = None
        opened, self._opened = self._opened, ExitStack()
        opened.close()
