"""Runs a challenger in shadow: by lease, entry after entry, and says in the store how it fares."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.journals.entries import JournalError
from homeostat.errors import DataFolderInUse, Unavailable
from homeostat.jobs.shadow import Shadow
from homeostat.jobs.shadow_places import Place, began_at, shadow_of
from homeostat.models.deployments import CHALLENGER, deployed_at
from homeostat.ports import Clock
from homeostat.ports.shadow import LEASE_S, ShadowState, ShadowStore

LOADING_S = 300.0  # The first lease: on a new machine kernels are compiled meanwhile.
_BEAT_NS = 1_000_000_000
_PRUNE_NS = 60_000_000_000


class ShadowTaken(DataFolderInUse):
    """Another process decides for this version in shadow, or has taken it over."""

    why = "one process at a time decides for a version in shadow"
    remedy = "Leave it to that process; after its end the next one can begin within seconds"


@dataclass(frozen=True, slots=True)
class Asked:
    """The wishes for a run.

    version : one that is asked for by name; None for the challenger
    since_deployed : whether it begins with the events since it got its role; else with the journal
    once : whether it ends when it has caught up
    """

    version: str | None = None
    since_deployed: bool = False
    once: bool = False


class Run:
    """One version in shadow, in this process.

    owner : this process's name in the store
    say : gets a sentence about what keeps it from going on
    """

    def __init__(
        self, app: str | Path, place: Place, kept: ShadowStore, clock: Clock, owner: str, asked: Asked,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._app, self._place, self._kept, self._clock = app, place, kept, clock
        self._owner, self._asked, self._say = owner, asked, say
        self._version = ""
        self._beaten_ns = self._pruned_ns = 0
        self._current_ns = self._began_ns = clock.now_ns()
        self._trouble = self._away = ""

    def follow(self, version: str, pause: Callable[[], None]) -> int:
        """Decide what comes until another version is the challenger; returns how many events this process decided.

        pause : waits between two looks
        Raises ShadowTaken where another process has the version; MemoryError; what `shadow_of` raises.
        """
        self._version = version
        if not self._kept.take(version, self._owner, LOADING_S):
            raise ShadowTaken(f"another process decides for version {version} in shadow")
        try:
            with ExitStack() as opened:
                one = shadow_of(self._app, self._place, version, self._kept, opened, self._failed)
                after = self._after(one)
                while not self._round(one, after):
                    pause()
                return one.decided
        finally:
            self._kept.leave(version, self._owner)

    def _round(self, one: Shadow, after: int) -> bool:
        """Decide what is new; whether that was the last time."""
        try:
            one.catch_up(after, lambda entry: self._beat(one, entry))
            self._current_ns, self._away = self._clock.now_ns(), ""
            self._beat(one, one.position, at_end=True)
            self._prune()
            return self._asked.once or self._place.challenger(self._asked.version) != self._version
        except ShadowTaken:
            raise
        except Unavailable as error:
            if self._asked.once:
                raise
            self._wait(str(error))
        except JournalError:
            if self._asked.once or one.decided == 0:  # A server with a changed app writes names of its own.
                raise
            return True
        return False

    def _after(self, one: Shadow) -> int:
        """The entry behind which it begins, where it has decided nothing yet."""
        if not self._asked.since_deployed:
            return 0
        deployed = deployed_at(self._place.settings, self._clock.now_ns(), CHALLENGER)
        return began_at(one.journal, deployed.number) if deployed.version == self._version else 0

    def _failed(self, part: str, error: Exception) -> None:
        self._trouble = f"{part} failed: {type(error).__name__}: {error}"[:300]

    def _wait(self, why: str) -> None:
        if why != self._away:
            self._say(f"waits: {why}")
        self._away = why

    def _beat(self, one: Shadow, entry: int, at_end: bool = False) -> None:
        """Say how it fares, once a second. Raises ShadowTaken where another process has taken over."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._beaten_ns < _BEAT_NS and not (at_end and self._asked.once):
            return
        self._beaten_ns = now_ns
        at_ns, counts = self._clock.now_ns(), one.counts
        state = ShadowState(
            entry, entry if at_end else one.journal.last, counts.events, counts.differing, counts.failed,
            0.0 if at_end else max(0.0, (at_ns - self._current_ns) / 1e9), self._began_ns, at_ns,
            self._away or one.trouble or self._trouble,
        )  # fmt: skip
        if not self._kept.say(self._version, self._owner, state, LEASE_S):
            raise ShadowTaken(f"another process has taken version {self._version} over")
        if at_end:
            self._trouble = ""  # A failure is shown for as long as it goes on.

    def _prune(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._pruned_ns > _PRUNE_NS:
            self._pruned_ns = now_ns
            self._kept.prune(self._place.retention_ns)
