"""The moments of the learning grid in a process that another one learns for: it may wait for what is learned at them.

A process that waits decides as one that learns by itself: before the first event after a moment, it asks the learner to
learn what is known by then, and goes on once that is in force. It waits for so long at the most, and not at all while
nobody leads the learning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from homeostat.decide.loop import DecisionLoop
from homeostat.engine.watching import Watcher
from homeostat.ports import Clock, Unavailable
from homeostat.ports.learning import Asked, LearnedStates
from homeostat.records.arrays import Int

LOOK_S = 0.005


class Moments:
    """See the module.

    wait_ns : the longest that an event waits; 0: none does
    waited, missed : how often events waited, and how often nothing came in time
    """

    def __init__(
        self, loop: DecisionLoop, store: LearnedStates | None, watcher: Watcher | None, clock: Clock, wait_ns: int
    ) -> None:
        self._loop, self._store, self._watcher, self._clock, self._wait_ns = loop, store, watcher, clock, wait_ns
        self.waited = self.missed = 0
        self._idle = threading.Event()

    @property
    def on(self) -> bool:
        """Whether events wait."""
        return self._wait_ns > 0 and self._store is not None and self._watcher is not None

    def apart(self, reach: Int) -> int:
        """How many of these events, the first ones, may be decided together: until the next moment."""
        if not self.on or len(reach) == 0:
            return len(reach)
        stages = self._loop.stages
        return stages.schedule.apart(stages.watermark.running(reach))

    def wait(self, reach: Int, journalled: Callable[[], int]) -> None:
        """Wait for what is learned at the moment before the first of these events, if there is one.

        journalled : waits until all that this process decided is in the journal; returns the last entry
        """
        if not self.on or len(reach) == 0:
            return
        with suppress(Unavailable):  # Then nothing that is learned could come.
            self._wait(int(self._loop.stages.watermark.running(reach[:1])[0]), journalled)

    def _wait(self, running_ns: int, journalled: Callable[[], int]) -> None:
        schedule, store = self._loop.stages.schedule, self._store
        assert store is not None, "it is on"
        standing = None
        if schedule.moment_ns == 0:  # A process that has just begun goes on behind the others.
            standing = store.standing()
            if standing.moment_ns > 0:
                schedule.begin(standing.moment_ns)
        moment_ns = schedule.coming(running_ns)
        if moment_ns is None:
            return
        until_ns = self._clock.monotonic_ns() + self._wait_ns
        standing = standing or store.standing()
        if not standing.leads:
            return
        store.ask(Asked(moment_ns, journalled()))
        self.waited += 1
        while standing.moment_ns < moment_ns or not self._in_force(standing.number):
            if self._clock.monotonic_ns() >= until_ns:
                self.missed += 1
                return
            self._idle.wait(LOOK_S)
            if standing.moment_ns < moment_ns:
                standing = store.standing()

    def _in_force(self, number: int) -> bool:
        """Put in force what is published, and say whether a change is among it."""
        assert self._watcher is not None, "it is on"
        if self._loop.next_settings()[0] < number:
            self._watcher.look()
        if self._loop.coming is not None:
            self._loop.change()
        return self._loop.stages.settings >= number or bool(self._watcher.trouble)
