"""Says while kernels are compiled: a machine's first start takes a minute or more before anything is decided."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import exp

from homeostat.adapters.process.clock import SystemClock
from homeostat.records import compiling

Show = Callable[[str, float], None]
TEXT = "compiling kernels, once on this machine"
AFTER_S = 3.0  # A shorter time is not worth a word.
EVERY_S = 5.0
_LOOK_S = 0.25
_WHOLE_S = 90.0  # Of one core, where nothing is known yet of how fast this machine is.


class Watch:
    """The progress of the compiling so far. `look` is called again and again, with the time in seconds."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._name, self._begun_s, self._last_s = "", 0.0, 0.0
        self._done = compiling.done()
        self._before = self._done

    def look(self, now_s: float) -> float | None:
        """The part that is done, about; None while nothing is compiled."""
        name, done = compiling.now(), compiling.done()
        if name and self._name:
            self.spent_s += now_s - self._last_s
        if name != self._name:
            self._name, self._begun_s = name, now_s
        self._last_s, self._done = now_s, done
        return None if not name else min(0.99, done + self._of_present(name, now_s - self._begun_s))

    def _of_present(self, name: str, took_s: float) -> float:
        """How much of the present kernel is done: it tends to all of it, however wrong the guess of its time is."""
        share, known = compiling.share_of(name), self._done - self._before
        earlier_s = self.spent_s - took_s
        whole_s = earlier_s / known if known > 0.05 and earlier_s > 0 else _WHOLE_S
        return share * (1.0 - exp(-took_s / max(share * whole_s, 0.1)))


@contextmanager
def said(say: Callable[[str], None], show: Show | None = None) -> Iterator[None]:
    """Say every few seconds that kernels are compiled, and how far that is, while the block runs and they are.

    show : is given the same four times a second, and 1 once nothing is compiled, in place of `say`
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(ended, say, show), name="compiling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _look(ended: threading.Event, say: Callable[[str], None], show: Show | None) -> None:
    watch, clock, next_s, shows = Watch(), SystemClock(), AFTER_S, False
    while not ended.wait(_LOOK_S):
        share = watch.look(clock.monotonic_ns() / 1e9)
        if show is not None and (shows or share is not None) and watch.spent_s >= AFTER_S:
            show(TEXT, 1.0 if share is None else share)
            shows = share is not None
        elif show is None and share is not None and watch.spent_s >= next_s:
            say(f"{TEXT}: about {share:.0%} after {watch.spent_s:.0f} s")
            next_s = watch.spent_s + EVERY_S
