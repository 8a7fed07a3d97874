"""Beside the decisions of a process that another one learns for: its share of the budget, and how stale learning is."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from homeostat.config.learners import learners_of
from homeostat.config.tree import App
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.shared.budget import Purse, budget_of
from homeostat.errors import HomeostatError
from homeostat.ports import Clock
from homeostat.ports.learning import LearnedStates, LearnerStanding
from homeostat.records.changes import ChangeKind

LOOK_S = 0.05
STANDING_EVERY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Seen:
    standing: LearnerStanding
    at_ns: int


class Taught:
    """See the module. `close` ends it.

    stale_max_ns : the bound of staleness that the app's owner declared
    """

    def __init__(
        self, app: App, loop: DecisionLoop, store: LearnedStates | None, clock: Clock, stale_max_ns: int,
        poll_s: float = LOOK_S,
    ) -> None:  # fmt: skip
        self.purse = Purse(loop, store, budget_of(app), clock)
        self._app, self._loop, self._store, self._clock = app, loop, store, clock
        self._stale_max_ns, self._poll_s = stale_max_ns, poll_s
        self._seen: _Seen | None = None
        self._next_ns, self._began_ns = 0, clock.monotonic_ns()
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def learners(self) -> frozenset[str]:
        """Those that are on by the app and its settings."""
        learns = self._loop.stages.learns
        on = {name for name in learners_of(self._app) if getattr(self._app.learning, name)}
        return frozenset(on if learns is None else learns & learners_of(self._app))

    @property
    def stale_s(self) -> float | None:
        """Seconds since all that the journal held had been learned from and published; None where it never was."""
        seen = self._seen
        if seen is None or seen.standing.stale_s is None:
            return None
        return seen.standing.stale_s + (self._clock.monotonic_ns() - seen.at_ns) / 1e9

    @property
    def position(self) -> int:
        """The journal entry that the oldest state in force rests on; 0 where a learner that is on has none."""
        found = {one.scope: one for one in self._loop.stages.in_force if one.kind == ChangeKind.STATE}
        bodies = [found[name].body if name in found else None for name in self.learners]
        return min((0 if body is None else int(body["position"]) for body in bodies), default=0)

    def notes(self) -> list[str]:
        """That what was learned is older than the declared bound, in a sentence; nothing where all is well."""
        if not self.learners or self._store is None:
            return []
        if self._trouble:
            return [f"how old the learning is can't be known: {self._trouble}"]
        stale_s = self.stale_s
        if stale_s is None:
            waited_s = (self._clock.monotonic_ns() - self._began_ns) / 1e9
            if waited_s * 1e9 <= self._stale_max_ns:
                return []
            return ["nothing has been learned as yet: is homeostat learn running?"]
        if stale_s * 1e9 <= self._stale_max_ns:
            return []
        why = "" if self._seen is None else self._seen.standing.trouble
        return [
            f"decides with what was learned {stale_s:.0f} s ago, more than the {self._stale_max_ns / 1e9:g} s of "
            f"servers.learning_stale: {why or 'the learner is away or behind'}"
        ]

    def start(self) -> None:
        """Look from now on, in a thread; nothing where there is no store to look at."""
        if self._store is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="taught", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """One look."""
        self.purse.look()
        now_ns = self._clock.monotonic_ns()
        if self._store is None or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + STANDING_EVERY_NS
        try:
            self._seen, self._trouble = _Seen(self._store.standing(), now_ns), ""
        except HomeostatError as error:
            self._trouble = str(error)

    def close(self) -> None:
        """End the looking, and give back what may still be spent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.purse.close()

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()
